// Exhaustive search, term at a time: the postings of each query term are added into a dense accumulator, window by window.
// Exact by construction; the reference for any search that prunes. All functions are safe from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "lexical/row_filter.h"
#include "lexical/scoring.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {

// The distinct terms of a query in the order of their first occurrence, and how often each occurs.
struct QueryTerm {
  std::string_view term;  // borrowed from the analyzed query
  std::uint64_t hash;
  std::uint32_t count;
};
using Query = std::vector<QueryTerm>;

// A query against one snapshot: what all its segments share.
class BoundQuery {
 public:
  static constexpr std::uint32_t kAbsent = 0xFFFFFFFF;
  struct Term {
    std::string_view term;
    std::uint32_t count;
    std::uint64_t document_frequency;
    double idf;
    double weight;                             // count * idf
    std::vector<std::uint32_t> segment_terms;  // its number in each segment, or kAbsent
  };

  BoundQuery(const Snapshot& snapshot, const Parameters& parameters, const Query& query);

  const Snapshot& snapshot() const noexcept { return *snapshot_; }
  const Scorer& scorer() const noexcept { return scorer_; }
  const std::vector<Term>& terms() const noexcept { return terms_; }  // those that a live document has
  double base() const noexcept { return base_; }
  std::uint64_t posting_count() const noexcept { return posting_count_; }

  // The one rounding of a score.
  float score(double gains) const noexcept { return static_cast<float>(base_ + gains); }
  // The score of one document: 0 if it has none of the terms. O(terms * log postings).
  float score_row(const RowLocation& at) const noexcept;

 private:
  const Snapshot* snapshot_;
  Scorer scorer_;
  std::vector<Term> terms_;
  double base_ = 0.0;
  std::uint64_t posting_count_ = 0;
};

// The k best documents that have a term of the query, best first. `filter` may be null, `tables` too (gains are then
// computed as they are met). O(postings of the terms); 256 KB of memory for each thread that ever searched.
std::vector<Hit> search(const BoundQuery& query, std::size_t k, const RowFilter* filter, const GainTables* tables);

// Several queries in the thread pool. `filters` is empty, or one for all, or one for each query.
std::vector<std::vector<Hit>> search_batch(const Snapshot& snapshot, const Parameters& parameters,
                                           std::span<const Query> queries, std::size_t k,
                                           std::span<const RowFilter> filters);

}  // namespace sightline::lexical
