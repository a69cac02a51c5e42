// Queries of text and what restricts them, for BM25Index with and without fields. Call with the GIL held, unless a function
// says otherwise.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "bindings/lexical_common.h"
#include "core/types.h"
#include "lexical/analyzer.h"
#include "lexical/clauses.h"
#include "lexical/row_filter.h"
#include "lexical/scoring.h"
#include "lexical/search.h"
#include "lexical/snapshot.h"

namespace sightline::bindings {

namespace py = pybind11;

using FieldSpan = std::span<const lexical::Snapshot* const>;  // the snapshots of all fields, one for an index without

lexical::Parameters make_parameters(std::uint32_t variant, double k1, double b, double delta);

// Queries analyzed together. The terms of the queries point into `documents`.
struct AnalyzedQueries {
  lexical::AnalyzedDocuments documents;
  std::vector<lexical::Query> queries;
};

// The result must not be moved while its queries are used; hence a pointer.
std::unique_ptr<AnalyzedQueries> analyze_queries(const lexical::Analyzer* analyzer, const py::list& list);

// Masks and clauses of a batch of queries. Borrows the masks.
class Restrictions {
 public:
  // masks: none, one for all queries or one for each; each a bool or an int64 vector. clauses: none, or for each query a
  // list of (terms, phrase, excluded). Throws InvalidInputError for another number of masks.
  Restrictions(const std::vector<py::array>& masks, const py::list& clauses, std::size_t query_count);

  // No filter, one for all queries or one for each. Call without the GIL, if wanted.
  std::vector<lexical::RowFilter> filters(FieldSpan fields) const;

 private:
  std::vector<MaskView> masks_;
  std::vector<std::vector<lexical::Clause>> clauses_;  // empty, or one for each query
};

// Whether the first of the filters, if there is one, allows a row.
bool allows(const std::vector<lexical::RowFilter>& filters, const lexical::RowLocation& at);

// The ids of the documents that meet the clauses, a list as for one query of Restrictions, ascending.
py::array_t<DocId> matching_ids(FieldSpan fields, const py::list& clauses);

}  // namespace sightline::bindings
