// The float kernels that the two NEON tables share: the exact pass, conversions, and the building of codes. Included only
// through neon_common.h; everything has internal linkage, so no copy can leak into another file.
#pragma once

#include <arm_neon.h>

#include "simd/kernels.h"

namespace sightline::simd {
namespace {

// The accumulators of a tile are arrays that must live in registers, which takes loops that are unrolled completely.
#define SIGHTLINE_UNROLL _Pragma("GCC unroll 16")

// --- exact pass ------------------------------------------------------------------------------------------------------

// Lane i of the contract is element i % 2 of vector i / 2.
constexpr int kLaneVectors = 8;

// How 4 stored values are read as float32, and written.
struct F32 {
  using Word = float;
  static float32x4_t load(const float* p) noexcept { return vld1q_f32(p); }
};

struct F16 {
  using Word = std::uint16_t;
  static float32x4_t load(const std::uint16_t* p) noexcept { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
  static uint16x4_t encode(float32x4_t values) noexcept { return vreinterpret_u16_f16(vcvt_f16_f32(values)); }
};

struct BF16 {
  using Word = std::uint16_t;
  static float32x4_t load(const std::uint16_t* p) noexcept {
    return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p)), 16));
  }
  // A NaN is cut, not rounded, which could make it infinite or zero; the bit set keeps it a NaN.
  static uint16x4_t encode(float32x4_t values) noexcept {
    const uint32x4_t bits = vreinterpretq_u32_f32(values);
    const uint32x4_t half = vaddq_u32(vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1)), vdupq_n_u32(0x7fff));
    const uint32x4_t cut = vorrq_u32(bits, vdupq_n_u32(0x400000));
    const uint32x4_t is_number = vceqq_f32(values, values);
    return vshrn_n_u32(vbslq_u32(is_number, vaddq_u32(bits, half), cut), 16);
  }
};

template <typename Stored>
inline void widen_16(const typename Stored::Word* p, float64x2_t* out) noexcept {
  SIGHTLINE_UNROLL
  for (int i = 0; i < 4; ++i) {
    const float32x4_t four = Stored::load(p + 4 * i);
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

struct DotStep {
  static void add(const float64x2_t* x, const float64x2_t* y, float64x2_t* lanes) noexcept {
    SIGHTLINE_UNROLL
    for (int i = 0; i < kLaneVectors; ++i) lanes[i] = vfmaq_f64(lanes[i], x[i], y[i]);  // the product is exact either way
  }
};

// The difference is rounded, so its square is not exact: a fused multiply-add would return other bits than the contract.
struct SquaredDistanceStep {
  static void add(const float64x2_t* x, const float64x2_t* y, float64x2_t* lanes) noexcept {
    SIGHTLINE_UNROLL
    for (int i = 0; i < kLaneVectors; ++i) {
      const float64x2_t difference = vsubq_f64(x[i], y[i]);
      lanes[i] = vaddq_f64(lanes[i], vmulq_f64(difference, difference));
    }
  }
};

template <typename Stored, typename Step>
inline void step_16(const float* a, const typename Stored::Word* b, float64x2_t* lanes) noexcept {
  float64x2_t x[kLaneVectors];
  float64x2_t y[kLaneVectors];
  widen_16<F32>(a, x);
  widen_16<Stored>(b, y);
  Step::add(x, y, lanes);
}

// 16 dimensions at a time. The tail is padded with zeros, which add +0 to lanes that are never -0.
template <typename Stored, typename Step>
double reduce_f64(const float* a, const typename Stored::Word* b, std::size_t dim) noexcept {
  float64x2_t lanes[kLaneVectors];
  SIGHTLINE_UNROLL
  for (int i = 0; i < kLaneVectors; ++i) lanes[i] = vdupq_n_f64(0);
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) step_16<Stored, Step>(a + i, b + i, lanes);
  if (i < dim) {
    float tail_a[16] = {};
    typename Stored::Word tail_b[16] = {};
    for (std::size_t j = 0; i + j < dim; ++j) {
      tail_a[j] = a[i + j];
      tail_b[j] = b[i + j];
    }
    step_16<Stored, Step>(tail_a, tail_b, lanes);
  }
  return sum_lanes(lanes);
}

template <typename Stored>
double dot_f64_neon(const float* a, const typename Stored::Word* b, std::size_t dim) noexcept {
  return reduce_f64<Stored, DotStep>(a, b, dim);
}

template <typename Stored>
double squared_distance_f64_neon(const float* a, const typename Stored::Word* b, std::size_t dim) noexcept {
  return reduce_f64<Stored, SquaredDistanceStep>(a, b, dim);
}

// --- converting ------------------------------------------------------------------------------------------------------

template <typename Stored>
void encode_neon(const float* values, std::size_t count, std::uint16_t* out) noexcept {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) vst1_u16(out + i, Stored::encode(vld1q_f32(values + i)));
  if (i == count) return;
  float tail[4] = {};
  std::uint16_t words[4];
  for (std::size_t j = 0; i + j < count; ++j) tail[j] = values[i + j];
  vst1_u16(words, Stored::encode(vld1q_f32(tail)));
  for (std::size_t j = 0; i + j < count; ++j) out[i + j] = words[j];
}

template <typename Stored>
void decode_neon(const std::uint16_t* values, std::size_t count, float* out) noexcept {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) vst1q_f32(out + i, Stored::load(values + i));
  if (i == count) return;
  std::uint16_t words[4] = {};
  float tail[4];
  for (std::size_t j = 0; i + j < count; ++j) words[j] = values[i + j];
  vst1q_f32(tail, Stored::load(words));
  for (std::size_t j = 0; i + j < count; ++j) out[i + j] = tail[j];
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

}  // namespace
}  // namespace sightline::simd
