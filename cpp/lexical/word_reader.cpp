#include "lexical/word_reader.h"

#include <array>

namespace sightline::lexical {
namespace {

constexpr std::uint32_t kReplacementCharacter = 0xFFFD;

// ASCII letters and digits fold by this table; 0 marks every other byte.
constexpr std::array<char, 256> kAsciiFold = [] {
  std::array<char, 256> table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = c;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = static_cast<char>(c + ('a' - 'A'));
  return table;
}();

char ascii_fold(char c) noexcept { return kAsciiFold[static_cast<unsigned char>(c)]; }
bool is_ascii(char c) noexcept { return static_cast<unsigned char>(c) < 0x80; }

constexpr std::string_view kHyphen = "\xE2\x80\x90";             // U+2010
constexpr std::string_view kNonBreakingHyphen = "\xE2\x80\x91";  // U+2011

LetterShape ascii_shape(char c) noexcept {
  if (c <= '9') return LetterShape::kDigit;
  return c <= 'Z' ? LetterShape::kUpper : LetterShape::kLower;
}

// A letter that folds to another single one is a capital, but for a few such as the final sigma, which begin no part.
LetterShape shape_of(const CharRecord& record) noexcept {
  return record.folded_count == 0 && record.fold_delta != 0 ? LetterShape::kUpper : LetterShape::kLower;
}

void append_utf8(std::string& out, std::uint32_t code_point) {
  if (code_point < 0x80) {
    out.push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (code_point >> 6)));
    out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
  } else if (code_point < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (code_point >> 12)));
    out.push_back(static_cast<char>(0x80 | ((code_point >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | (code_point >> 18)));
    out.push_back(static_cast<char>(0x80 | ((code_point >> 12) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | ((code_point >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
  }
}

}  // namespace

void WordReader::reset(std::string_view text) noexcept {
  text_ = text;
  position_ = 0;
  ends_.clear();
  step_ = 0;
  compound_.clear();
}

WordReader::Character WordReader::decode(std::size_t position) const noexcept {
  const auto byte = [&](std::size_t i) -> std::uint32_t { return static_cast<unsigned char>(text_[position + i]); };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  std::uint32_t size = 0;
  std::uint32_t smallest = 0;
  std::uint32_t code_point = 0;
  if ((first & 0xE0) == 0xC0) {
    size = 2, smallest = 0x80, code_point = first & 0x1F;
  } else if ((first & 0xF0) == 0xE0) {
    size = 3, smallest = 0x800, code_point = first & 0x0F;
  } else if ((first & 0xF8) == 0xF0) {
    size = 4, smallest = 0x10000, code_point = first & 0x07;
  } else {
    return {kReplacementCharacter, 1};
  }
  if (size > text_.size() - position) return {kReplacementCharacter, 1};
  for (std::uint32_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {kReplacementCharacter, 1};
    code_point = (code_point << 6) | (byte(i) & 0x3F);
  }
  const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
  if (code_point < smallest || code_point >= kCodePointCount || surrogate) return {kReplacementCharacter, 1};
  return {code_point, size};
}

CharClass WordReader::class_at(std::size_t position) const noexcept {
  return position < text_.size() ? char_record(decode(position).code_point).char_class : CharClass::kOther;
}

void WordReader::append_folded(const Character& character) {
  const CharRecord& record = char_record(character.code_point);
  if (record.folded_count == 0) {
    append_utf8(folded_, static_cast<std::uint32_t>(static_cast<std::int64_t>(character.code_point) + record.fold_delta));
    return;
  }
  for (std::uint32_t i = 0; i < record.folded_count; ++i) {
    append_utf8(folded_, kFoldExpansions[record.expansion_offset + i]);
  }
}

bool WordReader::next() {
  if (next_of_run() || next_of_compound()) return true;
  while (position_ < text_.size()) {
    if (is_ascii(text_[position_])) {
      if (ascii_fold(text_[position_]) == 0 && !(options_.identifiers && begins_with_point())) {
        ++position_;
        continue;
      }
      read_word();
      return true;
    }
    const Character character = decode(position_);
    switch (char_record(character.code_point).char_class) {
      case CharClass::kLetter:
      case CharClass::kNumber:
        read_word();
        return true;
      case CharClass::kUnspaced:
        read_unspaced_run();
        return true;
      default:
        position_ += character.size_bytes;
    }
  }
  return false;
}

void WordReader::read_word() {
  if (options_.identifiers) {
    read_compound();
  } else {
    read_spaced_word();
    word_ = folded_;
  }
}

void WordReader::read_spaced_word() {
  folded_.clear();
  CharClass previous = CharClass::kOther;  // the class of the last letter or number of the word
  while (position_ < text_.size()) {
    const std::size_t run_begin = position_;
    while (position_ < text_.size() && ascii_fold(text_[position_]) != 0) ++position_;
    if (position_ != run_begin) {
      const std::size_t old_size = folded_.size();
      if (options_.identifiers) {
        for (std::size_t i = run_begin; i < position_; ++i) compound_.add_letter(old_size + i - run_begin, ascii_shape(text_[i]));
      }
      folded_.resize(old_size + (position_ - run_begin));
      for (std::size_t i = run_begin; i < position_; ++i) folded_[old_size + (i - run_begin)] = ascii_fold(text_[i]);
      previous = text_[position_ - 1] <= '9' ? CharClass::kNumber : CharClass::kLetter;
      continue;
    }
    const Character character = decode(position_);
    const CharClass char_class = char_record(character.code_point).char_class;
    const std::size_t after = position_ + character.size_bytes;
    if (char_class == CharClass::kLetter || char_class == CharClass::kNumber) {
      note_shape(char_class == CharClass::kNumber ? LetterShape::kDigit : shape_of(char_record(character.code_point)));
      append_folded(character);
      previous = char_class;
    } else if (char_class == CharClass::kMark) {
      append_folded(character);
    } else if (char_class == CharClass::kMidLetter && previous == CharClass::kLetter &&
               class_at(after) == CharClass::kLetter) {
      note_shape(LetterShape::kOther);
      append_utf8(folded_, character.code_point == 0x2019 ? '\'' : character.code_point);
    } else if (char_class == CharClass::kMidNumber && previous == CharClass::kNumber &&
               class_at(after) == CharClass::kNumber) {
      note_shape(character.code_point == '.' ? LetterShape::kPoint : LetterShape::kOther);
      append_utf8(folded_, character.code_point);
    } else if (char_class != CharClass::kIgnorable) {
      break;
    }
    position_ = after;
  }
}

// A point that begins a name: .NET, .gitignore.
bool WordReader::begins_with_point() const noexcept {
  if (text_[position_] != '.' || class_at(position_ + 1) != CharClass::kLetter) return false;
  if (position_ == 0) return true;
  const char before = text_[position_ - 1];
  return is_ascii(before) && ascii_fold(before) == 0 && before != '.' && before != '_' && before != '-';
}

void WordReader::read_compound() {
  compound_.begin();
  if (text_[position_] == '.') {
    compound_.add_sign(".");
    ++position_;
  }
  do {
    compound_.begin_word();
    read_spaced_word();
    compound_.end_word(folded_);
  } while (read_connector());
  read_suffix();
  compound_.finish();
  next_of_compound();
}

// Steps over what joins two words of a compound; false, and nothing read, if the compound ends here.
bool WordReader::read_connector() {
  std::size_t end = position_;
  std::string_view sign = "-";
  if (end < text_.size() && text_[end] == '_') {
    while (end < text_.size() && text_[end] == '_') ++end;
    sign = text_.substr(position_, end - position_);
  } else if (end < text_.size() && (text_[end] == '-' || text_[end] == '.')) {
    sign = text_.substr(end++, 1);
  } else if (const std::string_view rest = text_.substr(end); rest.starts_with(kHyphen) || rest.starts_with(kNonBreakingHyphen)) {
    end += kHyphen.size();
  } else {
    return false;
  }
  const CharClass after = class_at(end);
  if (after != CharClass::kLetter && after != CharClass::kNumber) return false;
  compound_.add_sign(sign);
  position_ = end;
  return true;
}

// C++, C#: signs that end a name.
void WordReader::read_suffix() {
  for (const std::string_view sign : {std::string_view("++"), std::string_view("#")}) {
    if (!text_.substr(position_).starts_with(sign)) continue;
    if (class_at(position_ + sign.size()) == CharClass::kLetter) continue;  // C++17 is C++ and 17
    compound_.add_sign(sign);
    position_ += sign.size();
    return;
  }
}

bool WordReader::next_of_compound() noexcept {
  const std::optional<std::string_view> word = compound_.next();
  if (word) word_ = *word;
  return word.has_value();
}

void WordReader::read_unspaced_run() {
  folded_.clear();
  ends_.clear();
  step_ = 0;
  while (position_ < text_.size()) {
    const Character character = decode(position_);
    const CharClass char_class = char_record(character.code_point).char_class;
    if (char_class == CharClass::kUnspaced) {
      append_folded(character);
      ends_.push_back(folded_.size());
    } else if (char_class == CharClass::kMark) {
      append_folded(character);
      ends_.back() = folded_.size();
    } else if (char_class != CharClass::kIgnorable) {
      break;
    }
    position_ += character.size_bytes;
  }
  next_of_run();
}

bool WordReader::next_of_run() noexcept {
  // Even steps are characters; a character that stands alone is a word in any case.
  if (!options_.unigrams && step_ % 2 == 0 && ends_.size() > 1) ++step_;
  if (ends_.empty() || step_ > 2 * (ends_.size() - 1)) return false;
  const std::size_t first = step_ / 2;
  const std::size_t begin = first == 0 ? 0 : ends_[first - 1];
  word_ = std::string_view(folded_).substr(begin, ends_[first + step_ % 2] - begin);
  ++step_;
  return true;
}

}  // namespace sightline::lexical
