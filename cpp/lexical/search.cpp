#include "lexical/search.h"

#include <algorithm>
#include <bit>

#include "lexical/coarse.h"
#include "lexical/exact_sums.h"
#include "lexical/exhaustive.h"
#include "parallel/thread_pool.h"

namespace sightline::lexical {
namespace {

// Where the two searches take the same time, measured on 100,000 abstracts: at k = 10 both take 4 us from 100 to 500 postings,
// at k = 100 they meet near 600.
constexpr std::uint64_t kPostingsForCoarse = 256;
constexpr std::uint64_t kPostingsPerHit = 6;
// Computing exact gains into a table pays when there are so many postings.
constexpr std::uint64_t kPostingsForExactTable = 16384;
// A filter that leaves one row in so many of the postings is searched row by row.
constexpr std::uint64_t kPostingsPerAllowedRow = 32;

bool coarse_pays(const BoundQuery& query, std::size_t k, const RowFilter* filter) {
  const std::uint64_t postings = query.posting_count();
  if (postings < kPostingsForCoarse || k > postings / kPostingsPerHit) return false;
  if (filter == nullptr) return true;
  std::uint64_t allowed = 0;
  for (const std::size_t count : filter->allowed_counts) allowed += count;
  return allowed * query.terms().size() * kPostingsPerAllowedRow >= postings;
}

}  // namespace

bool is_untouched(double sum) noexcept { return std::bit_cast<std::uint64_t>(sum) == std::bit_cast<std::uint64_t>(kUntouched); }

BoundQuery::BoundQuery(const Snapshot& snapshot, const Parameters& parameters, const Query& query)
    : snapshot_(&snapshot), scorer_(parameters, snapshot.statistics()) {
  terms_.reserve(query.size());
  const std::vector<SegmentView>& segments = snapshot.segments();
  for (const QueryTerm& q : query) {
    Term term{q.term, q.count, 0, 0.0, 0.0, std::vector<std::optional<Postings>>(segments.size())};
    for (std::size_t s = 0; s < segments.size(); ++s) {
      const std::optional<std::uint32_t> number = segments[s].segment->find_term(q.term, q.hash);
      if (!number) continue;
      term.postings[s] = segments[s].segment->postings(*number);
      term.document_frequency += segments[s].document_frequency(*number);
      posting_count_ += term.postings[s]->size();
    }
    if (term.document_frequency == 0) continue;
    term.idf = scorer_.idf(term.document_frequency);
    term.weight = q.weight > 0 ? static_cast<double>(q.weight) : static_cast<double>(q.count) * term.idf;
    base_ += term.weight * scorer_.absent();
    terms_.push_back(std::move(term));
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
  const bool wants_coarse = plan == Plan::kCoarse || (plan == Plan::kAutomatic && coarse_pays(query, k, filter));
  if (wants_coarse) {
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
