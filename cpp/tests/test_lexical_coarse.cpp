// The search by upper bounds against exhaustive search, to the last bit.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "lexical/bm25_index.h"
#include "lexical/coarse.h"
#include "lexical/packed_segment.h"
#include "lexical/search.h"
#include "lexical/segment_builder.h"
#include "lexical/segment_validation.h"
#include "tests/check.h"

namespace sightline::lexical {
namespace {

constexpr int kWords = 60;

std::string word(int number) { return std::string("w").append(std::to_string(number)); }

// Documents whose words follow a law of Zipf's kind; lengths from 0 to several hundred, some words repeated very often.
SegmentData random_segment(std::mt19937& random, DocId first_id, std::size_t document_count, std::size_t max_length) {
  AnalyzedDocuments documents;
  std::vector<std::uint32_t> numbers;
  for (int w = 0; w < kWords; ++w) numbers.push_back(documents.terms.insert(word(w)));
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<DocId> ids;
  for (std::size_t d = 0; d < document_count; ++d) {
    const double u = uniform(random);
    const auto length = static_cast<std::size_t>(u * u * u * static_cast<double>(max_length));
    const bool repeats = random() % 50 == 0;
    for (std::size_t i = 0; i < length; ++i) {
      const double v = uniform(random);
      const auto w = static_cast<std::size_t>(v * v * v * kWords);
      documents.tokens.push_back(repeats ? numbers[d % kWords] : numbers[w]);
    }
    documents.document_ends.push_back(documents.tokens.size());
    ids.push_back(first_id + static_cast<DocId>(d));
  }
  return build_segment(documents, ids);
}

Query random_query(std::mt19937& random, std::vector<std::string>& words) {
  words.clear();
  for (std::size_t i = 0; i < 1 + random() % 6; ++i) words.push_back(word(static_cast<int>(random() % kWords)));
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  std::shuffle(words.begin(), words.end(), random);
  Query query;
  for (const std::string& w : words) query.push_back({w, word_hash(w), static_cast<std::uint32_t>(1 + random() % 3)});
  return query;
}

bool same(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Hit& x, const Hit& y) { return x.score == y.score && x.id == y.id; });
}

void compare_plans(const Snapshot& snapshot, std::mt19937& random, int rounds) {
  std::vector<std::string> words;
  for (int round = 0; round < rounds; ++round) {
    const Query query = random_query(random, words);
    const double k1s[] = {0.0, 0.5, 1.2, 3.0, 1e6};
    const double bs[] = {0.0, 0.3, 0.75, 1.0};
    const double deltas[] = {0.0, 0.5, 1.5, 1e6};
    const Parameters parameters{static_cast<Variant>(random() % kVariantCount), k1s[random() % 5], bs[random() % 4],
                                deltas[random() % 4]};
    const BoundQuery bound(snapshot, parameters, query);
    RowFilter filter;
    const bool filtered = random() % 2 == 0;
    if (filtered) {
      std::vector<std::uint8_t> mask(snapshot.statistics().document_count);
      const std::size_t one_in = 1 + random() % 5;
      for (std::uint8_t& bit : mask) bit = random() % one_in == 0;
      filter = filter_from_mask(snapshot, mask);
    }
    for (const std::size_t k : {1UL, 10UL, 100UL, 3000UL}) {
      const auto expected = search(bound, k, filtered ? &filter : nullptr, Plan::kExhaustive);
      CHECK(same(search(bound, k, filtered ? &filter : nullptr, Plan::kCoarse), expected));
      CHECK(same(search(bound, k, filtered ? &filter : nullptr, Plan::kFewPostings), expected));
      CHECK(same(search(bound, k, filtered ? &filter : nullptr), expected));
    }
  }
}

// The same documents in other forms: every plan gives the same bits.
void compare_forms(const Snapshot& snapshot, const Snapshot& other, std::mt19937& random, int rounds) {
  std::vector<std::string> words;
  for (int round = 0; round < rounds; ++round) {
    const Query query = random_query(random, words);
    const BoundQuery bound(snapshot, {}, query);
    const BoundQuery other_bound(other, {}, query);
    for (const std::size_t k : {1UL, 10UL, 100UL, 3000UL}) {
      const auto expected = search(bound, k, nullptr, Plan::kExhaustive);
      for (const Plan plan : {Plan::kExhaustive, Plan::kCoarse, Plan::kFewPostings, Plan::kAutomatic}) {
        CHECK(same(search(other_bound, k, nullptr, plan), expected));
      }
    }
  }
}

