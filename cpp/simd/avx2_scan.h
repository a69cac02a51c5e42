// The coarse pass for AVX2: bounds of blocks from the codes of their rows. Pairs of products are summed in 16 bits, so query codes
// stay within 64. Included only by avx2.cpp; everything has internal linkage, so no copy can leak into another file.
#pragma once

#include <immintrin.h>

#include "simd/kernels.h"

namespace sightline::simd {
namespace {

// How far ahead lines are asked for: by a scan of the high plane, beside the hardware prefetcher, which stops at page ends; within
// a block of both planes, most of which lie here and there.
constexpr std::size_t kScanPrefetchBytes = 4096;
constexpr std::size_t kBlockPrefetchBytes = 1024;

// Past the second cache: a lone query reads a plane once, and would push out what all else around a search needs.
inline void prefetch_octet(const std::uint8_t* octet) noexcept {
  for (std::size_t i = 0; i < kOctetBytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(octet + i), _MM_HINT_NTA);
}

void unpack_block_avx2(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, std::uint8_t* out) noexcept {
  const __m256i low_nibbles = _mm256_set1_epi8(0x0f);
  const __m256i high_nibbles = _mm256_set1_epi8(static_cast<char>(0xf0));
  for (std::size_t octet = 0; octet < octets; ++octet, high += kOctetBytes, low += kOctetBytes, out += 2 * kOctetBytes) {
    for (std::size_t i = 0; i < kOctetBytes; i += 32) {
      const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high + i));
      const __m256i l = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low + i));
      const __m256i first = _mm256_or_si256(_mm256_and_si256(_mm256_slli_epi16(h, 4), high_nibbles), _mm256_and_si256(l, low_nibbles));
      const __m256i second = _mm256_or_si256(_mm256_and_si256(h, high_nibbles), _mm256_and_si256(_mm256_srli_epi16(l, 4), low_nibbles));
      _mm256_store_si256(reinterpret_cast<__m256i*>(out + i), first);
      _mm256_store_si256(reinterpret_cast<__m256i*>(out + i + kOctetBytes), second);
    }
  }
}

inline __m256i load_dots(const std::int32_t* p) noexcept { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }

inline void store_dots(std::int32_t* p, __m256i sums) noexcept { _mm256_store_si256(reinterpret_cast<__m256i*>(p), sums); }

// Bounds of 16 rows for one query from their dots, times 2^Shift; returns their survivor bits. Kept out of line, and fed through
// memory, so that the tile's accumulators are only ever named one by one and stay in registers.
template <int Shift>
__attribute__((noinline)) std::uint64_t finish_bounds(const std::int32_t* dots, const CoarseRows& rows, std::size_t first_row,
                                                      const CoarseQuery& query, float* upper) noexcept {
  std::uint64_t mask = 0;
  for (int v = 0; v < 2; ++v) {
    const std::size_t row = first_row + 8 * static_cast<std::size_t>(v);
    const __m256i sum = _mm256_slli_epi32(load_dots(dots + 8 * v), Shift);
    const __m256 dot = _mm256_cvtepi32_ps(_mm256_add_epi32(sum, _mm256_set1_epi32(query.offset)));
    const __m256 product = _mm256_mul_ps(_mm256_loadu_ps(rows.scale + row), dot);
    const __m256 bias = _mm256_mul_ps(_mm256_set1_ps(query.bias_factor), _mm256_loadu_ps(rows.bias + row));
    const __m256 slack = _mm256_fmadd_ps(_mm256_set1_ps(query.residual_factor), _mm256_loadu_ps(rows.residual + row), bias);
    const __m256 bound = _mm256_fmadd_ps(_mm256_set1_ps(query.dot_factor), product, slack);
    _mm256_storeu_ps(upper + row, bound);
    const __m256 kept = _mm256_cmp_ps(bound, _mm256_set1_ps(query.threshold), _CMP_NLT_UQ);
    mask |= static_cast<std::uint64_t>(static_cast<unsigned>(_mm256_movemask_ps(kept))) << row;
  }
  return mask;
}

inline __m256i broadcast_quad(const std::int8_t* codes) noexcept {
  int quad;
  __builtin_memcpy(&quad, codes, sizeof quad);
  return _mm256_set1_epi32(quad);
}

