// What one worker has found for one query: candidates that are known by an upper bound only, and the best exact scores.
//
// One owner, not synchronised, but for the shared threshold. Memory is bounded whatever the data: a full list of candidates
// is settled, by the k-th best lower bound, or else by the exact scores of the best, which either raises the threshold above
// most of the others or, where bounds do not separate the rows (equal rows, noise), scores them all: then the search is
// brute force, and still right.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <vector>

#include "core/types.h"
#include "dense/bound.h"
#include "topk/top_k.h"

namespace sightline::dense {

struct Candidate {
  float lower;  // of the score
  float upper;
  std::uint32_t segment;
  RowIndex row;
};

// What the k-th best score of a query is known to reach: the k-th best exact score or lower bound that any worker has seen, or
// the threshold of a range search. Only rises.
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
  // Exact scores beyond the rank that are tried at once for a better threshold.
  static constexpr std::size_t kScoresAhead = 16;
  // Candidates that a list may grow to for a small k.
  static constexpr std::size_t kMostIfFew = 512;

  // k: how many hits to keep. Hits below `least_score` are not kept.
  Collector(std::size_t k, float least_score) : best_(k), least_score_(least_score) { set_rank(k); }

  // From now on the threshold follows the candidate of this rank by lower bounds; k, unless the caller proves the result.
  void set_rank(std::size_t rank) {
    rank_ = rank;
    capacity_ = std::max<std::size_t>(128, std::min<std::size_t>(rank, 1 << 20) * 3);
    most_ = std::max(kMostIfFew, capacity_);
  }

  // What one may come to hold.
  static std::size_t most_bytes(std::size_t k) {
    return std::max(kMostIfFew, 3 * k) * (sizeof(Candidate) + sizeof(float)) + k * sizeof(Hit);
  }

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

  // What is known of every row that is kept: its exact score or a lower bound of it.
  void append_lower_bounds(std::vector<float>& out) const {
    for (const Hit& hit : best_.unsorted()) out.push_back(hit.score);
    for (const Candidate& candidate : candidates_) out.push_back(candidate.lower);
  }

  void drop_hopeless(const SharedThreshold& threshold) {
    const float least = below(threshold.load());
    std::erase_if(candidates_, [least](const Candidate& c) { return c.upper < least; });
  }

  // With the rank k: k rows score at least as much as the k-th best lower bound, so the k-th best score does.
  void raise_by_lower_bounds(SharedThreshold& threshold) {
    lowers_.clear();
    append_lower_bounds(lowers_);
    if (lowers_.size() < rank_) return;
    const auto kth = lowers_.begin() + static_cast<std::ptrdiff_t>(rank_ - 1);
    std::nth_element(lowers_.begin(), kth, lowers_.end(), std::greater<>());
    threshold.raise(*kth);
  }

  // Moves the `count` candidates with the best upper bounds to the front; returns how many there are, if fewer.
  std::size_t bring_best_forward(std::size_t count) {
    if (candidates_.size() <= count) return candidates_.size();
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(count), candidates_.end(), by_upper);
    return count;
  }
  void drop_first(std::size_t count) { candidates_.erase(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(count)); }

  void clear() {
    best_.clear();
    candidates_ = {};
  }

  TopK& best() noexcept { return best_; }
  std::vector<Candidate>& candidates() noexcept { return candidates_; }

 private:
  template <typename Score>
  void settle(SharedThreshold& threshold, Score score) {
    raise_by_lower_bounds(threshold);
    drop_hopeless(threshold);
    if (is_settled()) return;
    // The bounds alone do not separate the rows. Best ones first, one by one: every exact score may spare the others theirs.
    const std::size_t first = std::min(rank_ + kScoresAhead, candidates_.size());
    const auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(first);
    std::nth_element(candidates_.begin(), middle - 1, candidates_.end(), by_upper);
    std::sort(candidates_.begin(), middle, by_upper);
    auto next = candidates_.begin();
    while (next != middle && !(next->upper < below(threshold.load()))) push_exact(score(*next++), threshold);
    candidates_.erase(candidates_.begin(), next);
    if (!best_.full()) raise_by_lower_bounds(threshold);
    drop_hopeless(threshold);
    if (is_settled()) return;
    // A threshold is poor at first: rather wait for a better one than score rows that it will drop.
    if (capacity_ < most_) {
      capacity_ = std::min(most_, 2 * capacity_);
      return;
    }
    for (const Candidate& c : candidates_) push_exact(score(c), threshold);
    candidates_.clear();
  }

  // A quarter of the list is free again, so that settling stays cheap over all candidates.
  bool is_settled() const { return candidates_.size() <= capacity_ - capacity_ / 4; }

  static bool by_upper(const Candidate& a, const Candidate& b) { return a.upper > b.upper; }

  TopK best_;
  std::vector<Candidate> candidates_;
  std::vector<float> lowers_;  // scratch
  float least_score_;
  std::size_t rank_ = 0;
  std::size_t capacity_ = 0;  // settled when it is reached; grows up to
  std::size_t most_ = 0;
};

}  // namespace sightline::dense
