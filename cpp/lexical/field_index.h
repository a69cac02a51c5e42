// An index over named fields, such as title and text: for each field an index of its own (bm25_index.h) over the same
// documents, changed together. A field that a document lacks is empty in it.
//
// Thread safety and cost of writing as in bm25_index.h: readers take a snapshot and never wait, a failed write changes
// nothing. Invariant: the snapshots of all fields have the same segments, row by row the same documents, and the same rows
// live. That follows from how they change: what is merged when depends on documents, not on their words. It is checked with
// every write all the same, since every search relies on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/types.h"
#include "lexical/bm25_index.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {

using FieldSnapshots = std::vector<std::shared_ptr<const Snapshot>>;

// Whether the invariant above holds. O(documents), but for the segments of `known`, for which it is known to hold.
bool same_documents(const FieldSnapshots& fields, const FieldSnapshots& known = {});

// The state of all fields at one moment. Immutable but for a cache behind a mutex.
class FieldSnapshot {
 public:
  explicit FieldSnapshot(FieldSnapshots fields) : fields_(std::move(fields)) {}

  std::size_t field_count() const noexcept { return fields_.size(); }
  const Snapshot& field(std::size_t f) const noexcept { return *fields_[f]; }
  const FieldSnapshots& fields() const noexcept { return fields_; }
  std::vector<const Snapshot*> pointers() const;

  // Live documents that have the term in any field. O(its postings) the first time, then remembered unless
  // it is 0.
  std::uint64_t document_frequency(const std::string& term) const;

 private:
  static constexpr std::size_t kMaxRemembered = std::size_t{1} << 16;

  FieldSnapshots fields_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::uint64_t> frequencies_;  // guarded by mutex_
};

class FieldIndex {
 public:
  // form: as in Bm25Index, for every field.
  explicit FieldIndex(std::size_t field_count, PostingForm form = PostingForm::kScan);
  // Takes over a state that was saved. Preconditions: same_documents(fields); next_id is greater than every id.
  FieldIndex(FieldSnapshots fields, std::uint64_t next_id, PostingForm form = PostingForm::kScan);

  PostingForm form() const noexcept { return form_; }

  std::shared_ptr<const FieldSnapshot> snapshot() const;
  std::uint64_t next_id() const;

  // As in Bm25Index, with the segments of each field, which have the same ids.
  void add(std::vector<std::vector<SegmentData>> segments, OnExisting on_existing);
  DocId add_with_next_ids(std::vector<std::vector<SegmentData>> segments);
  void check_absent(std::span<const DocId> ids) const;
  std::size_t remove(std::span<const DocId> ids);
  // Throws InvalidInputError, too, if the other index has another number of fields.
  void attach(const FieldIndex& other);
  void compact();

 private:
  template <typename Change>
  void change(const Change& change_field);

  const PostingForm form_;
  std::mutex writer_mutex_;
  mutable std::mutex state_mutex_;                  // held only to copy or replace the two members below
  std::shared_ptr<const FieldSnapshot> snapshot_;   // never null
  std::uint64_t next_id_ = 0;
};

}  // namespace sightline::lexical
