// AVX2 with FMA and F16C.
#include <immintrin.h>

#include "simd/avx2_floats.h"
#include "simd/avx2_scan.h"
#include "simd/kernels.h"

namespace sightline::simd {
namespace {

void strided_maxima_u16_avx2(const std::uint16_t* values, std::size_t groups, std::uint16_t* maxima) noexcept {
  constexpr std::size_t kHalf = kStride / 2;  // one register
  for (std::size_t g = 0; g < groups; ++g, values += kStrideGroup, maxima += kStride) {
    const auto* rows = reinterpret_cast<const __m256i*>(values);
    __m256i low = _mm256_load_si256(rows);
    __m256i high = _mm256_load_si256(rows + 1);
    for (std::size_t i = 2; i < kStrideGroup / kHalf; i += 2) {
      low = _mm256_max_epu16(low, _mm256_load_si256(rows + i));
      high = _mm256_max_epu16(high, _mm256_load_si256(rows + i + 1));
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(maxima), low);
    _mm256_store_si256(reinterpret_cast<__m256i*>(maxima + kHalf), high);
  }
}

std::size_t take_at_least_u16_avx2(std::uint16_t* values, std::size_t count, std::uint16_t least, TakenValue* taken) noexcept {
  constexpr std::size_t kGroup = 2 * kStride;
  const __m256i bound = _mm256_set1_epi16(static_cast<short>(least));
  const auto reaches = [bound](__m256i v) { return _mm256_cmpeq_epi16(_mm256_max_epu16(v, bound), v); };
  // One bit a value of kStride. Packing interleaves halves of the two registers; the permutation puts them in order.
  const auto hits_of = [&reaches](const std::uint16_t* at) {
    const auto* registers = reinterpret_cast<const __m256i*>(at);
    const __m256i bytes = _mm256_packs_epi16(reaches(_mm256_load_si256(registers)), reaches(_mm256_load_si256(registers + 1)));
    return std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_permute4x64_epi64(bytes, 0xD8)))};
  };
  const auto clear_stride = [values](std::size_t at) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(values + at), _mm256_setzero_si256());
    _mm256_store_si256(reinterpret_cast<__m256i*>(values + at + kStride / 2), _mm256_setzero_si256());
  };
  std::size_t found = 0;
  // Two at a time, since how many there are is hard to predict; what is written in vain stays within the group's room.
  const auto take = [&](std::size_t first, std::uint64_t hits, std::size_t width) {
    TakenValue* to = taken + found;
    found += static_cast<std::size_t>(__builtin_popcountll(hits));
    while (hits != 0) {
      for (int i = 0; i < 2; ++i) {
        const std::size_t at = first + static_cast<std::size_t>(__builtin_ctzll(hits | 1ULL << (width - 1)));
        *to++ = {values[at], static_cast<std::uint16_t>(at)};
        hits &= hits - 1;
      }
    }
  };
  const auto reached = [&](std::size_t first) {  // by a value of a group
    const auto* at = reinterpret_cast<const __m256i*>(values + first);
    const __m256i greatest = _mm256_max_epu16(_mm256_max_epu16(_mm256_load_si256(at), _mm256_load_si256(at + 1)),
                                              _mm256_max_epu16(_mm256_load_si256(at + 2), _mm256_load_si256(at + 3)));
    const __m256i hits = reaches(greatest);
    return _mm256_testz_si256(hits, hits) == 0;
  };
  const auto take_group = [&](std::size_t first) {
    take(first, hits_of(values + first) | hits_of(values + first + kStride) << kStride, kGroup);
  };
  // Runs of 64 groups, which stay in the first-level cache. In which groups a value reaches the bound cannot be predicted: where
  // some do, they are noted without a branch, and the run is cleared afterwards; where few do, one pass is faster.
  constexpr std::size_t kRun = 64 * kGroup;
  constexpr std::size_t kFew = 5;
  std::size_t taken_of_run = 0;
  std::size_t i = 0;
  for (; i + kRun <= count; i += kRun) {
    const std::size_t before = found;
    if (taken_of_run < kFew) {
      for (std::size_t first = i; first < i + kRun; first += kGroup) {
        if (reached(first)) take_group(first);
        clear_stride(first);
        clear_stride(first + kStride);
      }
    } else {
      std::uint64_t noted = 0;
      for (std::size_t g = 0; g < 64; ++g) noted |= std::uint64_t{reached(i + g * kGroup)} << g;
      for (; noted != 0; noted &= noted - 1) take_group(i + static_cast<std::size_t>(__builtin_ctzll(noted)) * kGroup);
      for (std::size_t first = i; first < i + kRun; first += kStride) clear_stride(first);
    }
    taken_of_run = found - before;
  }
  for (; i < count; i += kStride) {
    take(i, hits_of(values + i), kStride);
    clear_stride(i);
  }
  return found;
}

