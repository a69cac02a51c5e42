// Fills in what each posting window says of its postings. A function without state.
#pragma once

#include "lexical/segment.h"

namespace sightline::lexical {

// Sets max_tf and min_length of every window; all else must be in place. O(postings).
void bound_windows(SegmentData& data);

}  // namespace sightline::lexical
