// Searches of several threads that share a pass: each gets its own answer, and only its own errors.
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "dense/combined_search.h"
#include "dense/index.h"
#include "dense/search.h"
#include "tests/check.h"

using namespace sightline;
using dense::Metric;
using dense::SearchStats;
using dense::VectorIndex;

namespace {

constexpr std::size_t kDim = 64;
// Codes of over 8 MB, so that searches are combined at all.
constexpr std::size_t kRows = std::size_t{5} << 16;
constexpr std::size_t kMostPlaces = 7;

// Values that repeat with different periods: every query has its own order of rows, with ties.
float value(std::size_t row, std::size_t c) { return static_cast<float>((row * 31 + c * c * 7 + row / 97 * (c + 1)) % 23) - 11.0f; }

std::vector<float> make_rows(std::size_t first, std::size_t count) {
  std::vector<float> rows;
  for (std::size_t r = first; r < first + count; ++r) {
    for (std::size_t c = 0; c < kDim; ++c) rows.push_back(value(r, c));
  }
  return rows;
}

struct Answer {
  explicit Answer(std::size_t places) : scores(places), ids(places) {}
  bool operator==(const Answer&) const = default;
  std::vector<float> scores;
  std::vector<DocId> ids;
};

}  // namespace

TEST(dense_combined_search_gives_each_caller_its_own_answer) {
  VectorIndex index(Metric::kInnerProduct, kDim);
  index.add_next(make_rows(0, kRows).data(), kRows);
  const auto snapshot = index.snapshot();
  constexpr std::size_t kThreads = 6;
  constexpr std::size_t kRounds = 12;
  std::atomic<std::size_t> wrong = 0;
  std::atomic<std::size_t> refused = 0;
  std::atomic<std::size_t> led = 0;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t round = 0; round < kRounds; ++round) {
        // Different numbers of queries, and two values of k, which must not be mixed up.
        const std::size_t count = 1 + (t + round) % 3;
        const std::size_t k = t % 2 == 0 ? 3 : kMostPlaces;
        std::vector<float> queries = make_rows(1000 * t + round, count);
        SearchStats stats;
        Answer found(count * k);
        if (t == 0 && round % 4 == 1) {
          queries.back() = std::numeric_limits<float>::quiet_NaN();
          try {
            index.combined().search(*snapshot, queries.data(), count, k, found.scores.data(), found.ids.data(), stats);
          } catch (const Error&) {
            ++refused;
          }
          continue;
        }
        index.combined().search(*snapshot, queries.data(), count, k, found.scores.data(), found.ids.data(), stats);
        if (stats.rows_exact > 0) ++led;
        Answer expected(count * k);
        dense::search(*snapshot, queries.data(), count, k, {}, expected.scores.data(), expected.ids.data(), stats);
        if (!(found == expected)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong.load(), std::size_t{0});
  CHECK_EQ(refused.load(), kRounds / 4);
  CHECK(led.load() > 0);
}

TEST(dense_combined_search_takes_the_snapshot_it_is_given) {
  VectorIndex index(Metric::kInnerProduct, kDim);
  index.add_next(make_rows(0, kRows).data(), kRows);
  const auto before = index.snapshot();
  const std::vector<float> query = make_rows(5, 1);
  std::vector<float> longer = query;
  for (float& x : longer) x *= 2;
  index.add_next(longer.data(), 1);
  const auto after = index.snapshot();
  std::atomic<std::size_t> wrong = 0;
  const auto ask = [&](const dense::Snapshot& snapshot, bool has_it) {
    for (int round = 0; round < 10; ++round) {
      float score = 0;
      DocId id = 0;
      SearchStats stats;
      index.combined().search(snapshot, query.data(), 1, 1, &score, &id, stats);
      if ((id == static_cast<DocId>(kRows)) != has_it) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] { ask(*before, false); });
    threads.emplace_back([&] { ask(*after, true); });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong.load(), std::size_t{0});
}
