// Which segments to merge. Functions without state.
#pragma once

#include <vector>

#include "lexical/segment.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {

// Segments larger than this are merged no further: the gain for searches is small and a merge takes seconds.
inline constexpr std::size_t kMaxMergedRows = std::size_t{1} << 22;
inline constexpr std::size_t kTierFactor = 4;

// Every segment that one of these functions makes has the form.

// The segments of one call to add, in scan form, as few as kMaxMergedRows allows.
std::vector<SegmentView> merge_new_segments(std::vector<SegmentData> segments, PostingForm form);

// All live rows in segments of this form of up to kMaxMergedRows, without the removed ones.
std::vector<SegmentView> merge_all(const std::vector<SegmentView>& views, PostingForm form);

// Merges until no tier (live rows in [4^i, 4^(i+1))) has four members, and rewrites segments with a quarter of their rows removed.
// Attached segments are left alone.
void settle(std::vector<SegmentView>& views, PostingForm form);

}  // namespace sightline::lexical