inline __m256i load_rows(const std::uint8_t* p) noexcept { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }

// The two ways to add 32 products to sums. In assembly, because g++ otherwise adds the products of several steps to each
// other first, for which the registers do not suffice: its loops had 10 to 20 loads and stores of sums a step.
//
// To 8 sums of 32 bits. No pair of products may be greater than 16 bits hold.
inline void add_to_quads(__m256i& sums, __m256i rows, __m256i codes, __m256i ones) noexcept {
  __m256i products;
  asm("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
      : "+x"(sums), "=&x"(products)
      : "x"(rows), "x"(codes), "xm"(ones));
}
// To 16 sums of 16 bits, which the caller empties before they can overflow.
inline void add_to_pairs(__m256i& sums, __m256i rows, __m256i codes) noexcept {
  __m256i products;
  asm("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(sums), "=&x"(products) : "x"(rows), "x"(codes));
}

// The tile: R registers of 8 rows by W queries, so up to 12 sums of 16 registers; 8 / R such strips make a block. The fewer
// queries, the more rows: a lone query reads a block from one end to the other, as memory likes it.
constexpr std::size_t kTileWidth = 6;
constexpr int kBlockRegisters = 8;
template <int W>
constexpr int kStripRegisters = W == 1 ? 8 : W == 2 ? 4 : 2;

// The bounds of one strip, from the dots of its rows, query after query.
template <int W, int Shift>
inline void finish_strip(const std::int32_t* dots, const CoarseRows& rows, std::size_t first_row, const CoarseQuery* constants,
                         std::uint64_t* survivors, float* upper) noexcept {
  constexpr std::size_t kStripRows = 8 * kStripRegisters<W>;
  for (int q = 0; q < W; ++q) {
    for (std::size_t row = 0; row < kStripRows; row += 16, dots += 16) {
      survivors[q] |= finish_bounds<Shift>(dots, rows, first_row + row, constants[q], upper + kBlockRows * static_cast<std::size_t>(q));
    }
  }
}

template <int W>
void scan_tile(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
               const CoarseQuery* constants, std::uint64_t* survivors, float* upper) noexcept {
  constexpr int R = kStripRegisters<W>;
  const __m256i ones = _mm256_set1_epi16(1);
  for (int q = 0; q < W; ++q) survivors[q] = 0;
  for (std::size_t strip = 0; strip < kBlockRegisters / R; ++strip) {
    __m256i sums[W][R];
#pragma GCC unroll 8
    for (int q = 0; q < W; ++q) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sums[q][r] = _mm256_setzero_si256();
    }
    const std::uint8_t* p = block + 32 * R * strip;
    const std::int8_t* e = queries;
    for (std::size_t quad = 0; quad < 2 * octets; ++quad, p += kOctetBytes, e += 4 * W) {
      // Two registers of rows at a time, each with all queries.
#pragma GCC unroll 8
      for (int r = 0; r < R; r += 2) {
        const __m256i first = load_rows(p + 32 * r);
        const __m256i second = load_rows(p + 32 * r + 32);
#pragma GCC unroll 8
        for (int q = 0; q < W; ++q) {
          const __m256i codes = broadcast_quad(e + 4 * q);
          add_to_quads(sums[q][r], first, codes, ones);
          add_to_quads(sums[q][r + 1], second, codes, ones);
        }
      }
    }
    alignas(32) std::int32_t dots[W][8 * R];
#pragma GCC unroll 8
    for (int q = 0; q < W; ++q) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) store_dots(dots[q] + 8 * r, sums[q][r]);
    }
    finish_strip<W, 0>(dots[0], rows, 8 * R * strip, constants, survivors, upper);
  }
}

// Adds 16 bits in pairs to the 8 sums at `dots`.
inline void empty_pairs(std::int32_t* dots, __m256i pairs, __m256i ones) noexcept {
  store_dots(dots, _mm256_add_epi32(load_dots(dots), _mm256_madd_epi16(pairs, ones)));
}

