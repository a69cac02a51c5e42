// The coarse pass of every table: unpacking, integer dots and bounds, against loops over single codes.
#include <cfloat>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>

#include "tests/guarded.h"
#include "tests/kernel_cases.h"

using namespace sightline;
using namespace sightline::testing;
using simd::kBlockRows;
using simd::kOctetBytes;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// One block of rows and one tile of queries, by value and in the layouts of kernels.h.
struct Case {
  std::size_t dim;  // padded to a multiple of 8
  std::size_t octets;
  std::size_t width;
  std::vector<std::uint8_t> codes;     // row-major
  std::vector<std::int8_t> query_codes;  // row-major
  Guarded<std::uint8_t> high, low, unpacked;
  Guarded<std::int8_t> queries;
  Guarded<float> scale, residual, bias;
  Guarded<simd::CoarseQuery> constants;

  Case(std::size_t unpadded_dim, std::size_t tile_width)
      : dim((unpadded_dim + 7) / 8 * 8), octets(dim / 8), width(tile_width),
        codes(kBlockRows * dim), query_codes(width * dim),
        high(octets * kOctetBytes), low(octets * kOctetBytes), unpacked(2 * octets * kOctetBytes), queries(width * dim),
        scale(kBlockRows), residual(kBlockRows), bias(kBlockRows), constants(width) {}

  simd::CoarseRows rows() const { return {scale.data(), residual.data(), bias.data()}; }

  // Lays out `codes` and `query_codes`, straight from the words of kernels.h.
  void pack() {
    for (std::size_t r = 0; r < kBlockRows; ++r) {
      for (std::size_t d = 0; d < dim; ++d) {
        const std::uint8_t u = codes[r * dim + d];
        unpacked[d / 4 * kOctetBytes + 4 * r + d % 4] = u;
        const std::size_t at = d / 8 * kOctetBytes + 4 * r + d % 4;
        const int shift = d % 8 < 4 ? 0 : 4;
        high[at] = static_cast<std::uint8_t>(high[at] | (u >> 4) << shift);
        low[at] = static_cast<std::uint8_t>(low[at] | (u & 15) << shift);
      }
    }
    for (std::size_t q = 0; q < width; ++q) {
      for (std::size_t d = 0; d < dim; ++d) queries[(d / 4 * width + q) * 4 + d % 4] = query_codes[q * dim + d];
    }
  }

  std::int64_t dot(std::size_t q, std::size_t r, bool high_only) const {
    std::int64_t sum = 0;
    for (std::size_t d = 0; d < dim; ++d) {
      const int u = codes[r * dim + d];
      sum += std::int64_t{query_codes[q * dim + d]} * (high_only ? 32 * (u / 16) : u);
    }
    return sum;
  }
};

// What one scan returned.
struct Scanned {
  Guarded<std::uint64_t> survivors;
  Guarded<float> upper;
  explicit Scanned(std::size_t width) : survivors(width), upper(width * kBlockRows) {}
};

std::unique_ptr<Scanned> scan(const simd::Kernels& table, const Case& c, bool high_only) {
  auto result = std::make_unique<Scanned>(c.width);
  for (std::size_t i = 0; i < result->upper.size(); ++i) result->upper[i] = kNaN;
  const auto kernel = high_only ? table.scan_block_high : table.scan_block;
  kernel(high_only ? c.high.data() : c.unpacked.data(), c.octets, c.rows(), c.queries.data(), c.constants.data(), c.width,
         result->survivors.data(), result->upper.data());
  CHECK(result->survivors.is_intact());
  CHECK(result->upper.is_intact());
  if (!high_only && table.scan_block_planes != nullptr) {
    // Unpacked in registers instead: the same bits.
    Scanned planes(c.width);
    table.scan_block_planes(c.high.data(), c.low.data(), c.octets, c.rows(), c.queries.data(), c.constants.data(), c.width,
                            planes.survivors.data(), planes.upper.data());
    CHECK(planes.survivors.is_intact());
    CHECK(planes.upper.is_intact());
    for (std::size_t q = 0; q < c.width; ++q) {
      CHECK_EQ(planes.survivors[q], result->survivors[q]);
      if (result->survivors[q] == 0) continue;
      CHECK(std::memcmp(&planes.upper[q * kBlockRows], &result->upper[q * kBlockRows], kBlockRows * sizeof(float)) == 0);
    }
  }
  return result;
}

