#include "lexical/bm25_index.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "core/error.h"
#include "lexical/merge_policy.h"

namespace sightline::lexical {
namespace {

// The greatest DocId is no id, so that the next one always is a DocId: as in the dense index.
constexpr std::uint64_t kMaxId = static_cast<std::uint64_t>(std::numeric_limits<DocId>::max()) - 1;

// Marks the rows of these ids as removed; returns how many were live.
std::size_t remove_ids(std::vector<SegmentView>& views, std::span<const DocId> ids) {
  std::size_t removed = 0;
  for (SegmentView& view : views) {
    Bitset live;
    std::size_t removed_here = 0;
    for (const DocId id : ids) {
      const std::optional<RowIndex> row = view.find_live_row(id);
      if (!row) continue;
      if (removed_here == 0) live = view.tombstones ? view.tombstones->live() : Bitset(view.segment->row_count(), true);
      if (!live.test(*row)) continue;  // the id is repeated
      live.reset(*row);
      ++removed_here;
    }
    if (removed_here != 0) view.tombstones = std::make_shared<const Tombstones>(*view.segment, std::move(live));
    removed += removed_here;
  }
  return removed;
}

}  // namespace

Bm25Index::Bm25Index(PostingForm form) : Bm25Index(std::make_shared<const Snapshot>(std::vector<SegmentView>{}), 0, form) {}

Bm25Index::Bm25Index(std::shared_ptr<const Snapshot> snapshot, std::uint64_t next_id, PostingForm form)
    : form_(form), snapshot_(std::move(snapshot)), next_id_(next_id) {}

std::shared_ptr<const Snapshot> Bm25Index::snapshot() const {
  std::lock_guard lock(state_mutex_);
  return snapshot_;
}

std::uint64_t Bm25Index::next_id() const {
  std::lock_guard lock(state_mutex_);
  return next_id_;
}

void Bm25Index::check_absent(std::span<const DocId> ids) const {
  const std::shared_ptr<const Snapshot> now = snapshot();
  for (const DocId id : ids) {
    if (now->find(id)) {
      throw Error(ErrorKind::kDuplicateId, "ids: " + std::to_string(id) +
                                               " is already in the index; choose another id, or replace the document with upsert");
    }
  }
}

void Bm25Index::add(std::vector<SegmentData> segments, OnExisting on_existing) {
  std::lock_guard writer(writer_mutex_);
  std::vector<SegmentView> present = snapshot()->segments();
  for (const SegmentData& data : segments) {
    if (on_existing == OnExisting::kFail) {
      check_absent(data.ids);
    } else {
      remove_ids(present, data.ids);
    }
  }
  add_locked(std::move(segments), std::move(present));
}

DocId Bm25Index::add_with_next_ids(std::vector<SegmentData> segments) {
  std::lock_guard writer(writer_mutex_);
  std::uint64_t count = 0;
  for (const SegmentData& data : segments) count += data.ids.size();
  const std::uint64_t first = next_id();
  if (count > kMaxId + 1 - first) {
    throw Error(ErrorKind::kInvalidInput, "ids: expected ids to be given, because the largest id in use leaves no room for " +
                                              std::to_string(count) + " more; pass free ids");
  }
  for (SegmentData& data : segments) {
    for (DocId& id : data.ids) id += static_cast<DocId>(first);
  }
  add_locked(std::move(segments), snapshot()->segments());
  return static_cast<DocId>(first);
}

std::size_t Bm25Index::remove(std::span<const DocId> ids) {
  std::lock_guard writer(writer_mutex_);
  std::vector<SegmentView> views = snapshot()->segments();
  const std::size_t removed = remove_ids(views, ids);
  if (removed == 0) return 0;
  settle(views, form_);
  publish(std::move(views), next_id());
  return removed;
}

void Bm25Index::attach(const Bm25Index& other) {
  const std::shared_ptr<const Snapshot> theirs = other.snapshot();  // before the lock: other may be this index
  const std::uint64_t their_next_id = other.next_id();
  std::lock_guard writer(writer_mutex_);
  std::vector<SegmentView> views = snapshot()->segments();
  for (SegmentView view : theirs->segments()) {
    // Ids past every known one need no look-up, which is the common case.
    const Segment& segment = *view.segment;
    const bool may_overlap = static_cast<std::uint64_t>(segment.id(0)) < next_id();
    for (RowIndex row = 0; may_overlap && row < segment.row_count(); ++row) {
      const DocId id = segment.id(row);
      if (view.is_live(row)) check_absent({&id, 1});
    }
    view.attached = true;
    views.push_back(std::move(view));
  }
  publish(std::move(views), std::max(next_id(), their_next_id));
}

void Bm25Index::compact() {
  std::lock_guard writer(writer_mutex_);
  publish(merge_all(snapshot()->segments(), form_), next_id());
}

void Bm25Index::add_locked(std::vector<SegmentData> segments, std::vector<SegmentView> present) {
  std::uint64_t new_next_id = next_id();
  for (const SegmentData& data : segments) {
    if (!data.ids.empty()) new_next_id = std::max(new_next_id, static_cast<std::uint64_t>(data.ids.back()) + 1);
  }
  for (SegmentView& view : merge_new_segments(std::move(segments), form_)) present.push_back(std::move(view));
  settle(present, form_);
  publish(std::move(present), new_next_id);
}

void Bm25Index::publish(std::vector<SegmentView> views, std::uint64_t next_id) {
  auto fresh = std::make_shared<const Snapshot>(std::move(views));
  std::shared_ptr<const Snapshot> old;  // released after the lock, for it may be the last owner of large arrays
  std::lock_guard lock(state_mutex_);
  old = std::exchange(snapshot_, std::move(fresh));
  next_id_ = next_id;
}

}  // namespace sightline::lexical
