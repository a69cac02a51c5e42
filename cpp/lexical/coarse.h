// Coarse-to-exact search: sums of upper bounds in 16 bits, then exact scores of the few documents that can be among the best.
//
// The gains of a term's 256 codes become 256 integers, rounded up, on one scale for all terms and segments such that no sum
// exceeds 16 bits. A window of 16,384 documents is then 32 KB of sums, which stay in the first-level cache while the
// postings of all terms are added. With U the integer sum of a document and S the scale, its gains are at most U / S. So the
// documents are kept whose U comes near the k-th greatest, and the best of them scored exactly; what was passed over is
// proved not to matter by the k-th exact score, or else the search runs again with the limit which that score gives. Windows
// whose greatest possible sum is below the limit are skipped, and the commonest terms are looked up for the few documents
// that the other terms bring near it (MaxScore). The result has the bits of exhaustive search.
//
// Source: the certified two-pass scan of the dense engine, over impact-quantised postings (Anh, de Kretser, Moffat,
// "Vector-space ranking with effective early termination", 2001); windows skipped by maxima after Ding, Suel, "Faster
// top-k document retrieval using block-max indexes", 2011, and terms left out after Turtle, Flood, "Query evaluation:
// strategies and optimizations", 1995. Safe from any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "lexical/search.h"

namespace sightline::lexical {

// As search() in search.h; nothing if the query's weights leave the range in which the integers are bounds, or if so many
// documents tie for the k-th place, or nearly, that exhaustive search costs less.
// O(postings of the terms + rows / 32 + survivors * terms * log postings). Each thread that ever searched keeps 32 KB of sums,
// and buffers of about 1 MB at the most (recycled.h).
std::optional<std::vector<Hit>> search_coarsely(const BoundQuery& query, std::size_t k, const RowFilter* filter,
                                                const GainTables& tables);

}  // namespace sightline::lexical
