// Certified exact search over a snapshot: the answer that float64 brute force over all rows would give, ties by id.
//
// Thread safety: all functions may run concurrently on one snapshot. Results do not depend on the kernel table, the number
// of threads, the batch or the history of the index, to the last bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/bitset.h"
#include "core/types.h"
#include "dense/bound.h"
#include "dense/snapshot.h"
#include "simd/kernels.h"

namespace sightline::dense {

// Allowed rows, one bitset a segment of the snapshot, as Snapshot::select returns them.
using RowFilter = std::vector<Bitset>;

// What a search did; the certificate that it looked at every row that could matter.
struct SearchStats {
  // Rows are bounded in blocks of 64, so the padding of the last block counts too.
  std::uint64_t rows_high = 0;   // bounded by the high plane
  std::uint64_t rows_full = 0;   // bounded by both planes (some of them after the high plane)
  std::uint64_t rows_exact = 0;  // scored exactly
  std::uint64_t bytes = 0;       // of codes, constants and vectors read
  std::uint64_t rows_in_place = 0;  // of rows_exact, those that were not read as stray ones: see Segment::stray_row()

  SearchStats& operator+=(const SearchStats& other) noexcept {
    rows_high += other.rows_high;
    rows_full += other.rows_full;
    rows_exact += other.rows_exact;
    bytes += other.bytes;
    rows_in_place += other.rows_in_place;
    return *this;
  }
};

// queries: row-major (query_count, dim). filters: none, one for all queries, or one a query.
// Writes k scores and ids a query, best first, padded with kNoScore and kNoId.
// Time: one pass over the codes of all rows for a batch of queries. Memory: O(min(query_count, 1024) * k * threads).
// Throws InvalidInputError for a query that is not finite or, under cosine, zero. Preconditions: k >= 1.
void search(const Snapshot& snapshot, const float* queries, std::size_t query_count, std::size_t k,
            std::span<const RowFilter> filters, float* scores, DocId* ids, SearchStats& stats);

// Every row whose score is at least `threshold`, best first.
std::vector<Hit> range_search(const Snapshot& snapshot, const float* query, float threshold,
                              std::span<const RowFilter> filters, SearchStats& stats);

// Exact scores of one query by random access. Snapshot and query must outlive it; safe from any thread.
class RowScorer {
 public:
  // Throws InvalidInputError for a query that is not finite or, under cosine, zero.
  RowScorer(const Snapshot& snapshot, const float* query);
  float operator()(const RowAddress& at) const noexcept { return exact_score_of_stray(metric_, *kernels_, query_, segment(at), at.row); }
  void prefetch(const RowAddress& at) const noexcept { segment(at).prefetch_stray(at.row); }

 private:
  const Segment& segment(const RowAddress& at) const noexcept { return *snapshot_->segments()[at.segment].segment; }

  const Snapshot* snapshot_;
  Metric metric_;
  const simd::Kernels* kernels_;
  CodedQuery query_;
};

// Exact scores of the given ids. Throws NotFoundError for an id that is not in the snapshot.
void score(const Snapshot& snapshot, const float* query, std::span<const DocId> ids, float* scores);

}  // namespace sightline::dense
