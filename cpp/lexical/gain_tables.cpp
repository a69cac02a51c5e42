#include "lexical/gain_tables.h"

#include <algorithm>

namespace sightline::lexical {
namespace {

// Far more than the rounding of gain() (a few times 2^-53) and of its conversion to float32 (2^-24).
constexpr double kTableSlack = 0x1p-22;

}  // namespace

SegmentGains::SegmentGains(const Scorer& scorer, const Segment& segment, bool with_exact) {
  code_limits_.fill(1);
  if (segment.arrays().weighted()) {
    bound_values(segment.arrays().value_bounds);
    return;
  }
  const CodeRanges& ranges = segment.code_ranges();
  for (std::size_t code = 0; code < kCodeCount; ++code) {
    const CodeRange& range = ranges[code];
    if (range.tf_high == 0) continue;
    upper_[code] = static_cast<float>(scorer.gain(range.tf_high, range.min_length) * (1 + kTableSlack));
    lower_[code] = static_cast<float>(scorer.gain(range.tf_low, range.max_length) * (1 - kTableSlack));
    if (code != kLargeTfCode) {
      std::fill(code_limits_.begin() + range.tf_high, code_limits_.end(), static_cast<std::uint16_t>(code + 1));
    }
    greatest_ = std::max(greatest_, upper_[code]);
  }
  if (!with_exact) return;
  stride_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{segment.max_length()} + 1, kTableLengths));
  exact_.resize(std::size_t{kTableTfs} * stride_);
  for (std::uint32_t tf = 1; tf <= kTableTfs; ++tf) {
    for (std::uint32_t length = tf; length < stride_; ++length) exact_[(tf - 1) * stride_ + length] = scorer.gain(tf, length);
  }
}

void SegmentGains::bound_values(std::span<const float> bounds) {
  for (std::size_t code = 0; code < bounds.size(); ++code) {
    upper_[code] = bounds[code];
    lower_[code] = code == 0 ? 0 : bounds[code - 1];
  }
  greatest_ = bounds.back();
  code_limits_.back() = static_cast<std::uint16_t>(bounds.size());  // all windows have kUnboundedTf
}

}  // namespace sightline::lexical