// Adds the products of a strip's nibbles of one plane to its sums of 32 bits, R registers a query, in memory.
// PrefetchBytes: how far ahead a lone query asks for lines.
template <int W, std::size_t PrefetchBytes>
inline void add_nibbles(const std::uint8_t* p, std::size_t octets, const std::int8_t* e, std::int32_t* dots) noexcept {
  constexpr int R = kStripRegisters<W>;
  // A pair of products is at most 15 * 64 * 2 = 1920; 16 of them fit 16 bits, and an octet adds two.
  constexpr std::size_t kOctetsPerFlush = 8;
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i low_nibbles = _mm256_set1_epi8(0x0f);
  for (std::size_t octet = 0; octet < octets;) {
    const std::size_t flush = octet + kOctetsPerFlush < octets ? octet + kOctetsPerFlush : octets;
    __m256i pairs[W][R];
#pragma GCC unroll 8
    for (int q = 0; q < W; ++q) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) pairs[q][r] = _mm256_setzero_si256();
    }
    for (; octet < flush; ++octet, p += kOctetBytes, e += 8 * W) {
      if constexpr (W == 1) prefetch_octet(p + PrefetchBytes);
#pragma GCC unroll 8
      for (int r = 0; r < R; r += 2) {
        const __m256i first_0 = _mm256_and_si256(load_rows(p + 32 * r), low_nibbles);
        const __m256i first_1 = _mm256_and_si256(load_rows(p + 32 * r + 32), low_nibbles);
#pragma GCC unroll 8
        for (int q = 0; q < W; ++q) {
          const __m256i codes = broadcast_quad(e + 4 * q);
          add_to_pairs(pairs[q][r], first_0, codes);
          add_to_pairs(pairs[q][r + 1], first_1, codes);
        }
        const __m256i second_0 = _mm256_and_si256(_mm256_srli_epi16(load_rows(p + 32 * r), 4), low_nibbles);
        const __m256i second_1 = _mm256_and_si256(_mm256_srli_epi16(load_rows(p + 32 * r + 32), 4), low_nibbles);
#pragma GCC unroll 8
        for (int q = 0; q < W; ++q) {
          const __m256i codes = broadcast_quad(e + 4 * W + 4 * q);
          add_to_pairs(pairs[q][r], second_0, codes);
          add_to_pairs(pairs[q][r + 1], second_1, codes);
        }
      }
    }
#pragma GCC unroll 8
    for (int q = 0; q < W; ++q) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) empty_pairs(dots + 8 * (R * q + r), pairs[q][r], ones);
    }
  }
}

template <int W>
void scan_tile_high(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                    const CoarseQuery* constants, std::uint64_t* survivors, float* upper) noexcept {
  constexpr int R = kStripRegisters<W>;
  for (int q = 0; q < W; ++q) survivors[q] = 0;
  for (std::size_t strip = 0; strip < kBlockRegisters / R; ++strip) {
    alignas(32) std::int32_t dots[W][8 * R] = {};
    std::int32_t* in_memory = dots[0];
    asm("" : "+r"(in_memory) : : "memory");  // the sums of 32 bits stay there: the registers are for those of 16 bits
    add_nibbles<W, kScanPrefetchBytes>(high + 32 * R * strip, octets, queries, in_memory);
    finish_strip<W, 5>(dots[0], rows, 8 * R * strip, constants, survivors, upper);
  }
}

// Both planes: 16 times the nibbles of the high one, and those of the low one. It pays for W = 1; wider tiles share an unpacked
// copy faster (most_from_planes), and are here because the contract of the kernel has them.
template <int W>
void scan_tile_planes(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, const CoarseRows& rows,
                      const std::int8_t* queries, const CoarseQuery* constants, std::uint64_t* survivors, float* upper) noexcept {
  constexpr int R = kStripRegisters<W>;
  for (int q = 0; q < W; ++q) survivors[q] = 0;
  for (std::size_t strip = 0; strip < kBlockRegisters / R; ++strip) {
    alignas(32) std::int32_t dots[W][8 * R] = {};
    std::int32_t* in_memory = dots[0];
    asm("" : "+r"(in_memory) : : "memory");
    add_nibbles<W, kBlockPrefetchBytes>(high + 32 * R * strip, octets, queries, in_memory);
    for (int i = 0; i < W * R; ++i) store_dots(in_memory + 8 * i, _mm256_slli_epi32(load_dots(in_memory + 8 * i), 4));
    add_nibbles<W, kBlockPrefetchBytes>(low + 32 * R * strip, octets, queries, in_memory);
    finish_strip<W, 0>(dots[0], rows, 8 * R * strip, constants, survivors, upper);
  }
}