// The bound in float64 and the error that kernels.h allows; the last term is what rounding denormals may add.
struct Expected {
  double upper;
  double error;
};

Expected expected_bound(const Case& c, std::size_t q, std::size_t r, bool high_only) {
  const simd::CoarseQuery& k = c.constants[q];
  const double from_dot = static_cast<double>(k.dot_factor) * c.scale[r] * static_cast<double>(c.dot(q, r, high_only) + k.offset);
  const double from_residual = static_cast<double>(k.residual_factor) * c.residual[r];
  const double from_bias = static_cast<double>(k.bias_factor) * c.bias[r];
  const double terms = magnitude(from_dot) + magnitude(from_residual) + magnitude(from_bias);
  return {from_dot + from_residual + from_bias, 4 * kUnit32 * (1 + 1e-6) * terms + 0x1p-147};
}

void check_scan(const simd::Kernels& table, const Case& c) {
  for (const bool high_only : {false, true}) {
    const auto got = scan(table, c, high_only);
    for (std::size_t q = 0; q < c.width; ++q) {
      const double threshold = c.constants[q].threshold;
      for (std::size_t r = 0; r < kBlockRows; ++r) {
        const Expected expected = expected_bound(c, q, r, high_only);
        const bool kept = (got->survivors[q] >> r & 1) != 0;
        if (got->survivors[q] == 0) {  // then only this is promised: every bound is below the threshold
          CHECK(expected.upper - expected.error < threshold);
          continue;
        }
        const float upper = got->upper[q * kBlockRows + r];
        CHECK(magnitude(upper - expected.upper) <= expected.error);
        CHECK_EQ(kept, !(upper < threshold));
      }
    }
  }
}

void fill_random(Case& c, int max_query_code, Random& random) {
  for (auto& u : c.codes) u = static_cast<std::uint8_t>(random.integer(0, 255));
  for (auto& e : c.query_codes) e = static_cast<std::int8_t>(random.integer(-max_query_code, max_query_code));
  c.pack();
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    c.scale[r] = static_cast<float>(0.01 * random.uniform());
    c.residual[r] = static_cast<float>(random.uniform());
    c.bias[r] = random.normal();
  }
  for (std::size_t q = 0; q < c.width; ++q) {
    std::int32_t sum = 0;
    for (std::size_t d = 0; d < c.dim; ++d) sum += c.query_codes[q * c.dim + d];
    c.constants[q] = {-128 * sum, static_cast<float>(random.uniform()), random.normal(), random.normal(), -kInfinity};
  }
}

// All rows alike: scale 1, residual and bias 0, so that the bound is the integer dot plus the offset itself.
void use_plain_dots(Case& c) {
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    c.scale[r] = 1;
    c.residual[r] = c.bias[r] = 0;
  }
  for (std::size_t q = 0; q < c.width; ++q) c.constants[q] = {0, 1, 0, 0, -kInfinity};
}

}  // namespace

TEST(kernels_unpack_block_joins_both_planes) {
  for_each_table([](const simd::Kernels& table) {
    Random random(11);
    for (const std::size_t dim : kDims) {
      Case c(dim, 1);
      fill_random(c, 1, random);
      Guarded<std::uint8_t> out(c.unpacked.size());
      table.unpack_block(c.high.data(), c.low.data(), c.octets, out.data());
      CHECK(out.is_intact());
      for (std::size_t i = 0; i < out.size(); ++i) CHECK_EQ(int{out[i]}, int{c.unpacked[i]});
    }
  });
}

TEST(kernels_tables_keep_to_the_limits_of_the_contract) {
  for_each_table([](const simd::Kernels& table) {
    CHECK(table.tile_width >= 1 && table.tile_width <= simd::kMaxTileWidth);
    CHECK(table.max_query_code == 127 || table.max_query_code == 64);
  });
}

