// What the two NEON tables share: everything but the integer dot products. Included by neon.cpp and neon_dotprod.cpp only.
// All of it is in an anonymous namespace: the two files are compiled with different flags, so neither may lend the other
// (or anybody else) a function.
#pragma once

#include <arm_neon.h>

#include "simd/kernels.h"

namespace sightline::simd {
namespace {

// The accumulators of a tile are arrays that must live in registers, which takes loops that are unrolled completely.
#define SIGHTLINE_UNROLL _Pragma("GCC unroll 16")

constexpr std::size_t kRowVectors = kBlockRows / 4;  // vectors of 4 rows (x 4 dimensions, 16 bytes) in a block

// --- exact pass ------------------------------------------------------------------------------------------------------

// Lane i of the contract is element i % 2 of vector i / 2.
constexpr int kLaneVectors = 8;

inline void widen_16(const float* p, float64x2_t* out) noexcept {
  SIGHTLINE_UNROLL
  for (int i = 0; i < 4; ++i) {
    const float32x4_t four = vld1q_f32(p + 4 * i);
    out[2 * i] = vcvt_f64_f32(vget_low_f32(four));
    out[2 * i + 1] = vcvt_high_f64_f32(four);
  }
}

// The tree of the contract: lane i and lane i + 8, then i + 4, i + 2, i + 1.
inline double sum_lanes(const float64x2_t* lanes) noexcept {
  const float64x2_t sum_0 = vaddq_f64(lanes[0], lanes[4]);
  const float64x2_t sum_2 = vaddq_f64(lanes[1], lanes[5]);
  const float64x2_t sum_4 = vaddq_f64(lanes[2], lanes[6]);
  const float64x2_t sum_6 = vaddq_f64(lanes[3], lanes[7]);
  const float64x2_t sum = vaddq_f64(vaddq_f64(sum_0, sum_4), vaddq_f64(sum_2, sum_6));
  return vgetq_lane_f64(sum, 0) + vgetq_lane_f64(sum, 1);
}

inline void dot_16(const float* a, const float* b, float64x2_t* lanes) noexcept {
  float64x2_t x[kLaneVectors];
  float64x2_t y[kLaneVectors];
  widen_16(a, x);
  widen_16(b, y);
  SIGHTLINE_UNROLL
  for (int i = 0; i < kLaneVectors; ++i) lanes[i] = vfmaq_f64(lanes[i], x[i], y[i]);  // the product is exact either way
}

// The difference is rounded, so its square is not exact: a fused multiply-add would return other bits than the contract.
inline void squared_distance_16(const float* a, const float* b, float64x2_t* lanes) noexcept {
  float64x2_t x[kLaneVectors];
  float64x2_t y[kLaneVectors];
  widen_16(a, x);
  widen_16(b, y);
  SIGHTLINE_UNROLL
  for (int i = 0; i < kLaneVectors; ++i) {
    const float64x2_t difference = vsubq_f64(x[i], y[i]);
    lanes[i] = vaddq_f64(lanes[i], vmulq_f64(difference, difference));
  }
}

// Applies `step` to 16 dimensions at a time. The tail is padded with zeros, which add +0 to lanes that are never -0.
template <void (*step)(const float*, const float*, float64x2_t*) noexcept>
double reduce_f64(const float* a, const float* b, std::size_t dim) noexcept {
  float64x2_t lanes[kLaneVectors];
  SIGHTLINE_UNROLL
  for (int i = 0; i < kLaneVectors; ++i) lanes[i] = vdupq_n_f64(0);
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) step(a + i, b + i, lanes);
  if (i < dim) {
    float tail_a[16] = {};
    float tail_b[16] = {};
    for (std::size_t j = 0; i + j < dim; ++j) {
      tail_a[j] = a[i + j];
      tail_b[j] = b[i + j];
    }
    step(tail_a, tail_b, lanes);
  }
  return sum_lanes(lanes);
}

double dot_f64_neon(const float* a, const float* b, std::size_t dim) noexcept { return reduce_f64<dot_16>(a, b, dim); }

double squared_distance_f64_neon(const float* a, const float* b, std::size_t dim) noexcept {
  return reduce_f64<squared_distance_16>(a, b, dim);
}

// --- building --------------------------------------------------------------------------------------------------------

// FMAX returns NaN if either operand is one, so a value that is not finite survives to the end.
float max_abs_f32_neon(const float* row, std::size_t dim) noexcept {
  float32x4_t greatest[4];
  SIGHTLINE_UNROLL
  for (int i = 0; i < 4; ++i) greatest[i] = vdupq_n_f32(0);
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    SIGHTLINE_UNROLL
    for (int j = 0; j < 4; ++j) greatest[j] = vmaxq_f32(greatest[j], vabsq_f32(vld1q_f32(row + i + 4 * j)));
  }
  for (; i < dim; ++i) greatest[0] = vmaxq_f32(greatest[0], vabsq_f32(vld1q_dup_f32(row + i)));
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(greatest[0], greatest[1]), vmaxq_f32(greatest[2], greatest[3])));
}

