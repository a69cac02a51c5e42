#include "lexical/segment_validation.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>

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

const char* broken_pairs(std::span<const ImpactPair> pairs) {
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (pairs[i].tf == 0 || pairs[i].tf > pairs[i].length) return "a frequency is zero or greater than its document's length";
    if (i != 0 && !(pairs[i - 1] < pairs[i])) return "its pairs are not in order";
  }
  return nullptr;
}

// Precondition: the offsets partition their arrays.
const char* broken_term(const SegmentArrays& a, std::size_t t) {
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
  for (std::uint64_t i = begin; i < end; ++i) {
    const RowIndex row = a.rows[i];
    const std::uint32_t code = a.codes[i];
    if (row >= a.ids.size() || (i != begin && a.rows[i - 1] >= row)) return "the rows of a term are not in order";
    if (code >= a.pairs.size() || a.pairs[code].length != a.lengths[row]) return "a posting contradicts its document's length";
  }
  return nullptr;
}

}  // namespace

const char* broken_invariant(const SegmentArrays& a) {
  if (a.ids.empty() || a.ids.size() > std::numeric_limits<RowIndex>::max()) return "its number of documents is impossible";
  if (a.ids.front() < 0 || !ascending(a.ids)) return "its ids are not in order";
  if (a.term_hashes.size() >= kNoWord) return "its number of terms is impossible";
  if (!partitions(a.term_offsets, a.term_bytes.size())) return "the offsets of its terms are not in order";
  if (!partitions(a.posting_offsets, a.rows.size())) return "the offsets of its postings are not in order";
  if (const char* broken = broken_pairs(a.pairs)) return broken;

  std::atomic<const char*> first_broken{nullptr};
  const std::size_t task_count = (a.term_hashes.size() + kTermsPerTask - 1) / kTermsPerTask;
  parallel::parallel_for(task_count, [&](std::size_t task, std::size_t) {
    const std::size_t end = std::min(a.term_hashes.size(), (task + 1) * kTermsPerTask);
    for (std::size_t t = task * kTermsPerTask; t < end && first_broken.load(std::memory_order_relaxed) == nullptr; ++t) {
      if (const char* broken = broken_term(a, t)) first_broken.store(broken, std::memory_order_relaxed);
    }
  });
  return first_broken.load();
}

}  // namespace sightline::lexical
