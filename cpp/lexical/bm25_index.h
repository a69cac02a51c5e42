// The index that changes: a current snapshot and the operations that replace it.
//
// Thread safety: every member may be called from any thread. Readers take the snapshot under a mutex held for the copy of
// one pointer; writers are serialised among themselves and never make a reader wait. A failed write changes nothing.
// Writing merges small segments (tiers of a factor of four, like a counter in base 4), so n single additions cost
// O(n log n) in all, and rewrites a segment once a quarter of its rows are removed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/types.h"
#include "lexical/segment.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {

enum class OnExisting { kFail, kReplace };

class Bm25Index {
 public:
  // form: of the segments that this index makes. It may hold others, too: results do not depend on forms.
  explicit Bm25Index(PostingForm form = PostingForm::kScan);
  // Takes over a state that was saved. Precondition: next_id is greater than every id of the snapshot.
  Bm25Index(std::shared_ptr<const Snapshot> snapshot, std::uint64_t next_id, PostingForm form = PostingForm::kScan);

  PostingForm form() const noexcept { return form_; }

  std::shared_ptr<const Snapshot> snapshot() const;
  // One more than the largest id ever used.
  std::uint64_t next_id() const;

  // Adds segments whose ids are distinct among all of them. Throws DuplicateIdError if one is present and
  // `on_existing` is kFail; kReplace removes the old document in the same step.
  void add(std::vector<SegmentData> segments, OnExisting on_existing);
  // Adds segments whose ids count from 0, after moving them up to the next free ids; returns the first.
  // Throws InvalidInputError if the ids are exhausted.
  DocId add_with_next_ids(std::vector<SegmentData> segments);
  // Throws what add(kFail) would throw for these ids.
  void check_absent(std::span<const DocId> ids) const;
  // Returns how many documents were there to remove. Ids may repeat.
  std::size_t remove(std::span<const DocId> ids);
  // Takes over the live documents of another index; they share the segments, which never change. Attached segments stay as
  // they are whatever is written later, until compact(). Throws DuplicateIdError. O(segments), plus O(log rows) for each
  // document if the ids interleave.
  void attach(const Bm25Index& other);
  // Rewrites everything into as few segments as kMaxMergedRows allows, of this index's form, without the removed rows.
  void compact();

 private:
  void add_locked(std::vector<SegmentData> segments, std::vector<SegmentView> present);
  void publish(std::vector<SegmentView> views, std::uint64_t next_id);

  const PostingForm form_;
  std::mutex writer_mutex_;
  mutable std::mutex state_mutex_;             // held only to copy or replace the two members below
  std::shared_ptr<const Snapshot> snapshot_;   // never null
  std::uint64_t next_id_ = 0;                  // at most the greatest DocId, which is no id
};

}  // namespace sightline::lexical
