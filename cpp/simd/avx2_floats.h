// The float kernels of AVX2: the exact pass, conversions, and the building of codes. Included only by avx2.cpp;
// everything has internal linkage, so no copy can leak into another file.
#pragma once

#include <immintrin.h>

#include "simd/kernels.h"

namespace sightline::simd {
namespace {

// Loads count < 8 floats, zeros behind them, without touching memory past them.
inline __m256 load_tail(const float* p, std::size_t count) noexcept {
  alignas(32) static constexpr int kMasks[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_maskload_ps(p, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMasks + 8 - count)));
}

inline __m256 load_up_to_8(const float* p, std::size_t count) noexcept {
  return count >= 8 ? _mm256_loadu_ps(p) : load_tail(p, count);
}

inline __m256d low_f64(__m256 v) noexcept { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
inline __m256d high_f64(__m256 v) noexcept { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }

// lanes[i] holds lanes 4i to 4i + 3 of the 16 in kernels.h.
inline double sum_lanes(const __m256d* lanes) noexcept {
  const __m256d four = _mm256_add_pd(_mm256_add_pd(lanes[0], lanes[2]), _mm256_add_pd(lanes[1], lanes[3]));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// How stored values are read, 8 as float32 or 4 as float64, or those of 8 that are left, and how they are written.
struct F32 {
  using Word = float;
  static __m256d load_f64(const float* p) noexcept { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
  static __m256 load(const float* p) noexcept { return _mm256_loadu_ps(p); }
  static __m256 load_up_to_8(const float* p, std::size_t count) noexcept { return simd::load_up_to_8(p, count); }
};

inline __m128i load_words(const std::uint16_t* p) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

inline __m128i load_4_words(const std::uint16_t* p) noexcept { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }

// There is no masked load of 16-bit values.
inline __m128i load_words_up_to_8(const std::uint16_t* p, std::size_t count) noexcept {
  if (count >= 8) return load_words(p);
  std::uint16_t words[8] = {};
  for (std::size_t i = 0; i < count; ++i) words[i] = p[i];
  return load_words(words);
}

struct F16 {
  using Word = std::uint16_t;
  static __m256d load_f64(const std::uint16_t* p) noexcept { return _mm256_cvtps_pd(_mm_cvtph_ps(load_4_words(p))); }
  static __m256 load(const std::uint16_t* p) noexcept { return _mm256_cvtph_ps(load_words(p)); }
  static __m256 load_up_to_8(const std::uint16_t* p, std::size_t count) noexcept {
    return _mm256_cvtph_ps(load_words_up_to_8(p, count));
  }
  static __m128i encode(__m256 values) noexcept { return _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT); }
};

struct BF16 {
  using Word = std::uint16_t;
  static __m256 widen(__m128i words) noexcept {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
  }
  static __m256d load_f64(const std::uint16_t* p) noexcept {
    return _mm256_cvtps_pd(_mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(load_4_words(p)), 16)));
  }
  static __m256 load(const std::uint16_t* p) noexcept { return widen(load_words(p)); }
  static __m256 load_up_to_8(const std::uint16_t* p, std::size_t count) noexcept {
    return widen(load_words_up_to_8(p, count));
  }
  // A NaN is cut, not rounded, which could make it infinite or zero; the bit set keeps it a NaN.
  static __m128i encode(__m256 values) noexcept {
    const __m256i bits = _mm256_castps_si256(values);
    const __m256i upper = _mm256_srli_epi32(bits, 16);
    const __m256i half = _mm256_add_epi32(_mm256_and_si256(upper, _mm256_set1_epi32(1)), _mm256_set1_epi32(0x7fff));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    const __m256i cut = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
    const __m256i words = _mm256_blendv_epi8(rounded, cut, nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  }
};

// Walks both arrays 16 values at a time, the tail padded with zeros, which leave every lane as it is. Four values are widened
// straight from memory: taking the halves of a register of eight apart measured twice the time (384 dimensions in cache).
template <typename Stored, typename Step>
inline double sum_over(const float* a, const typename Stored::Word* b, std::size_t dim, Step step) noexcept {
  __m256d lanes[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    for (int part = 0; part < 4; ++part) {
      lanes[part] = step(lanes[part], F32::load_f64(a + i + 4 * part), Stored::load_f64(b + i + 4 * part));
    }
  }
  for (int half = 0; i < dim; i += 8, ++half) {
    const __m256 x = F32::load_up_to_8(a + i, dim - i);
    const __m256 y = Stored::load_up_to_8(b + i, dim - i);
    lanes[2 * half] = step(lanes[2 * half], low_f64(x), low_f64(y));
    lanes[2 * half + 1] = step(lanes[2 * half + 1], high_f64(x), high_f64(y));
  }
  return sum_lanes(lanes);
}

// The products are exact in float64, so a fused multiply-add gives the bits of multiply, then add.
template <typename Stored>
double dot_f64_avx2(const float* a, const typename Stored::Word* b, std::size_t dim) noexcept {
  return sum_over<Stored>(a, b, dim, [](__m256d sum, __m256d x, __m256d y) { return _mm256_fmadd_pd(x, y, sum); });
}

// A difference is rounded, so its square is not exact: multiply, then add, as the scalar table does.
template <typename Stored>
double squared_distance_f64_avx2(const float* a, const typename Stored::Word* b, std::size_t dim) noexcept {
  return sum_over<Stored>(a, b, dim, [](__m256d sum, __m256d x, __m256d y) {
    const __m256d difference = _mm256_sub_pd(x, y);
    return _mm256_add_pd(sum, _mm256_mul_pd(difference, difference));
  });
}

template <typename Stored>
void encode_avx2(const float* values, std::size_t count, std::uint16_t* out) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), Stored::encode(F32::load(values + i)));
  }
  if (i == count) return;
  std::uint16_t words[8];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words), Stored::encode(F32::load_up_to_8(values + i, count - i)));
  for (std::size_t j = 0; i + j < count; ++j) out[i + j] = words[j];
}

