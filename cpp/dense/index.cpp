#include "dense/index.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <string>

#include "core/error.h"

namespace sightline::dense {
namespace {

// Segments of at least this many bytes of vectors are not merged: copying them would cost more than a search saves, and
// would double the memory for as long as it takes.
constexpr std::size_t kMergeLimitBytes = std::size_t{256} << 20;
constexpr std::size_t kMergeFanIn = 4;

// Segments of up to 64 rows share the lowest tier; each further tier is four times larger.
int tier_of(std::size_t rows) { return rows <= 64 ? 0 : (std::bit_width((rows - 1) / 64) + 1) / 2; }

// Copy-on-write: `live` without these rows.
SegmentView without(const SegmentView& view, std::span<const RowIndex> rows) {
  auto live = view.live ? std::make_shared<Bitset>(*view.live) : std::make_shared<Bitset>(view.segment->row_count(), true);
  for (const RowIndex row : rows) live->reset(row);
  const std::size_t count = live->count();
  return {view.segment, std::move(live), count, view.attached};
}

// Kills the given ids wherever they live; returns how many did.
std::size_t kill(std::vector<SegmentView>& segments, std::span<const DocId> ids) {
  std::size_t removed = 0;
  for (SegmentView& view : segments) {
    std::vector<RowIndex> rows;
    for (const DocId id : ids) {
      const std::optional<RowIndex> row = view.segment->find(id);
      if (row && view.is_live(*row)) rows.push_back(*row);
    }
    if (rows.empty()) continue;
    const std::size_t before = view.live_count;
    view = without(view, rows);
    removed += before - view.live_count;
  }
  std::erase_if(segments, [](const SegmentView& view) { return view.live_count == 0; });
  return removed;
}

std::string name_row(std::size_t position) { return "vectors: row " + std::to_string(position); }

}  // namespace

VectorIndex::VectorIndex(Metric metric, std::size_t dim, StoredType type) : metric_(metric), type_(type), dim_(dim) {
  if (dim < 1 || dim > kMaxDimension) {
    throw Error(ErrorKind::kInvalidInput,
                "dim: expected 1 to " + std::to_string(kMaxDimension) + ", got " + std::to_string(dim));
  }
  publish({}, 0);
}

std::shared_ptr<const Snapshot> VectorIndex::snapshot() const {
  std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

std::unique_ptr<VectorIndex> VectorIndex::fork() const {
  auto copy = std::make_unique<VectorIndex>(metric_, dim_, type_);
  copy->snapshot_ = snapshot();
  return copy;
}

void VectorIndex::publish(std::vector<SegmentView> segments, DocId next_id) {
  auto fresh = std::make_shared<const Snapshot>(metric_, dim_, std::move(segments), next_id);
  std::lock_guard lock(snapshot_mutex_);
  snapshot_.swap(fresh);
}

std::vector<DocId> VectorIndex::add_next(const float* vectors, std::size_t count) {
  std::lock_guard lock(write_mutex_);
  const DocId first = snapshot()->next_id();
  if (count > static_cast<std::size_t>(std::numeric_limits<DocId>::max() - first)) {
    throw Error(ErrorKind::kInvalidInput, "ids: after " + std::to_string(first - 1) + " there are no " + std::to_string(count) +
                                              " free ids left; choose ids yourself");
  }
  std::vector<DocId> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  insert(vectors, ids, IfPresent::kFail);
  return ids;
}

void VectorIndex::add(const float* vectors, std::span<const DocId> ids) {
  std::lock_guard lock(write_mutex_);
  insert(vectors, ids, IfPresent::kFail);
}

void VectorIndex::upsert(const float* vectors, std::span<const DocId> ids) {
  std::lock_guard lock(write_mutex_);
  insert(vectors, ids, IfPresent::kReplace);
}

void VectorIndex::insert(const float* vectors, std::span<const DocId> ids, IfPresent if_present) {
  if (ids.empty()) return;
  const std::shared_ptr<const Snapshot> current = snapshot();

  // Rows go in by ascending id; `order` is empty when they come so already.
  std::vector<std::uint32_t> order;
  std::vector<DocId> sorted_ids;
  std::span<const DocId> sorted = ids;
  if (!std::is_sorted(ids.begin(), ids.end())) {
    if (ids.size() > UINT32_MAX) {
      throw Error(ErrorKind::kInvalidInput, "ids: more than 2^32 - 1 unsorted ids in one call; add them in parts");
    }
    order.resize(ids.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return ids[a] < ids[b]; });
    sorted_ids.resize(ids.size());
    std::transform(order.begin(), order.end(), sorted_ids.begin(), [&](std::uint32_t i) { return ids[i]; });
    sorted = sorted_ids;
  }
  if (sorted.front() < 0) {
    throw Error(ErrorKind::kInvalidInput, "ids: expected integers from 0 on, got " + std::to_string(sorted.front()));
  }
  if (sorted.back() == std::numeric_limits<DocId>::max()) {
    throw Error(ErrorKind::kInvalidInput, "ids: " + std::to_string(sorted.back()) + " is too large; the greatest allowed id is one less");
  }
  if (const auto twin = std::adjacent_find(sorted.begin(), sorted.end()); twin != sorted.end()) {
    throw Error(ErrorKind::kDuplicateId, "ids: " + std::to_string(*twin) + " occurs more than once in this call");
  }
  // Ids past every known one need no look-up, which is the common case.
  const bool all_new = sorted.front() >= current->next_id();
  if (!all_new && if_present == IfPresent::kFail) {
    for (const DocId id : sorted) {
      if (current->find(id)) {
        throw Error(ErrorKind::kDuplicateId,
                    "ids: " + std::to_string(id) + " is already in the index; use upsert to replace it");
      }
    }
  }

  const auto position_of = [&](std::size_t i) { return order.empty() ? i : order[i]; };
  std::vector<SegmentView> segments(current->segments().begin(), current->segments().end());
  std::vector<SegmentView> added;
  for (std::size_t first = 0; first < sorted.size(); first += kMaxSegmentRows) {
    const std::size_t count = std::min(kMaxSegmentRows, sorted.size() - first);
    auto segment = Segment::build(
        metric_, type_, dim_, sorted.subspan(first, count),
        [&](std::size_t i) {
          const float* row = vectors + position_of(first + i) * dim_;
          return StoredRow{StoredType::kFloat32, reinterpret_cast<const std::byte*>(row)};
        },
        [&](std::size_t i) { return name_row(position_of(first + i)); });
    added.push_back({std::move(segment), nullptr, count});
  }
  if (!all_new) kill(segments, sorted);
  segments.insert(segments.end(), added.begin(), added.end());
  merge_small(segments);
  publish(std::move(segments), std::max(current->next_id(), sorted.back() + 1));
}

std::size_t VectorIndex::remove(std::span<const DocId> ids) {
  std::lock_guard lock(write_mutex_);
  const std::shared_ptr<const Snapshot> current = snapshot();
  std::vector<DocId> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::vector<SegmentView> segments(current->segments().begin(), current->segments().end());
  const std::size_t removed = kill(segments, sorted);
  if (removed == 0) return 0;
  merge_small(segments);
  publish(std::move(segments), current->next_id());
  return removed;
}

void VectorIndex::attach(const VectorIndex& other) {
  if (other.metric_ != metric_ || other.dim_ != dim_ || other.type_ != type_) {
    throw Error(ErrorKind::kInvalidInput, "other: expected an index of the same metric, dimension and dtype");
  }
  const std::shared_ptr<const Snapshot> theirs = other.snapshot();  // before the lock: other may be this index
  std::lock_guard lock(write_mutex_);
  const std::shared_ptr<const Snapshot> current = snapshot();
  std::vector<SegmentView> segments(current->segments().begin(), current->segments().end());
  for (SegmentView view : theirs->segments()) {
    // Ids past every known one need no look-up, which is the common case.
    const std::span<const DocId> ids = view.segment->ids();
    for (std::size_t row = 0; ids.front() < current->next_id() && row < ids.size(); ++row) {
      if (view.is_live(row) && current->find(ids[row])) {
        throw Error(ErrorKind::kDuplicateId, "other: id " + std::to_string(ids[row]) + " is already in the index");
      }
    }
    view.attached = true;
    segments.push_back(std::move(view));
  }
  publish(std::move(segments), std::max(current->next_id(), theirs->next_id()));
}

void VectorIndex::compact() {
  std::lock_guard lock(write_mutex_);
  const std::shared_ptr<const Snapshot> current = snapshot();
  std::vector<SegmentView> merged;
  std::vector<SegmentView> group;
  std::size_t rows = 0;
  const auto close_group = [&] {
    if (group.size() == 1 && !group[0].live) {
      merged.push_back(group[0]);
      merged.back().attached = false;
    } else if (!group.empty()) {
      merged.push_back(merge(group));
    }
    group.clear();
    rows = 0;
  };
  for (const SegmentView& view : current->segments()) {
    if (rows + view.live_count > kMaxSegmentRows) close_group();
    group.push_back(view);
    rows += view.live_count;
  }
  close_group();
  publish(std::move(merged), current->next_id());
}

SegmentView VectorIndex::merge(std::span<const SegmentView> views) const {
  std::vector<std::pair<DocId, const std::byte*>> rows;
  for (const SegmentView& view : views) {
    for (std::size_t row = 0; row < view.segment->row_count(); ++row) {
      if (view.is_live(row)) rows.emplace_back(view.segment->ids()[row], view.segment->stored_row(row).data);
    }
  }
  std::sort(rows.begin(), rows.end());
  std::vector<DocId> ids(rows.size());
  std::transform(rows.begin(), rows.end(), ids.begin(), [](const auto& row) { return row.first; });
  auto segment = Segment::build(
      metric_, type_, dim_, ids, [&](std::size_t i) { return StoredRow{type_, rows[i].second}; }, name_row);
  return {std::move(segment), nullptr, rows.size()};
}

void VectorIndex::merge_small(std::vector<SegmentView>& segments) const {
  // Four segments below the limit must also fit one segment.
  const std::size_t row_limit =
      std::clamp<std::size_t>(kMergeLimitBytes / (dim_ * stored_bytes(type_)), 64, kMaxSegmentRows / kMergeFanIn);
  for (;;) {
    // A segment that is mostly dead is rewritten on its own; otherwise look for a full tier, the smallest first.
    const auto wasteful = std::find_if(segments.begin(), segments.end(), [](const SegmentView& view) {
      return !view.attached && view.segment->row_count() >= 64 && view.live_count * 2 < view.segment->row_count();
    });
    if (wasteful != segments.end()) {
      *wasteful = merge({&*wasteful, 1});
      continue;
    }
    std::vector<std::vector<std::size_t>> tiers;
    for (std::size_t s = 0; s < segments.size(); ++s) {
      if (segments[s].attached || segments[s].live_count >= row_limit) continue;
      const std::size_t tier = static_cast<std::size_t>(tier_of(segments[s].live_count));
      if (tiers.size() <= tier) tiers.resize(tier + 1);
      tiers[tier].push_back(s);
    }
    const auto full = std::find_if(tiers.begin(), tiers.end(), [](const auto& tier) { return tier.size() >= kMergeFanIn; });
    if (full == tiers.end()) return;
    full->resize(kMergeFanIn);
    std::vector<SegmentView> group;
    for (const std::size_t s : *full) group.push_back(segments[s]);
    SegmentView merged = merge(group);
    for (auto s = full->rbegin(); s != full->rend(); ++s) segments.erase(segments.begin() + static_cast<std::ptrdiff_t>(*s));
    segments.push_back(std::move(merged));
  }
}

}  // namespace sightline::dense
