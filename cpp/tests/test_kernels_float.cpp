// The float kernels of every table: the exact pass (bit for bit with the scalar table) and the building of codes.
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>

#include "tests/guarded.h"
#include "tests/kernel_cases.h"

using namespace sightline;
using namespace sightline::testing;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// How a pair of vectors is filled; each kind stresses another part of float arithmetic.
enum class Fill { kNormal, kWideRange, kDenormal, kGreatest, kZeros, kNegativeZeros };
constexpr Fill kFills[] = {Fill::kNormal,   Fill::kWideRange, Fill::kDenormal,
                           Fill::kGreatest, Fill::kZeros,     Fill::kNegativeZeros};

float draw(Fill fill, Random& random) {
  switch (fill) {
    case Fill::kNormal: return random.normal();
    case Fill::kWideRange: return std::ldexp(random.normal(), random.integer(-120, 120));
    case Fill::kDenormal: return static_cast<float>(random.integer(-1000, 1000)) * FLT_TRUE_MIN;
    case Fill::kGreatest: return random.integer(0, 1) == 0 ? FLT_MAX : -FLT_MAX;
    case Fill::kZeros: return 0.0f;
    case Fill::kNegativeZeros: return -0.0f;
  }
  return 0;
}

void fill(Guarded<float>& values, Fill kind, Random& random) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = draw(kind, random);
}

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

void check_exact_pass(const simd::Kernels& table, const Guarded<float>& a, const Guarded<float>& b) {
  const std::size_t dim = a.size();
  const double dot = table.dot_f64(a.data(), b.data(), dim);
  const double distance = table.squared_distance_f64(a.data(), b.data(), dim);
  CHECK_EQ(bits(dot), bits(simd::kScalarKernels.dot_f64(a.data(), b.data(), dim)));
  CHECK_EQ(bits(distance), bits(simd::kScalarKernels.squared_distance_f64(a.data(), b.data(), dim)));

  long double true_dot = 0;
  long double absolute_products = 0;
  long double true_distance = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    const long double product = static_cast<long double>(a[i]) * b[i];
    const long double difference = static_cast<long double>(a[i]) - b[i];
    true_dot += product;
    absolute_products += product < 0 ? -product : product;
    true_distance += difference * difference;
  }
  const auto count = static_cast<double>(dim);
  CHECK(magnitude(static_cast<double>(dot - true_dot)) <= count * kUnit64 * static_cast<double>(absolute_products));
  // Each term is rounded twice more: the difference (its square doubles the error) and the square.
  CHECK(magnitude(static_cast<double>(distance - true_distance)) <=
        (count + 4) * kUnit64 * static_cast<double>(true_distance));
}

}  // namespace

TEST(kernels_exact_pass_has_the_same_bits_in_every_table) {
  for_each_table([](const simd::Kernels& table) {
    Random random(1);
    for (const std::size_t dim : kDims) {
      for (const Fill kind : kFills) {
        Guarded<float> a(dim);
        Guarded<float> b(dim);
        fill(a, kind, random);
        fill(b, kind, random);
        check_exact_pass(table, a, b);
      }
    }
  });
}

TEST(kernels_exact_pass_takes_misaligned_rows) {
  for_each_table([](const simd::Kernels& table) {
    Random random(2);
    for (std::size_t misalignment = 0; misalignment < 16; ++misalignment) {
      for (const std::size_t dim : {1, 17, 64, 100, 129}) {
        Guarded<float> a(dim, misalignment);
        Guarded<float> b(dim, 15 - misalignment);
        fill(a, Fill::kNormal, random);
        fill(b, Fill::kWideRange, random);
        check_exact_pass(table, a, b);
      }
    }
  });
}

TEST(kernels_exact_pass_of_no_dimensions_is_zero) {
  for_each_table([](const simd::Kernels& table) {
    const float nothing = 1;
    CHECK_EQ(bits(table.dot_f64(&nothing, &nothing, 0)), bits(0.0));
    CHECK_EQ(bits(table.squared_distance_f64(&nothing, &nothing, 0)), bits(0.0));
    CHECK_EQ(table.max_abs_f32(&nothing, 0), 0.0f);
  });
}

TEST(kernels_max_abs_finds_the_greatest_at_every_position) {
  for_each_table([](const simd::Kernels& table) {
    Random random(3);
    for (const std::size_t dim : kDims) {
      for (std::size_t misalignment = 0; misalignment < 16; misalignment += dim > 130 ? 15 : 1) {
        Guarded<float> row(dim, misalignment);
        fill(row, Fill::kNormal, random);
        for (std::size_t i = 0; i < dim; ++i) {
          for (const float greatest : {100.0f, -FLT_MAX}) {
            const float before = row[i];
            row[i] = greatest;
            CHECK_EQ(table.max_abs_f32(row.data(), dim), magnitude(greatest));
            row[i] = before;
          }
        }
      }
    }
  });
}

TEST(kernels_max_abs_of_small_values_and_zeros) {
  for_each_table([](const simd::Kernels& table) {
    for (const std::size_t dim : kDims) {
      Guarded<float> row(dim);
      CHECK_EQ(table.max_abs_f32(row.data(), dim), 0.0f);
      for (std::size_t i = 0; i < dim; ++i) row[i] = -0.0f;
      CHECK_EQ(table.max_abs_f32(row.data(), dim), 0.0f);
      row[dim - 1] = -FLT_TRUE_MIN;
      CHECK_EQ(table.max_abs_f32(row.data(), dim), FLT_TRUE_MIN);
    }
  });
}

