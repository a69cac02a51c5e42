#include "dense/bound.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"
#include "simd/dispatch.h"

namespace sightline::dense {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float round_down(double value) noexcept {
  if (value <= -DBL_MAX) return -kInfinity;
  const float nearest = static_cast<float>(std::clamp(value, -double{FLT_MAX}, double{FLT_MAX}));
  return static_cast<double>(nearest) <= value ? nearest : std::nextafter(nearest, -kInfinity);
}

// Scores past the range of float32 are clamped to its ends, so that they stay finite and -inf keeps meaning "no hit". No
// score is ever NaN, which would break every comparison: stored values are finite, and if a file lies, the row comes last.
// Adding zero turns -0 into +0: the two compare equal but print differently.
float to_score(double value) noexcept {
  if (std::isnan(value)) return -FLT_MAX;
  return static_cast<float>(std::clamp(value, -double{FLT_MAX}, double{FLT_MAX})) + 0.0f;
}

// To the nearest, for |x| < 2^51: an addition, where the baseline of x86-64 has no instruction and would call a function.
double round_to_integer(double x) noexcept { return (x + 0x1.8p52) - 0x1.8p52; }

}  // namespace

float below(float score) noexcept {
  // Everything under the range of float32 has been clamped to -FLT_MAX, so nothing may be dropped for being less.
  return score <= -FLT_MAX ? -kInfinity : std::nextafter(score, -kInfinity);
}

float check_query(Metric metric, const float* vector, std::size_t dim, std::size_t position) {
  const float greatest = simd::kernels().max_abs_f32(vector, dim);
  const std::string name = position == kLoneQuery ? "query" : "queries: row " + std::to_string(position);
  if (!(greatest <= FLT_MAX)) {
    throw Error(ErrorKind::kInvalidInput, name + ": expected finite float32 values, got NaN or infinity");
  }
  if (greatest == 0 && metric == Metric::kCosine) {
    throw Error(ErrorKind::kInvalidInput,
                name + ": expected a vector with a direction, got a zero vector, for which cosine is undefined");
  }
  return greatest;
}

CodedQuery code_query(Metric metric, const float* vector, std::size_t dim, std::size_t position, std::int8_t* codes) {
  const simd::Kernels& kernels = simd::kernels();
  const float greatest = check_query(metric, vector, dim, position);
  CodedQuery query;
  query.vector = vector;
  query.norm = std::sqrt(kernels.dot_f64(vector, vector, dim));
  const std::size_t padded = (dim + 7) / 8 * 8;
  std::fill(codes, codes + padded, std::int8_t{0});
  if (greatest == 0) return query;
  query.code_scale = static_cast<double>(greatest) / query.norm / kernels.max_query_code;
  // Any codes bound the scores, so long as the residual is theirs. Four sums, since one would be a chain of additions.
  const double to_unit = 1 / query.norm;
  const double to_code = 1 / query.code_scale;
  const double most = kernels.max_query_code;
  double residuals[4] = {};
  for (std::size_t i = 0; i < dim; ++i) {
    const double unit_value = static_cast<double>(vector[i]) * to_unit;
    const auto code = static_cast<std::int32_t>(std::clamp(round_to_integer(unit_value * to_code), -most, most));
    codes[i] = static_cast<std::int8_t>(code);
    const double error = unit_value - query.code_scale * static_cast<double>(code);
    residuals[i % 4] += error * error;
  }
  for (std::size_t i = 0; i < dim; ++i) query.code_sum += codes[i];
  const double residual = (residuals[0] + residuals[1]) + (residuals[2] + residuals[3]);
  query.code_residual = std::sqrt(residual) * (1 + 0x1p-30);
  return query;
}

SegmentBound::SegmentBound(Metric metric, const CodedQuery& query, const Segment& segment, Level level) {
  const double unit = segment.unit();
  double alpha = 1;
  double beta = 0;
  if (metric == Metric::kInnerProduct) {
    scale_n_ = query.norm * unit;
  } else if (metric == Metric::kSquaredL2) {
    const double longest = std::max(query.norm, unit);
    scale_n_ = unit * longest;
    shift_c_ = query.norm * query.norm;
    alpha = 2 * query.norm / longest;
    beta = unit / longest;
  }
  const double decoded = segment.max_decoded_norm();
  const double phi = query.code_residual;
  slack_ = alpha * phi * decoded + 0x1p-20 * (alpha * (2 + phi) * decoded + beta);
  const double reach = query.norm + (metric == Metric::kCosine ? 1.0 : unit);
  magnitude_ = metric == Metric::kCosine ? 1 : shift_c_ + reach * reach;
  relative_64_ = static_cast<double>(segment.dim() + 16) * 0x1p-52;
  // Over both planes the kernel returns e.u, u = c + 128. Over the high plane it returns 32 e.h, where c = 16 h - 120.5:
  // e.c = (32 e.h - 241 sum(e)) / 2.
  const bool high = level == Level::kHigh;
  factors_.offset = (high ? -241 : -128) * query.code_sum;
  factors_.dot_factor = static_cast<float>(alpha * query.code_scale * (high ? 0.5 : 1.0));
  factors_.residual_factor = static_cast<float>(alpha);
  factors_.bias_factor = static_cast<float>(beta);
}

float SegmentBound::coarse_threshold(float tau) const noexcept {
  const double dropped_below = static_cast<double>(below(tau));
  // N is 0 for a zero query under ip: every score is 0, and dividing would lose that. Keep all rows.
  if (!(dropped_below > -FLT_MAX) || scale_n_ == 0) return -kInfinity;
  const double error = relative_64_ * (magnitude_ + std::abs(dropped_below));
  return round_down((dropped_below + shift_c_ - error) / scale_n_ - slack_);
}

simd::CoarseQuery SegmentBound::constants(float tau) const noexcept {
  simd::CoarseQuery query = factors_;
  query.threshold = coarse_threshold(tau);
  return query;
}

namespace {

float score_of(Metric metric, const simd::Kernels& kernels, const CodedQuery& query, const Segment& segment, std::size_t row,
               const StoredRow& x) noexcept {
  const std::size_t dim = segment.dim();
  switch (metric) {
    case Metric::kCosine: {
      const double cosine = x.dot(kernels, query.vector, dim) / (query.norm * segment.norm(row));
      return to_score(std::clamp(cosine, -1.0, 1.0));
    }
    case Metric::kInnerProduct: return to_score(x.dot(kernels, query.vector, dim));
    case Metric::kSquaredL2: return to_score(-x.squared_distance(kernels, query.vector, dim));
  }
  return kNoScore;  // not reached: the switch is complete
}

}  // namespace

float exact_score(Metric metric, const simd::Kernels& kernels, const CodedQuery& query, const Segment& segment,
                  std::size_t row) noexcept {
  return score_of(metric, kernels, query, segment, row, segment.stored_row(row));
}

float exact_score_of_stray(Metric metric, const simd::Kernels& kernels, const CodedQuery& query, const Segment& segment,
                           std::size_t row) noexcept {
  alignas(64) std::byte room[kMaxRowBytes];
  return score_of(metric, kernels, query, segment, row, segment.stray_row(row, room));
}

}  // namespace sightline::dense
