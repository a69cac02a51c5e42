// What the two AVX-512 tables share. Included only by avx512.cpp and avx512vnni.cpp, which compile it each with its own
// flags: everything has internal linkage, so no copy can leak into another file.
#pragma once

#include <immintrin.h>

#include "simd/avx512_floats.h"
#include "simd/kernels.h"

namespace sightline::simd {
namespace {

constexpr std::size_t kPrefetchBytes = 4096;

void unpack_block_avx512(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, std::uint8_t* out) noexcept {
  constexpr int kSelect = 0xCA;  // a ? b : c
  const __m512i low_nibbles = _mm512_set1_epi8(0x0f);
  for (std::size_t octet = 0; octet < octets; ++octet, high += kOctetBytes, low += kOctetBytes, out += 2 * kOctetBytes) {
    for (std::size_t i = 0; i < kOctetBytes; i += 64) {
      // Two streams, each ahead of the hardware prefetcher, which stops at page ends. (Searches with this table join the
      // planes in registers, see scan_tile_planes; this keeps the contract and is what that is tested against.)
      _mm_prefetch(reinterpret_cast<const char*>(high + kPrefetchBytes + i), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(low + kPrefetchBytes + i), _MM_HINT_T0);
      const __m512i h = _mm512_loadu_si512(high + i);
      const __m512i l = _mm512_loadu_si512(low + i);
      _mm512_store_si512(out + i, _mm512_ternarylogic_epi32(low_nibbles, l, _mm512_slli_epi16(h, 4), kSelect));
      _mm512_store_si512(out + i + kOctetBytes, _mm512_ternarylogic_epi32(low_nibbles, _mm512_srli_epi16(l, 4), h, kSelect));
    }
  }
}

// Bounds of 64 rows for one query from their integer dots, compared in registers; see kernels.h for the expression.
// Kept out of line so that the tile's accumulators are only ever named one by one and stay in registers.
__attribute__((noinline)) void finish_bounds(const std::int32_t* dots, const CoarseRows& rows, const CoarseQuery& query,
                                             std::uint64_t* survivors, float* upper) noexcept {
  const __m512i offset = _mm512_set1_epi32(query.offset);
  const __m512 dot_factor = _mm512_set1_ps(query.dot_factor);
  const __m512 residual_factor = _mm512_set1_ps(query.residual_factor);
  const __m512 bias_factor = _mm512_set1_ps(query.bias_factor);
  const __m512 threshold = _mm512_set1_ps(query.threshold);
  __m512 bounds[4];
  std::uint64_t mask = 0;
  for (int v = 0; v < 4; ++v) {
    const __m512 dot = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_load_si512(dots + 16 * v), offset));
    const __m512 product = _mm512_mul_ps(_mm512_loadu_ps(rows.scale + 16 * v), dot);
    const __m512 bias = _mm512_mul_ps(bias_factor, _mm512_loadu_ps(rows.bias + 16 * v));
    const __m512 slack = _mm512_fmadd_ps(residual_factor, _mm512_loadu_ps(rows.residual + 16 * v), bias);
    bounds[v] = _mm512_fmadd_ps(dot_factor, product, slack);
    const std::uint64_t bits = _mm512_cmp_ps_mask(bounds[v], threshold, _CMP_NLT_UQ);
    mask |= bits << (16 * v);
  }
  *survivors = mask;
  if (mask != 0) {
    for (int v = 0; v < 4; ++v) _mm512_storeu_ps(upper + 16 * v, bounds[v]);
  }
}

template <int W>
inline void finish_tile(const __m512i (&sums)[W][4], const CoarseRows& rows, const CoarseQuery* constants,
                        std::uint64_t* survivors, float* upper) noexcept {
  alignas(64) std::int32_t dots[W][kBlockRows];
#pragma GCC unroll 8
  for (int q = 0; q < W; ++q) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) _mm512_store_si512(dots[q] + 16 * v, sums[q][v]);
  }
  for (int q = 0; q < W; ++q) finish_bounds(dots[q], rows, constants[q], survivors + q, upper + kBlockRows * q);
}

