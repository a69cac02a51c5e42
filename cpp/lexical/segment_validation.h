// Checks the arrays of a segment that came from a file. A function without state.
#pragma once

#include "lexical/segment.h"

namespace sightline::lexical {

// The first invariant of segment.h that does not hold, in words; null if all hold. Reads nothing out of bounds whatever
// the content, given that the sizes agree: lengths with ids, the three kinds of offsets with
// terms, codes with offsets, large frequencies with their positions. O(size), in parallel.
const char* broken_invariant(const SegmentArrays& arrays);

}  // namespace sightline::lexical
