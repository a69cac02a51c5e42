#include "lexical/merge_policy.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "lexical/packed_segment.h"
#include "lexical/segment_builder.h"

namespace sightline::lexical {
namespace {

constexpr std::size_t kRemovedShareToRewrite = 4;  // a quarter

SegmentView merged(std::span<const SegmentView> inputs, PostingForm form) {
  SegmentData data = merge_segments(inputs);
  // Indexes with and without positions are not joined above this layer; were they, the order of words is not to be had.
  const auto has_tokens = [](const SegmentView& view) { return view.segment->arrays().tokens.present(); };
  if (std::all_of(inputs.begin(), inputs.end(), has_tokens)) data.tokens = merge_tokens(inputs, data.arrays());
  return {make_segment(std::move(data), form), nullptr};
}

int tier(const SegmentView& view) { return (std::bit_width(view.live_count()) - 1) / 2; }

bool mostly_kept(const SegmentView& view) {
  return !view.tombstones || view.tombstones->removed_count() * kRemovedShareToRewrite < view.segment->row_count();
}

// The members of the lowest tier that is full, as positions in `views`; empty if none is.
std::vector<std::size_t> full_tier(const std::vector<SegmentView>& views) {
  std::map<int, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!views[i].attached) members[tier(views[i])].push_back(i);
  }
  for (auto& [level, positions] : members) {
    if (positions.size() < kTierFactor) continue;
    std::size_t rows = 0;
    for (const std::size_t i : positions) rows += views[i].live_count();
    if (rows <= kMaxMergedRows) return positions;
  }
  return {};
}

}  // namespace

std::vector<SegmentView> merge_new_segments(std::vector<SegmentData> segments, PostingForm form) {
  std::erase_if(segments, [](const SegmentData& data) { return data.ids.empty(); });
  std::vector<SegmentView> views;
  // Parts of one segment are merged as they are and only the whole is packed.
  const PostingForm part_form = segments.size() == 1 ? form : PostingForm::kScan;
  for (SegmentData& data : segments) views.push_back({make_segment(std::move(data), part_form), nullptr});
  return merge_all(views, form);
}

std::vector<SegmentView> merge_all(const std::vector<SegmentView>& views, PostingForm form) {
  std::vector<SegmentView> result;
  std::vector<SegmentView> group;
  std::size_t group_rows = 0;
  const auto close_group = [&] {
    if (group.empty()) return;
    if (group.size() == 1 && !group.front().tombstones && group.front().segment->form() == form) {
      result.push_back({group.front().segment, nullptr});
    } else {
      result.push_back(merged(group, form));
    }
    group.clear();
    group_rows = 0;
  };
  for (const SegmentView& view : views) {
    if (group_rows + view.live_count() > kMaxMergedRows) close_group();
    group.push_back(view);
    group_rows += view.live_count();
  }
  close_group();
  return result;
}

void settle(std::vector<SegmentView>& views, PostingForm form) {
  std::erase_if(views, [](const SegmentView& view) { return view.live_count() == 0; });
  for (std::vector<std::size_t> positions; !(positions = full_tier(views)).empty();) {
    std::vector<SegmentView> inputs;
    for (const std::size_t i : positions) inputs.push_back(views[i]);
    for (auto i = positions.rbegin(); i != positions.rend(); ++i) {
      views.erase(views.begin() + static_cast<std::ptrdiff_t>(*i));
    }
    views.push_back(merged(inputs, form));
  }
  for (SegmentView& view : views) {
    if (!view.attached && !mostly_kept(view)) view = merged({&view, 1}, form);
  }
}

}  // namespace sightline::lexical
