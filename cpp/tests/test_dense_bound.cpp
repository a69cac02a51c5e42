// The certified bound against exact scores in long double: over both levels, every metric and every kernel table, on
// random rows, on rows built so that Cauchy-Schwarz is an equality, and on pairs that a search for a violation comes up with.
#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/aligned.h"
#include "dense/bound.h"
#include "tests/kernel_cases.h"

using namespace sightline;
using namespace sightline::testing;
using dense::CodedQuery;
using dense::Level;
using dense::Metric;
using dense::Segment;
using dense::SegmentBound;
using dense::StoredType;
using simd::kBlockRows;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kInnerProduct, Metric::kSquaredL2};
constexpr Level kLevels[] = {Level::kHigh, Level::kFull};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Rows {
  std::size_t dim;
  std::vector<float> values;  // row-major
  std::size_t count() const { return values.size() / dim; }
  const float* row(std::size_t i) const { return values.data() + i * dim; }
};

std::shared_ptr<const Segment> build(Metric metric, const Rows& rows, StoredType type = StoredType::kFloat32) {
  std::vector<DocId> ids(rows.count());
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<DocId>(i);
  return Segment::build(
      metric, type, rows.dim, ids,
      [&](std::size_t i) { return dense::StoredRow{StoredType::kFloat32, reinterpret_cast<const std::byte*>(rows.row(i))}; },
      [](std::size_t i) { return std::to_string(i); });
}

// The stored rows as float32.
Rows decode(const Segment& segment) {
  Rows rows{segment.dim(), std::vector<float>(segment.row_count() * segment.dim())};
  for (std::size_t i = 0; i < segment.row_count(); ++i) {
    float* out = rows.values.data() + i * rows.dim;
    const float* values = segment.stored_row(i).decode(simd::kScalarKernels, rows.dim, out);
    if (values != out) std::copy_n(values, rows.dim, out);
  }
  return rows;
}

long double dot(const float* a, const float* b, std::size_t dim) {
  long double sum = 0;
  for (std::size_t i = 0; i < dim; ++i) sum += static_cast<long double>(a[i]) * b[i];
  return sum;
}

long double true_score(Metric metric, const float* q, const float* x, std::size_t dim) {
  if (metric == Metric::kInnerProduct) return dot(q, x, dim);
  if (metric == Metric::kCosine) return dot(q, x, dim) / std::sqrt(dot(q, q, dim) * dot(x, x, dim));
  long double sum = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    const long double difference = static_cast<long double>(q[i]) - x[i];
    sum += difference * difference;
  }
  return -sum;
}

// code_query codes for the table that is active. For a table that takes other codes: the same by definition (bound.h).
CodedQuery code_for(const simd::Kernels& table, Metric metric, const float* vector, std::size_t dim, std::int8_t* codes) {
  if (table.max_query_code == simd::kernels().max_query_code) return dense::code_query(metric, vector, dim, 0, codes);
  CodedQuery query;
  query.vector = vector;
  query.norm = static_cast<double>(std::sqrt(dot(vector, vector, dim)));
  std::fill(codes, codes + (dim + 7) / 8 * 8, std::int8_t{0});
  const float greatest = simd::kernels().max_abs_f32(vector, dim);
  if (greatest == 0) return query;
  query.code_scale = greatest / query.norm / table.max_query_code;
  long double residual = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    const long double value = vector[i] / static_cast<long double>(query.norm);
    codes[i] = static_cast<std::int8_t>(std::clamp<long double>(std::round(value / query.code_scale), -table.max_query_code, table.max_query_code));
    query.code_sum += codes[i];
    const long double error = value - query.code_scale * static_cast<long double>(codes[i]);
    residual += error * error;
  }
  query.code_residual = static_cast<double>(std::sqrt(residual)) * (1 + 0x1p-30);
  return query;
}

struct Scan {
  std::uint64_t survivors = 0;
  float upper[kBlockRows] = {};
};