TEST(kernels_scan_every_dimension_and_width) {
  for_each_table([](const simd::Kernels& table) {
    Random random(12);
    for (const std::size_t dim : kDims) {
      for (std::size_t width = 1; width <= table.tile_width; ++width) {
        Case c(dim, width);
        fill_random(c, table.max_query_code, random);
        check_scan(table, c);
        // A threshold in the middle of the bounds; different ones in one tile.
        for (std::size_t q = 0; q < width; ++q) {
          c.constants[q].threshold = static_cast<float>(expected_bound(c, q, 7 * q, false).upper);
        }
        check_scan(table, c);
      }
    }
  });
}

TEST(kernels_scan_integer_dots_are_exact) {
  for_each_table([](const simd::Kernels& table) {
    Random random(13);
    for (const std::size_t dim : {1, 9, 64, 100, 384}) {
      for (std::size_t width = 1; width <= table.tile_width; ++width) {
        Case c(dim, width);
        fill_random(c, table.max_query_code, random);
        use_plain_dots(c);
        for (const bool high_only : {false, true}) {
          // Below 2^24 a float holds the integer itself; the offset brings a sum of any size there.
          for (const std::int32_t shift : {0, 1, -12345}) {
            for (std::size_t r = 0; r < kBlockRows; r += 9) {
              for (std::size_t q = 0; q < width; ++q) {
                c.constants[q].offset = shift - static_cast<std::int32_t>(c.dot(q, r, high_only));
              }
              const auto got = scan(table, c, high_only);
              for (std::size_t q = 0; q < width; ++q) CHECK_EQ(got->upper[q * kBlockRows + r], static_cast<float>(shift));
            }
          }
        }
      }
    }
  });
}

TEST(kernels_dot_row_equals_the_sum_over_single_codes) {
  for_each_table([](const simd::Kernels& table) {
    if (table.dot_row == nullptr) return;
    Random random(17);
    for (const std::size_t dim : kDims) {
      for (const bool extreme : {false, true}) {
        Case c(dim, 1);
        const std::size_t padded = (c.dim + simd::kRowCodes - 1) / simd::kRowCodes * simd::kRowCodes;
        Guarded<std::int8_t> query(padded);
        fill_random(c, table.max_query_code, random);
        if (extreme) {  // all pairs of products as large as they can be
          for (auto& u : c.codes) u = 255;
          for (auto& e : c.query_codes) e = static_cast<std::int8_t>(-table.max_query_code);
          c.pack();
        }
        for (std::size_t d = 0; d < padded; ++d) query[d] = d < c.dim ? c.query_codes[d] : std::int8_t{0};
        for (std::size_t r = 0; r < kBlockRows; ++r) {
          CHECK_EQ(std::int64_t{table.dot_row(c.high.data(), c.low.data(), c.octets, r, query.data())}, c.dot(0, r, false));
        }
      }
    }
  });
}

TEST(kernels_scan_extreme_codes_do_not_saturate) {
  for_each_table([](const simd::Kernels& table) {
    for (const std::size_t dim : {std::size_t{8}, std::size_t{129}, std::size_t{1000}, simd::kMaxDim}) {
      for (std::size_t width = 1; width <= table.tile_width; width += table.tile_width > 1 ? table.tile_width - 1 : 1) {
        // Code patterns by row, query patterns by query: constant extremes, alternating extremes, pairs.
        Case c(dim, width);
        const auto sign = [](std::size_t pattern, std::size_t d) {
          switch (pattern % 4) {
            case 0: return true;
            case 1: return false;
            case 2: return d % 2 == 0;
            default: return d / 4 % 2 == 0;
          }
        };
        for (std::size_t first_query = 0; first_query < 4; ++first_query) {
          for (std::size_t i = 0; i < c.high.size(); ++i) c.high[i] = c.low[i] = 0;
          for (std::size_t r = 0; r < kBlockRows; ++r) {
            for (std::size_t d = 0; d < c.dim; ++d) c.codes[r * c.dim + d] = sign(r, d) ? 255 : 0;
          }
          for (std::size_t q = 0; q < width; ++q) {
            for (std::size_t d = 0; d < c.dim; ++d) {
              const int e = sign(first_query + q, d) ? table.max_query_code : -table.max_query_code;
              c.query_codes[q * c.dim + d] = static_cast<std::int8_t>(e);
            }
          }
          c.pack();
          use_plain_dots(c);
          for (const bool high_only : {false, true}) {
            for (std::size_t r = 0; r < 4; ++r) {
              for (std::size_t q = 0; q < width; ++q) {
                c.constants[q].offset = static_cast<std::int32_t>(-c.dot(q, r, high_only));
              }
              const auto got = scan(table, c, high_only);
              for (std::size_t q = 0; q < width; ++q) {
                for (std::size_t same = r; same < kBlockRows; same += 4) CHECK_EQ(got->upper[q * kBlockRows + same], 0.0f);
              }
            }
          }
        }
      }
    }
  });
}

