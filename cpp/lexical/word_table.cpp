#include "lexical/word_table.h"

#include <algorithm>
#include <stdexcept>

namespace sightline::lexical {
namespace {

constexpr std::size_t kFirstSlotCount = 64;

}  // namespace

std::uint32_t WordTable::find(std::string_view word, std::uint64_t hash) const noexcept {
  if (slots_.empty()) return kNoWord;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    const std::uint32_t number = slots_[slot];
    if (number == kNoWord) return kNoWord;
    if (entries_[number].hash == hash && this->word(number) == word) return number;
  }
}

std::uint32_t WordTable::insert(std::string_view word, std::uint64_t hash) {
  if (2 * (entries_.size() + 1) > slots_.size()) grow();
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (; slots_[slot] != kNoWord; slot = (slot + 1) & mask) {
    const std::uint32_t number = slots_[slot];
    if (entries_[number].hash == hash && this->word(number) == word) return number;
  }
  if (entries_.size() >= kNoWord - 1) throw std::length_error("more than 2^32 - 2 distinct words in one batch");
  const auto number = static_cast<std::uint32_t>(entries_.size());
  const std::size_t offset = bytes_.size();
  bytes_.insert(bytes_.end(), word.begin(), word.end());
  entries_.push_back({hash, offset, word.size()});
  slots_[slot] = number;
  return number;
}

void WordTable::grow() {
  const std::size_t count = std::max(kFirstSlotCount, slots_.size() * 4);
  std::vector<std::uint32_t> slots(count, kNoWord);
  const std::size_t mask = count - 1;
  for (std::uint32_t number = 0; number < entries_.size(); ++number) {
    std::size_t slot = entries_[number].hash & mask;
    while (slots[slot] != kNoWord) slot = (slot + 1) & mask;
    slots[slot] = number;
  }
  slots_ = std::move(slots);
}

}  // namespace sightline::lexical
