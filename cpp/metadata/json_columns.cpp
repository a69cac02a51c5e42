#include "metadata/json_columns.h"

#include <charconv>
#include <limits>
#include <optional>
#include <system_error>
#if !defined(__cpp_lib_to_chars)
#include <locale>
#include <sstream>
#endif

#include "core/error.h"

namespace sightline::metadata {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxDigits = 20;  // of 2^64

__extension__ using Wide = unsigned __int128;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

bool parse_double(std::string_view token, double& value) {
#if defined(__cpp_lib_to_chars)
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  return error == std::errc() && end == token.data() + token.size();
#else
  std::istringstream stream{std::string(token)};
  stream.imbue(std::locale::classic());
  stream >> value;
  return !stream.fail() && stream.peek() == std::istringstream::traits_type::eof();
#endif
}

void append_utf8(std::uint32_t point, std::string& out) {
  if (point < 0x80) {
    out.push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    out.push_back(static_cast<char>(0xC0 | point >> 6));
    out.push_back(static_cast<char>(0x80 | (point & 0x3F)));
  } else if (point < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | point >> 12));
    out.push_back(static_cast<char>(0x80 | (point >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (point & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | point >> 18));
    out.push_back(static_cast<char>(0x80 | (point >> 12 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (point >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (point & 0x3F)));
  }
}

Stream& appended(std::array<Stream, kKindCount>& streams, Kind kind, std::int32_t row) {
  Stream& stream = streams[static_cast<std::size_t>(kind)];
  stream.rows.push_back(row);
  return stream;
}

void append_string(Stream& stream, std::string_view text) {
  auto found = stream.code_of.find(text);
  if (found == stream.code_of.end()) {
    found = stream.code_of.emplace(std::string(text), static_cast<std::int32_t>(stream.strings.size())).first;
    stream.strings.emplace_back(text);
  }
  stream.codes.push_back(found->second);
}

void append_number(Stream& stream, double high, double low) {
  if (low != 0.0 && stream.low.empty()) stream.low.resize(stream.high.size());
  if (low != 0.0 || !stream.low.empty()) stream.low.push_back(low);
  stream.high.push_back(high);
}

}  // namespace

// Reads one text, a recursive descent over the grammar of RFC 8259.
class JsonColumns::Reader {
 public:
  Reader(JsonColumns& columns, std::string_view json, std::int32_t row) : columns_(columns), json_(json), row_(row) {}

  void read() {
    skip_space();
    if (peek() != '{') fail("expected an object");
    object("", 0);
    skip_space();
    if (at_ != json_.size()) fail("something follows the object");
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw Error(ErrorKind::kInvalidInput, "metadata of row " + std::to_string(row_) + ": " + what + " at byte " +
                                              std::to_string(at_) + " of its JSON");
  }

  char peek() const noexcept { return at_ < json_.size() ? json_[at_] : '\0'; }
  void skip_space() noexcept {
    while (at_ < json_.size() && (json_[at_] == ' ' || json_[at_] == '\n' || json_[at_] == '\t' || json_[at_] == '\r')) ++at_;
  }
  void expect(char c) {
    skip_space();
    if (peek() != c || at_ >= json_.size()) fail("expected another character");
    ++at_;
  }
  bool accept(std::string_view word) noexcept {
    if (json_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  // Calls member(key) with each key of an object, before its value. Keys are valid until the next string is read.
  template <typename Member>
  void members(int depth, const Member& member) {
    if (depth > kMaxDepth) fail("nested too deeply");
    expect('{');
    skip_space();
    if (peek() == '}') {
      ++at_;
      return;
    }
    while (true) {
      skip_space();
      const std::string_view key = string();
      member(key);
      skip_space();
      if (peek() != ',') break;
      ++at_;
    }
    expect('}');
  }

  template <typename Item>
  void items(int depth, const Item& item) {
    if (depth > kMaxDepth) fail("nested too deeply");
    expect('[');
    skip_space();
    if (peek() == ']') {
      ++at_;
      return;
    }
    while (true) {
      skip_space();
      item();
      skip_space();
      if (peek() != ',') break;
      ++at_;
    }
    expect(']');
  }

  void object(const std::string& prefix, int depth) {
    members(depth, [&](std::string_view key) {
      const std::string path = prefix + std::string(key);
      expect(':');
      skip_space();
      if (accept("null")) return;
      Field& found = columns_.field(path);
      found.present.push_back(row_);
      const char first = peek();
      if (first == '[') {
        items(depth + 1, [&] {
          if (!accept("null")) scalar(found.elements, depth + 1);
        });
      } else if (first == '{') {
        appended(found.scalars, Kind::kObject, row_);
        object(path + ".", depth + 1);  // which may add fields, and so move `found`
      } else {
        scalar(found.scalars, depth);
      }
    });
  }

  // A value that is not null; what an object or a list within a list holds is checked and left out.
  void scalar(std::array<Stream, kKindCount>& streams, int depth) {
    const char first = peek();
    if (first == '"') {
      const std::string_view text = string();
      append_string(appended(streams, Kind::kString, row_), text);
    } else if (first == '{' || first == '[') {
      skip(depth);
      appended(streams, Kind::kObject, row_);
    } else if (accept("true")) {
      appended(streams, Kind::kBoolean, row_).booleans.push_back(1);
    } else if (accept("false")) {
      appended(streams, Kind::kBoolean, row_).booleans.push_back(0);
    } else {
      double high = 0;
      double low = 0;
      number(high, low);
      append_number(appended(streams, Kind::kNumber, row_), high, low);
    }
  }

  void skip(int depth) {
    const char first = peek();
    if (first == '{') {
      members(depth + 1, [&](std::string_view) {
        expect(':');
        skip_space();
        skip(depth + 1);
      });
    } else if (first == '[') {
      items(depth + 1, [&] { skip(depth + 1); });
    } else if (first == '"') {
      string();
    } else if (!accept("null") && !accept("true") && !accept("false")) {
      double high = 0;
      double low = 0;
      number(high, low);
    }
  }

  void number(double& high, double& low) {
    const std::size_t begin = at_;
    const bool negative = peek() == '-';
    if (negative) ++at_;
    const std::size_t digits_begin = at_;
    while (is_digit(peek())) ++at_;
    const std::size_t digits = at_ - digits_begin;
    if (digits == 0) fail("expected a value");
    if (peek() == '.' || peek() == 'e' || peek() == 'E') {
      while (is_digit(peek()) || peek() == '.' || peek() == 'e' || peek() == 'E' || peek() == '+' || peek() == '-') ++at_;
      if (!parse_double(json_.substr(begin, at_ - begin), high)) fail("expected a number");
      return;
    }
    Wide whole = 0;
    if (digits > kMaxDigits) fail("an integer is too large");
    for (std::size_t i = digits_begin; i < at_; ++i) whole = whole * 10 + static_cast<Wide>(json_[i] - '0');
    if (whole > Wide{1} << 64) fail("an integer is too large");
    // From 128 bits the compiler would convert by a library that is not linked with clang-cl.
    constexpr double kTwo64 = 0x1p64;
    const auto bits = static_cast<std::uint64_t>(whole);                   // 0 of 2^64
    high = whole >> 64 != 0 ? kTwo64 : static_cast<double>(bits);          // rounds to the nearest, ties to even
    const auto nearest = high == kTwo64 ? 0 : static_cast<std::uint64_t>(high);
    low = static_cast<double>(static_cast<std::int64_t>(bits - nearest));  // modulo 2^64, and the difference is small
    if (negative && whole != 0) {
      high = -high;
      low = low == 0.0 ? 0.0 : -low;
    }
  }

  std::uint32_t hex4() {
    std::uint32_t value = 0;
    const std::string_view digits = json_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) fail("a bad escape");
    at_ += 4;
    return value;
  }

  // The text of a string; valid until the next one is read.
  std::string_view string() {
    if (peek() != '"') fail("expected a string");
    ++at_;
    const std::size_t begin = at_;
    while (at_ < json_.size() && json_[at_] != '"' && json_[at_] != '\\') ++at_;
    if (at_ >= json_.size()) fail("a string without an end");
    if (json_[at_] == '"') return json_.substr(begin, at_++ - begin);
    unescaped_.assign(json_.substr(begin, at_ - begin));
    while (true) {
      if (at_ >= json_.size()) fail("a string without an end");
      const char c = json_[at_++];
      if (c == '"') return unescaped_;
      if (c != '\\') {
        unescaped_.push_back(c);
        continue;
      }
      const char escaped = peek();
      ++at_;
      switch (escaped) {
        case '"':
        case '\\':
        case '/':
          unescaped_.push_back(escaped);
          break;
        case 'b':
          unescaped_.push_back('\b');
          break;
        case 'f':
          unescaped_.push_back('\f');
          break;
        case 'n':
          unescaped_.push_back('\n');
          break;
        case 'r':
          unescaped_.push_back('\r');
          break;
        case 't':
          unescaped_.push_back('\t');
          break;
        case 'u': {
          std::uint32_t point = hex4();
          if (point >= 0xD800 && point < 0xDC00 && accept("\\u")) {
            const std::uint32_t second = hex4();
            if (second < 0xDC00 || second > 0xDFFF) fail("half a surrogate pair");
            point = 0x10000 + ((point - 0xD800) << 10) + (second - 0xDC00);
          }
          if (point >= 0xD800 && point <= 0xDFFF) fail("half a surrogate pair");
          append_utf8(point, unescaped_);
          break;
        }
        default:
          fail("a bad escape");
      }
    }
  }

  JsonColumns& columns_;
  const std::string_view json_;
  const std::int32_t row_;
  std::size_t at_ = 0;
  std::string unescaped_;
};

void JsonColumns::add(std::string_view json) {
  if (row_count_ >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw Error(ErrorKind::kInvalidInput, "metadata: more rows than a column can number");
  }
  const auto row = static_cast<std::int32_t>(row_count_++);
  if (!json.empty()) Reader(*this, json, row).read();
}

Field& JsonColumns::field(std::string_view path) {
  const auto found = number_of_.find(path);
  if (found != number_of_.end()) return fields_[found->second];
  number_of_.emplace(std::string(path), fields_.size());
  fields_.emplace_back().path = path;
  return fields_.back();
}

}  // namespace sightline::metadata
