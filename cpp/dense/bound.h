// The certified bound: from a query and the coarse image of a segment to numbers that no true score can exceed.
//
// Notation. q~ = q / |q|, and x~ the row in its segment's space (segment.h), so |q~| = 1 and |x~| <= 1. Both are coded:
//     x~ = s c + r     c the row's integer codes, s its scale,   |r| <= rho   (stored, rounded up)
//     q~ = t e + f     e the query's integer codes, t its scale, |f| <= phi   (computed here, rounded up)
// Then  q~.x~ = (t e + f).(s c) + q~.r = s t (e.c) + f.(s c) + q~.r,  and by Cauchy-Schwarz
//     |q~.x~ - s t (e.c)| <= phi |s c| + rho <= phi Y + rho,   Y >= |s c| for every row of the segment.
// e.c is an exact integer. No probability enters anywhere: the bound holds for every pair of vectors.
//
// Scores are affine in q~.x~ and b = -|x~|^2:   score = N (alpha q~.x~ + beta b) - C  with
//     cosine   N = 1                    alpha = 1                    beta = 0                C = 0
//     ip       N = |q| u                alpha = 1                    beta = 0                C = 0        (u: the segment's unit)
//     l2       N = u max(|q|, u)        alpha = 2 |q| / max(|q|, u)  beta = u / max(|q|, u)  C = |q|^2
// so that alpha <= 2 and beta <= 1: nothing overflows or vanishes, whatever the norms.
// The kernel computes in float32   upper = alpha t (s (e.c)) + (alpha rho + beta b)   and keeps a row unless
//     upper < (tau' + C) / N - slack,
// tau' the score below which rows are dropped, and slack = alpha phi Y + E, where E covers rounding:
//   - float32 (kernels.h): at most 4 * 2^-24 of the sum of absolute terms, plus the rounding of the three factors and of
//     b, at most 4 * 2^-24 more. The terms are |alpha t s (e.c)| <= alpha (1 + phi) Y, alpha rho <= alpha Y, beta |b| <= beta.
//     E1 = 2^-20 (alpha (2 + phi) Y + beta) is twice that; the spare half also takes what cancellation in float64 may have
//     left out of rho and phi, twice 2^-52 of |x~| and |q~|.
//   - float64: norms, products and the exact scores themselves are off by a relative (dim + 16) 2^-52 of
//     |q|^2 + |tau'| + (|q| + u)^2 at the most.  E2 = that divided by N.
//
// From below the same terms give  score >= N (upper - 2 alpha rho - slack) - C,  less the float64 errors: the residual now
// counts against the row, and b may have been rounded up by 2^-23 of itself, which the spare half of E1 covers as well.
//
// Why tau' is one float32 step below the k-th best score tau: exact scores are rounded to float32 once, so a row whose
// true score is just below tau may round to tau and win its tie by a smaller id. A true score below the float before tau cannot.
#pragma once

#include <cfloat>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "dense/metric.h"
#include "dense/segment.h"
#include "simd/kernels.h"

namespace sightline::dense {

// One query, coded once a search. The float32 vector must outlive it.
struct CodedQuery {
  const float* vector = nullptr;
  double norm = 0;
  double code_scale = 0;     // t
  double code_residual = 0;  // phi
  std::int32_t code_sum = 0;
};

inline constexpr std::size_t kLoneQuery = static_cast<std::size_t>(-1);

// Fills `codes` (8 * octets bytes, zeros past dim). Throws InvalidInputError for values that are not finite or, under
// cosine, a zero vector; `position` names the query in the message, kLoneQuery the argument of calls that take just one.
CodedQuery code_query(Metric metric, const float* vector, std::size_t dim, std::size_t position, std::int8_t* codes);

// What code_query() throws for a query that cannot be searched, on its own. Returns the greatest absolute value.
float check_query(Metric metric, const float* vector, std::size_t dim, std::size_t position);

enum class Level { kHigh, kFull };  // the high plane alone, or both planes

// The bound of one query over one segment at one level.
class SegmentBound {
 public:
  SegmentBound() = default;
  SegmentBound(Metric metric, const CodedQuery& query, const Segment& segment, Level level);

  // Factors for the kernel, with the threshold that drops what cannot reach `tau` (see above).
  simd::CoarseQuery constants(float tau) const noexcept;
  float coarse_threshold(float tau) const noexcept;

  // From a kernel's upper bound of a row, and the row's residual, to a lower bound of its score: no greater than the exact one.
  float lower_score(float kernel_upper, float residual) const noexcept {
    const double reached = static_cast<double>(kernel_upper) - 2 * static_cast<double>(factors_.residual_factor) * static_cast<double>(residual);
    const double value = scale_n_ * (reached - slack_) - shift_c_;
    const double bound = value - relative_64_ * (magnitude_ + (value < 0 ? -value : value));
    if (!(bound > -FLT_MAX)) return -std::numeric_limits<float>::infinity();
    if (bound > FLT_MAX) return FLT_MAX;  // where exact scores are clamped to
    const float nearest = static_cast<float>(bound);
    return nearest - ((nearest < 0 ? -nearest : nearest) * 0x1p-22f + FLT_MIN);
  }

  // From a kernel's upper bound of a row to an upper bound of its score.
  float upper_score(float kernel_upper) const noexcept {
    const double value = scale_n_ * (static_cast<double>(kernel_upper) + slack_) - shift_c_;
    const double bound = value + relative_64_ * (magnitude_ + (value < 0 ? -value : value));
    if (!(bound < FLT_MAX)) return std::numeric_limits<float>::infinity();
    if (bound < -FLT_MAX) return -FLT_MAX;  // where exact scores are clamped to
    // Two steps of float32 upwards, at the least the smallest normal number: cheaper than finding the next float.
    const float nearest = static_cast<float>(bound);
    return nearest + ((nearest < 0 ? -nearest : nearest) * 0x1p-22f + FLT_MIN);
  }

 private:
  double scale_n_ = 1;   // N
  double shift_c_ = 0;   // C
  double slack_ = 0;     // alpha phi Y + E1
  double relative_64_ = 0;
  double magnitude_ = 0;  // |q|^2 + (|q| + u)^2
  simd::CoarseQuery factors_{};
};

// The expression of the kernels (kernels.h, scan_block) for one row and its integer dot, with as few roundings: the product
// of the dot is rounded three times, the other two once, and two additions follow.
inline float row_upper(const simd::CoarseQuery& query, const simd::CoarseRows& rows, std::size_t row, std::int32_t dot) noexcept {
  const float product = query.dot_factor * (rows.scale[row] * static_cast<float>(dot + query.offset));
  return product + (query.residual_factor * rows.residual[row] + query.bias_factor * rows.bias[row]);
}

// The greatest float32 below `score`; what lies under it cannot round up to `score`.
float below(float score) noexcept;

// The exact score of a row: float64 throughout, rounded to float32 once, the same bits under every kernel table.
float exact_score(Metric metric, const simd::Kernels& kernels, const CodedQuery& query, const Segment& segment,
                  std::size_t row) noexcept;
// The same of a row that is read here and there for few queries: see Segment::stray_row().
float exact_score_of_stray(Metric metric, const simd::Kernels& kernels, const CodedQuery& query, const Segment& segment,
                           std::size_t row) noexcept;

}  // namespace sightline::dense
