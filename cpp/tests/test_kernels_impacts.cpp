// Kernels over sums of lexical impacts and over keys of hits, in every table, against loops.
#include <algorithm>
#include <limits>
#include <vector>

#include "tests/guarded.h"
#include "tests/kernel_cases.h"

using namespace sightline;
using namespace sightline::testing;
using simd::kStride;
using simd::kStrideGroup;

namespace {

// 64-byte aligned, up to the inaccessible page.
void fill(Guarded<std::uint16_t>& values, std::size_t count, Random& random, int greatest) {
  for (std::size_t i = 0; i < count; ++i) values.data()[i] = static_cast<std::uint16_t>(random.integer(0, greatest));
}

}  // namespace

TEST(kernels_strided_maxima) {
  for_each_table([](const simd::Kernels& table) {
    Random random(3);
    for (const std::size_t groups : {1UL, 2UL, 16UL}) {
      for (const int greatest : {0, 1, 300, 65535}) {
        Guarded<std::uint16_t> values(groups * kStrideGroup);
        Guarded<std::uint16_t> maxima(groups * kStride);
        fill(values, groups * kStrideGroup, random, greatest);
        table.strided_maxima_u16(values.data(), groups, maxima.data());
        for (std::size_t g = 0; g < groups; ++g) {
          for (std::size_t j = 0; j < kStride; ++j) {
            std::uint16_t expected = 0;
            for (std::size_t i = j; i < kStrideGroup; i += kStride) {
              expected = std::max(expected, values.data()[g * kStrideGroup + i]);
            }
            CHECK_EQ(maxima.data()[g * kStride + j], expected);
          }
        }
        CHECK(maxima.is_intact());
      }
    }
  });
}

TEST(kernels_take_at_least) {
  for_each_table([](const simd::Kernels& table) {
    Random random(4);
    for (const std::size_t count : {32UL, 64UL, 96UL, 1024UL, 16384UL, 65536UL}) {
      for (const int greatest : {1, 300, 65535}) {
        for (const int least : {0, 1, 2, 255, 32767, 32768, 65535}) {
          Guarded<std::uint16_t> values(count);
          Guarded<simd::TakenValue> taken(count);
          fill(values, count, random, greatest);
          std::vector<simd::TakenValue> expected;
          for (std::size_t i = 0; i < count; ++i) {
            if (values.data()[i] >= least) expected.push_back({values.data()[i], static_cast<std::uint16_t>(i)});
          }
          const std::size_t found =
              table.take_at_least_u16(values.data(), count, static_cast<std::uint16_t>(least), taken.data());
          CHECK_EQ(found, expected.size());
          for (std::size_t i = 0; i < found; ++i) {
            CHECK_EQ(taken.data()[i].value, expected[i].value);
            CHECK_EQ(taken.data()[i].position, expected[i].position);
          }
          for (std::size_t i = 0; i < count; ++i) CHECK_EQ(values.data()[i], 0);
          CHECK(values.is_intact() && taken.is_intact());
        }
      }
    }
  });
}

TEST(kernels_count_less) {
  for_each_table([](const simd::Kernels& table) {
    Random random(5);
    for (std::size_t count = simd::kRankStep; count <= 256; count += simd::kRankStep) {
      for (const int greatest : {0, 3, 2147483647}) {
        Guarded<std::int32_t> keys(count);
        Guarded<std::int32_t> less(count);
        for (std::size_t i = 0; i < count; ++i) keys.data()[i] = random.integer(-greatest, greatest);
        keys.data()[count / 2] = std::numeric_limits<std::int32_t>::max();
        keys.data()[count - 1] = std::numeric_limits<std::int32_t>::min();
        table.count_less_i32(keys.data(), count, less.data());
        for (std::size_t i = 0; i < count; ++i) {
          CHECK_EQ(less.data()[i], std::count_if(keys.data(), keys.data() + count,
                                                 [&](std::int32_t key) { return key < keys.data()[i]; }));
        }
        CHECK(keys.is_intact() && less.is_intact());
      }
    }
  });
}
