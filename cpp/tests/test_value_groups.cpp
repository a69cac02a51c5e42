// The rows of each value, against a look at all values.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "core/error.h"
#include "metadata/value_groups.h"
#include "tests/check.h"

using namespace sightline;
using metadata::ValueGroups;

namespace {

using Rows = std::vector<std::int32_t>;

template <typename Value>
Rows scanned(const std::vector<Value>& values, const Rows& rows, Value wanted) {
  Rows found;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == wanted && (found.empty() || found.back() != rows[i])) found.push_back(rows[i]);
  }
  return found;
}

Rows listed(std::span<const std::int32_t> rows) { return {rows.begin(), rows.end()}; }

bool is_refused(const Rows& codes, const Rows& rows, std::size_t code_count) {
  try {
    (void)ValueGroups::of_codes(codes, rows, code_count);
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kInvalidInput;
  }
  return false;
}

}  // namespace

TEST(value_groups_list_the_rows_of_each_code) {
  std::mt19937 random(1);
  for (const bool lists : {false, true}) {
    Rows codes;
    Rows rows;
    for (std::int32_t row = 0; row < 3000; ++row) {
      for (unsigned n = lists ? random() % 4 : 1; n > 0; --n) {
        codes.push_back(static_cast<std::int32_t>(random() % 40));
        rows.push_back(row);
      }
    }
    const ValueGroups groups = ValueGroups::of_codes(codes, rows, 50);
    for (std::int32_t code = 0; code < 50; ++code) CHECK(listed(groups.rows_of_code(code)) == scanned(codes, rows, code));
    CHECK(groups.rows_of_code(-1).empty() && groups.rows_of_code(50).empty() && groups.rows_of_code(std::numeric_limits<std::int64_t>::max()).empty());
  }
}

TEST(value_groups_list_the_rows_of_each_number) {
  std::mt19937 random(2);
  std::vector<double> numbers;
  Rows rows;
  for (std::int32_t row = 0; row < 20000; ++row) {
    numbers.push_back(row % 7 == 0 ? -0.0 : (static_cast<double>(random() % 3000) - 1500) / 8);
    rows.push_back(row);
  }
  const ValueGroups groups = ValueGroups::of_numbers(numbers, rows);
  CHECK(!groups.empty());
  for (int n = -1501; n <= 1501; ++n) CHECK(listed(groups.rows_of_number(n / 8.0)) == scanned(numbers, rows, n / 8.0));
  CHECK(listed(groups.rows_of_number(-0.0)) == scanned(numbers, rows, 0.0));
  CHECK(groups.rows_of_number(1e300).empty());
}

TEST(value_groups_leave_distinct_numbers_alone) {
  std::vector<double> numbers;
  Rows rows;
  for (std::int32_t row = 0; row < 40000; ++row) {
    numbers.push_back(row * 0.1);
    rows.push_back(row);
  }
  CHECK(ValueGroups::of_numbers(numbers, rows).empty());
  CHECK(ValueGroups::of_numbers(numbers, rows).rows_of_number(0.0).empty());
  CHECK(ValueGroups::of_numbers({}, {}).rows_of_number(0.0).empty());
}

TEST(value_groups_refuse_codes_that_stand_for_nothing) {
  CHECK(is_refused({0, 3}, {0, 1}, 3));
  CHECK(is_refused({0, -1}, {0, 1}, 3));
  CHECK(is_refused({0, 1}, {0}, 3));
  CHECK(!is_refused({}, {}, 0));
}

// Small integers differ in a few bits of a float64 only; a hash that does not see them made this 20 times slower.
TEST(value_groups_of_small_integers_take_as_long_as_those_of_other_numbers) {
  constexpr std::size_t kDistinct = 2000;
  std::mt19937_64 random(5);
  std::vector<double> values[2];  // of integers, of anything
  for (std::size_t i = 0; i < kDistinct; ++i) {
    values[0].push_back(static_cast<double>(i));
    values[1].push_back(std::uniform_real_distribution<double>(-1, 1)(random));
  }
  std::vector<double> numbers[2];
  Rows rows;
  for (std::size_t i = 0; i < 50000; ++i) {
    for (std::size_t kind = 0; kind < 2; ++kind) numbers[kind].push_back(values[kind][i * 7919 % kDistinct]);
    rows.push_back(static_cast<std::int32_t>(i));
  }
  double least[2] = {1e9, 1e9};
  for (int round = 0; round < 5; ++round) {
    for (std::size_t kind = 0; kind < 2; ++kind) {
      const auto start = std::chrono::steady_clock::now();
      CHECK(!ValueGroups::of_numbers(numbers[kind], rows).empty());
      least[kind] = std::min(least[kind], std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  CHECK(least[0] < 5 * least[1]);
}
