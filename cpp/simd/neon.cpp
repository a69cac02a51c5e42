// Armv8.0: products of bytes in 16 bits, then pairs of them in 32.
//
// Codes are taken as u - 128, in [-128, 127], query codes lie in [-127, 127]: two products sum to at most 32,512 < 2^15 in
// absolute value, so a 16-bit lane takes the products of one octet (two quads) before it is widened. A nibble is at most 15
// and sixteen of its products at most 30,480, so the high plane is widened once every eight octets.
//
// The sums of a row stay split in two 32-bit lanes until the end (dimensions 0, 1 and 2, 3 of each quad).
#include "simd/neon_common.h"

namespace sightline::simd {
namespace {

// Two vectors of partial sums a vector of 4 rows: rows 0, 1 and rows 2, 3.
struct SplitSums {
  int32x4_t rows_01;
  int32x4_t rows_23;
};

inline void store_dots(const SplitSums& sum, std::int32_t* dots) noexcept {
  vst1q_s32(dots, vpaddq_s32(sum.rows_01, sum.rows_23));
}

// kVectors vectors of rows at a time: 2 * kWidth * kVectors accumulators, 2 * kVectors vectors of codes, 2 of queries and 2
// of products must fit in 32 registers.
template <int kWidth, int kVectors>
void scan_full(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
               const CoarseQuery* constants, std::uint64_t* survivors, float* upper) noexcept {
  const uint8x16_t sign = vdupq_n_u8(0x80);
  std::int32_t dots[kWidth][kBlockRows];
  for (std::size_t vector = 0; vector < kRowVectors; vector += kVectors) {
    SplitSums sum[kWidth][kVectors];
    SIGHTLINE_UNROLL
    for (int q = 0; q < kWidth; ++q) {
      SIGHTLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) sum[q][v] = {vdupq_n_s32(0), vdupq_n_s32(0)};
    }
    const std::uint8_t* codes = block + 16 * vector;
    const std::int8_t* quads = queries;
    for (std::size_t i = 0; i < octets; ++i, codes += 2 * kOctetBytes, quads += 8 * kWidth) {
      int8x16_t first[kVectors];
      int8x16_t second[kVectors];
      SIGHTLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        first[v] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes + 16 * v), sign));
        second[v] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes + kOctetBytes + 16 * v), sign));
      }
      SIGHTLINE_UNROLL
      for (int q = 0; q < kWidth; ++q) {
        const int8x16_t query_first = broadcast_quad(quads + 4 * q);
        const int8x16_t query_second = broadcast_quad(quads + 4 * (kWidth + q));
        SIGHTLINE_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          int16x8_t products_01 = vmull_s8(vget_low_s8(first[v]), vget_low_s8(query_first));
          int16x8_t products_23 = vmull_high_s8(first[v], query_first);
          products_01 = vmlal_s8(products_01, vget_low_s8(second[v]), vget_low_s8(query_second));
          products_23 = vmlal_high_s8(products_23, second[v], query_second);
          sum[q][v].rows_01 = vpadalq_s16(sum[q][v].rows_01, products_01);
          sum[q][v].rows_23 = vpadalq_s16(sum[q][v].rows_23, products_23);
        }
      }
    }
    SIGHTLINE_UNROLL
    for (int q = 0; q < kWidth; ++q) {
      SIGHTLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) store_dots(sum[q][v], dots[q] + 4 * (vector + v));
    }
  }
  std::int32_t correction[kMaxTileWidth];
  offset_corrections(queries, octets, kWidth, correction);
  for (int q = 0; q < kWidth; ++q) {
    finish_bounds(dots[q], correction[q], rows, constants[q], survivors + q, upper + kBlockRows * q);
  }
}

constexpr std::size_t kOctetsPerWidening = 8;

// The 16-bit sums of at most kOctetsPerWidening octets, widened and added to `sum`.
template <int kWidth, int kVectors>
inline void advance_high(const std::uint8_t* codes, std::size_t octets, const std::int8_t* quads,
                         SplitSums (&sum)[kWidth][kVectors]) noexcept {
  const uint8x16_t low_half = vdupq_n_u8(15);
  int16x8_t narrow_01[kWidth][kVectors];
  int16x8_t narrow_23[kWidth][kVectors];
  SIGHTLINE_UNROLL
  for (int q = 0; q < kWidth; ++q) {
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) narrow_01[q][v] = narrow_23[q][v] = vdupq_n_s16(0);
  }
  for (std::size_t i = 0; i < octets; ++i, codes += kOctetBytes, quads += 8 * kWidth) {
    int8x16_t first[kVectors];
    int8x16_t second[kVectors];
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const uint8x16_t pair = vld1q_u8(codes + 16 * v);
      first[v] = vreinterpretq_s8_u8(vandq_u8(pair, low_half));
      second[v] = vreinterpretq_s8_u8(vshrq_n_u8(pair, 4));
    }
    SIGHTLINE_UNROLL
    for (int q = 0; q < kWidth; ++q) {
      const int8x16_t query_first = broadcast_quad(quads + 4 * q);
      const int8x16_t query_second = broadcast_quad(quads + 4 * (kWidth + q));
      SIGHTLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        narrow_01[q][v] = vmlal_s8(narrow_01[q][v], vget_low_s8(first[v]), vget_low_s8(query_first));
        narrow_23[q][v] = vmlal_high_s8(narrow_23[q][v], first[v], query_first);
      }
      SIGHTLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        narrow_01[q][v] = vmlal_s8(narrow_01[q][v], vget_low_s8(second[v]), vget_low_s8(query_second));
        narrow_23[q][v] = vmlal_high_s8(narrow_23[q][v], second[v], query_second);
      }
    }
  }
  SIGHTLINE_UNROLL
  for (int q = 0; q < kWidth; ++q) {
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      sum[q][v].rows_01 = vpadalq_s16(sum[q][v].rows_01, narrow_01[q][v]);
      sum[q][v].rows_23 = vpadalq_s16(sum[q][v].rows_23, narrow_23[q][v]);
    }
  }
}

