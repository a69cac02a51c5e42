// The removed rows of a segment. Removing more makes a new object; nothing changes in place but the cache of counts.
// Safe for concurrent const calls.
//
// Document frequencies must count live documents only. They are counted when a query asks: a removal then costs a copy of
// one bit a row and not a visit to each of its terms, which would need a second, forward index. A count costs one look at
// each posting of the term, or a binary search for each removed row where those are few, and is kept until the next removal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/bitset.h"
#include "core/types.h"
#include "lexical/segment.h"

namespace sightline::lexical {

class Tombstones {
 public:
  // `live` has one bit for each row of the segment.
  Tombstones(const Segment& segment, Bitset live);

  const Bitset& live() const noexcept { return live_; }
  std::size_t removed_count() const noexcept { return removed_count_; }
  std::uint64_t removed_length() const noexcept { return removed_length_; }

  // How many documents with the term were removed. Precondition: `segment` is the constructor's.
  std::size_t removed_with_term(const Segment& segment, std::uint32_t term) const;

  std::size_t size_bytes() const noexcept { return live_.word_count() * sizeof(std::uint64_t); }

 private:
  std::size_t count_removed(const Postings& postings) const;

  Bitset live_;
  std::size_t removed_count_ = 0;
  std::uint64_t removed_length_ = 0;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::uint32_t, std::size_t> counts_;  // guarded by mutex_
};

}  // namespace sightline::lexical
