// Armv8.2 with SDOT: one instruction advances 4 rows by 4 dimensions, exactly.
//
// A tile of 8 queries takes 8 rows at a time: 16 accumulators, 2 vectors of codes and 2 of queries (whose lanes SDOT selects),
// of 32 registers. Narrower tiles take more rows at a time, so that there are always enough independent sums.
#include "simd/neon_common.h"

namespace sightline::simd {
namespace {

// Adds the products of kVectors vectors of rows with one quad of kWidth queries.
template <int kWidth, int kVectors>
inline void advance(int32x4_t (&sum)[kWidth][kVectors], const int8x16_t (&rows)[kVectors], const std::int8_t* quad) noexcept {
  constexpr int kByLane = kWidth / 4 * 4;
  SIGHTLINE_UNROLL
  for (int q = 0; q < kByLane; q += 4) {
    const int8x16_t four = vld1q_s8(quad + 4 * q);
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[q][v] = vdotq_laneq_s32(sum[q][v], rows[v], four, 0);
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[q + 1][v] = vdotq_laneq_s32(sum[q + 1][v], rows[v], four, 1);
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[q + 2][v] = vdotq_laneq_s32(sum[q + 2][v], rows[v], four, 2);
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[q + 3][v] = vdotq_laneq_s32(sum[q + 3][v], rows[v], four, 3);
  }
  SIGHTLINE_UNROLL
  for (int q = kByLane; q < kWidth; ++q) {
    const int8x16_t one = broadcast_quad(quad + 4 * q);
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[q][v] = vdotq_s32(sum[q][v], rows[v], one);
  }
}

template <int kWidth, int kVectors>
inline void clear(int32x4_t (&sum)[kWidth][kVectors]) noexcept {
  SIGHTLINE_UNROLL
  for (int q = 0; q < kWidth; ++q) {
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[q][v] = vdupq_n_s32(0);
  }
}

// kShift: the dots are multiplied by 2^kShift.
template <int kShift, int kWidth, int kVectors>
inline void store(const int32x4_t (&sum)[kWidth][kVectors], std::size_t first_row, std::int32_t (*dots)[kBlockRows]) noexcept {
  SIGHTLINE_UNROLL
  for (int q = 0; q < kWidth; ++q) {
    SIGHTLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) vst1q_s32(dots[q] + first_row + 4 * v, vshlq_n_s32(sum[q][v], kShift));
  }
}

template <int kWidth, int kVectors>
void scan_full(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
               const CoarseQuery* constants, std::uint64_t* survivors, float* upper) noexcept {
  const uint8x16_t sign = vdupq_n_u8(0x80);
  std::int32_t dots[kWidth][kBlockRows];
  for (std::size_t vector = 0; vector < kRowVectors; vector += kVectors) {
    int32x4_t sum[kWidth][kVectors];
    clear(sum);
    const std::uint8_t* codes = block + 16 * vector;
    const std::int8_t* quad = queries;
    for (std::size_t i = 0; i < 2 * octets; ++i, codes += kOctetBytes, quad += 4 * kWidth) {
      int8x16_t signed_codes[kVectors];
      SIGHTLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) signed_codes[v] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes + 16 * v), sign));
      advance(sum, signed_codes, quad);
    }
    store<0>(sum, 4 * vector, dots);
  }
  std::int32_t correction[kMaxTileWidth];
  offset_corrections(queries, octets, kWidth, correction);
  for (int q = 0; q < kWidth; ++q) {
    finish_bounds(dots[q], correction[q], rows, constants[q], survivors + q, upper + kBlockRows * q);
  }
}

template <int kWidth, int kVectors>
void scan_high(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
               const CoarseQuery* constants, std::uint64_t* survivors, float* upper) noexcept {
  const uint8x16_t low_half = vdupq_n_u8(15);
  std::int32_t dots[kWidth][kBlockRows];
  for (std::size_t vector = 0; vector < kRowVectors; vector += kVectors) {
    int32x4_t sum[kWidth][kVectors];
    clear(sum);
    const std::uint8_t* codes = high + 16 * vector;
    const std::int8_t* quad = queries;
    for (std::size_t i = 0; i < octets; ++i, codes += kOctetBytes, quad += 8 * kWidth) {
      int8x16_t first[kVectors];
      int8x16_t second[kVectors];
      SIGHTLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const uint8x16_t pair = vld1q_u8(codes + 16 * v);
        first[v] = vreinterpretq_s8_u8(vandq_u8(pair, low_half));
        second[v] = vreinterpretq_s8_u8(vshrq_n_u8(pair, 4));
      }
      advance(sum, first, quad);
      advance(sum, second, quad + 4 * kWidth);
    }
    store<5>(sum, 4 * vector, dots);
  }
  for (int q = 0; q < kWidth; ++q) {
    finish_bounds(dots[q], 0, rows, constants[q], survivors + q, upper + kBlockRows * q);
  }
}