template <int kWidth, int kVectors>
void scan_high(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
               const CoarseQuery* constants, std::uint64_t* survivors, float* upper) noexcept {
  std::int32_t dots[kWidth][kBlockRows];
  for (std::size_t vector = 0; vector < kRowVectors; vector += kVectors) {
    SplitSums sum[kWidth][kVectors];  // in memory: touched once every eight octets
    for (int q = 0; q < kWidth; ++q) {
      for (int v = 0; v < kVectors; ++v) sum[q][v] = {vdupq_n_s32(0), vdupq_n_s32(0)};
    }
    for (std::size_t octet = 0; octet < octets; octet += kOctetsPerWidening) {
      const std::size_t count = octets - octet < kOctetsPerWidening ? octets - octet : kOctetsPerWidening;
      advance_high(high + kOctetBytes * octet + 16 * vector, count, queries + 8 * kWidth * octet, sum);
    }
    for (int q = 0; q < kWidth; ++q) {
      for (int v = 0; v < kVectors; ++v) {
        const SplitSums scaled = {vshlq_n_s32(sum[q][v].rows_01, 5), vshlq_n_s32(sum[q][v].rows_23, 5)};
        store_dots(scaled, dots[q] + 4 * (vector + v));
      }
    }
  }
  for (int q = 0; q < kWidth; ++q) {
    finish_bounds(dots[q], 0, rows, constants[q], survivors + q, upper + kBlockRows * q);
  }
}

void scan_block_neon(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                     const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors, float* upper) noexcept {
  switch (width) {
    case 1: return scan_full<1, 4>(block, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_full<2, 4>(block, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_full<3, 2>(block, octets, rows, queries, constants, survivors, upper);
    default: return scan_full<4, 2>(block, octets, rows, queries, constants, survivors, upper);
  }
}

void scan_block_high_neon(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows,
                          const std::int8_t* queries, const CoarseQuery* constants, std::size_t width,
                          std::uint64_t* survivors, float* upper) noexcept {
  switch (width) {
    case 1: return scan_high<1, 4>(high, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_high<2, 4>(high, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_high<3, 2>(high, octets, rows, queries, constants, survivors, upper);
    default: return scan_high<4, 2>(high, octets, rows, queries, constants, survivors, upper);
  }
}

// 8 independent sums hide the latency of the two instructions.
std::uint64_t probe_operations_neon(std::size_t rounds) noexcept {
  constexpr int kSums = 8;
  int8x16_t rows = vdupq_n_s8(3);
  const int8x8_t query = vdup_n_s8(5);
  int32x4_t sums[kSums];
  SIGHTLINE_UNROLL
  for (int i = 0; i < kSums; ++i) sums[i] = vdupq_n_s32(0);
  for (std::size_t round = 0; round < rounds; ++round) {
    SIGHTLINE_UNROLL
    for (int i = 0; i < kSums; ++i) {
      sums[i] = vpadalq_s16(sums[i], vmull_s8(vget_low_s8(rows), query));
      asm volatile("" : "+w"(sums[i]), "+w"(rows));  // keeps the compiler from computing product or sum once
    }
  }
  return rounds * kSums * 8 * 2;
}

}  // namespace

const Kernels kNeonKernels = {
    .name = "neonnodotprod",
    .dot_f64 = dot_f64_neon<F32>,
    .squared_distance_f64 = squared_distance_f64_neon<F32>,
    .dot_f64_f16 = dot_f64_neon<F16>,
    .dot_f64_bf16 = dot_f64_neon<BF16>,
    .squared_distance_f64_f16 = squared_distance_f64_neon<F16>,
    .squared_distance_f64_bf16 = squared_distance_f64_neon<BF16>,
    .f32_to_f16 = encode_neon<F16>,
    .f32_to_bf16 = encode_neon<BF16>,
    .f16_to_f32 = decode_neon<F16>,
    .bf16_to_f32 = decode_neon<BF16>,
    .max_abs_f32 = max_abs_f32_neon,
    .encode_row = encode_row_neon,
    .max_query_code = 127,
    .tile_width = 4,
    .unpack_block = unpack_block_neon,
    .scan_block = scan_block_neon,
    .scan_block_planes = nullptr,
    .most_from_planes = 0,
    .scan_block_high = scan_block_high_neon,
    .dot_row = nullptr,
    .strided_maxima_u16 = strided_maxima_u16_neon,
    .take_at_least_u16 = take_at_least_u16_neon,
    .count_less_i32 = count_less_i32_neon,
    .unpack_u16 = unpack_u16_neon,
    .unpack_ascending_u16 = unpack_ascending_u16_neon,
    .probe_operations = probe_operations_neon,
};

}  // namespace sightline::simd
