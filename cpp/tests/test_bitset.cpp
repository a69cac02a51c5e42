#include "core/bitset.h"

#include <random>

#include "tests/check.h"

using sightline::Bitset;

namespace {

constexpr std::size_t kSizes[] = {0, 1, 63, 64, 65, 127, 128, 1000};

// The invariant of the header: bits at and past size() are zero.
bool padding_is_clear(const Bitset& set) {
  const std::size_t used = set.size() % 64;
  return used == 0 || set.word(set.word_count() - 1) >> used == 0;
}

}  // namespace

TEST(bitset_starts_empty_or_full) {
  for (const std::size_t size : kSizes) {
    const Bitset empty(size);
    const Bitset full(size, true);
    CHECK_EQ(empty.size(), size);
    CHECK_EQ(empty.word_count(), (size + 63) / 64);
    CHECK_EQ(empty.count(), std::size_t{0});
    CHECK_EQ(full.count(), size);
    CHECK(padding_is_clear(full));
    for (std::size_t i = 0; i < size; ++i) CHECK(full.test(i) && !empty.test(i));
  }
  CHECK_EQ(Bitset().size(), std::size_t{0});
}

TEST(bitset_agrees_with_a_vector_of_bool) {
  std::mt19937 engine(2);
  for (const std::size_t size : kSizes) {
    if (size == 0) continue;
    Bitset set(size);
    std::vector<bool> model(size);
    for (int step = 0; step < 500; ++step) {
      const std::size_t i = engine() % size;
      if (engine() % 3 == 0) {
        set.reset(i);
        model[i] = false;
      } else {
        set.set(i);
        model[i] = true;
      }
    }
    std::size_t count = 0;
    for (std::size_t i = 0; i < size; ++i) {
      CHECK_EQ(set.test(i), bool{model[i]});
      CHECK_EQ((set.words()[i / 64] >> (i % 64) & 1) != 0, bool{model[i]});
      count += model[i] ? 1 : 0;
    }
    CHECK_EQ(set.count(), count);
  }
}

TEST(bitset_set_word_keeps_the_padding_clear) {
  for (const std::size_t size : kSizes) {
    Bitset set(size);
    for (std::size_t w = 0; w < set.word_count(); ++w) set.set_word(w, ~std::uint64_t{0});
    CHECK_EQ(set.count(), size);
    CHECK(padding_is_clear(set));
  }
}

TEST(bitset_intersects) {
  for (const std::size_t size : kSizes) {
    Bitset thirds(size);
    Bitset halves(size);
    for (std::size_t i = 0; i < size; i += 3) thirds.set(i);
    for (std::size_t i = 0; i < size; i += 2) halves.set(i);
    thirds.intersect(halves);
    for (std::size_t i = 0; i < size; ++i) CHECK_EQ(thirds.test(i), i % 6 == 0);
  }
}
