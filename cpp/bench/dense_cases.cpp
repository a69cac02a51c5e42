// Searches of a VectorIndex on one thread: 1,024 rows of 384 dimensions around 32 centres, whose codes stay in the
// second cache.
#include <cstddef>
#include <memory>
#include <random>
#include <string>

#include "bench/case.h"
#include "dense/index.h"
#include "dense/search.h"
#include "simd/dispatch.h"

namespace sightline::bench {
namespace {

constexpr std::size_t kDim = 384;
constexpr std::size_t kRows = 1024;
constexpr std::size_t kCentres = 32;
constexpr std::size_t kTop = 10;

std::vector<float> points_near_centres(std::size_t count, unsigned seed) {
  std::mt19937 same(7);  // the centres are those of every call
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> centres(kCentres * kDim);
  for (float& value : centres) value = normal(same);
  std::vector<float> points(count * kDim);
  for (std::size_t i = 0; i < points.size(); ++i) {
    points[i] = centres[i / kDim % kCentres * kDim + i % kDim] + 0.5F * normal(random);
  }
  return points;
}

Case search_case(std::size_t query_count) {
  struct Data {
    dense::VectorIndex index{dense::Metric::kCosine, kDim};
    std::vector<float> queries;
    std::vector<float> scores;
    std::vector<DocId> ids;
  };
  const auto data = std::make_shared<Data>();
  data->index.add_next(points_near_centres(kRows, 1).data(), kRows);
  data->queries = points_near_centres(query_count, 2);
  data->scores.resize(query_count * kTop);
  data->ids.resize(query_count * kTop);
  const auto call = [data, query_count] {
    dense::SearchStats stats;
    dense::search(*data->index.snapshot(), data->queries.data(), query_count, kTop, {}, data->scores.data(),
                  data->ids.data(), stats);
    return stats;
  };
  const double bytes = static_cast<double>(call().bytes);
  return {Reference::kFloats, bytes, static_cast<double>(query_count), "queries", call};
}

Case add_case() {
  constexpr std::size_t kAdded = 128;
  const auto points = std::make_shared<std::vector<float>>(points_near_centres(kAdded, 1));
  return {Reference::kFloats, 4.0 * kAdded * kDim, kAdded, "rows", [points] {
            dense::VectorIndex index(dense::Metric::kCosine, kDim);
            index.add_next(points->data(), kAdded);
            keep(index);
          }};
}

}  // namespace

std::vector<Definition> dense_cases() {
  const std::string table = std::string(simd::kernels().name) + "/";
  return {
      {table + "dense_search_one", [] { return search_case(1); }},
      {table + "dense_search_batch", [] { return search_case(16); }},
      {table + "dense_add", add_case},
  };
}

}  // namespace sightline::bench
