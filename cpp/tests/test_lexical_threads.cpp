// Readers and writers of the lexical indexes at once: for the thread sanitizer, and to see that no search meets half a write.
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "core/error.h"
#include "lexical/bm25_index.h"
#include "lexical/clauses.h"
#include "lexical/explain.h"
#include "lexical/field_index.h"
#include "lexical/field_search.h"
#include "tests/check.h"
#include "tests/lexical_documents.h"

namespace sightline::lexical {
namespace {

using testing::DocumentKind;

constexpr DocId kStable = 1;  // ids of the documents that stay are odd and below 1000; those that come and go are even
constexpr std::size_t kStableCount = 80;
constexpr int kWrites = 60;
constexpr int kSearches = 60;

// Runs two writers and three readers; a failed check of any of them fails the test.
template <typename Write, typename Read>
void run_together(const Write& write, const Read& read) {
  std::vector<std::thread> threads;
  std::vector<std::string> failures(5);
  for (unsigned number = 0; number < 5; ++number) {
    threads.emplace_back([&, number] {
      try {
        std::mt19937 random(number);
        if (number < 2) {
          for (int i = 0; i < kWrites; ++i) write(random, static_cast<DocId>(10'000 * (number + 1)), i);
        } else {
          for (int i = 0; i < kSearches; ++i) read(random);
        }
      } catch (const std::exception& error) {
        failures[number] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) CHECK_EQ(failure, "");
}

// What writers do to any of the indexes; add: takes the segments of one batch.
template <typename Index, typename Add>
void change(Index& index, std::mt19937& random, DocId base, int step, const Add& add) {
  const DocId first = base + 100 * (step % 20);
  switch (step % 5) {
    case 3: {
      std::vector<DocId> ids;
      for (DocId id = first - 300; id < first; ++id) ids.push_back(id);
      index.remove(ids);
      break;
    }
    case 4:
      if (random() % 4 == 0) index.compact();
      break;
    default: add(random, first);
  }
}

void search_plain_index(const Bm25Index& index, std::mt19937& random, DocumentKind kind) {
  const Query query = testing::query_of({"w0", "w1", "w77"}, kind);
  const auto snapshot = index.snapshot();
  const Plan plan = std::vector{Plan::kAutomatic, Plan::kExhaustive, Plan::kCoarse}[random() % 3];
  const std::vector<Hit> hits = search_batch(*snapshot, {}, {&query, 1}, 10, {}, plan).front();
  CHECK_EQ(hits.size(), 10U);
  const std::vector<DocId> ids = snapshot->ids();
  CHECK(ids.size() >= kStableCount);
  if (kind.weighted) return;  // such indexes have no clauses, and no frequencies to explain
  const Snapshot* const field = snapshot.get();
  std::vector<Clause> clauses{{{"w1"}, false, random() % 2 == 0}};
  if (kind.positions) clauses.push_back({{"w0", "w1"}, true, true});
  const std::vector<RowFilter> filter{filter_from_clauses({&field, 1}, clauses, nullptr)};
  (void)search_batch(*snapshot, {}, {&query, 1}, 10, filter, plan);
  CHECK(explain(*snapshot, {}, query, snapshot->find(hits.front().id).value()).score == hits.front().score);
}

void plain_index(DocumentKind kind) {
  Bm25Index index;
  std::mt19937 seed(3);
  const auto batch = [kind](std::mt19937& random, DocId first, std::size_t count) {
    std::vector<SegmentData> segments;
    segments.push_back(testing::random_segment(random, first, count, kind));
    return segments;
  };
  index.add(batch(seed, kStable, kStableCount), OnExisting::kFail);
  run_together(
      [&](std::mt19937& random, DocId base, int step) {
        change(index, random, base, step, [&](std::mt19937& r, DocId first) { index.add(batch(r, first, 20), OnExisting::kReplace); });
      },
      [&](std::mt19937& random) {
        search_plain_index(index, random, kind);
        const Bm25Index fork(index.snapshot(), index.next_id());
        search_plain_index(fork, random, kind);
      });
  for (DocId id = kStable; id < kStable + 2 * static_cast<DocId>(kStableCount); id += 2) {
    CHECK(index.snapshot()->find(id).has_value());
  }
}

}  // namespace

TEST(readers_and_writers_of_a_bm25_index) { plain_index({}); }
TEST(readers_and_writers_of_a_bm25_index_with_positions) { plain_index({.positions = true}); }
TEST(readers_and_writers_of_a_sparse_index) { plain_index({.weighted = true}); }

TEST(readers_and_writers_of_a_field_index) {
  static constexpr DocumentKind kKind{.positions = true};
  FieldIndex index(2);
  std::mt19937 seed(4);
  const auto batch = [](std::mt19937& random, DocId first, std::size_t count) {
    std::vector<std::vector<SegmentData>> fields(2);
    for (auto& field : fields) field.push_back(testing::random_segment(random, first, count, kKind));
    return fields;
  };
  index.add(batch(seed, kStable, kStableCount), OnExisting::kFail);
  std::atomic<DocId> attached{100'001};
  run_together(
      [&](std::mt19937& random, DocId base, int step) {
        if (step % 10 == 9) {
          FieldIndex other(2);
          other.add(batch(random, attached.fetch_add(100), 10), OnExisting::kFail);
          index.attach(other);
        }
        change(index, random, base, step, [&](std::mt19937& r, DocId first) { index.add(batch(r, first, 20), OnExisting::kReplace); });
      },
      [&](std::mt19937& random) {
        const Query query = testing::query_of({"w0", "w1", "w77"}, kKind);
        const std::vector<FieldParameters> weights(2);
        const auto snapshot = index.snapshot();
        const std::vector<Hit> hits = search_fields_batch(*snapshot, {}, weights, {&query, 1}, 10, {}).front();
        CHECK_EQ(hits.size(), 10U);
        const BoundFieldQuery bound(*snapshot, {}, weights, query);
        CHECK(bound.score_row(snapshot->field(0).find(hits.front().id).value()) == hits.front().score);
        const std::vector<Clause> clauses{{{"w0", "w1"}, true, random() % 2 == 0}};
        const std::vector<RowFilter> filter{filter_from_clauses(snapshot->pointers(), clauses, nullptr)};
        (void)search_fields_batch(*snapshot, {}, weights, {&query, 1}, 10, filter);
      });
  CHECK_EQ(index.snapshot()->field(0).ids().size(), index.snapshot()->field(1).ids().size());
}

TEST(attached_fields_are_those_of_one_index) {
  constexpr DocumentKind kKind{.positions = true};
  std::mt19937 random(8);
  FieldIndex whole(2);
  FieldIndex joined(2);
  for (DocId part = 0; part < 3; ++part) {
    const std::mt19937 start = random;
    for (FieldIndex* index : {&whole, &joined}) {
      random = start;
      std::vector<std::vector<SegmentData>> fields(2);
      for (auto& field : fields) field.push_back(testing::random_segment(random, 1000 * part, 50, kKind));
      if (index == &whole) {
        index->add(std::move(fields), OnExisting::kFail);
      } else {
        FieldIndex one(2);
        one.add(std::move(fields), OnExisting::kFail);
        const std::vector<DocId> removed{1000 * part + 4};
        one.remove(removed);
        index->attach(one);
        CHECK_THROWS(index->attach(one), Error);
      }
    }
    const std::vector<DocId> removed{1000 * part + 4};
    whole.remove(removed);
  }
  CHECK_THROWS(joined.attach(FieldIndex(3)), Error);
  const Query query = testing::query_of({"w0", "w3", "w50", "w150"}, kKind);
  const std::vector<FieldParameters> weights{{2.0, 0.5}, {1.0, 0.75}};
  for (int round = 0; round < 2; ++round) {
    const auto a = search_fields_batch(*whole.snapshot(), {}, weights, {&query, 1}, 200, {}).front();
    const auto b = search_fields_batch(*joined.snapshot(), {}, weights, {&query, 1}, 200, {}).front();
    CHECK(!a.empty());
    CHECK_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i].id == b[i].id && a[i].score == b[i].score);
    joined.compact();
  }
}

}  // namespace sightline::lexical
