#include "dense/search.h"

#include <algorithm>
#include <string>

#include "dense/bound.h"
#include "dense/pass.h"
#include "parallel/thread_pool.h"
#include "simd/dispatch.h"

namespace sightline::dense {
namespace {

constexpr std::size_t kMaxBatch = 1024;                          // queries that share one pass over the codes
// Where survivors are bounded row by row, codes of queries are read in two orders, and both should stay in the second-level
// cache: 500 queries took 0.56 ms each where 1000 took 0.77 (100,000 x 384, one core).
constexpr std::size_t kCodeBytes = std::size_t{192} << 10;
constexpr std::size_t kLeastBatch = 64;
constexpr std::size_t kCollectorBytes = std::size_t{256} << 20;  // for all collectors of a batch
// Rows are scored one by one, without the coarse pass, where a filter keeps fewer than one in this many.
constexpr std::size_t kSparseFilter = 16;

std::size_t count_allowed(const RowFilter& filter) {
  std::size_t total = 0;
  for (const Bitset& bits : filter) total += bits.count();
  return total;
}

void write_hits(const std::vector<Hit>& hits, std::size_t k, float* scores, DocId* ids) {
  for (std::size_t i = 0; i < k; ++i) {
    scores[i] = i < hits.size() ? hits[i].score : kNoScore;
    ids[i] = i < hits.size() ? hits[i].id : kNoId;
  }
}

// Answers a batch, with write(q, hits) for each of its queries, from any thread.
template <typename Write>
void search_batch(const Snapshot& snapshot, const float* queries, std::size_t query_count, std::size_t first_position,
                  std::size_t k, std::span<const RowFilter* const> filters, bool coarse, const Write& write,
                  SearchStats& stats) {
  Pass pass(snapshot, queries, query_count, first_position, k, kNoScore, filters, coarse, true);
  pass.run();
  pass.score_in_row_order();
  std::vector<SearchStats> finishing(query_count);
  std::vector<char> refuted(query_count, 0);
  const auto finish = [&](std::size_t q, std::size_t) {
    const std::vector<Hit> hits = pass.finish(q, finishing[q]);
    refuted[q] = !pass.is_proven(q, hits);
    if (!refuted[q]) write(q, hits);
  };
  // A lone query settles its candidates with all threads, many queries with one thread each.
  if (query_count == 1) {
    finish(0, 0);
  } else {
    parallel::parallel_for(query_count, finish);
  }
  stats += pass.run_stats();
  for (const SearchStats& part : finishing) stats += part;

  std::vector<std::size_t> again;
  std::vector<float> vectors;
  for (std::size_t q = 0; q < query_count; ++q) {
    if (!refuted[q]) continue;
    again.push_back(q);
    vectors.insert(vectors.end(), queries + q * snapshot.dim(), queries + (q + 1) * snapshot.dim());
  }
  if (again.empty()) return;
  Pass proven(snapshot, vectors.data(), again.size(), first_position, k, kNoScore, filters, coarse, false);
  proven.run();
  SearchStats last;
  for (std::size_t i = 0; i < again.size(); ++i) write(again[i], proven.finish(i, last));
  stats += proven.run_stats();
  stats += last;
}

}  // namespace

void search(const Snapshot& snapshot, const float* queries, std::size_t query_count, std::size_t k,
            std::span<const RowFilter> filters, float* scores, DocId* ids, SearchStats& stats) {
  const std::size_t dim = snapshot.dim();
  // More places than rows only need padding.
  const std::size_t kept = std::max<std::size_t>(1, std::min(k, snapshot.live_count()));
  const std::size_t bytes_per_query = parallel::num_threads() * Collector::most_bytes(kept);
  const std::size_t most = simd::kernels().dot_row == nullptr ? kMaxBatch : std::clamp(kCodeBytes / dim, kLeastBatch, kMaxBatch);
  const std::size_t batch = std::clamp<std::size_t>(kCollectorBytes / bytes_per_query, 1, most);
  std::vector<bool> sparse(filters.size());
  for (std::size_t f = 0; f < filters.size(); ++f) sparse[f] = count_allowed(filters[f]) < snapshot.live_count() / kSparseFilter;
  const auto is_sparse = [&](std::size_t q) { return !filters.empty() && sparse[filters.size() == 1 ? 0 : q]; };
  for (std::size_t first = 0; first < query_count;) {
    // A run of queries that go the same way.
    // With k near the number of rows nothing can be dropped, and bounds would only be read for nothing.
    const bool coarse = !is_sparse(first) && kept <= snapshot.live_count() / 2;
    std::size_t end = first + 1;
    while (end < query_count && end - first < batch && is_sparse(end) == is_sparse(first)) ++end;
    std::vector<const RowFilter*> chosen;
    if (filters.size() == 1) chosen.push_back(&filters[0]);
    if (filters.size() > 1) {
      for (std::size_t q = first; q < end; ++q) chosen.push_back(&filters[q]);
    }
    const auto write = [&](std::size_t q, const std::vector<Hit>& hits) {
      write_hits(hits, k, scores + (first + q) * k, ids + (first + q) * k);
    };
    search_batch(snapshot, queries + first * dim, end - first, first, kept, chosen, coarse, write, stats);
    first = end;
  }
}

std::vector<Hit> range_search(const Snapshot& snapshot, const float* query, float threshold,
                              std::span<const RowFilter> filters, SearchStats& stats) {
  std::vector<const RowFilter*> chosen;
  bool coarse = true;
  if (!filters.empty()) {
    chosen.push_back(&filters[0]);
    coarse = count_allowed(filters[0]) >= snapshot.live_count() / kSparseFilter;
  }
  // One place more than there are rows: the list never fills, so the threshold stays where it is.
  Pass pass(snapshot, query, 1, kLoneQuery, snapshot.live_count() + 1, threshold, chosen, coarse, false);
  pass.run();
  std::vector<Hit> hits = pass.finish(0, stats);
  stats += pass.run_stats();
  return hits;
}

RowScorer::RowScorer(const Snapshot& snapshot, const float* query)
    : snapshot_(&snapshot), metric_(snapshot.metric()), kernels_(&simd::kernels()) {
  std::vector<std::int8_t> codes((snapshot.dim() + 7) / 8 * 8);
  query_ = code_query(metric_, query, snapshot.dim(), kLoneQuery, codes.data());
}

void score(const Snapshot& snapshot, const float* query, std::span<const DocId> ids, float* scores) {
  const RowScorer scorer(snapshot, query);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::optional<RowAddress> address = snapshot.find(ids[i]);
    if (!address) throw Error(ErrorKind::kNotFound, "ids: " + std::to_string(ids[i]) + " is not in the index");
    scores[i] = scorer(*address);
  }
}

}  // namespace sightline::dense
