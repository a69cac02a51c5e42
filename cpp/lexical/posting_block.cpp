#include "lexical/posting_block.h"

#include <algorithm>
#include <bit>

#include "simd/dispatch.h"

namespace sightline::lexical {

// 16 values to the power of two, the first 16 exact.
std::uint8_t pack_length(std::uint32_t length) noexcept {
  if (length < 16) return static_cast<std::uint8_t>(length);
  const int shift = std::bit_width(length) - 5;
  return static_cast<std::uint8_t>((shift + 1) << 4 | ((length >> shift) & 15));
}

std::uint32_t unpack_length(std::uint8_t packed) noexcept {
  if (packed < 16) return packed;
  return (16U | (packed & 15U)) << ((packed >> 4) - 1);
}

std::optional<std::size_t> find_offset(std::span<const std::uint16_t> all, std::uint16_t wanted) noexcept {
  // Offsets are spread about evenly, so the place is known to about the root of their number. All offsets near it are
  // compared without a branch: halving the block would mispredict half its comparisons.
  const std::uint16_t* offsets = all.data();
  const std::size_t size = all.size();
  const std::size_t guess = (size * wanted) >> kWindowBits;
  const std::size_t reach = std::size_t{16} + (std::size_t{1} << (static_cast<std::size_t>(std::bit_width(size)) / 2));
  const std::size_t low = guess > reach ? guess - reach : 0;
  const std::size_t high = std::min(size, guess + reach);
  if ((low != 0 && offsets[low] > wanted) || (high != size && offsets[high - 1] < wanted)) {
    const auto at = std::lower_bound(all.begin(), all.end(), wanted);
    if (at == all.end() || *at != wanted) return std::nullopt;
    return static_cast<std::size_t>(at - all.begin());
  }
  const std::uint32_t found = simd::kernels().find_equal_u16(offsets + low, high - low, wanted);
  if (found == simd::kNotFound) return std::nullopt;
  return low + found;
}

}  // namespace sightline::lexical
