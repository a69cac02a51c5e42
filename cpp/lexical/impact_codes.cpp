#include "lexical/impact_codes.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace sightline::lexical {
namespace {

// How much of the cuts goes by numbers of postings; the rest goes by gain, which limits the widest.
constexpr double kRootShare = 0.3;

// The gain under BM25's default parameters.
double default_gain(std::size_t tf, std::uint32_t length, double average_length) noexcept {
  const auto frequency = static_cast<double>(tf);
  return frequency / (frequency + 1.2 * (0.25 + 0.75 * length / average_length));
}

}  // namespace

std::vector<std::uint8_t> length_classes(std::span<const std::uint32_t> class_begins, std::span<const std::uint32_t> lengths) {
  std::vector<std::uint8_t> result(lengths.size(), 0);
  if (class_begins.empty()) return result;
  constexpr std::uint32_t kTableSize = 4096;  // nearly all lengths are below; the others are searched for
  std::vector<std::uint8_t> table(std::min(kTableSize, class_begins.back()));
  std::size_t c = 0;
  for (std::uint32_t length = 0; length < table.size(); ++length) {
    while (c + 2 < class_begins.size() && class_begins[c + 1] <= length) ++c;
    table[length] = static_cast<std::uint8_t>(c);
  }
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < table.size()) {
      result[i] = table[lengths[i]];
    } else {
      const auto next = std::upper_bound(class_begins.begin() + 1, class_begins.end() - 1, lengths[i]);
      result[i] = static_cast<std::uint8_t>(next - class_begins.begin() - 1);
    }
  }
  return result;
}

double average_length(std::span<const std::uint32_t> lengths) noexcept {
  double sum = 0;
  for (const std::uint32_t length : lengths) sum += length;
  return sum / std::max(1.0, static_cast<double>(lengths.size()));
}

std::vector<std::uint32_t> choose_classes(std::span<const std::uint32_t> lengths) {
  std::vector<std::uint32_t> sorted(lengths.begin(), lengths.end());
  std::sort(sorted.begin(), sorted.end());
  struct Distinct {
    std::uint32_t length;
    double root;
    double gain;
  };
  const double average = average_length(lengths);
  std::vector<Distinct> distinct;
  double roots = 0;
  for (auto at = std::upper_bound(sorted.begin(), sorted.end(), 0U); at != sorted.end();) {
    const auto end = std::upper_bound(at, sorted.end(), *at);
    distinct.push_back({*at, std::sqrt(static_cast<double>(end - at)), default_gain(1, *at, average)});
    roots += distinct.back().root;
    at = end;
  }
  std::vector<std::uint32_t> begins;
  if (distinct.empty()) return begins;
  const double gains = distinct.front().gain - distinct.back().gain;
  double sum = 0;  // of shares so far; all are 2
  for (std::size_t i = 0; i < distinct.size(); ++i) {
    const bool room_for_all = distinct.size() <= kMaxLengthClasses;
    const double reached = sum / 2 * static_cast<double>(kMaxLengthClasses - 1);
    if (room_for_all || begins.empty() || static_cast<double>(begins.size()) <= reached) begins.push_back(distinct[i].length);
    sum += distinct[i].root / roots;
    if (i + 1 < distinct.size()) sum += (distinct[i].gain - distinct[i + 1].gain) / gains;
  }
  begins.push_back(distinct.back().length + 1);
  return begins;
}