inline __m512i broadcast_quad(const std::int8_t* codes) noexcept {
  int quad;
  __builtin_memcpy(&quad, codes, sizeof quad);
  return _mm512_set1_epi32(quad);
}

template <typename Dot, int W>
inline void accumulate_quad(__m512i (&sums)[W][4], const __m512i (&rows)[4], const std::int8_t* queries) noexcept {
#pragma GCC unroll 8
  for (int q = 0; q < W; ++q) {
    const __m512i e = broadcast_quad(queries + 4 * q);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) Dot::accumulate(sums[q][v], rows[v], e);
  }
}

// The tile: 4 registers of 16 rows by W queries, 4 * W accumulators that live in registers throughout. Dot is a type
// with a static `accumulate(sum, rows_u8, query_s8)`.
template <typename Dot, int W>
void scan_tile(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
               const CoarseQuery* constants, std::uint64_t* survivors, float* upper) noexcept {
  __m512i sums[W][4];
#pragma GCC unroll 8
  for (int q = 0; q < W; ++q) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[q][v] = _mm512_setzero_si512();
  }
  const std::uint8_t* const end = block + octets * 2 * kOctetBytes;
  for (; block != end; block += kOctetBytes, queries += 4 * W) {
    __m512i u[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) u[v] = _mm512_load_si512(block + 64 * v);
    accumulate_quad<Dot, W>(sums, u, queries);
  }
  finish_tile<W>(sums, rows, constants, survivors, upper);
}

template <typename Dot, int W>
void scan_tile_planes(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, const CoarseRows& rows,
                      const std::int8_t* queries, const CoarseQuery* constants, std::uint64_t* survivors,
                      float* upper) noexcept {
  constexpr int kSelect = 0xCA;  // a ? b : c
  const __m512i low_nibbles = _mm512_set1_epi8(0x0f);
  __m512i sums[W][4];
#pragma GCC unroll 8
  for (int q = 0; q < W; ++q) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[q][v] = _mm512_setzero_si512();
  }
  const std::uint8_t* const end = high + octets * kOctetBytes;
  for (; high != end; high += kOctetBytes, low += kOctetBytes, queries += 8 * W) {
    // One quad after the other: with 24 sums there is room for four vectors of rows and one of a query, no more.
    __m512i rows_of_quad[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      _mm_prefetch(reinterpret_cast<const char*>(high + kPrefetchBytes + 64 * v), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(low + kPrefetchBytes + 64 * v), _MM_HINT_T0);
      const __m512i shifted = _mm512_slli_epi16(_mm512_load_si512(high + 64 * v), 4);
      rows_of_quad[v] = _mm512_ternarylogic_epi32(low_nibbles, _mm512_load_si512(low + 64 * v), shifted, kSelect);
    }
    accumulate_quad<Dot, W>(sums, rows_of_quad, queries);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m512i shifted = _mm512_srli_epi16(_mm512_load_si512(low + 64 * v), 4);
      rows_of_quad[v] = _mm512_ternarylogic_epi32(low_nibbles, shifted, _mm512_load_si512(high + 64 * v), kSelect);
    }
    accumulate_quad<Dot, W>(sums, rows_of_quad, queries + 4 * W);
  }
  finish_tile<W>(sums, rows, constants, survivors, upper);
}

