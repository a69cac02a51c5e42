#include "lexical/snapshot.h"

#include <algorithm>
#include <queue>

namespace sightline::lexical {

std::optional<RowIndex> SegmentView::find_live_row(DocId id) const noexcept {
  const std::optional<RowIndex> row = segment->find_row(id);
  return row && is_live(*row) ? row : std::nullopt;
}

std::size_t SegmentView::document_frequency(std::uint32_t term) const {
  const std::size_t all = segment->posting_count(term);
  return tombstones ? all - tombstones->removed_with_term(*segment, term) : all;
}

Snapshot::Snapshot(std::vector<SegmentView> segments) : segments_(std::move(segments)) {
  std::sort(segments_.begin(), segments_.end(),
            [](const SegmentView& a, const SegmentView& b) { return a.segment->id(0) < b.segment->id(0); });
  DocId last = -1;
  for (const SegmentView& view : segments_) {
    statistics_.document_count += view.live_count();
    statistics_.total_length += view.live_length();
    disjoint_ = disjoint_ && view.segment->id(0) > last;
    last = view.segment->id(static_cast<RowIndex>(view.segment->row_count() - 1));
  }
}

std::optional<RowLocation> Snapshot::find(DocId id) const noexcept {
  for (std::uint32_t s = 0; s < segments_.size(); ++s) {
    if (const auto row = segments_[s].find_live_row(id)) return RowLocation{s, *row};
  }
  return std::nullopt;
}

std::vector<RowLocation> Snapshot::rows_by_id() const { return live_rows_by_id(segments_); }

std::vector<DocId> Snapshot::ids() const {
  std::vector<DocId> result;
  result.reserve(statistics_.document_count);
  for (const RowLocation& at : rows_by_id()) result.push_back(segments_[at.segment].segment->id(at.row));
  return result;
}

std::shared_ptr<const GainTables> Snapshot::gain_tables(const Parameters& parameters, bool with_exact) const {
  {
    std::lock_guard lock(tables_mutex_);
    if (tables_ && tables_->parameters == parameters && (tables_->has_exact || !with_exact)) return tables_;
  }
  auto tables = std::make_shared<GainTables>();
  tables->parameters = parameters;
  tables->has_exact = with_exact;
  const Scorer scorer(parameters, statistics_);
  for (const SegmentView& view : segments_) tables->segments.emplace_back(scorer, *view.segment, with_exact);
  std::lock_guard lock(tables_mutex_);
  tables_ = tables;
  return tables;
}

std::vector<RowLocation> live_rows_by_id(const std::vector<SegmentView>& inputs) {
  std::size_t total = 0;
  for (const SegmentView& view : inputs) total += view.live_count();
  std::vector<RowLocation> result;
  result.reserve(total);

  const auto append_live = [&](std::uint32_t s, RowIndex begin, RowIndex end) {
    for (RowIndex row = begin; row < end; ++row) {
      if (inputs[s].is_live(row)) result.push_back({s, row});
    }
  };

  // A heap of segments by their next id. Whole stretches below the next segment's id are taken at once, so that
  // segments of consecutive ids, the usual case, cost no comparison per row.
  struct Cursor {
    DocId id;
    std::uint32_t segment;
    RowIndex row;
  };
  const auto later = [](const Cursor& a, const Cursor& b) {
    return a.id != b.id ? a.id > b.id : a.segment > b.segment;
  };
  std::priority_queue<Cursor, std::vector<Cursor>, decltype(later)> heap(later);
  for (std::uint32_t s = 0; s < inputs.size(); ++s) heap.push({inputs[s].segment->id(0), s, 0});
  while (!heap.empty()) {
    const Cursor first = heap.top();
    heap.pop();
    const Segment& segment = *inputs[first.segment].segment;
    const auto row_count = static_cast<RowIndex>(segment.row_count());
    RowIndex end = first.row + 1;
    if (heap.empty() || segment.last_id() < heap.top().id) {
      end = row_count;
    } else {
      while (end < row_count && segment.id(end) < heap.top().id) ++end;
    }
    append_live(first.segment, first.row, end);
    if (end < row_count) heap.push({segment.id(end), first.segment, end});
  }
  return result;
}

}  // namespace sightline::lexical