Scan scan(const simd::Kernels& table, const Segment& segment, std::size_t block, Level level, const std::int8_t* codes,
          const simd::CoarseQuery& constants) {
  Scan result;
  if (level == Level::kHigh) {
    table.scan_block_high(segment.high_plane(block), segment.octets(), segment.high_rows(block), codes, &constants, 1,
                          &result.survivors, result.upper);
  } else {
    AlignedBuffer<std::uint8_t> unpacked(segment.octets() * 8 * kBlockRows);
    table.unpack_block(segment.high_plane(block), segment.low_plane(block), segment.octets(), unpacked.data());
    table.scan_block(unpacked.data(), segment.octets(), segment.full_rows(block), codes, &constants, 1, &result.survivors,
                     result.upper);
  }
  return result;
}

// Checks all rows for one query. Returns the least (upper - exact) / (|q| (|q| + |x|)), to see how tight the bound was.
double check_query(const simd::Kernels& table, Metric metric, const Segment& segment, const float* query) {
  const std::size_t dim = segment.dim();
  std::vector<std::int8_t> codes(segment.octets() * 8);
  const CodedQuery coded = code_for(table, metric, query, dim, codes.data());
  const Rows stored = decode(segment);
  std::vector<float> scores(segment.row_count());
  for (std::size_t row = 0; row < scores.size(); ++row) {
    scores[row] = dense::exact_score(metric, table, coded, segment, row);
    const float active = dense::exact_score(metric, simd::kernels(), coded, segment, row);
    CHECK_EQ(std::bit_cast<std::uint32_t>(scores[row]), std::bit_cast<std::uint32_t>(active));
    const long double exact = std::clamp<long double>(true_score(metric, query, stored.row(row), dim), -FLT_MAX, FLT_MAX);
    const float nearest = static_cast<float>(exact);
    const bool close = scores[row] == nearest || std::nextafter(scores[row], nearest) == nearest ||
                       std::abs(scores[row] - exact) <= 1e-12L * coded.norm * std::sqrt(dot(stored.row(row), stored.row(row), dim));
    CHECK(close);
  }
  double least_margin = std::numeric_limits<double>::infinity();
  for (const Level level : kLevels) {
    const SegmentBound bound(metric, coded, segment, level);
    for (std::size_t block = 0; block < segment.block_count(); ++block) {
      const std::size_t first = block * kBlockRows;
      const std::size_t end = std::min(first + kBlockRows, segment.row_count());
      const Scan all = scan(table, segment, block, level, codes.data(), bound.constants(kNoScore));
      CHECK_EQ(all.survivors, ~std::uint64_t{0});
      for (std::size_t row = first; row < end; ++row) {
        const float upper = bound.upper_score(all.upper[row - first]);
        const float* x = stored.row(row);
        const long double exact = true_score(metric, query, x, dim);
        CHECK(static_cast<long double>(upper) >= std::clamp<long double>(exact, -FLT_MAX, FLT_MAX));
        CHECK(upper >= scores[row]);
        const simd::CoarseRows rows = level == Level::kFull ? segment.full_rows(block) : segment.high_rows(block);
        const float lower = bound.lower_score(all.upper[row - first], rows.residual[row - first]);
        CHECK(static_cast<long double>(lower) <= std::clamp<long double>(exact, -FLT_MAX, FLT_MAX));
        CHECK(lower <= scores[row]);
        const double size = metric == Metric::kCosine ? 1 : coded.norm * (coded.norm + static_cast<double>(std::sqrt(dot(x, x, dim))));
        least_margin = std::min(least_margin, static_cast<double>((upper - exact) / size));
        // Thresholds at this score, just under and just over it: a row that reaches the threshold is kept by the kernel,
        // and would be kept by its upper bound later.
        for (const float tau : {scores[row], std::nextafter(scores[row], -kInfinity), std::nextafter(scores[row], kInfinity)}) {
          const Scan kept = scan(table, segment, block, level, codes.data(), bound.constants(tau));
          for (std::size_t other = first; other < end; ++other) {
            if (scores[other] < tau) continue;
            CHECK(((kept.survivors >> (other - first)) & 1) == 1);
            CHECK(bound.upper_score(all.upper[other - first]) >= dense::below(tau));
          }
        }
      }
    }
  }
  return least_margin;
}

// Rows and queries that are hard on the bound, `kind` by kind; see also tests/vector_data.py.
constexpr int kKinds = 9;
constexpr std::size_t kRowCount = 70;  // a full block and a part of one

