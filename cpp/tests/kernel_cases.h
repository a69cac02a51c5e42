// What the kernel tests share: the dimensions that exercise every tail, every table, seeded random values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "simd/dispatch.h"
#include "tests/check.h"

namespace sightline::testing {

inline constexpr std::size_t kDims[] = {1,  3,  7,  8,   9,   15,  16,  17,  31,  33,  63,
                                        64, 65, 100, 127, 128, 129, 255, 384, 768, 1000};
inline constexpr double kUnit64 = 0x1p-53;  // the greatest relative error of one float64 operation
inline constexpr double kUnit32 = 0x1p-24;

inline double magnitude(double x) { return x < 0 ? -x : x; }

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  float normal() { return normal_(engine_); }
  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  double uniform() { return std::uniform_real_distribution<double>(0, 1)(engine_); }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<float> normal_;
};

// Runs `test(table)` for each table that this machine has; a failure names the table.
template <typename Test>
void for_each_table(Test&& test) {
  for (const simd::Kernels* table : simd::available_kernels()) {
    try {
      test(*table);
    } catch (const Failure& failure) {
      throw Failure(std::string("[") + table->name + "] " + failure.what());
    }
  }
}

}  // namespace sightline::testing
