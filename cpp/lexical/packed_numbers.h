// Integers in as few bits as their neighbours allow, each of them found in O(1): for the arrays of a packed segment that
// have an entry for every document or term.
//
// Blocks of 128 values: value i of a block is base + step * i + a residual of the block's width. `step` is 1 for values that
// mostly count up, such as ids, so that consecutive ones cost nothing, and 0 otherwise. As bytes: 16 for each block (base;
// place of its residuals and their width), the residuals block by block, 8 bytes that are 0. Little-endian.
//
// A view: the bytes must outlive it. Immutable, safe for concurrent use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace sightline::lexical {

// The 8 bytes at `at`, the first of them the lowest.
inline std::uint64_t load_u64(const std::uint8_t* at) noexcept {
  std::uint64_t word;  // the file format requires a little-endian machine
  std::memcpy(&word, at, sizeof word);
  return word;
}

class PackedNumbers {
 public:
  static constexpr std::size_t kBlock = 128;

  PackedNumbers() = default;
  // Precondition: valid(bytes, size).
  PackedNumbers(std::span<const std::uint8_t> bytes, std::size_t size, std::uint64_t step) noexcept
      : blocks_(bytes.data()), residuals_(bytes.data() + block_count(size) * kHeaderBytes), size_(size), step_(step) {}

  std::size_t size() const noexcept { return size_; }
  std::uint64_t operator[](std::size_t i) const noexcept {
    const std::uint8_t* header = blocks_ + i / kBlock * kHeaderBytes;
    const std::uint64_t place = load_u64(header + 8);
    const std::uint64_t width = place & kWidthMask;
    const std::uint64_t within = i % kBlock;
    const std::uint64_t linear = load_u64(header) + step_ * within;
    if (width == 0) return linear;
    const std::uint64_t bit = within * width;
    const std::uint64_t word = load_u64(residuals_ + (place >> kWidthBits) + bit / 8) >> (bit % 8);
    return linear + (width == 64 ? word : word & ((std::uint64_t{1} << width) - 1));
  }

  static std::vector<std::uint8_t> pack(std::span<const std::uint64_t> values, std::uint64_t step);
  // Whether `size` values can be read within the bytes, which have no others. What the values are is not looked at.
  static bool valid(std::span<const std::uint8_t> bytes, std::size_t size) noexcept;

 private:
  static constexpr std::size_t kHeaderBytes = 16;
  static constexpr std::size_t kWidthBits = 8;
  static constexpr std::uint64_t kWidthMask = 255;
  static constexpr std::size_t kSlackBytes = 8;
  // A residual at any bit of a byte must lie within 8 bytes; those of 64 bits all begin at the first.
  static constexpr std::uint64_t kMaxWidth = 56;

  static std::size_t block_count(std::size_t size) noexcept { return size / kBlock + (size % kBlock != 0 ? 1 : 0); }

  const std::uint8_t* blocks_ = nullptr;
  const std::uint8_t* residuals_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t step_ = 0;
};

// Appends values of few bits, each at the bit where the one before ended.
class BitWriter {
 public:
  explicit BitWriter(std::vector<std::uint8_t>& out) noexcept : out_(out) {}
  // value < 2^width, width <= 64.
  void put(std::uint64_t value, std::uint32_t width);
  // To the next byte.
  void flush();

 private:
  std::vector<std::uint8_t>& out_;
  std::uint64_t pending_ = 0;
  std::uint32_t pending_bits_ = 0;
};

}  // namespace sightline::lexical
