// What the index was at one moment: its segments with their tombstones, and the statistics of the live documents.
// Immutable but for caches behind mutexes; safe for concurrent use. Searches hold one by shared_ptr for as long as they run.
//
// Invariants: an id is live in at most one segment; no segment is without a live row; segments are in the order of their
// first id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "lexical/gain_tables.h"
#include "lexical/scoring.h"
#include "lexical/segment.h"
#include "lexical/tombstones.h"

namespace sightline::lexical {

struct SegmentView {
  std::shared_ptr<const Segment> segment;
  std::shared_ptr<const Tombstones> tombstones;  // null if every row is live
  bool attached = false;  // belongs to a file of its own, whose owner decides when it merges

  std::size_t live_count() const noexcept {
    return segment->row_count() - (tombstones ? tombstones->removed_count() : 0);
  }
  std::uint64_t live_length() const noexcept {
    return segment->total_length() - (tombstones ? tombstones->removed_length() : 0);
  }
  bool is_live(RowIndex row) const noexcept { return !tombstones || tombstones->live().test(row); }
  std::optional<RowIndex> find_live_row(DocId id) const noexcept;
  std::size_t document_frequency(std::uint32_t term) const;  // live documents with the term
};

struct RowLocation {
  std::uint32_t segment;
  RowIndex row;
};

class Snapshot {
 public:
  explicit Snapshot(std::vector<SegmentView> segments);

  const std::vector<SegmentView>& segments() const noexcept { return segments_; }
  const CollectionStatistics& statistics() const noexcept { return statistics_; }
  // Whether the ids of no two segments interleave, so that the segments' rows one after another are in the order of ids.
  bool disjoint() const noexcept { return disjoint_; }

  std::optional<RowLocation> find(DocId id) const noexcept;
  std::vector<RowLocation> rows_by_id() const;  // live rows, ascending by id; O(n log segments)
  std::vector<DocId> ids() const;

  // The tables for these parameters: those of the last call if they were the same. `with_exact`: their exact gains too.
  // About 5 us a segment otherwise, and up to 100 us with exact gains.
  std::shared_ptr<const GainTables> gain_tables(const Parameters& parameters, bool with_exact) const;

 private:
  std::vector<SegmentView> segments_;
  CollectionStatistics statistics_;
  bool disjoint_ = true;
  mutable std::mutex tables_mutex_;
  mutable std::shared_ptr<const GainTables> tables_;  // guarded by tables_mutex_
};

// Live rows of several segments in ascending order of id, by segment number in `inputs`.
std::vector<RowLocation> live_rows_by_id(const std::vector<SegmentView>& inputs);

}  // namespace sightline::lexical
