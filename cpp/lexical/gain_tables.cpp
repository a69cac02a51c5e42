#include "lexical/gain_tables.h"

#include <algorithm>

namespace sightline::lexical {
namespace {

// Far more than the rounding of gain() (a few times 2^-53) and of its conversion to float32 (2^-24).
constexpr double kTableSlack = 0x1p-22;

}  // namespace

SegmentGains::SegmentGains(const Scorer& scorer, const Segment& segment, bool with_exact) {
  if (segment.arrays().weighted()) {
    const std::span<const float> bounds = segment.arrays().value_bounds;
    for (std::size_t code = 0; code < bounds.size(); ++code) {
      bound(code, kMaxCodedTf + 1, code == 0 ? 0 : bounds[code - 1], bounds[code]);  // all windows have kUnboundedTf
    }
    return;
  }
  const CodeRanges& ranges = segment.code_ranges();
  for (std::size_t code = 0; code < kCodeCount; ++code) {
    const CodeRange& range = ranges[code];
    if (range.tf_high == 0) continue;
    const double upper = scorer.gain(range.tf_high, range.min_length) * (1 + kTableSlack);
    const double lower = scorer.gain(range.tf_low, range.max_length) * (1 - kTableSlack);
    bound(code, reach(range.tf_high), static_cast<float>(lower), static_cast<float>(upper));
  }
  if (!with_exact) return;
  stride_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{segment.max_length()} + 1, kTableLengths));
  exact_.resize(std::size_t{kTableTfs} * stride_);
  for (std::uint32_t tf = 1; tf <= kTableTfs; ++tf) {
    for (std::uint32_t length = tf; length < stride_; ++length) exact_[(tf - 1) * stride_ + length] = scorer.gain(tf, length);
  }
}

void SegmentGains::bound(std::size_t code, std::size_t first_reach, float lower, float upper) {
  upper_[code] = upper;
  least_ = std::min(least_, upper);
  for (std::size_t i = first_reach; i < reaches_.size(); ++i) {
    reaches_[i].code_limit = std::max(reaches_[i].code_limit, static_cast<std::uint16_t>(code + 1));
    reaches_[i].greatest = std::max(reaches_[i].greatest, upper);
    reaches_[i].widest = std::max(reaches_[i].widest, upper - lower);
  }
}

}  // namespace sightline::lexical
