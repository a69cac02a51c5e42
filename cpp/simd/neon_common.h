// What the two NEON tables share: everything but the integer dot products. Included by neon.cpp and neon_dotprod.cpp only.
// All of it is in an anonymous namespace: the two files are compiled with different flags, so neither may lend the other
// (or anybody else) a function.
#pragma once

#include <arm_neon.h>

#include "simd/kernels.h"
#include "simd/neon_floats.h"

namespace sightline::simd {
namespace {

constexpr std::size_t kRowVectors = kBlockRows / 4;  // vectors of 4 rows (x 4 dimensions, 16 bytes) in a block

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

inline void strided_maxima_u16_neon(const std::uint16_t* values, std::size_t groups, std::uint16_t* maxima) noexcept {
  for (std::size_t g = 0; g < groups; ++g, values += kStrideGroup, maxima += kStride) {
    uint16x8_t greatest[4];
    for (int v = 0; v < 4; ++v) greatest[v] = vld1q_u16(values + 8 * v);
    for (std::size_t i = kStride; i < kStrideGroup; i += kStride) {
      for (int v = 0; v < 4; ++v) greatest[v] = vmaxq_u16(greatest[v], vld1q_u16(values + i + 8 * static_cast<std::size_t>(v)));
    }
    for (int v = 0; v < 4; ++v) vst1q_u16(maxima + 8 * v, greatest[v]);
  }
}

inline std::size_t take_at_least_u16_neon(std::uint16_t* values, std::size_t count, std::uint16_t least,
                                          TakenValue* taken) noexcept {
  const uint16x8_t bound = vdupq_n_u16(least);
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; i += 8) {
    // One byte a value: all ones where it reaches the bound.
    const uint8x8_t reaches = vmovn_u16(vcgeq_u16(vld1q_u16(values + i), bound));
    std::uint64_t hits = vget_lane_u64(vreinterpret_u64_u8(reaches), 0) & 0x0101010101010101u;
    for (; hits != 0; hits &= hits - 1) {
      const std::size_t at = i + static_cast<std::size_t>(__builtin_ctzll(hits)) / 8;
      taken[found++] = {values[at], static_cast<std::uint16_t>(at)};
    }
    vst1q_u16(values + i, vdupq_n_u16(0));
  }
  return found;
}

// Four keys with all others, four at a time.
inline void count_less_i32_neon(const std::int32_t* keys, std::size_t count, std::int32_t* less) noexcept {
  for (std::size_t i = 0; i < count; i += 4) {
    int32x4_t key[4];
    uint32x4_t found[4];
    for (std::size_t r = 0; r < 4; ++r) {
      key[r] = vdupq_n_s32(keys[i + r]);
      found[r] = vdupq_n_u32(0);
    }
    for (std::size_t j = 0; j < count; j += 4) {
      const int32x4_t other = vld1q_s32(keys + j);
      for (std::size_t r = 0; r < 4; ++r) found[r] = vsubq_u32(found[r], vcltq_s32(other, key[r]));
    }
    for (std::size_t r = 0; r < 4; ++r) less[i + r] = static_cast<std::int32_t>(vaddvq_u32(found[r]));
  }
}

// Takes 8 values of one width, which fill `width` bytes, from 16 bytes: each dword gets the bytes of its value, then a shift
// of its own and the mask.
struct Unpacker {
  uint8x16_t bytes[2];
  int32x4_t shifts[2];
  uint32x4_t mask;

  explicit Unpacker(std::uint32_t width) noexcept {
    std::uint8_t from[32];
    std::int32_t shift[8];
    for (std::uint32_t i = 0; i < 8; ++i) {
      shift[i] = -static_cast<std::int32_t>(i * width % 8);
      // At most 3 bytes hold a value; a fourth would be the 17th byte for the widest.
      for (std::uint32_t j = 0; j < 4; ++j) from[4 * i + j] = static_cast<std::uint8_t>(j < 3 ? i * width / 8 + j : 0xFF);
    }
    for (int half = 0; half < 2; ++half) {
      bytes[half] = vld1q_u8(from + 16 * half);
      shifts[half] = vld1q_s32(shift + 4 * half);
    }
    mask = vdupq_n_u32((1U << width) - 1);
  }
  uint16x8_t words(const std::uint8_t* at) const noexcept {
    const uint8x16_t packed = vld1q_u8(at);
    const uint32x4_t low = vandq_u32(vshlq_u32(vreinterpretq_u32_u8(vqtbl1q_u8(packed, bytes[0])), shifts[0]), mask);
    const uint32x4_t high = vandq_u32(vshlq_u32(vreinterpretq_u32_u8(vqtbl1q_u8(packed, bytes[1])), shifts[1]), mask);
    return vcombine_u16(vmovn_u32(low), vmovn_u32(high));
  }
};

inline void unpack_u16_neon(const std::uint8_t* bits, std::size_t count, std::uint32_t width, std::uint16_t* out) noexcept {
  const Unpacker unpacker(width);
  for (std::size_t i = 0; i < count; i += 8, bits += width) vst1q_u16(out + i, unpacker.words(bits));
}

inline void unpack_ascending_u16_neon(const std::uint8_t* bits, std::size_t count, std::uint32_t width, std::uint16_t first,
                                      std::uint16_t* out) noexcept {
  const Unpacker unpacker(width);
  const uint16x8_t zero = vdupq_n_u16(0);
  uint16x8_t before = vdupq_n_u16(first);
  for (std::size_t i = 0; i < count; i += 8, bits += width) {
    uint16x8_t sums = vaddq_u16(unpacker.words(bits), vdupq_n_u16(1));
    sums = vaddq_u16(sums, vextq_u16(zero, sums, 7));
    sums = vaddq_u16(sums, vextq_u16(zero, sums, 6));
    sums = vaddq_u16(sums, vextq_u16(zero, sums, 4));
    sums = vaddq_u16(sums, before);
    vst1q_u16(out + i, sums);
    before = vdupq_laneq_u16(sums, 7);
  }
}

}  // namespace
}  // namespace sightline::simd
