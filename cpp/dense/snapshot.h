// What a search sees: a list of immutable segments, and which of their rows are alive.
//
// Thread safety: a Snapshot never changes once it is published; the order of ids is computed at first use, once.
// Invariant: an id is alive in at most one segment; every segment has at least one row alive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "core/bitset.h"
#include "core/types.h"
#include "dense/metric.h"
#include "dense/segment.h"

namespace sightline::dense {

struct SegmentView {
  std::shared_ptr<const Segment> segment;
  std::shared_ptr<const Bitset> live;  // null: all rows
  std::size_t live_count = 0;
  bool attached = false;  // belongs to a file of its own, whose owner decides when it merges

  std::uint64_t live_word(std::size_t block) const noexcept {
    return live ? live->word(block) : segment->full_word(block);
  }
  bool is_live(std::size_t row) const noexcept { return !live || live->test(row); }
};

struct RowAddress {
  std::uint32_t segment;
  RowIndex row;
};

class Snapshot {
 public:
  Snapshot(Metric metric, std::size_t dim, std::vector<SegmentView> segments, DocId next_id);

  Metric metric() const noexcept { return metric_; }
  std::size_t dim() const noexcept { return dim_; }
  std::span<const SegmentView> segments() const noexcept { return segments_; }
  std::size_t live_count() const noexcept { return live_count_; }
  DocId next_id() const noexcept { return next_id_; }  // one more than the greatest id ever used

  std::optional<RowAddress> find(DocId id) const noexcept;  // among live rows; O(segments * log rows)

  // Calls visit(address) for every live row in ascending order of ids.
  template <typename Visit>
  void for_each_by_id(Visit visit) const {
    for (const RowAddress& address : order()) visit(address);
  }
  std::vector<DocId> ids() const;  // ascending

  // A call says how many stored rows it read over all segments, for how many queries: see Segment::note_vectors_read().
  void note_vectors_read(std::size_t count, std::size_t query_count) const noexcept;

  // The rows that a mask allows, as one bitset a segment (also less the dead ones).
  // bits: one byte a live row in ascending order of ids, nonzero = allowed. Precondition: size == live_count().
  std::vector<Bitset> select(std::span<const std::uint8_t> bits) const;
  // Ids that are not there are no error.
  std::vector<Bitset> select_ids(std::span<const DocId> allowed) const;

 private:
  const std::vector<RowAddress>& order() const;

  Metric metric_;
  std::size_t dim_;
  std::vector<SegmentView> segments_;
  std::size_t live_count_ = 0;
  DocId next_id_;
  bool disjoint_ = true;  // segments_ are in order of ids and do not interleave
  mutable std::mutex order_mutex_;
  mutable bool has_order_ = false;          // guarded by order_mutex_
  mutable std::vector<RowAddress> order_;  // written under order_mutex_ once, then constant
};

}  // namespace sightline::dense