SegmentData copy_of(const Segment& segment) {
  const std::vector<SegmentView> views{{std::shared_ptr<const Segment>(std::shared_ptr<void>(), &segment), nullptr}};
  return merge_segments(views);
}

}  // namespace

TEST(lexical_coarse_search_has_the_bits_of_exhaustive_search) {
  std::mt19937 random(5);
  for (const std::size_t documents : {1UL, 40UL, 3000UL, 40000UL}) {
    Bm25Index index;
    Bm25Index packed(PostingForm::kPacked);
    std::vector<SegmentData> segments;
    segments.push_back(random_segment(random, 0, documents, 300));
    index.add(std::move(segments), OnExisting::kFail);
    compare_plans(*index.snapshot(), random, documents > 10000 ? 60 : 150);
    packed.attach(index);
    packed.compact();
    CHECK(packed.snapshot()->segments().front().segment->form() == PostingForm::kPacked);
    compare_forms(*index.snapshot(), *packed.snapshot(), random, documents > 10000 ? 60 : 150);
  }
}

TEST(lexical_coarse_search_over_segments_with_tombstones) {
  std::mt19937 random(6);
  Bm25Index index;
  DocId next = 0;
  for (const std::size_t documents : {20000UL, 1500UL, 1UL, 90UL, 3UL, 400UL}) {
    std::vector<SegmentData> segments;
    segments.push_back(random_segment(random, next, documents, documents > 1000 ? 60 : 4000));
    next += static_cast<DocId>(documents);
    index.add(std::move(segments), OnExisting::kFail);
  }
  std::vector<DocId> removed;
  for (DocId id = 0; id < next; ++id) {
    if (random() % 9 == 0) removed.push_back(id);
  }
  index.remove(removed);
  CHECK(index.snapshot()->segments().size() > 2);
  compare_plans(*index.snapshot(), random, 80);

  std::vector<SegmentView> mixed = index.snapshot()->segments();
  for (std::size_t s = 0; s < mixed.size(); s += 2) {
    mixed[s].segment = std::make_shared<const Segment>(pack_segment(copy_of(*mixed[s].segment)));
  }
  compare_forms(*index.snapshot(), Snapshot(std::move(mixed)), random, 80);
}

TEST(lexical_coarse_search_gives_up_where_documents_tie) {
  std::mt19937 random(9);
  Bm25Index index;
  std::vector<SegmentData> segments;
  segments.push_back(random_segment(random, 0, 40000, 60));
  segments.push_back(random_segment(random, 40000, 20000, 60));
  for (SegmentData& data : segments) {
    std::vector<SegmentData> one;
    one.push_back(std::move(data));
    index.add(std::move(one), OnExisting::kFail);
  }
  const auto snapshot = index.snapshot();
  const std::string common = word(0);
  const std::string other = word(1);
  const Query query{{common, word_hash(common), 1}, {other, word_hash(other), 1}};
  Parameters parameters;
  const auto coarse = [&](const BoundQuery& bound, std::size_t k) {
    return search_coarsely(bound, k, nullptr, *snapshot->gain_tables(parameters, false));
  };
  const auto expect = [&](const BoundQuery& bound, std::size_t k) { return search(bound, k, nullptr, Plan::kExhaustive); };
  const BoundQuery untied(*snapshot, parameters, query);
  for (const std::size_t k : {1UL, 10UL, 100UL}) {
    parameters.k1 = 0;  // the frequencies do not count: of thousands of documents that have both words each is as good
    const BoundQuery tied(*snapshot, parameters, query);
    CHECK(!coarse(tied, k).has_value());
    CHECK(same(search(tied, k, nullptr, Plan::kCoarse), expect(tied, k)));
    CHECK(same(search(tied, k, nullptr), expect(tied, k)));
    // Nothing is left of the search that was given up.
    parameters = {};
    const auto found = coarse(untied, k);
    CHECK(found.has_value());
    CHECK(same(*found, expect(untied, k)));
  }
}

TEST(lexical_segments_of_long_documents_keep_their_invariants) {
  std::mt19937 random(7);
  for (const std::size_t max_length : {1UL, 30UL, 3000UL, 200000UL}) {
    const SegmentData data = random_segment(random, 0, 200, max_length);
    CHECK(broken_invariant(data.arrays()) == nullptr);
    if (max_length > 1000) CHECK(!data.large_positions.empty());
    const auto segment = std::make_shared<const Segment>(random_segment(random, 0, 200, max_length));
    const std::vector<SegmentView> views{{segment, nullptr}};
    CHECK(broken_invariant(merge_segments(views).arrays()) == nullptr);
  }
}

}  // namespace sightline::lexical
