// What a score is made of. Pure functions, safe from any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "lexical/scoring.h"
#include "lexical/search.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {

struct TermExplanation {
  std::string_view term;
  std::uint32_t query_count;
  std::uint32_t tf;
  std::uint64_t df;
  double idf;           // 0 if no document has the term
  double contribution;  // query_count * idf * (gain + absent): what the term adds to the score, see below
};

struct Explanation {
  // The sum of the contributions, in order, rounded once; 0 if the document has no query term. Where a search adds in
  // another order (bm25l, bm25+), the last contribution holds the difference, which is in the 16th digit.
  float score;
  std::uint32_t length;
  double average_length;
  std::uint64_t document_count;
  std::vector<TermExplanation> terms;  // every distinct query term, in query order
};

Explanation explain(const Snapshot& snapshot, const Parameters& parameters, const Query& query, const RowLocation& at);

}  // namespace sightline::lexical
