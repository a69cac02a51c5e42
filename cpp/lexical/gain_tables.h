// What the codes of a segment are worth under given parameters and statistics. Immutable, safe from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "lexical/scoring.h"
#include "lexical/segment.h"

namespace sightline::lexical {

// Rigorous whatever the parameters are: gain() falls with the length and rises with the frequency, so the ends of a code's
// ranges bound it, and rounding to float32 and in gain() is covered by kTableSlack.
class SegmentGains {
 public:
  SegmentGains(const Scorer& scorer, const Segment& segment, bool with_exact);

  const std::array<float, kCodeCount>& upper() const noexcept { return upper_; }
  // Codes of frequencies up to max_tf are below code_limit(max_tf).
  // kLargeTfCode is in use only beyond kMaxCodedTf.
  std::size_t code_limit(std::uint32_t max_tf) const noexcept { return reaches_[reach(max_tf)].code_limit; }
  // Over the codes of frequencies up to max_tf: the greatest upper bound, and the greatest distance between the two bounds.
  // least(): the least upper bound of any code.
  float least() const noexcept { return least_; }
  float greatest(std::uint32_t max_tf) const noexcept { return reaches_[reach(max_tf)].greatest; }
  float widest(std::uint32_t max_tf) const noexcept { return reaches_[reach(max_tf)].widest; }

  // The gain itself if it is in the table, else computed.
  double exact(const Scorer& scorer, std::uint32_t tf, std::uint32_t length) const noexcept {
    if (tf <= kTableTfs && length < stride_) return exact_[(tf - 1) * stride_ + length];
    return scorer.gain(tf, length);
  }

 private:
  struct Reach {
    std::uint16_t code_limit = 1;
    float greatest = 0;
    float widest = 0;
  };
  static std::size_t reach(std::uint32_t max_tf) noexcept { return max_tf <= kMaxCodedTf ? max_tf : kMaxCodedTf + 1; }
  void bound(std::size_t code, std::size_t first_reach, float lower, float upper);

  static constexpr std::uint32_t kTableTfs = 4;
  static constexpr std::uint32_t kTableLengths = 2048;

  std::array<float, kCodeCount> upper_{};
  float least_ = std::numeric_limits<float>::infinity();
  std::array<Reach, kMaxCodedTf + 2> reaches_;  // by greatest frequency; the last for all beyond the codes
  std::uint32_t stride_ = 0;
  std::vector<double> exact_;
};

struct GainTables {
  Parameters parameters;
  bool has_exact = false;
  std::vector<SegmentGains> segments;
};

}  // namespace sightline::lexical
