// Metadata as JSON, one object a document, to typed columns: for each field (a dotted path) the rows that have it and, by kind
// of value, a stream of (row, value) pairs. What the pairs mean is told in python/sightline/columns.py, whose
// Columns.extended() is the slow model of this and gives the same streams.
//
// Thread safety: JsonColumns has one owner; nothing is shared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sightline::metadata {

// Of scalars; kObject is also what a list within a list counts as.
enum class Kind : std::uint8_t { kString = 0, kNumber = 1, kBoolean = 2, kObject = 3 };
inline constexpr std::size_t kKindCount = 4;

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};
using CodeOf = std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>>;

// The values of one kind: of scalars, or of the elements of lists.
struct Stream {
  std::vector<std::int32_t> rows;  // ascending; a row occurs once for each of its values
  std::vector<double> high;        // numbers: value = high + low, high the nearest double
  std::vector<double> low;         // empty while all are 0
  std::vector<std::uint8_t> booleans;
  std::vector<std::int32_t> codes;  // strings: positions in `strings`
  std::vector<std::string> strings;  // the distinct ones, UTF-8, in the order of their first occurrence
  CodeOf code_of;
};

struct Field {
  std::string path;
  std::vector<std::int32_t> present;  // ascending
  std::array<Stream, kKindCount> scalars;
  std::array<Stream, kKindCount> elements;
};

class JsonColumns {
 public:
  // Adds a row. json: an object, or empty for no metadata; null values and members count as missing.
  // Throws InvalidInputError, and the columns must not be used any more, if it is not JSON, holds an integer beyond 2^64, or is
  // nested deeper than 64 levels. O(length).
  void add(std::string_view json);

  std::size_t row_count() const noexcept { return row_count_; }
  std::vector<Field>& fields() noexcept { return fields_; }  // in the order of their first occurrence

 private:
  class Reader;
  Field& field(std::string_view path);

  std::size_t row_count_ = 0;
  std::vector<Field> fields_;
  std::unordered_map<std::string, std::size_t, TextHash, std::equal_to<>> number_of_;
};

}  // namespace sightline::metadata