Rows make_rows(int kind, std::size_t dim, Random& random) {
  Rows rows{dim, std::vector<float>(kRowCount * dim)};
  std::vector<float> base(dim);
  for (float& v : base) v = random.normal();
  for (std::size_t r = 0; r < kRowCount; ++r) {
    float* x = rows.values.data() + r * dim;
    const double size = std::pow(10.0, random.uniform() * 80 - 44);
    const float toward = random.uniform() < 0.5 ? 1.0f : -1.0f;
    for (std::size_t i = 0; i < dim; ++i) {
      const float sign = i % 3 == 0 ? -1.0f : 1.0f;
      switch (kind) {
        case 0: x[i] = random.normal(); break;
        case 1: x[i] = static_cast<float>(std::clamp(random.normal() * size, -3e38, 3e38)); break;
        case 2: x[i] = random.normal() * 1e-3f + 1e4f; break;
        case 3: x[i] = i == dim / 2 ? 1000.0f : random.normal(); break;
        case 4: x[i] = static_cast<float>(random.integer(-30, 30)) * FLT_TRUE_MIN; break;
        case 5: x[i] = static_cast<float>(std::clamp(random.normal() * 1e38, -3.4e38, 3.4e38)); break;
        // The error of the codes, of 8 bits and of 4, is parallel to the signs: away from the code's centre as far as it goes.
        case 6: x[i] = (static_cast<float>(16 * random.integer(-3, 2)) + (sign * toward > 0 ? 15.49f : -0.49f)) / 127.0f; break;
        case 7: x[i] = std::nextafter(base[i], random.uniform() < 0.5 ? kInfinity : -kInfinity); break;
        default: x[i] = i == static_cast<std::size_t>(random.integer(0, static_cast<int>(dim) - 1)) ? 1.0f : -0.0f; break;
      }
    }
    if (kind == 6) x[0] = 1;
    if (std::all_of(x, x + dim, [](float v) { return v == 0; })) x[0] = kind == 4 ? FLT_TRUE_MIN : 1.0f;
  }
  return rows;
}

Rows make_queries(const Rows& rows, Metric metric, Random& random) {
  const std::size_t dim = rows.dim;
  Rows queries{dim, {}};
  const auto append = [&](auto value) {
    for (std::size_t i = 0; i < dim; ++i) queries.values.push_back(value(i));
  };
  append([&](std::size_t i) { return rows.row(0)[i]; });
  append([&](std::size_t i) { return -rows.row(1)[i]; });
  append([&](std::size_t) { return random.normal(); });
  append([&](std::size_t i) { return i == 0 && dim > 1 ? 0.0f : i % 3 == 0 ? -1.0f : 1.0f; });
  append([&](std::size_t) { return 2e38f * (random.uniform() < 0.5 ? 1.0f : -1.0f); });
  append([&](std::size_t i) { return i == dim / 2 ? -FLT_TRUE_MIN : 0.0f; });
  if (metric != Metric::kCosine) append([&](std::size_t) { return 0.0f; });
  return queries;
}

}  // namespace

TEST(dense_bound_holds_for_hostile_rows) {
  for_each_table([](const simd::Kernels& table) {
    for (const std::size_t dim : {1, 2, 7, 8, 9, 16, 31, 64, 100}) {
      for (int kind = 0; kind < kKinds; ++kind) {
        for (const Metric metric : kMetrics) {
          Random random(1000 * dim + static_cast<std::size_t>(kind));
          const Rows rows = make_rows(kind, dim, random);
          const auto segment = build(metric, rows);
          const Rows queries = make_queries(rows, metric, random);
          for (std::size_t q = 0; q < queries.count(); ++q) check_query(table, metric, *segment, queries.row(q));
        }
      }
    }
  });
}

// The bound is that of the stored values, which differ from those that were added.
TEST(dense_bound_holds_for_rows_of_16_bits) {
  for_each_table([](const simd::Kernels& table) {
    for (const StoredType type : {StoredType::kFloat16, StoredType::kBFloat16}) {
      const float greatest = type == StoredType::kFloat16 ? 65504.0f : 3.38e38f;
      for (const std::size_t dim : {1, 9, 64}) {
        for (int kind = 0; kind < kKinds; ++kind) {
          for (const Metric metric : kMetrics) {
            Random random(2000 * dim + static_cast<std::size_t>(kind));
            Rows rows = make_rows(kind, dim, random);
            for (float& v : rows.values) v = std::clamp(v, -greatest, greatest);
            // No row may be zero once it is rounded.
            for (std::size_t r = 0; r < rows.count(); ++r) rows.values[r * dim] += rows.values[r * dim] < 0 ? -1e-7f : 1e-7f;
            const auto segment = build(metric, rows, type);
            const Rows queries = make_queries(rows, metric, random);
            for (std::size_t q = 0; q < queries.count(); ++q) check_query(table, metric, *segment, queries.row(q));
          }
        }
      }
    }
  });
}

