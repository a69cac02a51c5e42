#include "lexical/compound_word.h"

namespace sightline::lexical {

void CompoundWord::clear() noexcept {
  whole_.clear();
  letters_.clear();
  words_.clear();
  word_count_ = 0;
  next_ = 0;
}

void CompoundWord::begin() {
  clear();
  words_.push_back({0, 0});  // the compound, whose end is known last
}

bool CompoundWord::part_begins_at(std::size_t i) const noexcept {
  const auto is = [&](std::size_t at, LetterShape shape) { return at < letters_.size() && letters_[at].shape == shape; };
  if (is(i - 1, LetterShape::kPoint)) return true;
  if (!is(i, LetterShape::kUpper)) return false;
  if (is(i - 1, LetterShape::kLower)) return true;
  if (!is(i + 1, LetterShape::kLower)) return false;
  // The plural of an acronym ends the word: URLs.
  const bool plural = i + 2 == letters_.size() && whole_.back() == 's';
  return is(i - 1, LetterShape::kDigit) || (is(i - 1, LetterShape::kUpper) && !plural);
}

void CompoundWord::end_word(std::string_view folded) {
  const std::size_t begin = whole_.size();
  whole_.append(folded);
  words_.push_back({begin, whole_.size()});
  ++word_count_;
  std::size_t part_begin = 0;
  for (std::size_t i = 1; i < letters_.size(); ++i) {
    if (!part_begins_at(i)) continue;
    const bool after_point = letters_[i - 1].shape == LetterShape::kPoint;
    words_.push_back({begin + part_begin, begin + (after_point ? letters_[i - 1].offset : letters_[i].offset)});
    part_begin = letters_[i].offset;
  }
  if (part_begin != 0) words_.push_back({begin + part_begin, whole_.size()});
}

void CompoundWord::finish() {
  words_.front() = {0, whole_.size()};
  const bool one_word = word_count_ == 1 && words_[1].begin == 0 && words_[1].end == whole_.size();
  next_ = one_word || whole_.size() > kMaxCompoundBytes ? 1 : 0;
}

std::optional<std::string_view> CompoundWord::next() noexcept {
  if (next_ >= words_.size()) return std::nullopt;
  const Range range = words_[next_++];
  return std::string_view(whole_).substr(range.begin, range.end - range.begin);
}

}  // namespace sightline::lexical