namespace {

using Edit = std::function<void(Case&)>;

// Runs a scan at width 1 and full width after `edit`; `expected_kept(c, q, r, upper)` says what must survive.
void check_survivors(const Edit& edit, const std::function<bool(const Case&, std::size_t, std::size_t)>& expected_kept) {
  for_each_table([&](const simd::Kernels& table) {
    Random random(14);
    for (const std::size_t width : {std::size_t{1}, table.tile_width}) {
      Case c(65, width);
      fill_random(c, table.max_query_code, random);
      edit(c);
      for (const bool high_only : {false, true}) {
        const auto got = scan(table, c, high_only);
        for (std::size_t q = 0; q < width; ++q) {
          for (std::size_t r = 0; r < kBlockRows; ++r) {
            CHECK_EQ((got->survivors[q] >> r & 1) != 0, expected_kept(c, q, r));
          }
        }
      }
    }
  });
}

void set_threshold(Case& c, float threshold) {
  for (std::size_t q = 0; q < c.width; ++q) c.constants[q].threshold = threshold;
}

}  // namespace

TEST(kernels_scan_keeps_all_above_minus_infinity_and_a_nan_threshold) {
  for (const float threshold : {-kInfinity, -FLT_MAX, kNaN}) {
    check_survivors([&](Case& c) { set_threshold(c, threshold); }, [](auto&, auto, auto) { return true; });
  }
}

TEST(kernels_scan_drops_all_finite_bounds_below_infinity) {
  check_survivors([](Case& c) { set_threshold(c, kInfinity); }, [](auto&, auto, auto) { return false; });
}

TEST(kernels_scan_keeps_nan_and_infinite_bounds) {
  for (const float bad : {kNaN, kInfinity}) {
    const Edit edit = [&](Case& c) {
      set_threshold(c, kInfinity);
      for (std::size_t q = 0; q < c.width; ++q) c.constants[q].bias_factor = 1;
      for (std::size_t r = 0; r < kBlockRows; r += 5) c.bias[r] = bad;
    };
    check_survivors(edit, [](auto&, auto, std::size_t r) { return r % 5 == 0; });
  }
}

TEST(kernels_scan_keeps_equal_and_drops_the_next_float) {
  for (const float bound : {0.0f, -0.0f, 1.5f, -1.5f, FLT_TRUE_MIN, -FLT_TRUE_MIN, FLT_MAX}) {
    // The bias alone is the bound; every third row lies one float above it, every third one below.
    const Edit edit = [&](Case& c) {
      for (std::size_t q = 0; q < c.width; ++q) c.constants[q] = {0, 0, 0, 1, bound};
      for (std::size_t r = 0; r < kBlockRows; ++r) {
        c.bias[r] = r % 3 == 0 ? bound : std::nextafter(bound, r % 3 == 1 ? kInfinity : -kInfinity);
      }
    };
    check_survivors(edit, [](auto&, auto, std::size_t r) { return r % 3 != 2; });
  }
}

TEST(kernels_scan_extreme_factors) {
  for_each_table([](const simd::Kernels& table) {
    Random random(15);
    for (const float size : {FLT_TRUE_MIN, FLT_MIN, 1e-30f, 1e30f}) {
      Case c(33, table.tile_width);
      fill_random(c, table.max_query_code, random);
      for (std::size_t r = 0; r < kBlockRows; ++r) {
        c.scale[r] *= size;
        c.residual[r] *= size;
        c.bias[r] *= size;
      }
      check_scan(table, c);
    }
  });
}
