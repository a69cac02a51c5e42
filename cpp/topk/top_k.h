// The k best hits of a stream, under the library's order (score descending, then id ascending).
// H: a struct with a score and an order ranks_before(), such as Hit.
// One owner, not synchronised. Memory: k hits, grown as they come. push is O(1) for a hit that does not enter, O(log k) otherwise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "core/types.h"

namespace sightline {

template <typename H>
class TopKOf {
 public:
  using Score = decltype(H::score);

  explicit TopKOf(std::size_t k) : k_(k) {}  // precondition: k >= 1

  bool full() const noexcept { return heap_.size() == k_; }
  std::size_t size() const noexcept { return heap_.size(); }

  // A hit below this score can no longer enter; an equal one still may, by its id.
  Score threshold() const noexcept { return full() ? heap_.front().score : -std::numeric_limits<Score>::infinity(); }

  void push(const H& hit) {
    if (!full()) {
      heap_.push_back(hit);
      std::push_heap(heap_.begin(), heap_.end(), kRanksBefore);
    } else if (ranks_before(hit, heap_.front())) {
      std::pop_heap(heap_.begin(), heap_.end(), kRanksBefore);
      heap_.back() = hit;
      std::push_heap(heap_.begin(), heap_.end(), kRanksBefore);
    }
  }

  const std::vector<H>& unsorted() const noexcept { return heap_; }
  void clear() noexcept { heap_.clear(); }

  // Best first; leaves the object empty.
  std::vector<H> take_sorted() {
    std::sort(heap_.begin(), heap_.end(), kRanksBefore);
    return std::exchange(heap_, {});
  }

 private:
  static constexpr auto kRanksBefore = [](const H& a, const H& b) noexcept { return ranks_before(a, b); };

  std::size_t k_;
  std::vector<H> heap_;  // a heap whose front is the worst hit kept
};

using TopK = TopKOf<Hit>;

}  // namespace sightline
