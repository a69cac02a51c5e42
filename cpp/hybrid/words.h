// The lexical side of a fused search: BM25 over one text a document, or BM25F over fields, as one interface. A virtual call
// is one of a query, or of a segment's rows, never of a row.
//
// Thread safety: all const functions may run concurrently. What is passed to a constructor must outlive the object, and a
// query what it was bound by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/types.h"
#include "lexical/field_search.h"
#include "lexical/row_filter.h"
#include "lexical/scoring.h"
#include "lexical/search.h"
#include "lexical/snapshot.h"

namespace sightline::hybrid {

// A query bound to a state of the lexical engine.
class WordQuery {
 public:
  virtual ~WordQuery() = default;

  // Which documents there are, and where.
  const lexical::Snapshot& rows() const noexcept { return *rows_; }
  // Whether no document has a term of it.
  bool empty() const noexcept { return empty_; }
  // The one rounding of a score, as in lexical::BoundQuery.
  float score(double gains) const noexcept { return static_cast<float>(base_ + gains); }

  virtual std::vector<Hit> search(std::size_t k, const lexical::RowFilter* filter) const = 0;
  // As lexical::BoundQuery::sum_gains.
  virtual void sum_gains(std::uint32_t segment, std::span<const RowIndex> rows, std::span<double> sums) const = 0;

 protected:
  WordQuery(const lexical::Snapshot& rows, double base, bool empty) noexcept : rows_(&rows), base_(base), empty_(empty) {}

 private:
  const lexical::Snapshot* rows_;
  double base_;
  bool empty_;
};

// A state of the lexical engine and how it scores.
class Words {
 public:
  virtual ~Words() = default;
  virtual const lexical::Snapshot& rows() const noexcept = 0;
  virtual std::unique_ptr<const WordQuery> bind(const lexical::Query& terms) const = 0;
};

class TextWords final : public Words {
 public:
  TextWords(const lexical::Snapshot& snapshot, const lexical::Parameters& parameters) noexcept
      : snapshot_(&snapshot), parameters_(parameters) {}
  const lexical::Snapshot& rows() const noexcept override { return *snapshot_; }
  std::unique_ptr<const WordQuery> bind(const lexical::Query& terms) const override;

 private:
  const lexical::Snapshot* snapshot_;
  lexical::Parameters parameters_;
};

class FieldWords final : public Words {
 public:
  // Precondition: as many fields as the snapshot has.
  FieldWords(const lexical::FieldSnapshot& snapshot, const lexical::Parameters& parameters,
             std::span<const lexical::FieldParameters> fields)
      : snapshot_(&snapshot), parameters_(parameters), fields_(fields.begin(), fields.end()) {}
  const lexical::Snapshot& rows() const noexcept override { return snapshot_->field(0); }
  std::unique_ptr<const WordQuery> bind(const lexical::Query& terms) const override;

 private:
  const lexical::FieldSnapshot* snapshot_;
  lexical::Parameters parameters_;
  std::vector<lexical::FieldParameters> fields_;
};

}  // namespace sightline::hybrid