// Four keys with all others, eight at a time.
void count_less_i32_avx2(const std::int32_t* keys, std::size_t count, std::int32_t* less) noexcept {
  for (std::size_t i = 0; i < count; i += 4) {
    __m256i key[4];
    __m256i found[4];
    for (std::size_t r = 0; r < 4; ++r) {
      key[r] = _mm256_set1_epi32(keys[i + r]);
      found[r] = _mm256_setzero_si256();
    }
    for (std::size_t j = 0; j < count; j += 8) {
      const __m256i other = _mm256_load_si256(reinterpret_cast<const __m256i*>(keys + j));
      for (std::size_t r = 0; r < 4; ++r) found[r] = _mm256_sub_epi32(found[r], _mm256_cmpgt_epi32(key[r], other));
    }
    const __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(found[0], found[1]), _mm256_hadd_epi32(found[2], found[3]));
    _mm_store_si128(reinterpret_cast<__m128i*>(less + i),
                    _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1)));
  }
}

// Which bytes hold each of 8 values of a width, and how far each is to be shifted. In tables: built in memory at each call, they
// would take longer than a block of 128 values, as wide loads wait for narrow stores.
struct PackedPlaces {
  struct OfWidth {
    alignas(32) std::uint8_t bytes[32];
    alignas(32) std::uint32_t shifts[8];
  };
  OfWidth of[kMaxPackedWidth + 1];

  constexpr PackedPlaces() noexcept : of{} {
    for (std::uint32_t width = 0; width <= kMaxPackedWidth; ++width) {
      for (std::uint32_t i = 0; i < 8; ++i) {
        of[width].shifts[i] = i * width % 8;
        // At most 3 bytes hold a value; a fourth would be the 17th byte for the widest.
        for (std::uint32_t j = 0; j < 4; ++j) of[width].bytes[4 * i + j] = static_cast<std::uint8_t>(j < 3 ? i * width / 8 + j : 0x80);
      }
    }
  }
};
constexpr PackedPlaces kPackedPlaces;

// Takes 8 values of one width, which fill `width` bytes, from 16 bytes: each dword gets the bytes of its value, then a shift
// of its own and the mask.
struct Unpacker {
  __m256i bytes;
  __m256i shifts;
  __m256i mask;

  explicit Unpacker(std::uint32_t width) noexcept
      : bytes(_mm256_load_si256(reinterpret_cast<const __m256i*>(kPackedPlaces.of[width].bytes))),
        shifts(_mm256_load_si256(reinterpret_cast<const __m256i*>(kPackedPlaces.of[width].shifts))),
        mask(_mm256_set1_epi32(static_cast<int>((1U << width) - 1))) {}
  __m256i dwords(const std::uint8_t* at) const noexcept {
    const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    return _mm256_and_si256(_mm256_srlv_epi32(_mm256_shuffle_epi8(both, bytes), shifts), mask);
  }
  // 16 values, in order.
  __m256i words(const std::uint8_t* at, std::uint32_t width) const noexcept {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(dwords(at), dwords(at + width)), 0xD8);
  }
};

void unpack_u16_avx2(const std::uint8_t* bits, std::size_t count, std::uint32_t width, std::uint16_t* out) noexcept {
  const Unpacker unpacker(width);
  for (std::size_t i = 0; i < count; i += 16, bits += 2 * width) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), unpacker.words(bits, width));
  }
}

