#include "lexical/posting_block.h"

#include <algorithm>
#include <array>
#include <bit>

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

// A binary search is a chain of loads; several side by side hide each other's latency. Its steps depend on sizes only, so that
// no branch is mispredicted: where documents of a kind stand together, a guess at the place would often be wrong.
constexpr std::size_t kLanes = 4;

// From low to low + half if the value there is not beyond the wanted one.
std::uint32_t step(const std::uint16_t* offsets, std::uint32_t low, std::uint32_t half, std::uint32_t wanted) noexcept {
  return low + (half & (0U - static_cast<std::uint32_t>(offsets[low + half] <= wanted)));
}

}  // namespace

void find_offsets(std::span<const std::uint16_t> offsets, std::span<const std::uint16_t> wanted, std::uint32_t* found) noexcept {
  const std::uint16_t* const all = offsets.data();
  for (std::size_t i = 0; i < wanted.size(); i += kLanes) {
    std::array<std::uint32_t, kLanes> low{};
    std::array<std::uint32_t, kLanes> value;
    for (std::size_t j = 0; j < kLanes; ++j) value[j] = wanted[std::min(i + j, wanted.size() - 1)];
    for (auto size = static_cast<std::uint32_t>(offsets.size()); size > 1; size -= size / 2) {
      for (std::size_t j = 0; j < kLanes; ++j) low[j] = step(all, low[j], size / 2, value[j]);
    }
    for (std::size_t j = 0; j < kLanes && i + j < wanted.size(); ++j) {
      found[i + j] = all[low[j]] == value[j] ? low[j] : kNotThere;
    }
  }
}

void find_offsets(std::span<const WantedOffset> wanted, std::uint32_t* found) noexcept {
  for (std::size_t i = 0; i < wanted.size(); i += kLanes) {
    std::array<WantedOffset, kLanes> lanes;
    std::array<std::uint32_t, kLanes> low{};
    std::uint32_t greatest = 0;
    for (std::size_t j = 0; j < kLanes; ++j) {
      lanes[j] = wanted[std::min(i + j, wanted.size() - 1)];
      greatest = std::max(greatest, lanes[j].size);
    }
    // A lane that is done takes steps of 0.
    for (; greatest > 1; greatest -= greatest / 2) {
      for (std::size_t j = 0; j < kLanes; ++j) {
        const std::uint32_t half = lanes[j].size / 2;
        low[j] = step(lanes[j].offsets, low[j], half, lanes[j].wanted);
        lanes[j].size -= half;
      }
    }
    for (std::size_t j = 0; j < kLanes && i + j < wanted.size(); ++j) {
      found[i + j] = lanes[j].offsets[low[j]] == lanes[j].wanted ? low[j] : kNotThere;
    }
  }
}

}  // namespace sightline::lexical