template <typename Dot, int W>
void scan_tile_high(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                    const CoarseQuery* constants, std::uint64_t* survivors, float* upper) noexcept {
  const __m512i low_nibbles = _mm512_set1_epi8(0x0f);
  __m512i sums[W][4];
#pragma GCC unroll 8
  for (int q = 0; q < W; ++q) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[q][v] = _mm512_setzero_si512();
  }
  const std::uint8_t* const end = high + octets * kOctetBytes;
  for (; high != end; high += kOctetBytes, queries += 8 * W) {
    // A lone query is bound by memory: ask for lines well ahead of the hardware prefetcher, which stops at page ends.
    if constexpr (W <= 2) {
      for (int v = 0; v < 4; ++v) _mm_prefetch(reinterpret_cast<const char*>(high + kPrefetchBytes + 64 * v), _MM_HINT_T0);
    }
    // One quad after the other: with 24 sums there is room for four vectors of rows and one of a query, no more.
    __m512i rows_of_quad[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) rows_of_quad[v] = _mm512_and_si512(_mm512_load_si512(high + 64 * v), low_nibbles);
    accumulate_quad<Dot, W>(sums, rows_of_quad, queries);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      rows_of_quad[v] = _mm512_and_si512(_mm512_srli_epi16(_mm512_load_si512(high + 64 * v), 4), low_nibbles);
    }
    accumulate_quad<Dot, W>(sums, rows_of_quad, queries + 4 * W);
  }
#pragma GCC unroll 8
  for (int q = 0; q < W; ++q) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[q][v] = _mm512_slli_epi32(sums[q][v], 5);
  }
  finish_tile<W>(sums, rows, constants, survivors, upper);
}

