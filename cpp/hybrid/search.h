// Fused search of both engines over their snapshots: the answer that fusing all scores of all documents would give, ties by
// ascending id, to the last bit.
//
// Thread safety: all functions may run concurrently on the same snapshots. Results do not depend on the kernel table, the
// number of threads, the batch or the history of the index.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/types.h"
#include "dense/search.h"
#include "hybrid/convex.h"
#include "lexical/row_filter.h"

namespace sightline::hybrid {

// The rows that a filter allows, the same documents in both engines; null for all.
struct Filters {
  const dense::RowFilter* dense = nullptr;
  const lexical::RowFilter* lexical = nullptr;
};

// The k best documents of each query, best first, that have a vector or a term of the query.
// One pass over the dense codes for a batch, beside which the lexical search of a lone query runs; see fused_query.h.
// rows_in_place: is increased as dense::SearchStats::rows_in_place.
// Throws InvalidInputError for a query vector that cannot be searched. Precondition: k >= 1.
std::vector<std::vector<FusedHit>> search(const Engines& engines, const Convex& convex, const Queries& queries, std::size_t k,
                                          const Filters& filters, std::size_t& rows_in_place);

// The same among given documents, ids ascending, each scored by random access: for few of them.
// O(ids * (dim + terms * log postings)) a query.
std::vector<std::vector<FusedHit>> search_among(const Engines& engines, const Convex& convex, const Queries& queries, std::size_t k,
                                                std::span<const DocId> ids);

}  // namespace sightline::hybrid