template <typename Stored>
void decode_avx2(const std::uint16_t* values, std::size_t count, float* out) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(out + i, Stored::load(values + i));
  if (i == count) return;
  float tail[8];
  _mm256_storeu_ps(tail, Stored::load_up_to_8(values + i, count - i));
  for (std::size_t j = 0; i + j < count; ++j) out[i + j] = tail[j];
}

// Without the sign bit the order of float32 values is that of their bits, and infinities and NaNs come last.
float max_abs_f32_avx2(const float* row, std::size_t dim) noexcept {
  const __m256i magnitude_bits = _mm256_set1_epi32(0x7fffffff);
  __m256i greatest = _mm256_setzero_si256();
  for (std::size_t i = 0; i < dim; i += 8) {
    const __m256i values = _mm256_castps_si256(load_up_to_8(row + i, dim - i));
    greatest = _mm256_max_epu32(greatest, _mm256_and_si256(values, magnitude_bits));
  }
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(greatest), _mm256_extracti128_si256(greatest, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, _MM_SHUFFLE(1, 0, 3, 2)));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, _MM_SHUFFLE(2, 3, 0, 1)));
  return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

void encode_row_avx2(const float* row, std::size_t dim, double norm_factor, float inverse_scale, float scale,
                     std::uint8_t* codes, double residual[2]) noexcept {
  const __m256d norm_f64 = _mm256_set1_pd(norm_factor);
  const __m256d scale_f64 = _mm256_set1_pd(static_cast<double>(scale));
  __m256d full[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
  __m256d high[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
  const auto add_residuals = [&](int lane, __m256d x, __m256d c, __m256d h, __m256d live) {
    const __m256d scaled = _mm256_mul_pd(x, norm_f64);
    const __m256d d_full = _mm256_and_pd(_mm256_fnmadd_pd(scale_f64, c, scaled), live);
    const __m256d d_high = _mm256_and_pd(_mm256_fnmadd_pd(scale_f64, h, scaled), live);
    full[lane] = _mm256_fmadd_pd(d_full, d_full, full[lane]);
    high[lane] = _mm256_fmadd_pd(d_high, d_high, high[lane]);
  };
  const __m256i lane_numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (std::size_t i = 0; i < dim; i += 8) {
    const std::size_t count = dim - i >= 8 ? 8 : dim - i;
    const __m256 x = load_up_to_8(row + i, count);
    __m256 t = _mm256_mul_ps(x, _mm256_set1_ps(inverse_scale));
    t = _mm256_max_ps(_mm256_min_ps(t, _mm256_set1_ps(127.0f)), _mm256_set1_ps(-127.0f));
    const __m256i c_s32 = _mm256_cvtps_epi32(t);
    const __m256i u = _mm256_add_epi32(c_s32, _mm256_set1_epi32(128));
    const __m128i u_u16 = _mm_packus_epi32(_mm256_castsi256_si128(u), _mm256_extracti128_si256(u, 1));
    const __m128i u_u8 = _mm_packus_epi16(u_u16, u_u16);
    if (count == 8) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + i), u_u8);
    } else {
      const std::uint64_t bytes = static_cast<std::uint64_t>(_mm_cvtsi128_si64(u_u8));
      for (std::size_t j = 0; j < count; ++j) codes[i + j] = static_cast<std::uint8_t>(bytes >> (8 * j));
    }
    const __m256 c = _mm256_cvtepi32_ps(c_s32);
    const __m256 h = _mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_and_si256(u, _mm256_set1_epi32(0xf0))), _mm256_set1_ps(120.5f));
    const __m256i live = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane_numbers);
    const __m256d live_low = _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(live)));
    const __m256d live_high = _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_extracti128_si256(live, 1)));
    const int lane = i % 16 == 0 ? 0 : 2;
    add_residuals(lane, low_f64(x), low_f64(c), low_f64(h), live_low);
    add_residuals(lane + 1, high_f64(x), high_f64(c), high_f64(h), live_high);
  }
  residual[0] = sum_lanes(full);
  residual[1] = sum_lanes(high);
}

}  // namespace
}  // namespace sightline::simd
