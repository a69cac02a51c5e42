#include "lexical/field_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "lexical/exact_parts.h"
#include "lexical/posting_reader.h"
#include "parallel/thread_pool.h"
#include "topk/top_k_buffer.h"

namespace sightline::lexical {
namespace {

// What a thread keeps between searches, all zero: a search pays only for the rows it touches.
struct Accumulators {
  std::vector<double> frequencies;  // of the current term
  std::vector<double> sums;
  std::vector<std::uint64_t> touched;  // a bit for each row with a term: a sum may be 0

  void reserve(std::size_t rows) {
    if (sums.size() >= rows) return;
    frequencies.resize(rows);
    touched.resize((rows + 63) / 64);
    sums.resize(rows);  // last: its size says that all are large enough, even after one could not be had
  }
};

// One query in one segment, number s of every field.
class SegmentFieldSearch {
 public:
  SegmentFieldSearch(const BoundFieldQuery& query, std::size_t s, Accumulators& accumulators)
      : query_(query), s_(s), acc_(accumulators) {}

  void accumulate() {
    for (const BoundFieldQuery::Term& term : query_.terms()) add(term);
  }

  // Offers every row that has a term and that the filter allows.
  void offer(const Bitset* allowed, TopKBuffer& top) const {
    const Segment& segment = *query_.snapshot().field(0).segments()[s_].segment;
    for (const RowIndex row : rows_) {
      if (allowed != nullptr && !allowed->test(row)) continue;
      const float score = query_.score(acc_.sums[row]);
      if (score >= top.threshold()) top.push({score, segment.id(row)});
    }
  }

  void clear() noexcept {
    for (const RowIndex row : rows_) {
      acc_.sums[row] = 0.0;
      acc_.touched[row / 64] = 0;
    }
    for (const RowIndex row : rows_of_term_) acc_.frequencies[row] = 0.0;
  }

 private:
  void add(const BoundFieldQuery::Term& term) {
    rows_of_term_.clear();
    for (std::size_t f = 0; f < query_.snapshot().field_count(); ++f) {
      const std::uint32_t number = term.numbers[f][s_];
      if (number == BoundFieldQuery::kAbsent) continue;
      const Segment& segment = *query_.snapshot().field(f).segments()[s_].segment;
      for_each_posting(segment, number, [&](RowIndex row, std::uint32_t tf) {
        double& frequency = acc_.frequencies[row];
        if (frequency == 0.0) rows_of_term_.push_back(row);  // a field's share is never 0
        frequency += query_.frequency(f, tf, segment.length(row));
      });
    }
    for (const RowIndex row : rows_of_term_) {
      std::uint64_t& word = acc_.touched[row / 64];
      if ((word >> (row % 64) & 1) == 0) {
        rows_.push_back(row);
        word |= std::uint64_t{1} << (row % 64);
      }
      acc_.sums[row] += term.weight * query_.scorer().gain_of(acc_.frequencies[row]);
      acc_.frequencies[row] = 0.0;
    }
  }

  const BoundFieldQuery& query_;
  std::size_t s_;
  Accumulators& acc_;
  std::vector<RowIndex> rows_;
  std::vector<RowIndex> rows_of_term_;
};

}  // namespace

BoundFieldQuery::BoundFieldQuery(const FieldSnapshot& snapshot, const Parameters& parameters,
                                 std::span<const FieldParameters> fields, const Query& query)
    : snapshot_(&snapshot), scorer_(parameters, snapshot.field(0).statistics()), fields_(fields.begin(), fields.end()) {
  for (std::size_t f = 0; f < snapshot.field_count(); ++f) {
    const CollectionStatistics& statistics = snapshot.field(f).statistics();
    average_lengths_.push_back(static_cast<double>(statistics.total_length) /
                               std::max(static_cast<double>(statistics.document_count), 1.0));
  }
  for (const QueryTerm& q : query) {
    const std::uint64_t df = snapshot.document_frequency(std::string(q.term));
    if (df == 0) continue;
    Term& term = terms_.emplace_back(Term{q.term, q.count, df, scorer_.idf(df), 0.0, {}});
    term.weight = static_cast<double>(q.count) * term.idf;
    base_ += term.weight * scorer_.absent();
    for (std::size_t f = 0; f < snapshot.field_count(); ++f) {
      std::vector<std::uint32_t>& numbers = term.numbers.emplace_back();
      for (const SegmentView& view : snapshot.field(f).segments()) {
        numbers.push_back(view.segment->find_term(q.term, q.hash).value_or(kAbsent));
      }
    }
  }
}

float BoundFieldQuery::score_row(const RowLocation& at) const {
  double sum = 0.0;
  bool found = false;
  for (const Term& term : terms_) {
    double x = 0.0;
    for (std::size_t f = 0; f < fields_.size(); ++f) {
      const std::uint32_t number = term.numbers[f][at.segment];
      if (number == kAbsent) continue;
      const Segment& segment = *snapshot_->field(f).segments()[at.segment].segment;
      const std::uint32_t tf = term_frequency(segment, number, at.row);
      if (tf != 0) x += frequency(f, tf, segment.length(at.row));
    }
    if (x == 0.0) continue;
    found = true;
    sum += term.weight * scorer_.gain_of(x);
  }
  return found ? score(sum) : 0.0F;
}

void BoundFieldQuery::sum_gains(std::uint32_t number, std::span<const RowIndex> rows, std::span<double> sums) const {
  thread_local std::vector<double> frequencies;
  std::fill(sums.begin(), sums.end(), kUntouched);
  for (const Term& term : terms_) {
    frequencies.assign(rows.size(), 0.0);
    for (std::size_t f = 0; f < fields_.size(); ++f) {
      if (term.numbers[f][number] == kAbsent) continue;
      const Segment& segment = *snapshot_->field(f).segments()[number].segment;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::uint32_t tf = term_frequency(segment, term.numbers[f][number], rows[i]);
        if (tf != 0) frequencies[i] += frequency(f, tf, segment.length(rows[i]));
      }
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (frequencies[i] != 0.0) sums[i] += term.weight * scorer_.gain_of(frequencies[i]);
    }
  }
}

