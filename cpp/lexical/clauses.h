// What a document must have and must not have, besides what it is ranked by: the words and phrases of a query. Functions
// without state, safe from any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lexical/row_filter.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {

// Met by a document that has every one of the terms, in whatever field; a phrase's side by side, in one field.
struct Clause {
  std::vector<std::string> terms;  // at least one
  bool phrase = false;
  bool excluded = false;           // the documents that meet the clause are left out, the others stay
};

// The rows that meet all clauses. `fields`, at least one, have the same segments. `within` may be null: every live row.
// O(postings of the terms + rows), and the tokens of the documents that have all terms of a phrase.
// Throws InvalidInputError for a phrase of several terms if the index has no tokens.
RowFilter filter_from_clauses(std::span<const Snapshot* const> fields, std::span<const Clause> clauses, const RowFilter* within);

}  // namespace sightline::lexical
