// The float kernels that the two AVX-512 tables share: the exact pass, conversions, and the building of codes. Included
// only through avx512_common.h; everything has internal linkage, so no copy can leak into another file.
#pragma once

#include <immintrin.h>

#include "simd/kernels.h"

namespace sightline::simd {
namespace {

inline __mmask16 tail_mask(std::size_t count) noexcept { return static_cast<__mmask16>((1u << count) - 1u); }

// The fixed tree of kernels.h: lanes 0..7 in `low`, 8..15 in `high`.
inline double sum_lanes(__m512d low, __m512d high) noexcept {
  const __m512d eight = _mm512_add_pd(low, high);
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

inline __m512d low_f64(__m512 v) noexcept { return _mm512_cvtps_pd(_mm512_castps512_ps256(v)); }
inline __m512d high_f64(__m512 v) noexcept { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)); }

// How 16 stored values are read as float32, all of them or those of a mask, and written.
struct F32 {
  using Word = float;
  static __m512 load(const float* p) noexcept { return _mm512_loadu_ps(p); }
  static __m512 load(const float* p, __mmask16 mask) noexcept { return _mm512_maskz_loadu_ps(mask, p); }
};

struct F16 {
  using Word = std::uint16_t;
  static __m512 load(const std::uint16_t* p) noexcept {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static __m512 load(const std::uint16_t* p, __mmask16 mask) noexcept {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p));
  }
  static __m256i encode(__m512 values) noexcept { return _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT); }
};

struct BF16 {
  using Word = std::uint16_t;
  static __m512 widen(__m256i words) noexcept {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
  }
  static __m512 load(const std::uint16_t* p) noexcept {
    return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static __m512 load(const std::uint16_t* p, __mmask16 mask) noexcept { return widen(_mm256_maskz_loadu_epi16(mask, p)); }
  // A NaN is cut, not rounded, which could make it infinite or zero; the bit set keeps it a NaN.
  static __m256i encode(__m512 values) noexcept {
    const __m512i bits = _mm512_castps_si512(values);
    const __m512i upper = _mm512_srli_epi32(bits, 16);
    const __m512i half = _mm512_add_epi32(_mm512_and_si512(upper, _mm512_set1_epi32(1)), _mm512_set1_epi32(0x7fff));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
    const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, upper, _mm512_set1_epi32(0x40)));
  }
};

// Calls step(x, y) for 16 dimensions at a time; the tail is padded with zeros, which leave every lane as it is.
template <typename Stored, typename Step>
inline void for_each_16(const float* a, const typename Stored::Word* b, std::size_t dim, Step step) noexcept {
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) step(F32::load(a + i), Stored::load(b + i));
  if (i < dim) {
    const __mmask16 tail = tail_mask(dim - i);
    step(F32::load(a + i, tail), Stored::load(b + i, tail));
  }
}

// The products are exact in float64, so a fused multiply-add gives the bits of multiply, then add.
template <typename Stored>
double dot_f64_avx512(const float* a, const typename Stored::Word* b, std::size_t dim) noexcept {
  __m512d low = _mm512_setzero_pd();
  __m512d high = _mm512_setzero_pd();
  for_each_16<Stored>(a, b, dim, [&](__m512 x, __m512 y) {
    low = _mm512_fmadd_pd(low_f64(x), low_f64(y), low);
    high = _mm512_fmadd_pd(high_f64(x), high_f64(y), high);
  });
  return sum_lanes(low, high);
}

// A difference is rounded, so its square is not exact: multiply, then add, as the scalar table does.
template <typename Stored>
double squared_distance_f64_avx512(const float* a, const typename Stored::Word* b, std::size_t dim) noexcept {
  __m512d low = _mm512_setzero_pd();
  __m512d high = _mm512_setzero_pd();
  for_each_16<Stored>(a, b, dim, [&](__m512 x, __m512 y) {
    const __m512d d_low = _mm512_sub_pd(low_f64(x), low_f64(y));
    const __m512d d_high = _mm512_sub_pd(high_f64(x), high_f64(y));
    low = _mm512_add_pd(low, _mm512_mul_pd(d_low, d_low));
    high = _mm512_add_pd(high, _mm512_mul_pd(d_high, d_high));
  });
  return sum_lanes(low, high);
}

