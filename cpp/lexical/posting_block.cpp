#include "lexical/posting_block.h"

#include <algorithm>
#include <bit>
#include <cstring>

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
  typedef std::uint16_t Lanes __attribute__((vector_size(16)));
  const std::uint16_t* offsets = all.data();
  const std::size_t size = all.size();
  const std::size_t guess = (size * wanted) >> kWindowBits;
  const std::size_t reach = std::size_t{16} + (std::size_t{1} << (static_cast<std::size_t>(std::bit_width(size)) / 2));
  std::size_t low = guess > reach ? guess - reach : 0;
  std::size_t high = std::min(size, guess + reach);
  if (offsets[low] > wanted || offsets[high - 1] < wanted) {
    const auto at = std::lower_bound(all.begin(), all.end(), wanted);
    if (at == all.end() || *at != wanted) return std::nullopt;
    return static_cast<std::size_t>(at - all.begin());
  }
  constexpr std::size_t kLanes = sizeof(Lanes) / sizeof(std::uint16_t);
  const Lanes target = Lanes{} + wanted;
  Lanes place = {1, 2, 3, 4, 5, 6, 7, 8};
  Lanes found = {};
  for (; low + kLanes <= high; low += kLanes, place += kLanes) {
    Lanes values;
    std::memcpy(&values, offsets + low, sizeof values);
    found |= reinterpret_cast<Lanes>(values == target) & place;
  }
  std::uint32_t match = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) match |= found[lane];
  const std::size_t first = low - (place[0] - 1U);
  if (match != 0) return first + match - 1;
  for (; low < high; ++low) {
    if (offsets[low] == wanted) return low;
  }
  return std::nullopt;
}

}  // namespace sightline::lexical