// The four bytes of a row in each octet, for as many as fit, are put together in memory: loads of 8 bytes from there wait for
// the stores, but those of different rows overlap.
std::int32_t dot_row_avx2(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, std::size_t row,
                          const std::int8_t* query) noexcept {
  constexpr std::size_t kAtOnce = 16;  // octets
  alignas(32) std::uint8_t h[4 * kAtOnce];
  alignas(32) std::uint8_t l[4 * kAtOnce];
  high += 4 * row;
  low += 4 * row;
  const __m128i low_nibbles = _mm_set1_epi8(0x0f);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums = _mm256_setzero_si256();
  while (octets != 0) {
    const std::size_t count = octets < kAtOnce ? octets : kAtOnce;
    if (count < kAtOnce) {
      for (std::size_t i = 0; i < 4 * kAtOnce; ++i) h[i] = l[i] = 0;
    }
    for (std::size_t i = 0; i < count; ++i, high += kOctetBytes, low += kOctetBytes) {
      __builtin_memcpy(h + 4 * i, high, 4);
      __builtin_memcpy(l + 4 * i, low, 4);
    }
    for (std::size_t i = 0; i < count; i += 4, query += 32) {
      const __m128i upper = _mm_load_si128(reinterpret_cast<const __m128i*>(h + 4 * i));
      const __m128i lower = _mm_load_si128(reinterpret_cast<const __m128i*>(l + 4 * i));
      const __m128i first = _mm_or_si128(_mm_slli_epi16(_mm_and_si128(upper, low_nibbles), 4), _mm_and_si128(lower, low_nibbles));
      const __m128i second = _mm_or_si128(_mm_andnot_si128(low_nibbles, upper), _mm_and_si128(_mm_srli_epi16(lower, 4), low_nibbles));
      const __m256i codes = _mm256_set_m128i(_mm_unpackhi_epi32(first, second), _mm_unpacklo_epi32(first, second));
      const __m256i of_query = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, of_query), ones));
    }
    octets -= count;
  }
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}

void scan_block_avx2(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                     const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors, float* upper) noexcept {
  switch (width) {
    case 1: return scan_tile<1>(block, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_tile<2>(block, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_tile<3>(block, octets, rows, queries, constants, survivors, upper);
    case 4: return scan_tile<4>(block, octets, rows, queries, constants, survivors, upper);
    case 5: return scan_tile<5>(block, octets, rows, queries, constants, survivors, upper);
    default: return scan_tile<kTileWidth>(block, octets, rows, queries, constants, survivors, upper);
  }
}

void scan_block_planes_avx2(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, const CoarseRows& rows,
                            const std::int8_t* queries, const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors,
                            float* upper) noexcept {
  switch (width) {
    case 1: return scan_tile_planes<1>(high, low, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_tile_planes<2>(high, low, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_tile_planes<3>(high, low, octets, rows, queries, constants, survivors, upper);
    case 4: return scan_tile_planes<4>(high, low, octets, rows, queries, constants, survivors, upper);
    case 5: return scan_tile_planes<5>(high, low, octets, rows, queries, constants, survivors, upper);
    default: return scan_tile_planes<kTileWidth>(high, low, octets, rows, queries, constants, survivors, upper);
  }
}

void scan_block_high_avx2(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                          const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors,
                          float* upper) noexcept {
  switch (width) {
    case 1: return scan_tile_high<1>(high, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_tile_high<2>(high, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_tile_high<3>(high, octets, rows, queries, constants, survivors, upper);
    case 4: return scan_tile_high<4>(high, octets, rows, queries, constants, survivors, upper);
    case 5: return scan_tile_high<5>(high, octets, rows, queries, constants, survivors, upper);
    default: return scan_tile_high<kTileWidth>(high, octets, rows, queries, constants, survivors, upper);
  }
}

}  // namespace
}  // namespace sightline::simd
