// Numbers distinct words 0, 1, 2, ... in the order of their first insertion.
// One owner while it grows; safe for concurrent const calls after that. Memory: the bytes of the words, and 32 to 40 bytes each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "storage/xxh64.h"

namespace sightline::lexical {

inline constexpr std::uint32_t kNoWord = 0xFFFFFFFF;

// The hash under which a word is stored everywhere, index files included.
inline std::uint64_t word_hash(std::string_view word) noexcept { return storage::xxh64(word.data(), word.size()); }

class WordTable {
 public:
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(entries_.size()); }
  std::string_view word(std::uint32_t number) const noexcept {
    return {bytes_.data() + entries_[number].offset, entries_[number].size_bytes};
  }
  std::uint64_t hash(std::uint32_t number) const noexcept { return entries_[number].hash; }

  // The number of the word, or kNoWord.
  std::uint32_t find(std::string_view word, std::uint64_t hash) const noexcept;
  // The number of the word, which is inserted if it is new. Throws std::length_error beyond 2^32 - 2 words.
  std::uint32_t insert(std::string_view word, std::uint64_t hash);
  std::uint32_t insert(std::string_view word) { return insert(word, word_hash(word)); }

  std::size_t size_bytes() const noexcept {
    return bytes_.capacity() + entries_.capacity() * sizeof(Entry) + slots_.capacity() * sizeof(std::uint32_t);
  }

 private:
  struct Entry {
    std::uint64_t hash;
    std::uint64_t offset;
    std::uint64_t size_bytes;
  };
  void grow();

  std::vector<char> bytes_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // open addressing, linear probing, a power of two, at most half full
};

}  // namespace sightline::lexical
