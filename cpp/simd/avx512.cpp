// AVX-512 F, BW, DQ, VL for CPUs without VNNI: pairs of products are summed in 16 bits, so query codes stay within 64.
#include "simd/avx512_common.h"

namespace sightline::simd {
namespace {

struct PairwiseDot {
  static constexpr std::int32_t kMaxQueryCode = 64;
  static void accumulate(__m512i& sum, __m512i rows_u8, __m512i query_s8) noexcept {
    const __m512i pairs_s16 = _mm512_maddubs_epi16(rows_u8, query_s8);
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(pairs_s16, _mm512_set1_epi16(1)));
  }
};

}  // namespace

const Kernels kAvx512Kernels = make_avx512_kernels<PairwiseDot>("avx512novnni");

}  // namespace sightline::simd
