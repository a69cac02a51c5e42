// The rows that a search may return: live ones that a mask allows. Belongs to the snapshot it was made for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/bitset.h"
#include "core/types.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {

struct RowFilter {
  std::vector<Bitset> allowed;              // one for each segment
  std::vector<std::size_t> allowed_counts;  // their bits
};

// One entry for each live document in ascending order of id; non-zero allows. O(n), or O(n log
// segments) where the ids of segments interleave.
// Throws InvalidInputError if the number of entries is another.
RowFilter filter_from_mask(const Snapshot& snapshot, std::span<const std::uint8_t> mask);

// The documents with these ids, in any order; ids that are not in the index allow nothing. O(ids * segments * log n).
RowFilter filter_from_ids(const Snapshot& snapshot, std::span<const DocId> ids);

}  // namespace sightline::lexical
