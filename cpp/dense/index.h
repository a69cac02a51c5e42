// VectorIndex: a list of immutable segments that grows, shrinks and merges.
//
// Thread safety: any number of threads may read (snapshot()) while one writes; writers wait for each other. A reader keeps
// the snapshot it took and never waits for a writer.
// Every writing call either takes full effect or throws and leaves the index as it was.
//
// Small segments merge geometrically: four of about the same size become one, so n single additions cost O(n log n) row
// copies, a search meets O(log n) segments, and segments too large to be worth copying are left alone.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/types.h"
#include "dense/combined_search.h"
#include "dense/snapshot.h"

namespace sightline::dense {

class VectorIndex {
 public:
  // Throws InvalidInputError unless 1 <= dim <= kMaxDimension.
  VectorIndex(Metric metric, std::size_t dim, StoredType type = StoredType::kFloat32);

  Metric metric() const noexcept { return metric_; }
  StoredType stored_type() const noexcept { return type_; }
  std::size_t dim() const noexcept { return dim_; }
  std::shared_ptr<const Snapshot> snapshot() const;
  // Searches of this index that may share a pass.
  CombinedSearch& combined() const noexcept { return combined_; }
  // An index of its own with the same rows. Shares the segments, which never change: O(1).
  std::unique_ptr<VectorIndex> fork() const;

  // vectors: row-major, ids.size() rows. Throws InvalidInputError (bad values, negative ids), DuplicateIdError (an id twice
  // in `ids`; for add also an id that is present).
  void add(const float* vectors, std::span<const DocId> ids);
  void upsert(const float* vectors, std::span<const DocId> ids);
  // Adds under the next free ids and returns them.
  std::vector<DocId> add_next(const float* vectors, std::size_t count);
  // Returns how many were present. The same id twice counts once.
  std::size_t remove(std::span<const DocId> ids);
  // Takes over the live rows of another index; they share the segments, which never change. Attached segments stay as they
  // are whatever is written later, until compact(). Throws InvalidInputError (another metric, dimension or stored type),
  // DuplicateIdError. O(segments), plus O(log rows) for each row if the ids interleave.
  void attach(const VectorIndex& other);
  // Rewrites everything into as few segments as possible, without the removed rows.
  void compact();

  void save(const std::filesystem::path& path) const;
  static std::unique_ptr<VectorIndex> load(const std::filesystem::path& path, bool use_mmap);

 private:
  enum class IfPresent { kFail, kReplace };

  void insert(const float* vectors, std::span<const DocId> ids, IfPresent if_present);
  void publish(std::vector<SegmentView> segments, DocId next_id);
  void merge_small(std::vector<SegmentView>& segments) const;
  SegmentView merge(std::span<const SegmentView> views) const;

  const Metric metric_;
  const StoredType type_;
  const std::size_t dim_;
  std::mutex write_mutex_;
  mutable std::mutex snapshot_mutex_;  // held only to copy or swap the pointer
  std::shared_ptr<const Snapshot> snapshot_;
  mutable CombinedSearch combined_;
};

}  // namespace sightline::dense
