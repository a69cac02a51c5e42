// Names that are made of words: the whole, its words, and the parts of each word.
//
//   - Words joined by underscores, one hyphen or one full stop are a compound: snake_case, e-mail, host.example. A name may
//     begin with a full stop (.NET) and end in ++ or # (C++, C#). Compounds over kMaxCompoundBytes are no words.
//   - A word is cut at changes of case, Camel|Case, HTTP|Server, utf8|String (but URLs, 4K and H2O are whole), and at the
//     points of a number, 3|11|2.
//
// The words come in the order: the compound, then each of its words, each followed by its parts; none of them twice where
// it is the same as what it belongs to. One owner; the views live until the next change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sightline::lexical {

enum class LetterShape : std::uint8_t { kUpper, kLower, kDigit, kPoint, kOther };

class CompoundWord {
 public:
  static constexpr std::size_t kMaxCompoundBytes = 256;

  void clear() noexcept;
  void begin();
  // Between the words: what joins them, or begins or ends the compound.
  void add_sign(std::string_view sign) { whole_.append(sign); }
  void begin_word() { letters_.clear(); }
  // A letter, digit or separator of the current word, and where it begins in the folded word.
  void add_letter(std::size_t offset, LetterShape shape) { letters_.push_back({offset, shape}); }
  void end_word(std::string_view folded);
  void finish();

  std::optional<std::string_view> next() noexcept;

 private:
  struct Letter {
    std::size_t offset;
    LetterShape shape;
  };
  struct Range {
    std::size_t begin;
    std::size_t end;
  };
  bool part_begins_at(std::size_t letter) const noexcept;

  std::string whole_;
  std::vector<Letter> letters_;  // of the current word
  std::vector<Range> words_;     // in whole_: what next() returns
  std::size_t word_count_ = 0;
  std::size_t next_ = 0;
};

}  // namespace sightline::lexical
