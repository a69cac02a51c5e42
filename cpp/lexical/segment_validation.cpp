#include "lexical/segment_validation.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <vector>

#include "lexical/word_table.h"
#include "parallel/thread_pool.h"

namespace sightline::lexical {
namespace {

constexpr std::size_t kTermsPerTask = 4096;

bool ascending(std::span<const DocId> ids) {
  return std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end();
}

bool partitions(std::span<const std::uint64_t> offsets, std::size_t size) {
  return offsets.front() == 0 && offsets.back() == size && std::is_sorted(offsets.begin(), offsets.end());
}

std::string_view term_at(const SegmentArrays& a, std::size_t t) {
  return {a.term_bytes.data() + a.term_offsets[t], a.term_offsets[t + 1] - a.term_offsets[t]};
}

bool partitions(std::span<const std::uint32_t> offsets, std::size_t size) {
  return offsets.front() == 0 && offsets.back() == size && std::is_sorted(offsets.begin(), offsets.end());
}

const char* broken_documents(const SegmentArrays& a) {
  if (a.ids.empty() || a.ids.size() > kMaxSegmentRows) return "its number of documents is impossible";
  if (a.ids.front() < 0 || !ascending(a.ids)) return "its ids are not in order";
  if (!valid_code_map(a.code_map)) return "its codes are not in order";
  for (const std::uint32_t length : a.lengths) {
    if (length == 0) continue;
    if (a.code_map.class_begins.empty() || length < a.code_map.class_begins.front() || length >= a.code_map.class_begins.back()) {
      return "the length of a document is in no class";
    }
  }
  return nullptr;
}

const char* broken_large(const SegmentArrays& a) {
  if (a.weighted()) {
    if (a.values.size() != a.codes.size() || a.value_bounds.empty() || a.value_bounds.size() > kCodeCount) {
      return "its number of weights is impossible";
    }
    if (!(a.value_bounds.front() > 0) || !(a.value_bounds.back() <= kMaxWeight)) return "its weights are out of range";
    for (std::size_t i = 1; i < a.value_bounds.size(); ++i) {
      if (!(a.value_bounds[i - 1] < a.value_bounds[i])) return "the bounds of its weights are not in order";
    }
    if (std::any_of(a.lengths.begin(), a.lengths.end(), [](std::uint32_t length) { return length != 0; })) {
      return "a document with weights has a length";
    }
    return a.large_positions.empty() ? nullptr : "it has weights and frequencies";
  }
  if (std::adjacent_find(a.large_positions.begin(), a.large_positions.end(), std::greater_equal<>()) != a.large_positions.end()) {
    return "its large frequencies are not in order";
  }
  if (static_cast<std::size_t>(std::count(a.codes.begin(), a.codes.end(), kLargeTfCode)) != a.large_positions.size()) {
    return "a large frequency is missing";
  }
  for (std::size_t i = 0; i < a.large_positions.size(); ++i) {
    if (a.large_positions[i] >= a.codes.size() || a.codes[a.large_positions[i]] != kLargeTfCode || a.large_tfs[i] <= kMaxCodedTf) {
      return "a large frequency belongs to no posting";
    }
  }
  return nullptr;
}

// What all postings of a segment are checked against.
struct Checked {
  const SegmentArrays& a;
  const std::vector<std::uint8_t>& classes;
  const CodeRanges& ranges;

