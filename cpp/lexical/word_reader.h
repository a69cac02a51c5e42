// Splits UTF-8 text into case-folded words.
//
// A word is a maximal run of letters and numbers (Unicode categories L, N) with the marks (M) that follow them. Inside it
//   - an apostrophe (' or U+2019, written ') or a middle dot stands between two letters: don't, l'eau, col·legi;
//   - a point or a comma stands between two digits: 3.14, 1,000, v1.2.3;
//   - format characters (Cf: soft hyphen, joiners) vanish.
// Everything else separates: hyphens, underscores, slashes, symbols, emoji. This is UAX #29 except that full stops and
// colons between letters and underscores separate too, so that host names, paths and identifiers are found by their parts.
// Runs of scripts written without spaces (Han, Hiragana, Katakana, Bopomofo, Thai, Lao, Khmer, Myanmar), and of Hangul,
// whose words carry their particles, are cut into overlapping bigrams of characters, each with its marks; a character
// that stands alone is a word. With WordOptions::unigrams every character of a run is a word as well, in its place among
// the bigrams, so that the words of a part of a run stand side by side among the words of the run. Case is folded fully
// (straße -> strasse). The text should be in a Unicode normal form.
//
// With WordOptions::identifiers three kinds of words are added (compound_word.h); every word above remains.
//
// Bytes that are not UTF-8 separate words. One owner; the text must outlive the reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lexical/compound_word.h"
#include "lexical/unicode_tables.h"

namespace sightline::lexical {

struct WordOptions {
  bool unigrams = false;     // of scripts without spaces, besides the bigrams
  bool identifiers = false;  // compounds such as snake_case, C++ and 3.11.2 as they are, besides their parts
};

class WordReader {
 public:
  explicit WordReader(std::string_view text, WordOptions options = {}) noexcept : options_(options), text_(text) {}

  // Moves to the next word; false at the end. Amortised O(bytes read).
  bool next();
  // The current word, valid until next() is called.
  std::string_view word() const noexcept { return word_; }
  // Starts on another text and keeps the memory.
  void reset(std::string_view text) noexcept;

 private:
  struct Character {
    std::uint32_t code_point;
    std::uint32_t size_bytes;
  };
  Character decode(std::size_t position) const noexcept;
  CharClass class_at(std::size_t position) const noexcept;
  void append_folded(const Character& character);
  void read_word();
  void read_spaced_word();
  void read_unspaced_run();
  bool next_of_run() noexcept;
  bool begins_with_point() const noexcept;
  void read_compound();
  bool read_connector();
  void read_suffix();
  bool next_of_compound() noexcept;
  void note_shape(LetterShape shape) {
    if (options_.identifiers) compound_.add_letter(folded_.size(), shape);
  }

  WordOptions options_;
  std::string_view text_;
  std::size_t position_ = 0;
  std::string folded_;                  // the current word, or the current run of an unspaced script
  std::vector<std::size_t> ends_;       // where each character of that run ends in folded_
  std::size_t step_ = 0;                // what comes next of the run: twice a character's number, plus one for a bigram
  CompoundWord compound_;               // identifiers only
  std::string_view word_;
};

}  // namespace sightline::lexical
