#include "lexical/search.h"

#include <algorithm>
#include <bit>

#include "lexical/coarse.h"
#include "lexical/exact_sums.h"
#include "lexical/exhaustive.h"
#include "lexical/few_postings.h"
#include "parallel/thread_pool.h"

namespace sightline::lexical {
namespace {

// Where few_postings.h and coarse.h take the same time, measured on 100,000 abstracts: at k = 10 near 190 postings, at k = 100
// near 560, at k = 300 near 1600, at k = 1000 near 4700.
constexpr std::uint64_t kFewPostings = 192;
constexpr std::uint64_t kFewPostingsPerHit = 5;
// Computing exact gains into a table pays when there are so many postings.
constexpr std::uint64_t kPostingsForExactTable = 16384;
// A filter that leaves one row in so many of the postings is searched row by row.
constexpr std::uint64_t kPostingsPerAllowedRow = 32;

Plan choose_plan(const BoundQuery& query, std::size_t k, const RowFilter* filter) {
  const std::uint64_t postings = query.posting_count();
  if (filter != nullptr) {
    std::uint64_t allowed = 0;
    for (const std::size_t count : filter->allowed_counts) allowed += count;
    if (allowed * query.terms().size() * kPostingsPerAllowedRow < postings) return Plan::kExhaustive;
  }
  if (postings < kFewPostings || k > postings / kFewPostingsPerHit) {
    return postings <= kMostFewPostings ? Plan::kFewPostings : Plan::kExhaustive;
  }
  return Plan::kCoarse;
}

}  // namespace

bool is_untouched(double sum) noexcept { return std::bit_cast<std::uint64_t>(sum) == std::bit_cast<std::uint64_t>(kUntouched); }

BoundQuery::BoundQuery(const Snapshot& snapshot, const Parameters& parameters, const Query& query)
    : snapshot_(&snapshot), scorer_(parameters, snapshot.statistics()) {
  const std::vector<SegmentView>& segments = snapshot.segments();
  std::vector<WantedTerm> wanted;
  wanted.reserve(query.size());
  for (const QueryTerm& q : query) wanted.push_back({q.term, q.hash});
  std::vector<std::optional<std::uint32_t>> found(query.size());
  std::vector<std::uint64_t> frequencies(query.size());
  postings_ = std::vector<std::optional<Postings>>(query.size() * segments.size());
  for (std::size_t s = 0; s < segments.size(); ++s) {
    const Segment& segment = *segments[s].segment;
    segment.find_terms(wanted, found.data());
    for (std::size_t t = 0; t < query.size(); ++t) {
      if (!found[t]) continue;
      std::optional<Postings>& postings = postings_[t * segments.size() + s];
      postings.emplace(segment, *found[t]);
      frequencies[t] += segments[s].document_frequency(*found[t]);
      posting_count_ += postings->size();
    }
  }
  terms_.reserve(query.size());
  for (std::size_t t = 0; t < query.size(); ++t) {
    const QueryTerm& q = query[t];
    if (frequencies[t] == 0) continue;
    const double idf = scorer_.idf(frequencies[t]);
    const double weight = q.weight > 0 ? static_cast<double>(q.weight) : static_cast<double>(q.count) * idf;
    base_ += weight * scorer_.absent();
    const std::span<const std::optional<Postings>> of_term(&postings_[t * segments.size()], segments.size());
    terms_.push_back({q.term, q.count, frequencies[t], idf, weight, of_term});
  }
}

float BoundQuery::score_row(const RowLocation& at) const noexcept {
  const Segment& segment = *snapshot_->segments()[at.segment].segment;
  double sum = kUntouched;
  for (const Term& term : terms_) {
    if (!term.postings[at.segment]) continue;
    const std::optional<FoundPosting> found = term.postings[at.segment]->find(at.row);
    if (found) sum += term.weight * segment.gain(scorer_, at.row, *found);
  }
  return is_untouched(sum) ? 0.0F : score(sum);
}

void BoundQuery::sum_gains(std::uint32_t number, std::span<const RowIndex> rows, std::span<double> sums) const {
  ExactSums(*this).compute(number, rows, {}, sums);
}

std::vector<Hit> search(const BoundQuery& query, std::size_t k, const RowFilter* filter, Plan plan) {
  if (query.terms().empty()) return {};
  if (plan == Plan::kAutomatic) plan = choose_plan(query, k, filter);
  if (plan == Plan::kFewPostings && query.posting_count() <= kMostFewPostings) return search_few_postings(query, k, filter);
  if (plan == Plan::kCoarse) {
    const auto tables = query.snapshot().gain_tables(query.parameters(), false);
    if (auto found = search_coarsely(query, k, filter, *tables)) return *std::move(found);
  }
  if (query.posting_count() < kPostingsForExactTable) return search_exhaustively(query, k, filter, nullptr);
  return search_exhaustively(query, k, filter, query.snapshot().gain_tables(query.parameters(), true).get());
}

std::vector<std::vector<Hit>> search_batch(const Snapshot& snapshot, const Parameters& parameters,
                                           std::span<const Query> queries, std::size_t k,
                                           std::span<const RowFilter> filters, Plan plan) {
  std::vector<std::vector<Hit>> results(queries.size());
  parallel::parallel_for(queries.size(), [&](std::size_t q, std::size_t) {
    const BoundQuery query(snapshot, parameters, queries[q]);
    const RowFilter* filter = filters.empty() ? nullptr : &filters[filters.size() == 1 ? 0 : q];
    results[q] = search(query, k, filter, plan);
  });
  return results;
}

}  // namespace sightline::lexical
