// A set of rows, one bit each, in 64-bit words: word w holds rows 64w to 64w + 63, the block size of the dense scan.
// Not synchronised: build it on one thread, then share it as const. Bits at and past size() are always zero.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sightline {

class Bitset {
 public:
  Bitset() = default;
  explicit Bitset(std::size_t size, bool value = false) : size_(size), words_((size + 63) / 64, value ? ~0ULL : 0) {
    clear_padding();
  }

  std::size_t size() const noexcept { return size_; }
  std::size_t word_count() const noexcept { return words_.size(); }
  std::uint64_t word(std::size_t w) const noexcept { return words_[w]; }
  const std::uint64_t* words() const noexcept { return words_.data(); }

  bool test(std::size_t i) const noexcept { return (words_[i / 64] >> (i % 64)) & 1; }
  void set(std::size_t i) noexcept { words_[i / 64] |= 1ULL << (i % 64); }
  void reset(std::size_t i) noexcept { words_[i / 64] &= ~(1ULL << (i % 64)); }
  void set_word(std::size_t w, std::uint64_t value) noexcept {
    words_[w] = value;
    if (w + 1 == words_.size()) clear_padding();
  }

  std::size_t count() const noexcept {
    std::size_t total = 0;
    // In sums of ever more bits: the baseline of x86-64 has no instruction for it, and std::popcount would be a call a word.
    for (std::uint64_t w : words_) {
      w -= w >> 1 & 0x5555555555555555u;
      w = (w & 0x3333333333333333u) + (w >> 2 & 0x3333333333333333u);
      w = (w + (w >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
      total += w * 0x0101010101010101u >> 56;
    }
    return total;
  }

  // Precondition: other.size() == size().
  void intersect(const Bitset& other) noexcept {
    for (std::size_t w = 0; w < words_.size(); ++w) words_[w] &= other.words_[w];
  }

 private:
  void clear_padding() noexcept {
    if (size_ % 64 != 0) words_.back() &= (1ULL << (size_ % 64)) - 1;
  }

  std::size_t size_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace sightline
