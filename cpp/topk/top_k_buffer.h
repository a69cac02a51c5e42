// The k best hits of a stream, like TopK, for streams in which many hits pass before the best are known.
// Hits that pass are only appended; when the buffer is full, a selection keeps the k best and raises the threshold. A push
// is O(1) amortised whatever k is, where a heap's is O(log k) with a branch that cannot be predicted at every level.
// The threshold lags behind that of TopK, so a few more hits pass. One owner, not synchronised. Memory: 2 k + 32 hits, grown as they come.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "core/types.h"
#include "topk/sort_hits.h"

namespace sightline {

class TopKBuffer {
 public:
  explicit TopKBuffer(std::size_t k) : k_(k), capacity_(2 * k + 32) {}  // precondition: 1 <= k <= 2^62

  // A hit below this score can no longer enter; an equal one still may, by its id.
  float threshold() const noexcept { return worst_.score; }

  // Returns whether the threshold may have changed.
  bool push(Hit hit) {
    if (!ranks_before(hit, worst_)) return false;
    hits_.push_back(hit);
    if (hits_.size() < capacity_) return false;
    select();
    return true;
  }

  // Best first; leaves the object empty.
  std::vector<Hit> take_sorted() {
    if (hits_.size() > k_) select();
    sort_hits(hits_);
    worst_ = kNone;
    return std::exchange(hits_, {});
  }

 private:
  struct RanksBefore {  // a type of its own, so that the selection inlines it
    bool operator()(const Hit& a, const Hit& b) const noexcept { return ranks_before(a, b); }
  };
  static constexpr Hit kNone{kNoScore, std::numeric_limits<DocId>::max()};

  void select() {
    const auto last = hits_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(hits_.begin(), last, hits_.end(), RanksBefore{});
    worst_ = *last;
    hits_.resize(k_);
  }

  std::size_t k_;
  std::size_t capacity_;
  std::vector<Hit> hits_;
  Hit worst_ = kNone;  // the k-th best at the last selection
};

}  // namespace sightline
