// BM25F: one score from the frequencies of a term in several fields.
//
//   x(t, d)     = sum over the fields f in which d has t, in field order, of weight_f * tf_f / (1 - b_f + b_f * len_f / avglen_f)
//   score(q, d) = round_to_float( base + sum over the distinct terms t of q that d has, in query order, of w(t) * gain(x(t, d)) )
//
// with w, gain, base and the variants of scoring.h; the df of idf counts the live documents that have the term in any field,
// avglen_f is over all live documents, those without the field included. With one field of weight 1 it is BM25 but for
// rounding. Every input is an integer of the live collection or a parameter and the order of operations is fixed, so scores do
// not depend on segments or history. Exhaustive: every posting of the terms is read. Safe from any thread.
//
// Source: Robertson, Zaragoza, Taylor, "Simple BM25 extension to multiple weighted fields", 2004; Zaragoza et al.,
// "Microsoft Cambridge at TREC-13", 2004 (length normalisation by field).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "lexical/field_index.h"
#include "lexical/row_filter.h"
#include "lexical/scoring.h"
#include "lexical/search.h"

namespace sightline::lexical {

inline constexpr double kMinWeight = 1e-6;  // so that no share of a field is lost to rounding

struct FieldParameters {
  double weight = 1.0;  // in [kMinWeight, kMaxParameter]
  double b = 0.75;      // in [0, 1]
  bool valid() const noexcept { return weight >= kMinWeight && weight <= kMaxParameter && b >= 0 && b <= 1; }
};

// A query against one snapshot. Borrows the snapshot and the query's terms.
class BoundFieldQuery {
 public:
  static constexpr std::uint32_t kAbsent = 0xFFFFFFFF;
  struct Term {
    std::string_view term;
    std::uint32_t count;
    std::uint64_t document_frequency;
    double idf;
    double weight;                                    // count * idf
    std::vector<std::vector<std::uint32_t>> numbers;  // by field, by segment: its number there, or kAbsent
  };

  // Precondition: as many fields as the snapshot has; parameters.b is not used.
  BoundFieldQuery(const FieldSnapshot& snapshot, const Parameters& parameters, std::span<const FieldParameters> fields,
                  const Query& query);

  const FieldSnapshot& snapshot() const noexcept { return *snapshot_; }
  const Scorer& scorer() const noexcept { return scorer_; }
  const std::vector<Term>& terms() const noexcept { return terms_; }  // those that a live document has
  double base() const noexcept { return base_; }
  double average_length(std::size_t field) const noexcept { return average_lengths_[field]; }

  // What a field adds to x. Precondition: 1 <= tf <= length.
  double frequency(std::size_t field, std::uint32_t tf, std::uint32_t length) const noexcept {
    const FieldParameters& p = fields_[field];
    return p.weight * static_cast<double>(tf) / (1.0 - p.b + p.b * static_cast<double>(length) / average_lengths_[field]);
  }

  // The one rounding of a score.
  float score(double gains) const noexcept { return static_cast<float>(base_ + gains); }
  // The score of one document: 0 if it has none of the terms. O(terms * fields * log postings).
  float score_row(const RowLocation& at) const;
  // As BoundQuery::sum_gains. O(rows * terms * fields * log postings).
  void sum_gains(std::uint32_t segment, std::span<const RowIndex> rows, std::span<double> sums) const;

 private:
  const FieldSnapshot* snapshot_;
  Scorer scorer_;
  std::vector<FieldParameters> fields_;
  std::vector<double> average_lengths_;
  std::vector<Term> terms_;
  double base_ = 0.0;
};

// The k best documents that have a term of the query, best first. `filter` may be null. O(postings of the terms); each
// thread that ever searched keeps 16 bytes for each row of the largest segment.
std::vector<Hit> search_fields(const BoundFieldQuery& query, std::size_t k, const RowFilter* filter);

// Several queries in the thread pool. `filters` is empty, or one for all, or one for each query.
std::vector<std::vector<Hit>> search_fields_batch(const FieldSnapshot& snapshot, const Parameters& parameters,
                                                  std::span<const FieldParameters> fields, std::span<const Query> queries,
                                                  std::size_t k, std::span<const RowFilter> filters);

struct FieldContribution {
  std::uint32_t tf;
  std::uint32_t length;
  double frequency;     // what the field adds to x
  double contribution;  // its share of the term's contribution, in proportion to that
};

struct FieldTermExplanation {
  std::string_view term;
  std::uint32_t query_count;
  std::uint64_t df;
  double idf;
  double contribution;
  std::vector<FieldContribution> fields;  // of every field
};

struct FieldExplanation {
  float score;  // the sum of the contributions, in order, rounded once; 0 if the document has no query term
  std::uint64_t document_count;
  std::vector<std::uint32_t> lengths;  // of every field
  std::vector<double> average_lengths;
  std::vector<FieldTermExplanation> terms;  // every distinct query term, in query order
};

// The contributions of the fields add up, in order, to their term's exactly (bm25l and bm25+ give a term that the document
// lacks a contribution that belongs to no field). Rounding is in the last ones, see exact_parts.h.
FieldExplanation explain_fields(const BoundFieldQuery& bound, const Query& query, const RowLocation& at);

}  // namespace sightline::lexical
