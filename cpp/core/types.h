// Value types that every layer shares. Trivially copyable, no invariants beyond those stated.
#pragma once

#include <cstdint>
#include <limits>

namespace sightline {

using DocId = std::int64_t;     // chosen by the caller or the next free integer; never negative
using RowIndex = std::uint32_t; // position inside one segment

inline constexpr DocId kNoId = -1;  // pads result rows that have fewer than k hits
inline constexpr float kNoScore = -std::numeric_limits<float>::infinity();

struct Hit {
  float score;
  DocId id;
};

// The one order of results in the whole library: score descending, then id ascending.
// A strict weak order because no score is ever NaN.
inline bool ranks_before(const Hit& a, const Hit& b) noexcept {
  return a.score > b.score || (a.score == b.score && a.id < b.id);
}

}  // namespace sightline
