// What fused search is about: the score, its order, and the two engines over the same documents. Values without behaviour.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/types.h"
#include "dense/search.h"
#include "dense/snapshot.h"
#include "hybrid/words.h"
#include "lexical/search.h"

namespace sightline::hybrid {

// A document without a vector has the dense score 0, one without a query term the lexical score 0. Lexical scores are never
// negative (lexical/scoring.h).
struct Convex {
  double alpha;  // in [0, 1]
  double scale;  // above 0

  // The operations of sightline.fusion.Convex.combine in the same order, so that the bits are the same. Each of them is
  // monotone after rounding, too, so a bound of an argument gives a bound of the result, to the last bit.
  double combine(double dense, double lexical) const noexcept { return alpha * dense + (1.0 - alpha) * (lexical / scale); }
};

struct FusedHit {
  double score;
  DocId id;
  float dense;  // NaN without a vector
  float lexical;
};

inline bool ranks_before(const FusedHit& a, const FusedHit& b) noexcept {
  return a.score > b.score || (a.score == b.score && a.id < b.id);
}

// Snapshots of both engines, whose ids name the same documents. They must outlive what uses them.
struct Engines {
  const dense::Snapshot& dense;
  const Words& lexical;
};

// Queries of one batch: vectors row-major (count, dim), and the terms of each.
struct Queries {
  const float* vectors;
  std::span<const lexical::Query> terms;
  std::size_t count() const noexcept { return terms.size(); }
};

}  // namespace sightline::hybrid
