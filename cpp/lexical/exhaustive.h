// Exhaustive search, term at a time: the postings of each query term are added into a dense accumulator, window by window.
// Exact by construction; the reference for the search that prunes. Safe from any thread.
#pragma once

#include <cstddef>
#include <vector>

#include "lexical/search.h"

namespace sightline::lexical {

// As search() in search.h. `tables` may be null: gains are then computed as they are met.
// O(postings of the terms); 128 KB of memory for each thread that ever searched.
std::vector<Hit> search_exhaustively(const BoundQuery& query, std::size_t k, const RowFilter* filter, const GainTables* tables);

}  // namespace sightline::lexical
