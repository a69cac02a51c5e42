// Postings as (row, term frequency, length), whatever form a segment keeps them in. For code that reads whole lists or
// single documents; the searches of one field read the form itself. Functions without state, safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "lexical/segment.h"

namespace sightline::lexical {

// Calls visit(row, tf) for each posting of a term, rows ascending, removed ones included.
template <typename Visit>
void for_each_posting(const Segment& segment, std::uint32_t term, const Visit& visit) {
  const Postings postings = segment.postings(term);
  postings.for_each([&](RowIndex row, const FoundPosting& posting) { visit(row, segment.tf(posting)); });
}

// How often a document has a term; 0 if it has not.
inline std::uint32_t term_frequency(const Segment& segment, std::uint32_t term, RowIndex row) {
  const Postings postings = segment.postings(term);
  const std::optional<FoundPosting> found = postings.find(row);
  return found ? segment.tf(*found) : 0;
}

}  // namespace sightline::lexical
