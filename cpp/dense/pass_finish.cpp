// How the candidates of a pass become hits: by exact scores, best bounds first, or many of many queries in the order of rows.
#include <algorithm>
#include <vector>

#include "dense/pass.h"
#include "parallel/thread_pool.h"

namespace sightline::dense {
namespace {

// Long lists of many queries have rows in common and neighbours: scored in the order of rows, each row is read once, and the
// next one is where the hardware expects it. In two rounds, since the exact scores of the best k spare others theirs.
constexpr std::size_t kLeastQueriesInRowOrder = 8;
constexpr std::size_t kLeastKInRowOrder = 64;
// Rows are sorted by counting, in so many buckets at the most.
constexpr std::size_t kMostBuckets = std::size_t{1} << 17;
constexpr std::size_t kScoresATask = 512;

}  // namespace

void Pass::score_in_row_order() {
  if (sink_ != nullptr || workers_.empty() || query_count_ < kLeastQueriesInRowOrder || k_ < kLeastKInRowOrder) return;
  for (const bool best_only : {true, false}) {
    std::vector<std::size_t> begins(query_count_ + 1, 0);  // of each query's rows to be scored, among all
    parallel::parallel_for(query_count_, [&](std::size_t q, std::size_t) {
      if (best_only) gather(q);
      Collector& all = workers_[0].collectors[q];
      all.raise_by_lower_bounds(thresholds_[q]);
      all.drop_hopeless(thresholds_[q]);
      begins[q + 1] = best_only ? all.bring_best_forward(k_) : all.candidates().size();
    });
    for (std::size_t q = 0; q < query_count_; ++q) begins[q + 1] += begins[q];
    score_first(begins);
  }
}

// Scores the first begins[q + 1] - begins[q] candidates of each query q.
void Pass::score_first(std::span<const std::size_t> begins) {
  const std::size_t total = begins[query_count_];
  if (total == 0) return;
  const auto candidates_of = [&](std::size_t q) {
    return std::span(workers_[0].collectors[q].candidates()).first(begins[q + 1] - begins[q]);
  };
  std::vector<std::size_t> first_rows;  // of each segment, in one numbering of all
  std::size_t row_count = 0;
  for (std::uint32_t s = 0; s < snapshot_.segments().size(); ++s) {
    first_rows.push_back(row_count);
    row_count += segment_at(s).row_count();
  }
  unsigned shift = 0;
  while (row_count >> shift >= kMostBuckets) ++shift;
  const auto bucket_of = [&](const Candidate& c) { return (first_rows[c.segment] + c.row) >> shift; };
  std::vector<std::size_t> next((row_count >> shift) + 2, 0);
  for (std::size_t q = 0; q < query_count_; ++q) {
    for (const Candidate& c : candidates_of(q)) ++next[bucket_of(c) + 1];
  }
  for (std::size_t b = 1; b < next.size(); ++b) next[b] += next[b - 1];
  struct Wanted {
    std::uint32_t segment;
    RowIndex row;
    std::uint32_t query;
    std::uint32_t place;  // among the query's
  };
  std::vector<Wanted> wanted(total);
  for (std::size_t q = 0; q < query_count_; ++q) {
    std::uint32_t place = 0;
    for (const Candidate& c : candidates_of(q)) {
      wanted[next[bucket_of(c)]++] = {c.segment, c.row, static_cast<std::uint32_t>(q), place++};
    }
  }

  std::vector<Hit> hits(total);
  const auto prefetch = [&](std::size_t i) {
    if (i < total && (wanted[i].row != wanted[i - 1].row || wanted[i].segment != wanted[i - 1].segment)) {
      segment_at(wanted[i].segment).prefetch(wanted[i].row);
      segment_at(wanted[i].segment).prefetch_id(wanted[i].row);
    }
  };
  parallel::parallel_for((total + kScoresATask - 1) / kScoresATask, [&](std::size_t task, std::size_t) {
    const std::size_t end = std::min(total, (task + 1) * kScoresATask);
    for (std::size_t i = task * kScoresATask; i < end; ++i) {
      prefetch(i + kPrefetchRows);
      hits[begins[wanted[i].query] + wanted[i].place] = exact_hit(wanted[i].query, wanted[i].segment, wanted[i].row);
    }
  });
  parallel::parallel_for(query_count_, [&](std::size_t q, std::size_t) {
    Collector& all = workers_[0].collectors[q];
    for (std::size_t i = begins[q]; i < begins[q + 1]; ++i) all.push_exact(hits[i], thresholds_[q]);
    all.drop_first(begins[q + 1] - begins[q]);
  });
  workers_[0].stats.rows_exact += total;
  workers_[0].stats.rows_in_place += total;
  for (const Wanted& w : wanted) workers_[0].stats.bytes += segment_at(w.segment).row_bytes();
}

// All that the workers know of a query goes to the first one's collector.
void Pass::gather(std::size_t q) {
  Collector& first = workers_[0].collectors[q];
  for (std::size_t w = 1; w < workers_.size(); ++w) {
    Collector& other = workers_[w].collectors[q];
    for (const Hit& hit : other.best().unsorted()) first.push_exact(hit, thresholds_[q]);
    first.candidates().insert(first.candidates().end(), other.candidates().begin(), other.candidates().end());
    other.clear();
  }
}

std::vector<Hit> Pass::finish(std::size_t q, SearchStats& stats) {
  if (workers_.empty()) return {};
  gather(q);
  Collector& first = workers_[0].collectors[q];
  first.drop_hopeless(thresholds_[q]);
  std::vector<Candidate> candidates = std::move(first.candidates());
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.upper > b.upper; });
  // Best bounds first, one by one, so that nothing is scored in vain. The long list of a lone query is shared by the threads in
  // rounds, once it has shown to be long.
  constexpr std::size_t kAlone = 64;
  constexpr std::size_t kRound = 256;
  constexpr std::size_t kParts = 4;
  std::vector<Hit> hits(kRound);
  for (std::size_t begin = 0; begin < candidates.size();) {
    if (candidates[begin].upper < below(thresholds_[q].load())) break;
    const auto score_from = [&](std::size_t first_of_part, std::size_t count) {
      for (std::size_t i = first_of_part; i < first_of_part + count; ++i) {
        if (i + kPrefetchRows < candidates.size()) {
          const Candidate& ahead = candidates[i + kPrefetchRows];
          if (stray_rows_) {
            segment_at(ahead.segment).prefetch_stray(ahead.row);
          } else {
            segment_at(ahead.segment).prefetch(ahead.row);
          }
          segment_at(ahead.segment).prefetch_id(ahead.row);
        }
        hits[i - begin] = exact_hit(q, candidates[i].segment, candidates[i].row);
      }
    };
    const bool share = query_count_ == 1 && begin >= kAlone && candidates.size() - begin >= kRound;
    const std::size_t count = share ? kRound : 1;
    if (share) {
      constexpr std::size_t kEach = kRound / kParts;
      parallel::parallel_for(kParts, [&](std::size_t part, std::size_t) { score_from(begin + part * kEach, kEach); });
    } else {
      score_from(begin, 1);
    }
    for (std::size_t i = 0; i < count; ++i) first.push_exact(hits[i], thresholds_[q]);
    stats.rows_exact += count;
    stats.rows_in_place += stray_rows_ ? 0 : count;
    stats.bytes += count * segment_at(candidates[begin].segment).row_bytes();
    begin += count;
  }
  return first.best().take_sorted();
}

}  // namespace sightline::dense
