// Segments, merging, removal and search below Python, where the sanitizers can watch.
#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lexical/bm25_index.h"
#include "lexical/search.h"
#include "lexical/segment_builder.h"
#include "lexical/segment_validation.h"
#include "tests/check.h"

namespace sightline::lexical {
namespace {

using Tokens = std::vector<std::string>;

AnalyzedDocuments analyzed(const std::vector<Tokens>& documents) {
  AnalyzedDocuments result;
  for (const Tokens& tokens : documents) {
    for (const std::string& token : tokens) result.tokens.push_back(result.terms.insert(token));
    result.document_ends.push_back(result.tokens.size());
  }
  return result;
}

std::vector<SegmentData> one_segment(const std::map<DocId, Tokens>& documents) {
  std::vector<DocId> ids;
  std::vector<Tokens> tokens;
  for (const auto& [id, words] : documents) {
    ids.push_back(id);
    tokens.push_back(words);
  }
  std::vector<SegmentData> result;
  result.push_back(build_segment(analyzed(tokens), ids));
  return result;
}

std::vector<Hit> find(const Bm25Index& index, const Tokens& query, std::size_t k, Plan plan = Plan::kAutomatic) {
  Query terms;
  for (const std::string& word : query) terms.push_back({word, word_hash(word), 1});
  const auto snapshot = index.snapshot();
  return search_batch(*snapshot, {}, {&terms, 1}, k, {}, plan).front();
}

bool same(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Hit& x, const Hit& y) { return x.score == y.score && x.id == y.id; });
}

Tokens random_tokens(std::mt19937& random) {
  Tokens tokens(random() % 8);
  for (std::string& token : tokens) token = std::string(1, static_cast<char>('a' + random() % 6));
  return tokens;
}

}  // namespace

TEST(built_and_merged_segments_keep_their_invariants) {
  std::mt19937 random(11);
  for (int round = 0; round < 50; ++round) {
    std::vector<SegmentView> views;
    for (DocId part = 0; part < 3; ++part) {
      std::map<DocId, Tokens> documents;
      for (int i = 0; i < 20; ++i) documents[static_cast<DocId>(random() % 1000) * 3 + part] = random_tokens(random);
      SegmentData data = std::move(one_segment(documents).front());
      CHECK(broken_invariant(data.arrays()) == nullptr);
      auto segment = std::make_shared<const Segment>(std::move(data));
      Bitset live(segment->row_count(), true);
      for (std::size_t row = 1; row < segment->row_count(); ++row) {
        if (random() % 3 == 0) live.reset(row);
      }
      views.push_back({segment, std::make_shared<const Tombstones>(*segment, live)});
    }
    const SegmentData merged = merge_segments(views);
    CHECK(broken_invariant(merged.arrays()) == nullptr);
    std::size_t live_count = 0;
    for (const SegmentView& view : views) live_count += view.live_count();
    CHECK_EQ(merged.ids.size(), live_count);
  }
}

TEST(validation_sees_every_broken_invariant) {
  const std::map<DocId, Tokens> documents{{1, {"a", "b", "a"}}, {4, {"b"}}, {6, {"c", "a"}}};
  const auto broken = [&](auto change) {
    SegmentData data = std::move(one_segment(documents).front());
    change(data);
    return broken_invariant(data.arrays()) != nullptr;
  };
  CHECK(!broken([](SegmentData&) {}));
  CHECK(broken([](SegmentData& d) { d.ids[0] = -1; }));
  CHECK(broken([](SegmentData& d) { d.ids[1] = d.ids[0]; }));
  CHECK(broken([](SegmentData& d) { d.lengths[0] += 1; }));
  CHECK(broken([](SegmentData& d) { d.term_hashes[0] ^= 1; }));
  CHECK(broken([](SegmentData& d) { d.term_bytes[0] ^= 1; }));
  CHECK(broken([](SegmentData& d) { d.term_offsets.back() += 1; }));
  CHECK(broken([](SegmentData& d) { d.term_offsets[1] = ~0ULL; }));
  CHECK(broken([](SegmentData& d) { d.posting_offsets[1] = ~0ULL; }));
  CHECK(broken([](SegmentData& d) { d.posting_offsets[1] = 0; }));
  CHECK(broken([](SegmentData& d) { d.window_offsets[1] = 0; }));
  CHECK(broken([](SegmentData& d) { d.window_offsets[1] = ~0U; }));
  CHECK(broken([](SegmentData& d) { d.windows[0].end += 1; }));
  CHECK(broken([](SegmentData& d) { d.windows[0].end = 0; }));
  CHECK(broken([](SegmentData& d) { d.windows[0].window = 1; }));
  CHECK(broken([](SegmentData& d) { d.windows[0].max_tf = 0; }));
  CHECK(broken([](SegmentData& d) { d.windows[0].min_length = 200; }));
  CHECK(broken([](SegmentData& d) { d.offsets[0] = 99; }));
  CHECK(broken([](SegmentData& d) { d.codes[0] = 255; }));
  CHECK(broken([](SegmentData& d) { d.codes[0] += 1; }));
  CHECK(broken([](SegmentData& d) { d.codes[0] = kLargeTfCode; }));
  CHECK(broken([](SegmentData& d) { d.code_map.codes[0] = kLargeTfCode; }));
  CHECK(broken([](SegmentData& d) { d.code_map.codes.pop_back(); }));
  CHECK(broken([](SegmentData& d) { d.code_map.class_begins.front() = 0; }));
  CHECK(broken([](SegmentData& d) { d.code_map.class_begins.back() = 1; }));
}