struct ResidualSums {
  float64x2_t full[2];
  float64x2_t high[2];
};

// Four values: adds to the residuals and returns the signed codes.
inline int32x4_t encode_4(const float* row, double norm_factor, float inverse_scale, double scale,
                          ResidualSums& sums) noexcept {
  const float32x4_t x_f32 = vld1q_f32(row);
  const float32x4_t t = vmaxq_f32(vminq_f32(vmulq_n_f32(x_f32, inverse_scale), vdupq_n_f32(127)), vdupq_n_f32(-127));
  const int32x4_t code = vcvtnq_s32_f32(t);  // to nearest, ties to even
  const int32x4_t high_bits = vandq_s32(vaddq_s32(code, vdupq_n_s32(128)), vdupq_n_s32(0xf0));
  const float32x4_t full = vcvtq_f32_s32(code);
  const float32x4_t high = vsubq_f32(vcvtq_f32_s32(high_bits), vdupq_n_f32(120.5f));
  const float64x2_t x[2] = {vmulq_n_f64(vcvt_f64_f32(vget_low_f32(x_f32)), norm_factor),
                            vmulq_n_f64(vcvt_high_f64_f32(x_f32), norm_factor)};
  const float64x2_t step = vdupq_n_f64(scale);
  const float64x2_t d_full[2] = {vfmsq_f64(x[0], step, vcvt_f64_f32(vget_low_f32(full))),
                                 vfmsq_f64(x[1], step, vcvt_high_f64_f32(full))};
  const float64x2_t d_high[2] = {vfmsq_f64(x[0], step, vcvt_f64_f32(vget_low_f32(high))),
                                 vfmsq_f64(x[1], step, vcvt_high_f64_f32(high))};
  SIGHTLINE_UNROLL
  for (int i = 0; i < 2; ++i) {
    sums.full[i] = vfmaq_f64(sums.full[i], d_full[i], d_full[i]);
    sums.high[i] = vfmaq_f64(sums.high[i], d_high[i], d_high[i]);
  }
  return code;
}

void encode_row_neon(const float* row, std::size_t dim, double norm_factor, float inverse_scale, float scale,
                     std::uint8_t* codes, double residual[2]) noexcept {
  const float64x2_t zero = vdupq_n_f64(0);
  ResidualSums sums = {{zero, zero}, {zero, zero}};
  std::size_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    const int32x4_t low = encode_4(row + i, norm_factor, inverse_scale, scale, sums);
    const int32x4_t high = encode_4(row + i + 4, norm_factor, inverse_scale, scale, sums);
    const int8x8_t code = vmovn_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high)));
    vst1_u8(codes + i, veor_u8(vreinterpret_u8_s8(code), vdup_n_u8(0x80)));
  }
  double full = vaddvq_f64(vaddq_f64(sums.full[0], sums.full[1]));
  double high = vaddvq_f64(vaddq_f64(sums.high[0], sums.high[1]));
  for (; i < dim; ++i) {
    float t = row[i] * inverse_scale;
    t = t > 127.0f ? 127.0f : t;
    t = t < -127.0f ? -127.0f : t;
    const int c = vcvtns_s32_f32(t);
    const int u = c + 128;
    codes[i] = static_cast<std::uint8_t>(u);
    const double x = static_cast<double>(row[i]) * norm_factor;
    const double d_full = x - static_cast<double>(scale) * c;
    const double d_high = x - static_cast<double>(scale) * (16 * (u >> 4) - 120.5);
    full += d_full * d_full;
    high += d_high * d_high;
  }
  residual[0] = full;
  residual[1] = high;
}

// --- coarse pass -----------------------------------------------------------------------------------------------------