std::vector<std::uint8_t> choose_codes(std::span<const std::uint64_t> posting_counts,
                                       std::span<const std::uint32_t> class_begins, double average_length) {
  std::vector<std::uint8_t> codes(posting_counts.size(), kLargeTfCode);
  if (class_begins.empty()) return codes;
  const std::size_t class_count = class_begins.size() - 1;
  struct Cell {
    std::size_t index;
    double root;
    double span;  // of gain, from the last used cell of the frequency to the end of this one
  };
  std::vector<Cell> used;
  double roots = 0;
  double spans = 0;
  for (std::size_t tf = 1; tf <= kMaxCodedTf; ++tf) {
    double reached = -1;
    for (std::size_t c = 0; c < class_count; ++c) {
      const std::size_t i = (tf - 1) * class_count + c;
      if (posting_counts[i] == 0) continue;
      if (reached < 0) reached = default_gain(tf, class_begins[c], average_length);
      const double end = default_gain(tf, class_begins[c + 1] - 1, average_length);
      used.push_back({i, std::sqrt(static_cast<double>(posting_counts[i])), reached - end});
      reached = end;
      roots += used.back().root;
      spans += used.back().span;
    }
  }
  // Every frequency begins a code of its own; the other cuts are spent by share.
  const double cuts = static_cast<double>(kCodeCount - 1 - kMaxCodedTf - 1);
  std::uint8_t code = kLargeTfCode;
  std::size_t tf = 0;
  double level = 0;
  double sum = 0;  // of shares up to the end of the cell; all are 1
  for (const Cell& cell : used) {
    sum += kRootShare * cell.root / roots;
    if (spans > 0) sum += (1 - kRootShare) * cell.span / spans;
    const double level_here = std::floor(sum * cuts);
    if (cell.index / class_count + 1 != tf || level_here > level) ++code;
    tf = cell.index / class_count + 1;
    level = level_here;
    codes[cell.index] = code;
  }
  return codes;
}

std::vector<float> choose_value_bounds(std::span<const float> weights) {
  std::vector<float> bounds;
  if (weights.empty()) return bounds;
  std::vector<float> sample;
  const std::size_t step = (weights.size() + kCodeSample - 1) / kCodeSample;
  for (std::size_t i = 0; i < weights.size(); i += step) sample.push_back(weights[i]);
  std::sort(sample.begin(), sample.end());
  const float greatest = *std::max_element(weights.begin(), weights.end());
  constexpr std::size_t kHalf = kCodeCount / 2;
  for (std::size_t i = 1; i < kHalf; ++i) {
    bounds.push_back(sample[i * sample.size() / kHalf]);
    bounds.push_back(greatest * (static_cast<float>(i) / static_cast<float>(kHalf)));
  }
  bounds.push_back(greatest);
  std::sort(bounds.begin(), bounds.end());
  bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
  if (bounds.front() == 0) bounds.erase(bounds.begin());  // a part of the greatest, where that is a denormal number
  return bounds;
}

std::uint8_t value_code(std::span<const float> bounds, float weight) noexcept {
  return static_cast<std::uint8_t>(std::lower_bound(bounds.begin(), bounds.end(), weight) - bounds.begin());
}

CodeRanges code_ranges(const CodeMap& map, std::uint32_t max_tf) {
  CodeRanges ranges{};
  const std::size_t classes = map.class_count();
  if (classes == 0) return ranges;
  const std::uint32_t longest = map.class_begins.back() - 1;
  for (std::size_t i = 0; i < map.codes.size(); ++i) {
    if (map.codes[i] == kLargeTfCode) continue;
    CodeRange& range = ranges[map.codes[i]];
    const auto tf = static_cast<std::uint32_t>(i / classes) + 1;
    const std::size_t c = i % classes;
    if (range.tf_high == 0) range = {tf, tf, map.class_begins[c], 0};
    range.max_length = map.class_begins[c + 1] - 1;
  }
  if (max_tf > kMaxCodedTf) {
    ranges[kLargeTfCode] = {kMaxCodedTf + 1, max_tf, std::max(kMaxCodedTf + 1, map.class_begins.front()), longest};
  }
  return ranges;
}

bool valid_code_map(const CodeMap& map) {
  if (map.class_begins.empty()) return map.codes.empty();
  const std::size_t classes = map.class_count();
  if (classes == 0 || classes > kMaxLengthClasses || map.class_begins.front() == 0) return false;
  if (std::adjacent_find(map.class_begins.begin(), map.class_begins.end(), std::greater_equal<>()) != map.class_begins.end()) {
    return false;
  }
  if (map.codes.size() != classes * kMaxCodedTf) return false;
  std::uint8_t last = kLargeTfCode;
  std::size_t last_tf = 0;
  for (std::size_t i = 0; i < map.codes.size(); ++i) {
    if (map.codes[i] == kLargeTfCode) continue;
    const std::size_t tf = i / classes + 1;
    const bool next = last != kCodeCount - 1 && map.codes[i] == last + 1;
    if (!next && (map.codes[i] != last || tf != last_tf)) return false;
    last = map.codes[i];
    last_tf = tf;
  }
  return true;
}

}  // namespace sightline::lexical