  std::uint32_t tf(std::uint64_t position) const {
    if (a.codes[position] != kLargeTfCode) return ranges[a.codes[position]].tf_low;
    const auto at = std::lower_bound(a.large_positions.begin(), a.large_positions.end(), position);
    return a.large_tfs[static_cast<std::size_t>(at - a.large_positions.begin())];
  }
};

// The postings [begin, end) lie in one window.
const char* broken_window(const Checked& c, const PostingWindow& window, std::uint64_t begin, std::uint64_t end) {
  const SegmentArrays& a = c.a;
  for (std::uint64_t i = begin; i < end; ++i) {
    const std::size_t row = (std::size_t{window.window} << kWindowBits) + a.offsets[i];
    if (a.offsets[i] >= kWindowRows || row >= a.ids.size() || (i != begin && a.offsets[i - 1] >= a.offsets[i])) {
      return "the rows of a term are not in order";
    }
    if (a.weighted()) {
      const std::uint8_t code = a.codes[i];
      const bool coded = code < a.value_bounds.size() && a.values[i] <= a.value_bounds[code] &&
                         (code == 0 ? a.values[i] > 0 : a.values[i] > a.value_bounds[code - 1]);
      if (!coded || window.max_tf != kUnboundedTf) return "a weight contradicts its code";
      continue;
    }
    const std::uint32_t tf = c.tf(i);
    if (tf == 0 || tf > a.lengths[row]) return "a frequency is zero or greater than its document's length";
    const bool coded = tf <= kMaxCodedTf;
    if (coded != (a.codes[i] != kLargeTfCode) || (coded && a.code_map.code(tf, c.classes[row]) != a.codes[i])) return "a posting contradicts its document's length";
    const bool bounded = (window.max_tf == kUnboundedTf || tf <= window.max_tf) && unpack_length(window.min_length) <= a.lengths[row];
    if (!bounded) return "a posting exceeds the bounds of its window";
  }
  return nullptr;
}

// Precondition: the offsets partition their arrays.
const char* broken_term(const Checked& c, std::size_t t) {
  const SegmentArrays& a = c.a;
  const std::string_view term = term_at(a, t);
  if (word_hash(term) != a.term_hashes[t]) return "the hash of a term is wrong";
  if (t != 0) {
    const std::uint64_t before = a.term_hashes[t - 1];
    if (before > a.term_hashes[t] || (before == a.term_hashes[t] && term_at(a, t - 1) >= term)) {
      return "its terms are not in order";
    }
  }
  const std::uint64_t begin = a.posting_offsets[t];
  const std::uint64_t end = a.posting_offsets[t + 1];
  if (begin == end) return "a term has no posting";
  if (end - begin > a.ids.size() || a.window_offsets[t] == a.window_offsets[t + 1]) return "the windows of a term are not in order";
  std::uint64_t position = begin;
  for (std::uint32_t w = a.window_offsets[t]; w < a.window_offsets[t + 1]; ++w) {
    const PostingWindow& window = a.windows[w];
    const std::uint64_t window_end = begin + window.end;
    if (window_end <= position || window_end > end || (w != a.window_offsets[t] && a.windows[w - 1].window >= window.window)) {
      return "the windows of a term are not in order";
    }
    if (const char* broken = broken_window(c, window, position, window_end)) return broken;
    position = window_end;
  }
  return position == end ? nullptr : "the windows of a term are not in order";
}

}  // namespace

const char* broken_invariant(const SegmentArrays& a) {
  if (const char* broken = broken_documents(a)) return broken;
  if (a.term_hashes.size() >= kNoWord) return "its number of terms is impossible";
  if (!partitions(a.term_offsets, a.term_bytes.size())) return "the offsets of its terms are not in order";
  if (!partitions(a.posting_offsets, a.posting_count())) return "the offsets of its postings are not in order";
  if (!partitions(a.window_offsets, a.windows.size())) return "the offsets of its windows are not in order";
  if (const char* broken = broken_large(a)) return broken;
  const std::vector<std::uint8_t> classes = length_classes(a.code_map.class_begins, a.lengths);
  const CodeRanges ranges = code_ranges(a.code_map, kMaxCodedTf);
  const Checked checked{a, classes, ranges};

  std::atomic<const char*> first_broken{nullptr};
  const std::size_t task_count = (a.term_hashes.size() + kTermsPerTask - 1) / kTermsPerTask;
  parallel::parallel_for(task_count, [&](std::size_t task, std::size_t) {
    const std::size_t end = std::min(a.term_hashes.size(), (task + 1) * kTermsPerTask);
    for (std::size_t t = task * kTermsPerTask; t < end && first_broken.load(std::memory_order_relaxed) == nullptr; ++t) {
      if (const char* broken = broken_term(checked, t)) first_broken.store(broken, std::memory_order_relaxed);
    }
  });
  return first_broken.load();
}

}  // namespace sightline::lexical
