#include "lexical/row_filter.h"

#include <string>

#include "core/error.h"
#include "core/mask_bits.h"

namespace sightline::lexical {
namespace {

RowFilter empty_filter(const Snapshot& snapshot) {
  RowFilter filter;
  filter.allowed.reserve(snapshot.segments().size());
  for (const SegmentView& view : snapshot.segments()) filter.allowed.emplace_back(view.segment->row_count());
  return filter;
}

void count_rows(RowFilter& filter) {
  for (const Bitset& rows : filter.allowed) filter.allowed_counts.push_back(rows.count());
}

}  // namespace

RowFilter filter_from_mask(const Snapshot& snapshot, std::span<const std::uint8_t> mask) {
  if (mask.size() != snapshot.statistics().document_count) {
    throw Error(ErrorKind::kInvalidInput,
                "mask: expected one entry for each of the " + std::to_string(snapshot.statistics().document_count) +
                    " documents, in the order of `ids`, got " + std::to_string(mask.size()) +
                    "; make it again after documents were added or removed, or pass the allowed ids as int64");
  }
  RowFilter filter;
  if (snapshot.disjoint()) {
    const std::uint8_t* next = mask.data();
    for (const SegmentView& view : snapshot.segments()) {
      const Bitset* const live = view.tombstones ? &view.tombstones->live() : nullptr;
      filter.allowed.push_back(allowed_rows(view.segment->row_count(), live, next));
    }
  } else {
    filter = empty_filter(snapshot);
    std::size_t position = 0;
    for (const RowLocation& at : snapshot.rows_by_id()) {
      if (mask[position++] != 0) filter.allowed[at.segment].set(at.row);
    }
  }
  count_rows(filter);
  return filter;
}

RowFilter filter_from_ids(const Snapshot& snapshot, std::span<const DocId> ids) {
  RowFilter filter = empty_filter(snapshot);
  for (const DocId id : ids) {
    if (const std::optional<RowLocation> at = snapshot.find(id)) filter.allowed[at->segment].set(at->row);
  }
  count_rows(filter);
  return filter;
}

}  // namespace sightline::lexical