// Vectors of rows at a time for each width: see the top of the file.
void scan_block_neon_dotprod(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows,
                             const std::int8_t* queries, const CoarseQuery* constants, std::size_t width,
                             std::uint64_t* survivors, float* upper) noexcept {
  switch (width) {
    case 1: return scan_full<1, 8>(block, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_full<2, 8>(block, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_full<3, 4>(block, octets, rows, queries, constants, survivors, upper);
    case 4: return scan_full<4, 4>(block, octets, rows, queries, constants, survivors, upper);
    case 5: return scan_full<5, 4>(block, octets, rows, queries, constants, survivors, upper);
    case 6: return scan_full<6, 2>(block, octets, rows, queries, constants, survivors, upper);
    case 7: return scan_full<7, 2>(block, octets, rows, queries, constants, survivors, upper);
    default: return scan_full<8, 2>(block, octets, rows, queries, constants, survivors, upper);
  }
}

void scan_block_high_neon_dotprod(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows,
                                  const std::int8_t* queries, const CoarseQuery* constants, std::size_t width,
                                  std::uint64_t* survivors, float* upper) noexcept {
  switch (width) {
    case 1: return scan_high<1, 8>(high, octets, rows, queries, constants, survivors, upper);
    case 2: return scan_high<2, 4>(high, octets, rows, queries, constants, survivors, upper);
    case 3: return scan_high<3, 4>(high, octets, rows, queries, constants, survivors, upper);
    case 4: return scan_high<4, 4>(high, octets, rows, queries, constants, survivors, upper);
    case 5: return scan_high<5, 2>(high, octets, rows, queries, constants, survivors, upper);
    case 6: return scan_high<6, 2>(high, octets, rows, queries, constants, survivors, upper);
    case 7: return scan_high<7, 2>(high, octets, rows, queries, constants, survivors, upper);
    default: return scan_high<8, 2>(high, octets, rows, queries, constants, survivors, upper);
  }
}

// 16 independent sums hide the latency of the instruction.
std::uint64_t probe_operations_neon_dotprod(std::size_t rounds) noexcept {
  constexpr int kSums = 16;
  const int8x16_t rows = vdupq_n_s8(3);
  const int8x16_t query = vdupq_n_s8(5);
  int32x4_t sums[kSums];
  SIGHTLINE_UNROLL
  for (int i = 0; i < kSums; ++i) sums[i] = vdupq_n_s32(0);
  for (std::size_t round = 0; round < rounds; ++round) {
    SIGHTLINE_UNROLL
    for (int i = 0; i < kSums; ++i) {
      sums[i] = vdotq_s32(sums[i], rows, query);
      asm volatile("" : "+w"(sums[i]));  // keeps the compiler from computing the sum once
    }
  }
  return rounds * kSums * 16 * 2;
}

}  // namespace

const Kernels kNeonDotprodKernels = {
    .name = "neon",
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
    .tile_width = 8,
    .unpack_block = unpack_block_neon,
    .scan_block = scan_block_neon_dotprod,
    .scan_block_planes = nullptr,
    .most_from_planes = 0,
    .scan_block_high = scan_block_high_neon_dotprod,
    .dot_row = nullptr,
    .strided_maxima_u16 = strided_maxima_u16_neon,
    .take_at_least_u16 = take_at_least_u16_neon,
    .count_less_i32 = count_less_i32_neon,
    .unpack_u16 = unpack_u16_neon,
    .unpack_ascending_u16 = unpack_ascending_u16_neon,
    .probe_operations = probe_operations_neon_dotprod,
};

}  // namespace sightline::simd