void unpack_block_neon(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, std::uint8_t* out) noexcept {
  for (std::size_t octet = 0; octet < octets; ++octet, high += kOctetBytes, low += kOctetBytes, out += 2 * kOctetBytes) {
    for (std::size_t i = 0; i < kOctetBytes; i += 16) {
      const uint8x16_t h = vld1q_u8(high + i);
      const uint8x16_t l = vld1q_u8(low + i);
      vst1q_u8(out + i, vsliq_n_u8(l, h, 4));                // low half of h above low half of l
      vst1q_u8(out + i + kOctetBytes, vsriq_n_u8(h, l, 4));  // high half of h above high half of l
    }
  }
}

// The query codes of one quad, for all 4 rows of a vector.
inline int8x16_t broadcast_quad(const std::int8_t* quad) noexcept {
  return vreinterpretq_s8_s32(vld1q_dup_s32(reinterpret_cast<const std::int32_t*>(quad)));
}

// Signed multiplication takes u - 128 for a code u; what that takes from the dot of query q, 128 * sum of its codes, is
// returned in correction[q] for the 8 queries of the widest tile (entries past the width are meaningless).
inline void offset_corrections(const std::int8_t* queries, std::size_t octets, std::size_t width,
                               std::int32_t* correction) noexcept {
  const std::size_t words = 2 * octets * width;  // a word: the 4 codes of one query in one quad
  for (std::size_t first = 0; first < width; first += 4) {
    int32x4_t sum = vdupq_n_s32(0);
    std::size_t word = first;
    for (; word + 4 <= words; word += width) {
      sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(queries + 4 * word)));  // lanes past the width hold another quad's words
    }
    vst1q_s32(correction + first, vshlq_n_s32(sum, 7));
    for (; word < words; word += width) {  // the last words, where 16 bytes would reach past the end
      for (std::size_t q = 0; q < 4 && first + q < width; ++q) {
        for (std::size_t j = 0; j < 4; ++j) correction[first + q] += 128 * queries[4 * (word + q) + j];
      }
    }
  }
}

// One bit for each of 16 rows from four comparisons of 4 rows.
inline std::uint64_t bits_of_16(const uint32x4_t* rows) noexcept {
  const uint8x16_t bytes = vcombine_u8(vmovn_u16(vcombine_u16(vmovn_u32(rows[0]), vmovn_u32(rows[1]))),
                                       vmovn_u16(vcombine_u16(vmovn_u32(rows[2]), vmovn_u32(rows[3]))));
  const uint8x8_t weights = vcreate_u8(0x8040201008040201ULL);
  const uint8x16_t weighted = vandq_u8(bytes, vcombine_u8(weights, weights));
  return static_cast<std::uint64_t>(vaddv_u8(vget_low_u8(weighted))) |
         static_cast<std::uint64_t>(vaddv_u8(vget_high_u8(weighted))) << 8;
}

// From the dots of one query to its bounds. `correction` is added to the dots besides the query's own offset.
inline void finish_bounds(const std::int32_t* dots, std::int32_t correction, const CoarseRows& rows,
                          const CoarseQuery& query, std::uint64_t* survivors, float* upper) noexcept {
  const int32x4_t offset = vaddq_s32(vdupq_n_s32(query.offset), vdupq_n_s32(correction));
  const float32x4_t threshold = vdupq_n_f32(query.threshold);
  std::uint64_t mask = 0;
  for (std::size_t r = 0; r < kBlockRows; r += 16) {
    uint32x4_t kept[4];
    SIGHTLINE_UNROLL
    for (std::size_t v = 0; v < 4; ++v) {
      const std::size_t row = r + 4 * v;
      const float32x4_t dot = vcvtq_f32_s32(vaddq_s32(vld1q_s32(dots + row), offset));
      const float32x4_t product = vmulq_f32(vld1q_f32(rows.scale + row), dot);
      const float32x4_t slack = vfmaq_n_f32(vmulq_n_f32(vld1q_f32(rows.bias + row), query.bias_factor),
                                            vld1q_f32(rows.residual + row), query.residual_factor);
      const float32x4_t bound = vfmaq_n_f32(slack, product, query.dot_factor);
      vst1q_f32(upper + row, bound);
      kept[v] = vmvnq_u32(vcltq_f32(bound, threshold));  // not (bound < threshold): a NaN is kept
    }
    mask |= bits_of_16(kept) << r;
  }
  *survivors = mask;
}

}  // namespace
}  // namespace sightline::simd
