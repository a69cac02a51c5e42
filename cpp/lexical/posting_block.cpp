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

// To at + half if the value there is not beyond the wanted one.
const std::uint16_t* step(const std::uint16_t* at, std::uint32_t half, std::uint16_t wanted) noexcept {
  return at[half] <= wanted ? at + half : at;
}

// Where the steps have led, or kNotThere, which is all ones: that a document has a term cannot be predicted either.
std::uint32_t place(const std::uint16_t* offsets, const std::uint16_t* at, std::uint16_t wanted) noexcept {
  static_assert(kNotThere == ~std::uint32_t{0});
  return static_cast<std::uint32_t>(at - offsets) | (0U - static_cast<std::uint32_t>(*at != wanted));
}

}  // namespace

void find_offsets(std::span<const std::uint16_t> offsets, std::span<const std::uint16_t> wanted, std::uint32_t* found) noexcept {
  const std::uint16_t* const all = offsets.data();
  for (std::size_t i = 0; i < wanted.size(); i += kLanes) {
    std::array<const std::uint16_t*, kLanes> at;
    std::array<std::uint16_t, kLanes> value;
    at.fill(all);
    for (std::size_t j = 0; j < kLanes; ++j) value[j] = wanted[std::min(i + j, wanted.size() - 1)];
    for (auto size = static_cast<std::uint32_t>(offsets.size()); size > 1; size -= size / 2) {
      for (std::size_t j = 0; j < kLanes; ++j) at[j] = step(at[j], size / 2, value[j]);
    }
    for (std::size_t j = 0; j < kLanes && i + j < wanted.size(); ++j) found[i + j] = place(all, at[j], value[j]);
  }
}

void find_offsets(std::span<const WantedOffset> wanted, std::uint32_t* found) noexcept {
  for (std::size_t i = 0; i < wanted.size(); i += kLanes) {
    std::array<const std::uint16_t*, kLanes> at;
    std::array<std::uint16_t, kLanes> value;
    std::array<std::uint32_t, kLanes> size;
    std::uint32_t least = ~std::uint32_t{0};
    std::uint32_t greatest = 0;
    // One step leaves a power of two, which most of a term's blocks share: so they share the sizes of the other steps.
    for (std::size_t j = 0; j < kLanes; ++j) {
      const WantedOffset& lane = wanted[std::min(i + j, wanted.size() - 1)];
      value[j] = static_cast<std::uint16_t>(lane.wanted);
      size[j] = std::bit_floor(lane.size);
      at[j] = step(lane.offsets, lane.size - size[j], value[j]);
      least = std::min(least, size[j]);
      greatest = std::max(greatest, size[j]);
    }
    for (; greatest > least; greatest /= 2) {
      for (std::size_t j = 0; j < kLanes; ++j) {
        at[j] = step(at[j], size[j] == greatest ? greatest / 2 : 0, value[j]);
        size[j] = std::min(size[j], greatest / 2);
      }
    }
    for (std::uint32_t half = least / 2; half != 0; half /= 2) {
      for (std::size_t j = 0; j < kLanes; ++j) at[j] = step(at[j], half, value[j]);
    }
    for (std::size_t j = 0; j < kLanes && i + j < wanted.size(); ++j) found[i + j] = place(wanted[i + j].offsets, at[j], value[j]);
  }
}

}  // namespace sightline::lexical
