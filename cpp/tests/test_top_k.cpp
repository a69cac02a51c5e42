#include "topk/top_k.h"

#include <algorithm>
#include <limits>
#include <random>

#include "tests/check.h"

using namespace sightline;

namespace {

bool same(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Hit& x, const Hit& y) { return x.score == y.score && x.id == y.id; });
}

}  // namespace

TEST(top_k_orders_by_score_then_id) {
  CHECK(ranks_before({2, 9}, {1, 0}));
  CHECK(!ranks_before({1, 0}, {2, 9}));
  CHECK(ranks_before({1, 3}, {1, 4}));
  CHECK(!ranks_before({1, 3}, {1, 3}));
  CHECK(ranks_before({0.0f, 1}, {-0.0f, 2}) && ranks_before({-0.0f, 1}, {0.0f, 2}));  // both zeros are one score
}

TEST(top_k_equals_sorting_everything) {
  std::mt19937 engine(1);
  for (const int distinct_scores : {1, 3, 1000000}) {
    for (const std::size_t count : {0, 1, 2, 10, 257}) {
      std::vector<Hit> hits;
      for (std::size_t i = 0; i < count; ++i) {
        const auto score = static_cast<float>(static_cast<int>(engine() % static_cast<unsigned>(distinct_scores)) - 1);
        hits.push_back({score, static_cast<DocId>(i)});
      }
      std::shuffle(hits.begin(), hits.end(), engine);
      std::vector<Hit> sorted = hits;
      std::sort(sorted.begin(), sorted.end(), ranks_before);
      for (const std::size_t k : {1, 2, 9, 10, 11, 300}) {
        TopK best(k);
        for (const Hit& hit : hits) best.push(hit);
        const std::size_t expected_size = std::min(k, count);
        CHECK_EQ(best.size(), expected_size);
        CHECK_EQ(best.full(), count >= k);
        CHECK(same(best.take_sorted(), {sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(expected_size)}));
      }
    }
  }
}

TEST(top_k_threshold_is_the_worst_kept_score_once_full) {
  TopK best(2);
  CHECK_EQ(best.threshold(), -std::numeric_limits<float>::infinity());
  best.push({5, 1});
  CHECK_EQ(best.threshold(), -std::numeric_limits<float>::infinity());
  best.push({3, 2});
  CHECK_EQ(best.threshold(), 3.0f);
  best.push({2, 0});
  CHECK_EQ(best.threshold(), 3.0f);
  best.push({3, 1});  // equal score, smaller id: enters, the threshold stays
  CHECK_EQ(best.threshold(), 3.0f);
  best.push({4, 7});
  CHECK_EQ(best.threshold(), 4.0f);
  CHECK(same(best.take_sorted(), {{5, 1}, {4, 7}}));
}

TEST(top_k_takes_infinite_scores_and_empties) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  TopK best(3);
  for (const Hit& hit : {Hit{-kInfinity, 1}, Hit{kInfinity, 2}, Hit{-kInfinity, 0}, Hit{0, 3}}) best.push(hit);
  CHECK(same(best.take_sorted(), {{kInfinity, 2}, {0, 3}, {-kInfinity, 0}}));
  CHECK_EQ(best.size(), std::size_t{0});
  best.push({1, 1});
  CHECK(same(best.take_sorted(), {{1, 1}}));
}
