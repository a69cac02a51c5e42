// sort_hits() against std::sort.
#include <algorithm>
#include <limits>
#include <random>

#include "tests/check.h"
#include "topk/sort_hits.h"

namespace sightline {

TEST(sort_hits_has_the_order_of_results) {
  std::mt19937 random(4);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float special[] = {0.0F, -0.0F, 1e-45F, -1e-45F, kInfinity, -kInfinity, std::numeric_limits<float>::max(), -1.0F};
  std::vector<std::size_t> counts{511, 512, 513, 777, 1025, 2049};  // merged in other numbers of rounds
  for (std::size_t count = 0; count < 300; ++count) counts.push_back(count);
  for (const std::size_t count : counts) {
    for (const std::uint32_t distinct_scores : {0U, 1U, 3U, 100000U}) {
      std::vector<Hit> hits;
      for (std::size_t i = 0; i < count; ++i) {
        const bool is_special = distinct_scores != 0 && random() % 8 == 0;
        const float score = static_cast<float>(random() % std::max(1U, distinct_scores)) - 2.5F;
        hits.push_back({is_special ? special[random() % 8] : score, static_cast<DocId>(i * 7919 % 307)});
      }
      std::vector<Hit> expected = hits;
      std::sort(expected.begin(), expected.end(), [](const Hit& a, const Hit& b) { return ranks_before(a, b); });
      sort_hits(hits);
      CHECK_EQ(hits.size(), expected.size());
      for (std::size_t i = 0; i < hits.size(); ++i) {
        CHECK_EQ(hits[i].score, expected[i].score);
        CHECK_EQ(hits[i].id, expected[i].id);
      }
    }
  }
}

}  // namespace sightline
