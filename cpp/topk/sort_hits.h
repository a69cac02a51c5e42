// Sorts hits into the library's order: score descending, then id ascending. A function without state.
#pragma once

#include <vector>

#include "core/types.h"

namespace sightline {

// As std::sort with ranks_before() does, about three times as fast for hundreds of hits, six times for a hundred: scores become
// integers, which are merged without a branch on them, or all compared with each other where they are few. O(n log n), and
// O(n^2) up to 256 hits; fastest where hits of one score come in the order of their ids. Precondition: no score is NaN; fewer than 2^32 hits.
void sort_hits(std::vector<Hit>& hits);

}  // namespace sightline
