// TopKBuffer against TopK, the obvious heap.
#include <algorithm>
#include <random>

#include "tests/check.h"
#include "topk/top_k.h"
#include "topk/top_k_buffer.h"

namespace sightline {

TEST(top_k_buffer_keeps_what_the_heap_keeps) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const std::size_t k = 1 + random() % 40;
    const std::uint32_t distinct_scores = 1 + random() % 50;  // few: many ties, decided by id
    TopK heap(k);
    TopKBuffer buffer(k);
    const std::size_t count = random() % 2000;
    for (std::size_t i = 0; i < count; ++i) {
      const Hit hit{static_cast<float>(random() % distinct_scores), static_cast<DocId>((i * 7919) % 2003)};
      heap.push(hit);
      if (hit.score >= buffer.threshold()) buffer.push(hit);
      CHECK(buffer.threshold() <= heap.threshold());
    }
    const std::vector<Hit> expected = heap.take_sorted();
    const std::vector<Hit> found = buffer.take_sorted();
    CHECK_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CHECK_EQ(found[i].score, expected[i].score);
      CHECK_EQ(found[i].id, expected[i].id);
    }
  }
}

}  // namespace sightline
