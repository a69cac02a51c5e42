// Searches a snapshot: binds the query's terms to it, plans, and runs coarse.h, few_postings.h or exhaustive.h. All functions
// are safe from any thread.
#pragma once

#include <cstdint>
#include <optional>
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
  float weight = 0;  // if above 0, instead of count * idf
};
using Query = std::vector<QueryTerm>;

// A query against one snapshot: what all its segments share.
class BoundQuery {
 public:
  struct Term {
    std::string_view term;
    std::uint32_t count;
    std::uint64_t document_frequency;
    double idf;
    double weight;                                  // count * idf, or what was given
    std::span<const std::optional<Postings>> postings;  // in each segment that has it
  };

  BoundQuery(const Snapshot& snapshot, const Parameters& parameters, const Query& query);
  BoundQuery(BoundQuery&&) noexcept = default;
  BoundQuery& operator=(BoundQuery&&) noexcept = default;
  BoundQuery(const BoundQuery&) = delete;  // terms view the postings

  const Snapshot& snapshot() const noexcept { return *snapshot_; }
  const Scorer& scorer() const noexcept { return scorer_; }
  const std::vector<Term>& terms() const noexcept { return terms_; }  // those that a live document has
  const Parameters& parameters() const noexcept { return scorer_.parameters(); }
  double base() const noexcept { return base_; }
  std::uint64_t posting_count() const noexcept { return posting_count_; }

  // The one rounding of a score.
  float score(double gains) const noexcept { return static_cast<float>(base_ + gains); }
  // The score of one document: 0 if it has none of the terms. O(terms * log postings).
  float score_row(const RowLocation& at) const noexcept;
  // The sums of gains of many rows of one segment, see exact_sums.h; score() makes a sum a score.
  void sum_gains(std::uint32_t segment, std::span<const RowIndex> rows, std::span<double> sums) const;

 private:
  const Snapshot* snapshot_;
  Scorer scorer_;
  std::vector<std::optional<Postings>> postings_;  // of every term in every segment, term by term
  std::vector<Term> terms_;
  double base_ = 0.0;
  std::uint64_t posting_count_ = 0;
};

// Marks a sum that no term has reached. Gains are never negative zero, so the first one makes it positive, even if it is 0.
inline constexpr double kUntouched = -0.0;
bool is_untouched(double sum) noexcept;

enum class Plan { kAutomatic, kExhaustive, kCoarse, kFewPostings };

// The k best documents that have a term of the query, best first. `filter` may be null. Every plan gives the same bits; others
// than kAutomatic are for tests and measurements. kCoarse and kFewPostings fall back where those cannot represent the query.
std::vector<Hit> search(const BoundQuery& query, std::size_t k, const RowFilter* filter, Plan plan = Plan::kAutomatic);

// Several queries in the thread pool. `filters` is empty, or one for all, or one for each query.
std::vector<std::vector<Hit>> search_batch(const Snapshot& snapshot, const Parameters& parameters,
                                           std::span<const Query> queries, std::size_t k,
                                           std::span<const RowFilter> filters, Plan plan = Plan::kAutomatic);

}  // namespace sightline::lexical
