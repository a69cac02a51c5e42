// The rows of each value, of a stream of (row, value) pairs (json_columns.h): what equals a value is then found without looking
// at the others. 4 bytes a value, and 4 a distinct one; of numbers 16 to 32 more of each distinct one.
//
// Thread safety: immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sightline::metadata {

class ValueGroups {
 public:
  // Of strings, by code. codes[i] is the value of rows[i]; rows ascend, and one that has a value twice counts once.
  // Throws InvalidInputError unless there is a row for each code and all are in [0, code_count). O(values + code_count).
  static ValueGroups of_codes(std::span<const std::int32_t> codes, std::span<const std::int32_t> rows, std::size_t code_count);
  // Of numbers, none of them NaN; -0 equals 0. Groups nothing, see empty(), where nearly each value is another one: they would take
  // more memory than they are worth.
  static ValueGroups of_numbers(std::span<const double> numbers, std::span<const std::int32_t> rows);

  bool empty() const noexcept { return begins_.empty(); }
  // The rows that have a value, ascending; valid as long as this.
  std::span<const std::int32_t> rows_of_code(std::int64_t code) const noexcept;
  std::span<const std::int32_t> rows_of_number(double number) const noexcept;

 private:
  struct Slot {
    double number;
    std::int32_t code;  // -1: free
  };
  std::size_t slot_of(double number) const noexcept;
  bool code_numbers(std::span<const double> numbers, std::vector<std::int32_t>& codes);
  void group(std::span<const std::int32_t> codes, std::span<const std::int32_t> rows, std::size_t code_count);

  std::vector<std::uint32_t> begins_;  // of each code's rows in rows_, and the end of the last one's
  std::vector<std::uint32_t> counts_;  // fewer than there is room for where a row has a value twice; empty if none has
  std::vector<std::int32_t> rows_;
  std::vector<Slot> slots_;  // of numbers: a hash table, a power of two
};

}  // namespace sightline::metadata