template <typename Dot>
void scan_block_avx512(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                       const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors, float* upper) noexcept {
  switch (width) {
    case 1: return scan_tile<Dot, 1>(block, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_tile<Dot, 2>(block, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_tile<Dot, 3>(block, octets, rows, queries, constants, survivors, upper);
    case 4: return scan_tile<Dot, 4>(block, octets, rows, queries, constants, survivors, upper);
    case 5: return scan_tile<Dot, 5>(block, octets, rows, queries, constants, survivors, upper);
    default: return scan_tile<Dot, 6>(block, octets, rows, queries, constants, survivors, upper);
  }
}

template <typename Dot>
void scan_block_planes_avx512(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, const CoarseRows& rows,
                              const std::int8_t* queries, const CoarseQuery* constants, std::size_t width,
                              std::uint64_t* survivors, float* upper) noexcept {
  switch (width) {
    case 1: return scan_tile_planes<Dot, 1>(high, low, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_tile_planes<Dot, 2>(high, low, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_tile_planes<Dot, 3>(high, low, octets, rows, queries, constants, survivors, upper);
    case 4: return scan_tile_planes<Dot, 4>(high, low, octets, rows, queries, constants, survivors, upper);
    case 5: return scan_tile_planes<Dot, 5>(high, low, octets, rows, queries, constants, survivors, upper);
    default: return scan_tile_planes<Dot, 6>(high, low, octets, rows, queries, constants, survivors, upper);
  }
}

template <typename Dot>
void scan_block_high_avx512(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                            const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors,
                            float* upper) noexcept {
  switch (width) {
    case 1: return scan_tile_high<Dot, 1>(high, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_tile_high<Dot, 2>(high, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_tile_high<Dot, 3>(high, octets, rows, queries, constants, survivors, upper);
    case 4: return scan_tile_high<Dot, 4>(high, octets, rows, queries, constants, survivors, upper);
    case 5: return scan_tile_high<Dot, 5>(high, octets, rows, queries, constants, survivors, upper);
    default: return scan_tile_high<Dot, 6>(high, octets, rows, queries, constants, survivors, upper);
  }
}

inline void strided_maxima_u16_avx512(const std::uint16_t* values, std::size_t groups, std::uint16_t* maxima) noexcept {
  for (std::size_t g = 0; g < groups; ++g, values += kStrideGroup, maxima += kStride) {
    __m512i even = _mm512_load_si512(values);
    __m512i odd = _mm512_load_si512(values + kStride);
    for (std::size_t i = 2 * kStride; i < kStrideGroup; i += 2 * kStride) {
      even = _mm512_max_epu16(even, _mm512_load_si512(values + i));
      odd = _mm512_max_epu16(odd, _mm512_load_si512(values + i + kStride));
    }
    _mm512_store_si512(maxima, _mm512_max_epu16(even, odd));
  }
}

inline std::size_t take_at_least_u16_avx512(std::uint16_t* values, std::size_t count, std::uint16_t least,
                                            TakenValue* taken) noexcept {
  const __m512i bound = _mm512_set1_epi16(static_cast<short>(least));
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; i += kStride) {
    std::uint32_t hits = _mm512_cmpge_epu16_mask(_mm512_load_si512(values + i), bound);
    for (; hits != 0; hits &= hits - 1) {
      const std::size_t at = i + static_cast<std::size_t>(__builtin_ctz(hits));
      taken[found++] = {values[at], static_cast<std::uint16_t>(at)};
    }
    _mm512_store_si512(values + i, _mm512_setzero_si512());
  }
  return found;
}

// Four keys with all others, sixteen at a time.
inline void count_less_i32_avx512(const std::int32_t* keys, std::size_t count, std::int32_t* less) noexcept {
  const __m512i one = _mm512_set1_epi32(1);
  for (std::size_t i = 0; i < count; i += 4) {
    __m512i key[4];
    __m512i found[4];
    for (std::size_t r = 0; r < 4; ++r) {
      key[r] = _mm512_set1_epi32(keys[i + r]);
      found[r] = _mm512_setzero_si512();
    }
    for (std::size_t j = 0; j < count; j += 16) {
      const __m512i other = _mm512_load_si512(keys + j);
      for (std::size_t r = 0; r < 4; ++r) {
        found[r] = _mm512_mask_add_epi32(found[r], _mm512_cmplt_epi32_mask(other, key[r]), found[r], one);
      }
    }
    for (std::size_t r = 0; r < 4; ++r) less[i + r] = _mm512_reduce_add_epi32(found[r]);
  }
}

// Takes 32 values of one width, which fill 2 * width words, from 64 bytes: a value lies in one or two neighbouring words.
struct Unpacker {
  __m512i low_word;
  __m512i high_word;
  __m512i right;
  __m512i left;
  __m512i mask;

  explicit Unpacker(std::uint32_t width) noexcept {
    alignas(64) static constexpr std::uint16_t kIota[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                            16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    const __m512i begin = _mm512_mullo_epi16(_mm512_load_si512(kIota), _mm512_set1_epi16(static_cast<short>(width)));
    low_word = _mm512_srli_epi16(begin, 4);
    high_word = _mm512_add_epi16(low_word, _mm512_set1_epi16(1));
    right = _mm512_and_si512(begin, _mm512_set1_epi16(15));
    left = _mm512_sub_epi16(_mm512_set1_epi16(16), right);  // by 16 leaves nothing
    mask = _mm512_set1_epi16(static_cast<short>((1U << width) - 1));
  }
  __m512i words(const std::uint8_t* at) const noexcept {
    const __m512i packed = _mm512_loadu_si512(at);
    const __m512i low = _mm512_srlv_epi16(_mm512_permutexvar_epi16(low_word, packed), right);
    const __m512i high = _mm512_sllv_epi16(_mm512_permutexvar_epi16(high_word, packed), left);
    return _mm512_and_si512(_mm512_or_si512(low, high), mask);
  }
};

inline void unpack_u16_avx512(const std::uint8_t* bits, std::size_t count, std::uint32_t width, std::uint16_t* out) noexcept {
  const Unpacker unpacker(width);
  for (std::size_t i = 0; i < count; i += 32, bits += 4 * width) _mm512_storeu_si512(out + i, unpacker.words(bits));
}

inline void unpack_ascending_u16_avx512(const std::uint8_t* bits, std::size_t count, std::uint32_t width,
                                        std::uint16_t first, std::uint16_t* out) noexcept {
  const Unpacker unpacker(width);
  const __m512i one = _mm512_set1_epi16(1);
  const __m512i last = _mm512_set1_epi16(31);
  // The last word of the quarter before, for the second and fourth quarter; of the second, for the third and fourth.
  const __m512i ends_of_quarters = _mm512_set_epi64(0x0017001700170017, 0x0017001700170017, 0, 0, 0x0007000700070007,
                                                    0x0007000700070007, 0, 0);
  const __m512i end_of_half = _mm512_set1_epi16(15);
  __m512i before = _mm512_set1_epi16(static_cast<short>(first));
  for (std::size_t i = 0; i < count; i += 32, bits += 4 * width) {
    __m512i sums = _mm512_add_epi16(unpacker.words(bits), one);
    sums = _mm512_add_epi16(sums, _mm512_bslli_epi128(sums, 2));
    sums = _mm512_add_epi16(sums, _mm512_bslli_epi128(sums, 4));
    sums = _mm512_add_epi16(sums, _mm512_bslli_epi128(sums, 8));
    sums = _mm512_add_epi16(sums, _mm512_maskz_permutexvar_epi16(0xFF00FF00, ends_of_quarters, sums));
    sums = _mm512_add_epi16(sums, _mm512_maskz_permutexvar_epi16(0xFFFF0000, end_of_half, sums));
    _mm512_storeu_si512(out + i, _mm512_add_epi16(sums, before));
    before = _mm512_add_epi16(before, _mm512_permutexvar_epi16(last, sums));
  }
}

// 16 independent sums hide the latency of the instruction.
template <typename Dot>
std::uint64_t probe_operations_avx512(std::size_t rounds) noexcept {
  constexpr int kSums = 16;
  __m512i sums[kSums];
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_setzero_si512();
  const __m512i rows = _mm512_set1_epi8(3);
  const __m512i query = _mm512_set1_epi8(5);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) {
      Dot::accumulate(sums[i], rows, query);
      asm volatile("" : "+v"(sums[i]));  // keeps the compiler from computing the sum once
    }
  }
  return rounds * kSums * 64 * 2;
}

template <typename Dot>
constexpr Kernels make_avx512_kernels(const char* name) {
  return {
      .name = name,
      .dot_f64 = dot_f64_avx512<F32>,
      .squared_distance_f64 = squared_distance_f64_avx512<F32>,
      .dot_f64_f16 = dot_f64_avx512<F16>,
      .dot_f64_bf16 = dot_f64_avx512<BF16>,
      .squared_distance_f64_f16 = squared_distance_f64_avx512<F16>,
      .squared_distance_f64_bf16 = squared_distance_f64_avx512<BF16>,
      .f32_to_f16 = encode_avx512<F16>,
      .f32_to_bf16 = encode_avx512<BF16>,
      .f16_to_f32 = decode_avx512<F16>,
      .bf16_to_f32 = decode_avx512<BF16>,
      .max_abs_f32 = max_abs_f32_avx512,
      .encode_row = encode_row_avx512,
      .max_query_code = Dot::kMaxQueryCode,
      .tile_width = 6,
      .unpack_block = unpack_block_avx512,
      .scan_block = scan_block_avx512<Dot>,
      .scan_block_planes = scan_block_planes_avx512<Dot>,
      .most_from_planes = SIZE_MAX,
      .scan_block_high = scan_block_high_avx512<Dot>,
      .dot_row = nullptr,
      .strided_maxima_u16 = strided_maxima_u16_avx512,
      .take_at_least_u16 = take_at_least_u16_avx512,
      .count_less_i32 = count_less_i32_avx512,
      .unpack_u16 = unpack_u16_avx512,
      .unpack_ascending_u16 = unpack_ascending_u16_avx512,
      .probe_operations = probe_operations_avx512<Dot>,
  };
}

}  // namespace
}  // namespace sightline::simd
