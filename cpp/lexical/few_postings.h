// Exact search for queries with few postings: a table of the documents met, in place of an array of all rows. Term at a time,
// so a sum has the bits of exhaustive search. Safe from any thread.
//
// A query of rare words has fewer postings than the coarse search has steps before its first one; what costs is what cannot
// be predicted, so the k best are chosen by a histogram of the scores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lexical/search.h"

namespace sightline::lexical {

inline constexpr std::uint64_t kMostFewPostings = 16384;

// As search() in search.h. Precondition: query.posting_count() <= kMostFewPostings.
// O(postings of the terms + k log k) where scores are spread, O(p log p) for p postings whose scores are nearly equal; at most
// 2 MB of memory for each thread that ever searched.
std::vector<Hit> search_few_postings(const BoundQuery& query, std::size_t k, const RowFilter* filter);

}  // namespace sightline::lexical