TEST(find_term_at_every_position) {
  std::map<DocId, Tokens> documents;
  for (DocId id = 0; id < 3000; ++id) documents[id] = {std::string("w").append(std::to_string(id))};
  const Segment segment(std::move(one_segment(documents).front()));
  for (DocId id = 0; id < 3000; ++id) {
    const std::string word = std::string("w").append(std::to_string(id));
    const auto term = segment.find_term(word, word_hash(word));
    CHECK(term.has_value());
    CHECK(segment.postings(*term).find(static_cast<RowIndex>(id)).has_value());
    const std::string absent = std::string("x").append(word);
    CHECK(!segment.find_term(absent, word_hash(absent)));
  }
  CHECK(!segment.find_term("absent", 0));
  CHECK(!segment.find_term("absent", ~0ULL));
}

TEST(any_history_equals_a_fresh_build) {
  std::mt19937 random(23);
  Bm25Index index;
  std::map<DocId, Tokens> live;
  for (int step = 0; step < 600; ++step) {
    std::map<DocId, Tokens> batch;
    for (std::size_t i = 0; i < 1 + random() % 3; ++i) batch[static_cast<DocId>(random() % 200)] = random_tokens(random);
    if (random() % 4 == 0) {
      std::vector<DocId> ids;
      for (const auto& [id, tokens] : batch) {
        ids.push_back(id);
        live.erase(id);
      }
      index.remove(ids);
    } else {
      index.add(one_segment(batch), OnExisting::kReplace);
      for (const auto& [id, tokens] : batch) live[id] = tokens;
    }
    if (step % 20 != 0) continue;
    Bm25Index fresh;
    if (!live.empty()) fresh.add(one_segment(live), OnExisting::kFail);
    CHECK_EQ(index.snapshot()->statistics().document_count, live.size());
    for (const Tokens& query : {Tokens{"a"}, Tokens{"f", "b"}, Tokens{"c", "d", "e", "zzz"}}) {
      for (const std::size_t k : {std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
        const std::vector<Hit> expected = find(fresh, query, k, Plan::kExhaustive);
        for (const Plan plan : {Plan::kAutomatic, Plan::kCoarse, Plan::kExhaustive}) {
          CHECK(same(find(index, query, k, plan), expected));
        }
      }
    }
  }
}

TEST(windows_skipped_and_dense_give_the_scores_of_random_access) {
  // Three windows; the middle one has no posting of "rare", and "common" is swept row by row.
  std::map<DocId, Tokens> documents;
  for (DocId id = 0; id < 80000; ++id) {
    Tokens tokens{"common"};
    if (id % 7 == 0) tokens.push_back("seventh");
    if (id < 100 || id > 79900) tokens.push_back("rare");
    documents[id] = tokens;
  }
  Bm25Index index;
  index.add(one_segment(documents), OnExisting::kFail);
  for (const Tokens& words : {Tokens{"rare"}, Tokens{"rare", "seventh"}, Tokens{"common", "rare"}, Tokens{"common"}}) {
    Query query;
    for (const std::string& word : words) query.push_back({word, word_hash(word), 1});
    const auto snapshot = index.snapshot();
    const BoundQuery bound(*snapshot, {}, query);
    std::vector<Hit> expected;
    for (DocId id = 0; id < 80000; ++id) {
      const float score = bound.score_row(*snapshot->find(id));
      if (score != 0) expected.push_back({score, id});
    }
    std::sort(expected.begin(), expected.end(), ranks_before);
    for (const std::size_t k : {std::size_t{1}, std::size_t{50}, std::size_t{90000}}) {
      std::vector<Hit> best(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(std::min(k, expected.size())));
      CHECK(same(find(index, words, k), best));
      CHECK(same(search(bound, k, nullptr, Plan::kExhaustive), best));
      CHECK(same(search(bound, k, nullptr, Plan::kCoarse), best));
    }
  }
}

TEST(searches_while_writing) {
  Bm25Index index;
  index.add(one_segment({{0, {"stable"}}}), OnExisting::kFail);
  std::thread writer([&] {
    for (DocId id = 1; id < 300; ++id) {
      index.add(one_segment({{id, {"new", "word"}}}), OnExisting::kFail);
      if (id % 3 == 0) index.remove(std::vector<DocId>{id - 1});
    }
  });
  for (int i = 0; i < 300; ++i) CHECK_EQ(find(index, {"stable"}, 5).size(), 1U);
  writer.join();
  CHECK_EQ(find(index, {"word"}, 500).size(), 200U);
}

}  // namespace sightline::lexical