void unpack_ascending_u16_avx2(const std::uint8_t* bits, std::size_t count, std::uint32_t width, std::uint16_t first,
                               std::uint16_t* out) noexcept {
  const Unpacker unpacker(width);
  const __m256i one = _mm256_set1_epi16(1);
  const __m256i last_of_half = _mm256_set1_epi16(0x0F0E);
  __m256i before = _mm256_set1_epi16(static_cast<short>(first));
  for (std::size_t i = 0; i < count; i += 16, bits += 2 * width) {
    __m256i sums = _mm256_add_epi16(unpacker.words(bits, width), one);
    sums = _mm256_add_epi16(sums, _mm256_slli_si256(sums, 2));
    sums = _mm256_add_epi16(sums, _mm256_slli_si256(sums, 4));
    sums = _mm256_add_epi16(sums, _mm256_slli_si256(sums, 8));
    const __m256i lasts = _mm256_shuffle_epi8(sums, last_of_half);
    sums = _mm256_add_epi16(sums, _mm256_permute2x128_si256(lasts, lasts, 0x08));  // the lower half's last to the upper
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_add_epi16(sums, before));
    const __m256i total = _mm256_shuffle_epi8(sums, last_of_half);
    before = _mm256_add_epi16(before, _mm256_permute2x128_si256(total, total, 0x11));
  }
}

// The sequence of scan_tile_high: pairs of products add up in 16 bits, and only every 16th addition goes on to 32. 4
// independent sums hide the latency of the addition.
std::uint64_t probe_operations_avx2(std::size_t rounds) noexcept {
  constexpr int kSums = 4;
  constexpr int kPairsPerFlush = 16;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i rows = _mm256_set1_epi8(3);
  const __m256i query = _mm256_set1_epi8(5);
  __m256i sums[kSums];
#pragma GCC unroll 4
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_setzero_si256();
  for (std::size_t round = 0; round < rounds; ++round) {
    __m256i pairs[kSums];
#pragma GCC unroll 4
    for (int i = 0; i < kSums; ++i) pairs[i] = _mm256_setzero_si256();
#pragma GCC unroll 16
    for (int step = 0; step < kPairsPerFlush; ++step) {
#pragma GCC unroll 4
      for (int i = 0; i < kSums; ++i) {
        asm volatile("" : "+x"(rows));  // keeps the compiler from multiplying once
        pairs[i] = _mm256_add_epi16(pairs[i], _mm256_maddubs_epi16(rows, query));
        asm volatile("" : "+x"(pairs[i]));
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs[i], ones));
      asm volatile("" : "+x"(sums[i]));
    }
  }
  return rounds * kSums * kPairsPerFlush * 32 * 2;
}

}  // namespace

const Kernels kAvx2Kernels = {
    .name = "avx2",
    .dot_f64 = dot_f64_avx2<F32>,
    .squared_distance_f64 = squared_distance_f64_avx2<F32>,
    .dot_f64_f16 = dot_f64_avx2<F16>,
    .dot_f64_bf16 = dot_f64_avx2<BF16>,
    .squared_distance_f64_f16 = squared_distance_f64_avx2<F16>,
    .squared_distance_f64_bf16 = squared_distance_f64_avx2<BF16>,
    .f32_to_f16 = encode_avx2<F16>,
    .f32_to_bf16 = encode_avx2<BF16>,
    .f16_to_f32 = decode_avx2<F16>,
    .bf16_to_f32 = decode_avx2<BF16>,
    .max_abs_f32 = max_abs_f32_avx2,
    .encode_row = encode_row_avx2,
    .max_query_code = 64,
    .tile_width = kTileWidth,
    .unpack_block = unpack_block_avx2,
    .scan_block = scan_block_avx2,
    .scan_block_planes = scan_block_planes_avx2,
    .most_from_planes = 1,
    .scan_block_high = scan_block_high_avx2,
    .dot_row = dot_row_avx2,
    .strided_maxima_u16 = strided_maxima_u16_avx2,
    .take_at_least_u16 = take_at_least_u16_avx2,
    .count_less_i32 = count_less_i32_avx2,
    .unpack_u16 = unpack_u16_avx2,
    .unpack_ascending_u16 = unpack_ascending_u16_avx2,
    .probe_operations = probe_operations_avx2,
};

}  // namespace sightline::simd
