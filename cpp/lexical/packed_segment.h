// The packed form of a segment (segment.h): made from the scan form, and checked when it comes from a file. Functions
// without state.
#pragma once

#include "lexical/segment.h"

namespace sightline::lexical {

// The same segment, packed. O(postings). Precondition: scan form, not weighted.
SegmentData pack_segment(SegmentData segment);

// What a segment is made from `data` (of scan form) to be.
std::shared_ptr<const Segment> make_segment(SegmentData data, PostingForm form);

// The first invariant of segment.h that does not hold, in words; null if all hold. Reads nothing out of bounds whatever the
// content. O(size), in parallel.
const char* broken_packed(const SegmentArrays& arrays);

}  // namespace sightline::lexical
