// The k best hits of a stream, under the library's order (score descending, then id ascending).
// One owner, not synchronised. Memory: k hits, grown as they come. push is O(1) for a hit that does not enter, O(log k) otherwise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/types.h"

namespace sightline {

class TopK {
 public:
  explicit TopK(std::size_t k) : k_(k) {}  // precondition: k >= 1

  bool full() const noexcept { return heap_.size() == k_; }
  std::size_t size() const noexcept { return heap_.size(); }

  // A hit below this score can no longer enter; an equal one still may, by its id.
  float threshold() const noexcept { return full() ? heap_.front().score : kNoScore; }

  void push(Hit hit) {
    if (!full()) {
      heap_.push_back(hit);
      std::push_heap(heap_.begin(), heap_.end(), ranks_before);
    } else if (ranks_before(hit, heap_.front())) {
      std::pop_heap(heap_.begin(), heap_.end(), ranks_before);
      heap_.back() = hit;
      std::push_heap(heap_.begin(), heap_.end(), ranks_before);
    }
  }

  const std::vector<Hit>& unsorted() const noexcept { return heap_; }

  // Best first; leaves the object empty.
  std::vector<Hit> take_sorted() {
    std::sort(heap_.begin(), heap_.end(), ranks_before);
    return std::exchange(heap_, {});
  }

 private:
  std::size_t k_;
  std::vector<Hit> heap_;  // a heap whose front is the worst hit kept
};

}  // namespace sightline
