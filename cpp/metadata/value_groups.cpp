#include "metadata/value_groups.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "core/error.h"
#include "core/mix64.h"

namespace sightline::metadata {
namespace {

// Numbers are not grouped where there are more distinct ones than this, and more than this share of all.
constexpr std::size_t kMostDistinct = 4096;
constexpr std::size_t kDistinctShare = 8;

}  // namespace

ValueGroups ValueGroups::of_codes(std::span<const std::int32_t> codes, std::span<const std::int32_t> rows, std::size_t code_count) {
  ValueGroups groups;
  groups.group(codes, rows, code_count);
  return groups;
}

ValueGroups ValueGroups::of_numbers(std::span<const double> numbers, std::span<const std::int32_t> rows) {
  ValueGroups groups;
  std::vector<std::int32_t> codes;
  if (!groups.code_numbers(numbers, codes)) return {};
  const auto distinct = codes.empty() ? 0 : static_cast<std::size_t>(*std::max_element(codes.begin(), codes.end())) + 1;
  groups.group(codes, rows, distinct);
  return groups;
}

// Where a number is in the table, or the free slot where it belongs.
std::size_t ValueGroups::slot_of(double number) const noexcept {
  const std::size_t mask = slots_.size() - 1;
  // All bits mixed: those of small integers differ in a few of the upper ones only. -0 + 0 is 0.
  std::size_t slot = static_cast<std::size_t>(mix64(std::bit_cast<std::uint64_t>(number + 0.0))) & mask;
  while (slots_[slot].code >= 0 && slots_[slot].number != number) slot = (slot + 1) & mask;
  return slot;
}

bool ValueGroups::code_numbers(std::span<const double> numbers, std::vector<std::int32_t>& codes) {
  const std::size_t most = std::max(kMostDistinct, numbers.size() / kDistinctShare);
  slots_.assign(1024, {0, -1});
  codes.resize(numbers.size());
  std::size_t distinct = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    std::size_t slot = slot_of(numbers[i]);
    if (slots_[slot].code < 0) {
      if (distinct == most) return false;
      if (2 * (distinct + 1) > slots_.size()) {
        std::vector<Slot> before(2 * slots_.size(), {0, -1});
        before.swap(slots_);
        for (const Slot& old : before) {
          if (old.code >= 0) slots_[slot_of(old.number)] = old;
        }
        slot = slot_of(numbers[i]);
      }
      slots_[slot] = {numbers[i], static_cast<std::int32_t>(distinct++)};
    }
    codes[i] = slots_[slot].code;
  }
  return true;
}

// A counting sort, which leaves the rows of each code in their order.
void ValueGroups::group(std::span<const std::int32_t> codes, std::span<const std::int32_t> rows, std::size_t code_count) {
  if (codes.size() != rows.size() || codes.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(ErrorKind::kInvalidInput, "value groups: expected a row for each value");
  }
  begins_.assign(code_count + 1, 0);
  for (const std::int32_t code : codes) {
    if (code < 0 || static_cast<std::size_t>(code) >= code_count) throw Error(ErrorKind::kInvalidInput, "value groups: a code stands for nothing");
    ++begins_[static_cast<std::size_t>(code) + 1];
  }
  for (std::size_t c = 0; c < code_count; ++c) begins_[c + 1] += begins_[c];
  rows_.resize(codes.size());
  std::vector<std::uint32_t> counts(code_count, 0);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto code = static_cast<std::size_t>(codes[i]);
    std::int32_t* const end = rows_.data() + begins_[code] + counts[code];
    if (counts[code] != 0 && end[-1] == rows[i]) continue;
    *end = rows[i];
    ++counts[code];
    ++kept;
  }
  if (kept != codes.size()) counts_ = std::move(counts);
}

std::span<const std::int32_t> ValueGroups::rows_of_code(std::int64_t code) const noexcept {
  if (code < 0 || static_cast<std::uint64_t>(code) + 1 >= begins_.size()) return {};
  const auto c = static_cast<std::size_t>(code);
  return {rows_.data() + begins_[c], counts_.empty() ? begins_[c + 1] - begins_[c] : counts_[c]};
}

std::span<const std::int32_t> ValueGroups::rows_of_number(double number) const noexcept {
  if (slots_.empty()) return {};
  return rows_of_code(slots_[slot_of(number)].code);
}

}  // namespace sightline::metadata
