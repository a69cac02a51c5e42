// What one worker has found for one query: candidates that are known by an upper bound only, and the best exact scores.
//
// One owner, not synchronised, but for the shared threshold. Memory is bounded whatever the data: a full list of candidates
// is settled by exact scores, best bounds first, which either raises the threshold above most of the others or, where bounds
// do not separate the rows (equal rows, noise), scores them all: then the search is brute force, and still right.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

#include "core/types.h"
#include "dense/bound.h"
#include "topk/top_k.h"

namespace sightline::dense {

struct Candidate {
  float upper;  // of the score
  std::uint32_t segment;
  RowIndex row;
};

// The k-th best exact score that any worker has seen for a query, or the threshold of a range search. Only rises.
class SharedThreshold {
 public:
  float load() const noexcept { return value_.load(std::memory_order_relaxed); }
  void raise(float score) noexcept {
    float current = load();
    while (score > current && !value_.compare_exchange_weak(current, score, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<float> value_{kNoScore};
};

class Collector {
 public:
  // k: how many hits to keep. Hits below `least_score` are not kept.
  Collector(std::size_t k, float least_score)
      : best_(k), k_(k), least_score_(least_score), capacity_(std::max<std::size_t>(128, std::min<std::size_t>(k, 1 << 20) * 2)) {}

  void push_exact(Hit hit, SharedThreshold& threshold) {
    if (hit.score < least_score_) return;
    best_.push(hit);
    if (best_.full()) threshold.raise(best_.threshold());
  }

  // score(candidate) -> Hit. Called only when the list is full.
  template <typename Score>
  void push_candidate(const Candidate& candidate, SharedThreshold& threshold, Score score) {
    candidates_.push_back(candidate);
    if (candidates_.size() >= capacity_) settle(threshold, score);
  }

  TopK& best() noexcept { return best_; }
  std::vector<Candidate>& candidates() noexcept { return candidates_; }

 private:
  template <typename Score>
  void settle(SharedThreshold& threshold, Score score) {
    drop_hopeless(threshold);
    if (candidates_.size() < capacity_ / 2) return;
    const std::size_t first = std::min(k_, candidates_.size());
    const auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(first);
    std::nth_element(candidates_.begin(), middle - 1, candidates_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.upper > b.upper; });
    for (auto c = candidates_.begin(); c != middle; ++c) push_exact(score(*c), threshold);
    candidates_.erase(candidates_.begin(), middle);
    drop_hopeless(threshold);
    if (candidates_.size() < capacity_ / 2) return;
    for (const Candidate& c : candidates_) push_exact(score(c), threshold);
    candidates_.clear();
  }

  void drop_hopeless(const SharedThreshold& threshold) {
    const float least = below(threshold.load());
    std::erase_if(candidates_, [least](const Candidate& c) { return c.upper < least; });
  }

  TopK best_;
  std::vector<Candidate> candidates_;
  std::size_t k_;
  float least_score_;
  std::size_t capacity_;
};

}  // namespace sightline::dense
