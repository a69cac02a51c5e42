#include "lexical/window_bounds.h"

#include <algorithm>
#include <limits>

namespace sightline::lexical {

void bound_windows(SegmentData& data) {
  if (!data.values.empty()) {
    for (PostingWindow& window : data.windows) {
      window.max_tf = kUnboundedTf;
      window.min_length = 0;
    }
    return;
  }
  const CodeRanges ranges = code_ranges(data.code_map.view(), kUnboundedTf);
  for (std::size_t t = 0; t + 1 < data.posting_offsets.size(); ++t) {
    std::uint64_t position = data.posting_offsets[t];
    for (std::uint32_t w = data.window_offsets[t]; w < data.window_offsets[t + 1]; ++w) {
      PostingWindow& window = data.windows[w];
      const std::uint64_t end = data.posting_offsets[t] + window.end;
      std::uint32_t max_tf = 0;
      std::uint32_t min_length = std::numeric_limits<std::uint32_t>::max();
      // The classes of the lengths are near enough; the lengths themselves would be read at random.
      for (; position < end; ++position) {
        const CodeRange& range = ranges[data.codes[position]];
        max_tf = std::max(max_tf, range.tf_high);
        min_length = std::min(min_length, range.min_length);
      }
      window.max_tf = static_cast<std::uint8_t>(std::min<std::uint32_t>(max_tf, kUnboundedTf));
      window.min_length = pack_length(min_length);
    }
  }
}

}  // namespace sightline::lexical