std::vector<Hit> search_fields(const BoundFieldQuery& query, std::size_t k, const RowFilter* filter) {
  thread_local Accumulators accumulators;
  TopKBuffer top(k);
  const std::vector<SegmentView>& segments = query.snapshot().field(0).segments();
  for (std::size_t s = 0; s < segments.size(); ++s) {
    const Bitset* allowed = nullptr;
    if (filter != nullptr) {
      if (filter->allowed_counts[s] == 0) continue;
      allowed = &filter->allowed[s];
    } else if (segments[s].tombstones) {
      allowed = &segments[s].tombstones->live();
    }
    accumulators.reserve(segments[s].segment->row_count());
    SegmentFieldSearch search(query, s, accumulators);
    try {
      search.accumulate();
      search.offer(allowed, top);
    } catch (...) {
      accumulators = {};  // a row may be touched that no list has
      throw;
    }
    search.clear();
  }
  return top.take_sorted();
}

std::vector<std::vector<Hit>> search_fields_batch(const FieldSnapshot& snapshot, const Parameters& parameters,
                                                  std::span<const FieldParameters> fields, std::span<const Query> queries,
                                                  std::size_t k, std::span<const RowFilter> filters) {
  std::vector<std::vector<Hit>> results(queries.size());
  parallel::parallel_for(queries.size(), [&](std::size_t q, std::size_t) {
    const BoundFieldQuery query(snapshot, parameters, fields, queries[q]);
    results[q] = search_fields(query, k, filters.empty() ? nullptr : &filters[filters.size() == 1 ? 0 : q]);
  });
  return results;
}

FieldExplanation explain_fields(const BoundFieldQuery& bound, const Query& query, const RowLocation& at) {
  const FieldSnapshot& snapshot = bound.snapshot();
  FieldExplanation result{bound.score_row(at), snapshot.field(0).statistics().document_count, {}, {}, {}};
  for (std::size_t f = 0; f < snapshot.field_count(); ++f) {
    result.lengths.push_back(snapshot.field(f).segments()[at.segment].segment->length(at.row));
    result.average_lengths.push_back(bound.average_length(f));
  }
  bool any_found = false;
  double gains = 0.0;
  auto next = bound.terms().begin();  // the bound terms are the query's without those that no document has
  for (const QueryTerm& q : query) {
    FieldTermExplanation& e = result.terms.emplace_back(FieldTermExplanation{q.term, q.count, 0, 0.0, 0.0, {}});
    for (const std::uint32_t length : result.lengths) e.fields.push_back({0, length, 0.0, 0.0});
    if (next == bound.terms().end() || next->term != q.term) continue;
    const BoundFieldQuery::Term& term = *next++;
    e.df = term.document_frequency;
    e.idf = term.idf;
    e.contribution = term.weight * bound.scorer().absent();
    double x = 0.0;
    for (std::size_t f = 0; f < e.fields.size(); ++f) {
      const std::uint32_t number = term.numbers[f][at.segment];
      if (number == BoundFieldQuery::kAbsent) continue;
      e.fields[f].tf = term_frequency(*snapshot.field(f).segments()[at.segment].segment, number, at.row);
      if (e.fields[f].tf == 0) continue;
      e.fields[f].frequency = bound.frequency(f, e.fields[f].tf, e.fields[f].length);
      x += e.fields[f].frequency;
    }
    if (x == 0.0) continue;
    any_found = true;
    const double gain = term.weight * bound.scorer().gain_of(x);
    e.contribution += gain;
    gains += gain;
  }
  std::vector<double*> parts;
  for (FieldTermExplanation& e : result.terms) {
    if (!any_found) e.contribution = 0.0;
    parts.push_back(&e.contribution);
  }
  if (any_found) settle_parts(parts, bound.base() + gains);
  for (FieldTermExplanation& e : result.terms) {
    double x = 0.0;
    for (const FieldContribution& field : e.fields) x += field.frequency;
    if (x == 0.0) continue;
    std::vector<double*> shares;
    for (FieldContribution& field : e.fields) {
      field.contribution = e.contribution * (field.frequency / x);
      shares.push_back(&field.contribution);
    }
    settle_parts(shares, e.contribution);
  }
  return result;
}

}  // namespace sightline::lexical
