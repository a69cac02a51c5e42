#include "lexical/posting_block.h"

#include <algorithm>
#include <array>
#include <bit>

#include "simd/kernels.h"

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

void find_offsets(std::span<const std::uint16_t> all, std::span<const std::uint16_t> wanted, std::uint32_t* found) noexcept {
  // A binary search is a chain of loads; several side by side hide each other's latency. Its steps depend on the size only, so
  // that no branch is mispredicted: where documents of a kind stand together, a guess at the place would often be wrong.
  constexpr std::size_t kLanes = 4;
  const std::uint16_t* const offsets = all.data();
  for (std::size_t i = 0; i < wanted.size(); i += kLanes) {
    std::array<std::uint32_t, kLanes> low{};
    std::array<std::uint32_t, kLanes> value;
    for (std::size_t j = 0; j < kLanes; ++j) value[j] = wanted[std::min(i + j, wanted.size() - 1)];
    for (auto size = static_cast<std::uint32_t>(all.size()); size > 1; size -= size / 2) {
      const std::uint32_t half = size / 2;
      for (std::size_t j = 0; j < kLanes; ++j) low[j] += half & (0U - static_cast<std::uint32_t>(offsets[low[j] + half] <= value[j]));
    }
    for (std::size_t j = 0; j < kLanes && i + j < wanted.size(); ++j) {
      found[i + j] = offsets[low[j]] == value[j] ? low[j] : simd::kNotFound;
    }
  }
}

}  // namespace sightline::lexical
