#include "lexical/merge_policy.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "lexical/segment_builder.h"

namespace sightline::lexical {
namespace {

constexpr std::size_t kRemovedShareToRewrite = 4;  // a quarter

SegmentView merged(std::span<const SegmentView> inputs) {
  SegmentData data = merge_segments(inputs);
  // Indexes with and without positions are not joined above this layer; were they, the order of words is not to be had.
  const auto has_tokens = [](const SegmentView& view) { return view.segment->arrays().tokens.present(); };
  if (std::all_of(inputs.begin(), inputs.end(), has_tokens)) data.tokens = merge_tokens(inputs, data.arrays());
  return {std::make_shared<const Segment>(std::move(data)), nullptr};
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

std::vector<SegmentView> merge_new_segments(std::vector<SegmentData> segments) {
  std::vector<SegmentView> views;
  for (SegmentData& data : segments) {
    if (!data.ids.empty()) views.push_back({std::make_shared<const Segment>(std::move(data)), nullptr});
  }
  return merge_all(views);
}

std::vector<SegmentView> merge_all(const std::vector<SegmentView>& views) {
  std::vector<SegmentView> result;
  std::vector<SegmentView> group;
  std::size_t group_rows = 0;
  const auto close_group = [&] {
    if (group.empty()) return;
    if (group.size() == 1 && !group.front().tombstones) {
      result.push_back({group.front().segment, nullptr});
    } else {
      result.push_back(merged(group));
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

void settle(std::vector<SegmentView>& views) {
  std::erase_if(views, [](const SegmentView& view) { return view.live_count() == 0; });
  for (std::vector<std::size_t> positions; !(positions = full_tier(views)).empty();) {
    std::vector<SegmentView> inputs;
    for (const std::size_t i : positions) inputs.push_back(views[i]);
    for (auto i = positions.rbegin(); i != positions.rend(); ++i) {
      views.erase(views.begin() + static_cast<std::ptrdiff_t>(*i));
    }
    views.push_back(merged(inputs));
  }
  for (SegmentView& view : views) {
    if (!view.attached && !mostly_kept(view)) view = merged({&view, 1});
  }
}

}  // namespace sightline::lexical
