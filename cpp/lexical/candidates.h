// The documents of a coarse search that can still be among the k best: their upper bounds, the limit below which a document
// is passed over, and in the end their exact scores. See coarse.h. One owner, not synchronised.
//
// The limit follows from a histogram of the bounds of all candidates: adding one is a few instructions, and the k-th
// greatest bound is known at any time to 1/1024 of the scale, without a selection.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lexical/exact_sums.h"
#include "lexical/recycled.h"
#include "lexical/search.h"
#include "simd/kernels.h"

namespace sightline::lexical {

// How many values of the 16-bit scale reach a bound, for the k-th greatest of them.
class BoundHistogram {
 public:
  static constexpr std::uint32_t kBits = 6;  // of a bound that are not told apart

  explicit BoundHistogram(std::size_t k) noexcept : k_(k) {}
  static std::uint32_t bucket(std::uint32_t bound) noexcept { return bound >> kBits; }

  void add(std::uint32_t bound) noexcept {
    ++counts_[bucket(bound)];
    reaching_ += bucket(bound) >= lowest_ ? 1 : 0;
  }
  // The bucket of the k-th greatest bound, or 0 if there are fewer. Never falls; O(1) amortised.
  std::uint32_t kth_bucket() noexcept {
    while (reaching_ - counts_[lowest_] >= k_) reaching_ -= counts_[lowest_++];
    return lowest_;
  }
  // How many lie in higher buckets than the k-th greatest: fewer than k.
  std::size_t above() noexcept { return reaching_ - counts_[kth_bucket()]; }
  bool full() const noexcept { return reaching_ >= k_; }

 private:
  std::size_t k_;
  std::size_t reaching_ = 0;  // the bucket lowest_ or a higher one
  std::uint32_t lowest_ = 0;
  std::array<std::uint32_t, std::size_t{1} << (16 - kBits)> counts_{};
};

struct CandidatesBuffers {
  std::vector<std::uint64_t> found_;
  std::vector<std::uint64_t> best_;
  std::vector<RowIndex> rows_;
  std::vector<std::uint32_t> uppers_;
  std::vector<double> sums_;
  std::vector<float> scores_;

  std::size_t size_bytes() const noexcept { return found_.capacity() * sizeof(std::uint64_t); }
};

class Candidates : Recycled<CandidatesBuffers> {
 public:
  // scale: from gains to the units of the bounds, which are the sums of what CoarseUnits makes of each gain in `tables`.
  Candidates(const BoundQuery& query, std::size_t k, const GainTables& tables, double scale);

  // A document whose upper bound is less is taken not to be among the k best; complete() tells in the end whether that was
  // right. At least 1, which every document with a term reaches.
  std::uint32_t limit() noexcept {
    const std::uint32_t limit = std::max(exact_limit_, threshold_ > error_ ? threshold_ - error_ : 1U);
    greatest_limit_ = std::max(greatest_limit_, limit);
    return limit;
  }
  bool has_threshold() const noexcept { return threshold_ != 0 || exact_limit_ > 1; }
  // At least k documents have this upper bound or a greater one.
  void raise_threshold(std::uint32_t upper) noexcept {
    if (!certain_) threshold_ = std::max(threshold_, upper);
  }
  // How far the upper bounds of the k best documents given from now on are expected to exceed their scores.
  void raise_error(std::uint32_t error) noexcept { error_ = std::max(error_, error); }

  // Starts again with the k-th score that finish() found, which is certain.
  void restart() noexcept;

  // Documents of one window of rows, which begins at first_row: their upper bounds and positions in it. A document once at most;
  // segment < 2^16.
  void add(std::span<const simd::TakenValue> taken, std::uint32_t segment, std::size_t first_row) {
    const std::size_t before = found_.size();
    found_.resize(before + taken.size());
    std::uint64_t* const found = found_.data() + before;
    const std::uint64_t base = std::uint64_t{segment} << 32 | first_row;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      found[i] = (std::uint64_t{taken[i].value} << 48 | base) + taken[i].position;
      histogram_.add(taken[i].value);
    }
  }
  // Raises the limit by what was added, and drops candidates below it where they have become many.
  void settle() {
    raise_threshold(histogram_.kth_bucket() << BoundHistogram::kBits);
    if (found_.size() >= next_prune_) prune();
  }
  // Whether far more documents remain than k after all that could be done; the search is then to be given up.
  bool overwhelmed() const noexcept { return overwhelmed_; }
  // The k best candidates, by exact scores.
  std::vector<Hit> finish();
  // After finish(): whether no document that was passed over can be among the k best.
  bool complete() const noexcept { return greatest_limit_ <= exact_limit_; }

 private:
  // A candidate is 16 bits of upper bound, 16 of segment, 32 of row.
  static std::uint32_t upper(std::uint64_t c) noexcept { return static_cast<std::uint32_t>(c >> 48); }
  static std::uint32_t segment(std::uint64_t c) noexcept { return static_cast<std::uint32_t>(c >> 32) & 0xFFFF; }
  static RowIndex row(std::uint64_t c) noexcept { return static_cast<RowIndex>(c); }
  DocId id(std::uint64_t c) const noexcept { return query_.snapshot().segments()[segment(c)].segment->id(row(c)); }

  void prune();
  void raise_exact_limit(float score) noexcept;
  void drop_below(std::uint32_t limit);
  std::span<const float> score_best();
  std::size_t prune_size() const noexcept { return 6 * k_ + 256; }
  void score(std::span<const std::uint64_t> candidates);

  const BoundQuery& query_;
  ExactSums exact_sums_;
  std::size_t k_;
  double scale_;
  std::size_t most_;
  std::size_t next_prune_;
  std::uint32_t threshold_ = 0;
  std::uint32_t error_ = 0;
  std::uint32_t exact_limit_ = 1;
  std::uint32_t greatest_limit_ = 1;  // that was ever applied
  bool certain_ = false;              // threshold_ is not used
  bool overwhelmed_ = false;
  BoundHistogram histogram_;
};

}  // namespace sightline::lexical