template <typename Stored>
void encode_avx512(const float* values, std::size_t count, std::uint16_t* out) noexcept {
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), Stored::encode(F32::load(values + i)));
  }
  if (i < count) {
    const __mmask16 tail = tail_mask(count - i);
    _mm256_mask_storeu_epi16(out + i, tail, Stored::encode(F32::load(values + i, tail)));
  }
}

template <typename Stored>
void decode_avx512(const std::uint16_t* values, std::size_t count, float* out) noexcept {
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) _mm512_storeu_ps(out + i, Stored::load(values + i));
  if (i < count) {
    const __mmask16 tail = tail_mask(count - i);
    _mm512_mask_storeu_ps(out + i, tail, Stored::load(values + i, tail));
  }
}

// Without the sign bit the order of float32 values is that of their bits, and infinities and NaNs come last.
float max_abs_f32_avx512(const float* row, std::size_t dim) noexcept {
  const __m512i magnitude_bits = _mm512_set1_epi32(0x7fffffff);
  __m512i greatest = _mm512_setzero_si512();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    greatest = _mm512_max_epu32(greatest, _mm512_and_si512(_mm512_loadu_si512(row + i), magnitude_bits));
  }
  if (i < dim) {
    const __m512i values = _mm512_maskz_loadu_epi32(tail_mask(dim - i), row + i);
    greatest = _mm512_max_epu32(greatest, _mm512_and_si512(values, magnitude_bits));
  }
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(_mm512_reduce_max_epu32(greatest)))));
}

void encode_row_avx512(const float* row, std::size_t dim, double norm_factor, float inverse_scale, float scale,
                       std::uint8_t* codes, double residual[2]) noexcept {
  const __m512 inverse_f32 = _mm512_set1_ps(inverse_scale);
  const __m512 limit_f32 = _mm512_set1_ps(127.0f);
  const __m512 minus_limit_f32 = _mm512_set1_ps(-127.0f);
  const __m512d norm_f64 = _mm512_set1_pd(norm_factor);
  const __m512d scale_f64 = _mm512_set1_pd(static_cast<double>(scale));
  __m512d full[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  __m512d high[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  const auto add_residuals = [&](int half, __m512d x, __m512d c, __m512d h, __mmask8 live) {
    const __m512d scaled = _mm512_mul_pd(x, norm_f64);
    const __m512d d_full = _mm512_fnmadd_pd(scale_f64, c, scaled);
    const __m512d d_high = _mm512_fnmadd_pd(scale_f64, h, scaled);
    full[half] = _mm512_mask3_fmadd_pd(d_full, d_full, full[half], live);
    high[half] = _mm512_mask3_fmadd_pd(d_high, d_high, high[half], live);
  };
  for (std::size_t i = 0; i < dim; i += 16) {
    const __mmask16 live = dim - i >= 16 ? static_cast<__mmask16>(0xffff) : tail_mask(dim - i);
    const __m512 x = _mm512_maskz_loadu_ps(live, row + i);
    const __m512 t = _mm512_max_ps(_mm512_min_ps(_mm512_mul_ps(x, inverse_f32), limit_f32), minus_limit_f32);
    const __m512i u = _mm512_add_epi32(_mm512_cvtps_epi32(t), _mm512_set1_epi32(128));
    _mm512_mask_cvtepi32_storeu_epi8(codes + i, live, u);
    const __m512 c = _mm512_cvtepi32_ps(_mm512_sub_epi32(u, _mm512_set1_epi32(128)));
    const __m512 h = _mm512_sub_ps(_mm512_cvtepi32_ps(_mm512_and_si512(u, _mm512_set1_epi32(0xf0))), _mm512_set1_ps(120.5f));
    add_residuals(0, low_f64(x), low_f64(c), low_f64(h), static_cast<__mmask8>(live));
    add_residuals(1, high_f64(x), high_f64(c), high_f64(h), static_cast<__mmask8>(live >> 8));
  }
  residual[0] = sum_lanes(full[0], full[1]);
  residual[1] = sum_lanes(high[0], high[1]);
}

}  // namespace
}  // namespace sightline::simd
