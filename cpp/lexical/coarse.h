// Coarse-to-exact search: sums of upper bounds in 16 bits, then exact scores of the few documents that can be among the best.
//
// The gains of a term's 256 codes become 256 integers, rounded up, on one scale for all terms and segments such that no sum
// exceeds 16 bits. A window of 16,384 documents is then 32 KB of sums, which stay in the first-level cache while the
// postings of all terms are added. With U the integer sum of a document and S the scale,
//     score's gains <= U / S,   and   score's gains >= (U - E) / S,
// E being the sum over terms of the greatest distance between the bounds of a code. So the k-th greatest U, less E, is a
// threshold below which no document can be among the k best; documents above are kept, and in the end scored exactly in
// descending order of U until the next U cannot reach the k-th exact score. Windows whose greatest possible sum is below the
// threshold are skipped. The result has the bits of exhaustive search.
//
// Source: the certified two-pass scan of the dense engine, over impact-quantised postings (Anh, de Kretser, Moffat,
// "Vector-space ranking with effective early termination", 2001); windows skipped by maxima after Ding, Suel, "Faster
// top-k document retrieval using block-max indexes", 2011. Safe from any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "lexical/search.h"

namespace sightline::lexical {

// As search() in search.h; nothing if the query's weights leave the range in which the integers are bounds.
// O(postings of the terms + rows / 32 + survivors * terms * log postings); 32 KB of memory for each thread that ever searched.
std::optional<std::vector<Hit>> search_coarsely(const BoundQuery& query, std::size_t k, const RowFilter* filter,
                                                const GainTables& tables);

}  // namespace sightline::lexical