TEST(kernels_max_abs_reports_what_is_not_finite_at_every_position) {
  for_each_table([](const simd::Kernels& table) {
    Random random(4);
    for (const std::size_t dim : kDims) {
      Guarded<float> row(dim);
      fill(row, Fill::kNormal, random);
      for (std::size_t i = 0; i < dim; ++i) {
        for (const float bad : {kNaN, -kNaN, kInfinity, -kInfinity}) {
          const float before = row[i];
          row[i] = bad;
          CHECK(!std::isfinite(table.max_abs_f32(row.data(), dim)));
          row[i] = before;
        }
      }
    }
    // One bad value must not hide another: NaN next to infinity, and infinities of both signs.
    float pair[2] = {kNaN, kInfinity};
    CHECK(!std::isfinite(table.max_abs_f32(pair, 2)));
    float infinities[2] = {kInfinity, -kInfinity};
    CHECK(!std::isfinite(table.max_abs_f32(infinities, 2)));
  });
}

namespace {

// Codes must equal the scalar table's; residuals are compared with long double. The value that is coded is the float64
// product row * norm_factor, whose own rounding moves the norm of the residual by at most 2^-53 of the row's norm.
void check_encoding(const simd::Kernels& table, const Guarded<float>& row, double norm_factor, float inverse_scale, float scale) {
  const std::size_t dim = row.size();
  Guarded<std::uint8_t> codes(dim);
  std::vector<std::uint8_t> scalar_codes(dim);
  double residual[2] = {-1, -1};
  double scalar_residual[2];
  table.encode_row(row.data(), dim, norm_factor, inverse_scale, scale, codes.data(), residual);
  simd::kScalarKernels.encode_row(row.data(), dim, norm_factor, inverse_scale, scale, scalar_codes.data(), scalar_residual);
  CHECK(codes.is_intact());

  long double true_residual[2] = {0, 0};
  long double row_norm = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    CHECK_EQ(int{codes[i]}, int{scalar_codes[i]});
    CHECK(codes[i] >= 1);
    const long double x = static_cast<long double>(row[i]) * norm_factor;
    const long double full = x - static_cast<long double>(scale) * (codes[i] - 128);
    const long double high = x - static_cast<long double>(scale) * (16 * (codes[i] / 16) - 120.5L);
    true_residual[0] += full * full;
    true_residual[1] += high * high;
    row_norm += x * x;
  }
  row_norm = std::sqrt(row_norm);
  for (int level = 0; level < 2; ++level) {
    const long double expected = std::sqrt(true_residual[level]);
    const long double got = std::sqrt(static_cast<long double>(residual[level]));
    const long double bound = kUnit64 * row_norm + (static_cast<double>(dim) + 8) * kUnit64 * expected;
    CHECK(std::fabs(got - expected) <= bound);
  }
}

}  // namespace

TEST(kernels_encode_row_matches_scalar_codes_and_true_residuals) {
  for_each_table([](const simd::Kernels& table) {
    Random random(5);
    for (const std::size_t dim : kDims) {
      for (std::size_t misalignment = 0; misalignment < 16; misalignment += 5) {
        Guarded<float> row(dim, misalignment);
        fill(row, Fill::kNormal, random);
        const float greatest = simd::kScalarKernels.max_abs_f32(row.data(), dim);
        const double norm = std::sqrt(simd::kScalarKernels.dot_f64(row.data(), row.data(), dim));
        check_encoding(table, row, 1 / norm, 127 / greatest, static_cast<float>(greatest / norm / 127));
        check_encoding(table, row, 1, 127 / greatest, greatest / 127);
        check_encoding(table, row, 1, 300 / greatest, greatest / 300);  // more than half of the values clamped
        check_encoding(table, row, 1, -127 / greatest, -greatest / 127);
      }
    }
  });
}

TEST(kernels_encode_row_breaks_ties_to_even) {
  for_each_table([](const simd::Kernels& table) {
    // -128.5, -128, ..., 128.5: every half integer and integer, those that are clamped included.
    Guarded<float> row(515);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = 0.5f * static_cast<float>(i) - 128.5f;
    check_encoding(table, row, 1, 1, 1);
    Guarded<std::uint8_t> codes(row.size());
    double residual[2];
    table.encode_row(row.data(), row.size(), 1, 1, 1, codes.data(), residual);
    for (std::size_t i = 0; i < row.size(); ++i) {
      const double clamped = std::fmin(127, std::fmax(-127, row[i]));
      CHECK_EQ(int{codes[i]}, static_cast<int>(std::nearbyint(clamped)) + 128);
    }
  });
}

TEST(kernels_encode_row_takes_any_finite_scale) {
  for_each_table([](const simd::Kernels& table) {
    Random random(6);
    for (const Fill kind : kFills) {
      for (const float inverse_scale : {0.0f, 1.0f, FLT_MAX, -FLT_MAX, FLT_TRUE_MIN, 1e30f}) {
        Guarded<float> row(100);
        fill(row, kind, random);
        check_encoding(table, row, 1, inverse_scale, 1);
        check_encoding(table, row, 1, inverse_scale, 0);
      }
    }
  });
}
