// What the codes of a segment are worth under given parameters and statistics. Immutable, safe from any thread.
#pragma once

#include <array>
#include <cstdint>
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
  const std::array<float, kCodeCount>& lower() const noexcept { return lower_; }
  // Codes of frequencies up to max_tf lie in [1, code_limit(max_tf)).
  std::size_t code_limit(std::uint32_t max_tf) const noexcept { return code_limits_[max_tf < kMaxCodedTf ? max_tf : kMaxCodedTf]; }
  float greatest() const noexcept { return greatest_; }

  // The gain itself if it is in the table, else computed.
  double exact(const Scorer& scorer, std::uint32_t tf, std::uint32_t length) const noexcept {
    if (tf <= kTableTfs && length < stride_) return exact_[(tf - 1) * stride_ + length];
    return scorer.gain(tf, length);
  }

 private:
  void bound_values(std::span<const float> bounds);

  static constexpr std::uint32_t kTableTfs = 4;
  static constexpr std::uint32_t kTableLengths = 2048;

  std::array<float, kCodeCount> upper_{};
  std::array<float, kCodeCount> lower_{};
  std::array<std::uint16_t, kMaxCodedTf + 1> code_limits_;
  float greatest_ = 0;
  std::uint32_t stride_ = 0;
  std::vector<double> exact_;
};

struct GainTables {
  Parameters parameters;
  bool has_exact = false;
  std::vector<SegmentGains> segments;
};

}  // namespace sightline::lexical