// A bound of infinity would pass everything above. On random rows the full codes leave about 2^-7 of the norms.
TEST(dense_bound_is_not_far_above_the_score) {
  Random random(3);
  const Rows rows = make_rows(0, 64, random);
  const Rows queries = make_rows(0, 64, random);
  for (const Metric metric : kMetrics) {
    const auto segment = build(metric, rows);
    std::vector<std::int8_t> codes(64);
    for (std::size_t q = 0; q < 10; ++q) {
      const CodedQuery coded = dense::code_query(metric, queries.row(q), 64, 0, codes.data());
      for (const Level level : kLevels) {
        const SegmentBound bound(metric, coded, *segment, level);
        const Scan all = scan(simd::kernels(), *segment, 0, level, codes.data(), bound.constants(kNoScore));
        for (std::size_t row = 0; row < kBlockRows; ++row) {
          const double exact = dense::exact_score(metric, simd::kernels(), coded, *segment, row);
          const double unit = metric == Metric::kCosine ? 1 : metric == Metric::kInnerProduct ? coded.norm * segment->unit()
                                                                                            : 2 * coded.norm * segment->unit();
          const double width = unit * (level == Level::kFull ? 0.04 : 0.25);
          CHECK(bound.upper_score(all.upper[row]) - exact <= width);
          const simd::CoarseRows constants = level == Level::kFull ? segment->full_rows(0) : segment->high_rows(0);
          CHECK(exact - bound.lower_score(all.upper[row], constants.residual[row]) <= width);
        }
      }
    }
  }
}

// Where the residual is parallel to the query the bound should be reached, or the test above would test nothing sharp.
TEST(dense_bound_is_reached_by_aligned_residuals) {
  Random random(5);
  const Rows rows = make_rows(6, 64, random);
  const Rows queries = make_queries(rows, Metric::kInnerProduct, random);
  const auto segment = build(Metric::kInnerProduct, rows);
  const double margin = check_query(simd::kernels(), Metric::kInnerProduct, *segment, queries.row(3));
  CHECK(margin >= 0);
  CHECK(margin < 1e-4);
}

// Hill climbing towards a violation: change a value of the row or of the query and keep what brings bound and score closer.
TEST(dense_bound_survives_a_search_for_a_violation) {
  for (const Metric metric : kMetrics) {
    for (const std::size_t dim : {1, 3, 8, 20}) {
      Random random(77 + dim);
      Rows pair{dim, std::vector<float>(2 * dim)};  // a row, then a query
      for (float& v : pair.values) v = random.normal();
      const auto margin = [&] {
        const Rows row{dim, {pair.values.begin(), pair.values.begin() + static_cast<std::ptrdiff_t>(dim)}};
        return check_query(simd::kernels(), metric, *build(metric, row), pair.row(1));
      };
      double best = margin();
      for (int step = 0; step < 400; ++step) {
        const auto at = static_cast<std::size_t>(random.integer(0, static_cast<int>(2 * dim) - 1));
        const float before = pair.values[at];
        const double size = std::pow(10.0, -7 * random.uniform());
        pair.values[at] = static_cast<float>(before * (1 + size * random.normal()) + size * random.normal() * 0.1);
        const double fresh = margin();  // checks the bound
        if (fresh > best) {
          pair.values[at] = before;
        } else {
          best = fresh;
        }
      }
      CHECK(best >= 0);
    }
  }
}

TEST(dense_below_is_one_step_and_keeps_the_clamped) {
  CHECK_EQ(dense::below(1.0f), std::nextafter(1.0f, 0.0f));
  CHECK_EQ(dense::below(0.0f), -FLT_TRUE_MIN);
  CHECK_EQ(dense::below(-FLT_MAX), -kInfinity);
  CHECK_EQ(dense::below(kNoScore), -kInfinity);
  CHECK_EQ(dense::below(kInfinity), FLT_MAX);
}
