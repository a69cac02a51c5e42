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

namespace {

// Few enough to be compared one and all.
constexpr std::size_t kCompared = 64;

// Narrows `all` down to kCompared values among which `wanted` is, if it is there at all. Without a branch on the values, which
// would be mispredicted half the time.
std::size_t narrow(const std::uint16_t* all, std::size_t& size, std::uint16_t wanted) noexcept {
  std::size_t low = 0;
  while (size > kCompared) {
    const std::size_t half = size / 2;
    low += all[low + half] <= wanted ? half : 0;
    size -= half;
  }
  return low;
}

}  // namespace

void find_offsets(std::span<const std::uint16_t> all, std::span<const std::uint16_t> wanted, std::uint32_t* found) noexcept {
  // Offsets are spread about evenly, so the place is known to about the root of their number.
  const auto find_equal = simd::kernels().find_equal_u16;
  const std::uint16_t* const offsets = all.data();
  const std::size_t size = all.size();
  if (size <= kCompared) {
    for (std::size_t i = 0; i < wanted.size(); ++i) found[i] = find_equal(offsets, size, wanted[i]);
    return;
  }
  const std::size_t reach = std::size_t{16} + (std::size_t{1} << (static_cast<std::size_t>(std::bit_width(size)) / 2));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::size_t guess = (size * wanted[i]) >> kWindowBits;
    std::size_t low = guess > reach ? guess - reach : 0;
    std::size_t count = std::min(size, guess + reach) - low;
    const bool below = low != 0 && offsets[low] > wanted[i];
    const bool above = low + count != size && offsets[low + count - 1] < wanted[i];
    if (below || above) {
      low = below ? 0 : low + count;
      count = below ? guess - reach : size - low;
      low += narrow(offsets + low, count, wanted[i]);
    }
    const std::uint32_t at = find_equal(offsets + low, count, wanted[i]);
    found[i] = at == simd::kNotFound ? at : static_cast<std::uint32_t>(low) + at;
  }
}

}  // namespace sightline::lexical
