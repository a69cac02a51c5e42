// Lexical scores of given documents by random access.
#pragma once

#include <span>
#include <vector>

#include "core/types.h"
#include "hybrid/words.h"
#include "lexical/search.h"

namespace sightline::hybrid {

// Scratch memory of look-ups; one owner, not synchronised.
class Lookup {
 public:
  // Sums of gains, aligned with the ids: kUntouched for a document that has no term of the query, or is not there.
  // WordQuery::score() makes one a score. ids: ascending. O(ids * (segments + terms * log postings)).
  // The result is valid until the next call.
  std::span<const double> sums(const WordQuery& query, std::span<const DocId> ids);

 private:
  struct Place {
    lexical::RowLocation at;
    std::size_t position;
  };
  std::vector<Place> places_;
  std::vector<RowIndex> rows_;
  std::vector<double> found_;
  std::vector<double> sums_;
};

inline float lexical_score(const WordQuery& query, double sum) noexcept {
  return lexical::is_untouched(sum) ? 0.0F : query.score(sum);
}

}  // namespace sightline::hybrid
