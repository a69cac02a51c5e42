#include "dense/snapshot.h"

#include <algorithm>

#include "core/mask_bits.h"

namespace sightline::dense {
Snapshot::Snapshot(Metric metric, std::size_t dim, std::vector<SegmentView> segments, DocId next_id)
    : metric_(metric), dim_(dim), segments_(std::move(segments)), next_id_(next_id) {
  std::sort(segments_.begin(), segments_.end(), [](const SegmentView& a, const SegmentView& b) {
    return a.segment->ids().front() < b.segment->ids().front();
  });
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    live_count_ += segments_[s].live_count;
    disjoint_ = disjoint_ && (s == 0 || segments_[s - 1].segment->ids().back() < segments_[s].segment->ids().front());
  }
}

void Snapshot::note_vectors_read(std::size_t count, std::size_t query_count) const noexcept {
  if (count == 0 || live_count_ == 0) return;
  // Where they were is not known; the segments share them by size, rounded up.
  for (const SegmentView& view : segments_) {
    const double share = static_cast<double>(view.live_count) / static_cast<double>(live_count_);
    view.segment->note_vectors_read(static_cast<std::size_t>(share * static_cast<double>(count)) + 1, query_count);
  }
}

std::optional<RowAddress> Snapshot::find(DocId id) const noexcept {
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    const std::optional<RowIndex> row = segments_[s].segment->find(id);
    if (row && segments_[s].is_live(*row)) return RowAddress{static_cast<std::uint32_t>(s), *row};
  }
  return std::nullopt;
}

const std::vector<RowAddress>& Snapshot::order() const {
  const std::lock_guard lock(order_mutex_);
  if (has_order_) return order_;
  std::vector<RowAddress> addresses;
  addresses.reserve(live_count_);
  for (std::uint32_t s = 0; s < segments_.size(); ++s) {
    const SegmentView& view = segments_[s];
    for (std::size_t row = 0; row < view.segment->row_count(); ++row) {
      if (view.is_live(row)) addresses.push_back({s, static_cast<RowIndex>(row)});
    }
  }
  if (!disjoint_) {
    const auto id_of = [this](const RowAddress& a) { return segments_[a.segment].segment->ids()[a.row]; };
    std::sort(addresses.begin(), addresses.end(),
              [&](const RowAddress& a, const RowAddress& b) { return id_of(a) < id_of(b); });
  }
  order_ = std::move(addresses);
  has_order_ = true;
  return order_;
}

std::vector<DocId> Snapshot::ids() const {
  std::vector<DocId> ids;
  ids.reserve(live_count_);
  if (disjoint_) {
    for (const SegmentView& view : segments_) {
      for (std::size_t row = 0; row < view.segment->row_count(); ++row) {
        if (view.is_live(row)) ids.push_back(view.segment->ids()[row]);
      }
    }
  } else {
    for_each_by_id([&](const RowAddress& a) { ids.push_back(segments_[a.segment].segment->ids()[a.row]); });
  }
  return ids;
}

std::vector<Bitset> Snapshot::select(std::span<const std::uint8_t> bits) const {
  std::vector<Bitset> selected;
  selected.reserve(segments_.size());
  if (disjoint_) {
    const std::uint8_t* next = bits.data();
    for (const SegmentView& view : segments_) selected.push_back(allowed_rows(view.segment->row_count(), view.live.get(), next));
    return selected;
  }
  for (const SegmentView& view : segments_) selected.emplace_back(view.segment->row_count());
  std::size_t position = 0;
  for_each_by_id([&](const RowAddress& a) {
    if (bits[position++] != 0) selected[a.segment].set(a.row);
  });
  return selected;
}

std::vector<Bitset> Snapshot::select_ids(std::span<const DocId> allowed) const {
  std::vector<Bitset> selected;
  selected.reserve(segments_.size());
  for (const SegmentView& view : segments_) selected.emplace_back(view.segment->row_count());
  // An id lives in one segment at the most, so every segment may take what it has.
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    const SegmentView& view = segments_[s];
    const std::span<const DocId> ids = view.segment->ids();
    const auto first = static_cast<std::uint64_t>(ids.front());
    const bool contiguous = static_cast<std::uint64_t>(ids.back()) - first == ids.size() - 1;
    for (const DocId id : allowed) {
      if (contiguous) {
        const std::uint64_t row = static_cast<std::uint64_t>(id) - first;
        if (row < ids.size() && view.is_live(row)) selected[s].set(row);
      } else if (const std::optional<RowIndex> row = view.segment->find(id); row && view.is_live(*row)) {
        selected[s].set(*row);
      }
    }
  }
  return selected;
}

}  // namespace sightline::dense
