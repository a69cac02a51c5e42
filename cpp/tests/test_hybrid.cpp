// Fused search against the fusion of all scores of all documents, bit for bit, alone, in batches and by several threads.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "dense/index.h"
#include "dense/search.h"
#include "hybrid/search.h"
#include "lexical/analyzer.h"
#include "lexical/bm25_index.h"
#include "lexical/segment_builder.h"
#include "parallel/thread_pool.h"
#include "tests/check.h"

using namespace sightline;

namespace {

constexpr std::size_t kDim = 24;
constexpr int kWords = 30;

std::string word(int number) { return std::string("w").append(std::to_string(number)); }

// Documents of which every seventh has no vector and every ninth no text; directions and words come in groups.
struct Collection {
  explicit Collection(std::size_t count) : dense(dense::Metric::kCosine, kDim) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> vectors;
    std::vector<DocId> with_vector;
    lexical::AnalyzedDocuments documents;
    std::vector<DocId> with_text;
    for (std::size_t d = 0; d < count; ++d) {
      if (d % 7 != 0) {
        with_vector.push_back(static_cast<DocId>(d));
        for (std::size_t c = 0; c < kDim; ++c) vectors.push_back(std::round(4 * (normal(random) + (d % 5 == c % 5 ? 1.0F : 0.0F))) + 0.5F);
      }
      if (d % 9 != 0) {
        with_text.push_back(static_cast<DocId>(d));
        for (std::size_t i = 0; i < random() % 6; ++i) {
          documents.tokens.push_back(documents.terms.insert(word(static_cast<int>((random() % kWords) * (random() % kWords) / kWords))));
        }
        documents.document_ends.push_back(documents.tokens.size());
      }
    }
    dense.add(vectors.data(), with_vector);
    std::vector<lexical::SegmentData> segments;
    segments.push_back(lexical::build_segment(documents, with_text));
    lexical.add(std::move(segments), lexical::OnExisting::kFail);
    for (std::size_t q = 0; q < kQueries; ++q) {
      for (std::size_t c = 0; c < kDim; ++c) query_vectors.push_back(normal(random) + (q % 5 == c % 5 ? 1.0F : 0.0F));
      words.push_back({word(static_cast<int>(q % kWords)), word(static_cast<int>(q * 7 % kWords) + 1)});
    }
    for (const auto& two : words) {
      lexical::Query terms{{two[0], lexical::word_hash(two[0]), 1}};
      if (two[1] != two[0]) terms.push_back({two[1], lexical::word_hash(two[1]), 2});
      queries.push_back(terms);
    }
  }

  std::vector<hybrid::FusedHit> brute_force(const hybrid::Engines& engines, const hybrid::Convex& convex, std::size_t q,
                                            std::size_t k) const {
    const std::size_t rows = engines.dense.live_count();
    std::vector<float> scores(rows);
    std::vector<DocId> ids(rows);
    dense::SearchStats stats;
    dense::search(engines.dense, query_vectors.data() + q * kDim, 1, rows, {}, scores.data(), ids.data(), stats);
    std::map<DocId, hybrid::FusedHit> hits;
    for (std::size_t i = 0; i < rows; ++i) hits[ids[i]] = {0, ids[i], scores[i], 0.0F};
    const lexical::BoundQuery bound(engines.lexical, engines.parameters, queries[q]);
    for (const Hit& hit : lexical::search(bound, engines.lexical.statistics().document_count, nullptr, lexical::Plan::kExhaustive)) {
      hits.try_emplace(hit.id, hybrid::FusedHit{0, hit.id, std::nanf(""), 0.0F}).first->second.lexical = hit.score;
    }
    std::vector<hybrid::FusedHit> all;
    for (auto& [id, hit] : hits) {
      hit.score = convex.combine(std::isnan(hit.dense) ? 0.0 : static_cast<double>(hit.dense), static_cast<double>(hit.lexical));
      all.push_back(hit);
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return ranks_before(a, b); });
    all.resize(std::min(all.size(), k));
    return all;
  }

  static constexpr std::size_t kQueries = 12;
  dense::VectorIndex dense;
  lexical::Bm25Index lexical;
  std::vector<float> query_vectors;
  std::vector<std::vector<std::string>> words;
  std::vector<lexical::Query> queries;
};

bool same(const std::vector<hybrid::FusedHit>& a, const std::vector<hybrid::FusedHit>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.score == y.score && x.id == y.id && x.lexical == y.lexical &&
           (x.dense == y.dense || (std::isnan(x.dense) && std::isnan(y.dense)));
  });
}

}  // namespace

TEST(hybrid_search_is_the_fusion_of_all_scores) {
  const Collection c(20000);
  const auto dense = c.dense.snapshot();
  const auto lexical = c.lexical.snapshot();
  const lexical::Parameters parameters;
  const hybrid::Engines engines{*dense, *lexical, parameters};
  std::vector<DocId> everything(20000);
  for (std::size_t i = 0; i < everything.size(); ++i) everything[i] = static_cast<DocId>(i);
  std::size_t read = 0;
  for (const hybrid::Convex convex : {hybrid::Convex{0.5, 20.0}, {0.9, 5.0}, {0.1, 20.0}, {1.0, 1.0}, {0.0, 1.0}}) {
    for (const std::size_t k : {1UL, 10UL, 200UL}) {
      const auto together = hybrid::search(engines, convex, {c.query_vectors.data(), c.queries}, k, {}, read);
      const auto among = hybrid::search_among(engines, convex, {c.query_vectors.data(), c.queries}, k, everything, read);
      for (std::size_t q = 0; q < c.queries.size(); ++q) {
        const auto expected = c.brute_force(engines, convex, q, k);
        const hybrid::Queries lone{c.query_vectors.data() + q * kDim, std::span(c.queries).subspan(q, 1)};
        CHECK(same(together[q], expected));
        CHECK(same(among[q], expected));
        CHECK(same(hybrid::search(engines, convex, lone, k, {}, read).front(), expected));
      }
    }
  }
  CHECK(read > 0);
}

TEST(hybrid_search_by_several_threads) {
  const Collection c(20000);
  const auto dense = c.dense.snapshot();
  const auto lexical = c.lexical.snapshot();
  const lexical::Parameters parameters;
  const hybrid::Engines engines{*dense, *lexical, parameters};
  const hybrid::Convex convex{0.5, 20.0};
  std::vector<std::vector<hybrid::FusedHit>> expected;
  for (std::size_t q = 0; q < c.queries.size(); ++q) expected.push_back(c.brute_force(engines, convex, q, 10));
  std::atomic<std::size_t> wrong = 0;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::size_t read = 0;
      for (std::size_t i = 0; i < 3 * c.queries.size(); ++i) {
        const std::size_t q = (i + t) % c.queries.size();
        const hybrid::Queries lone{c.query_vectors.data() + q * kDim, std::span(c.queries).subspan(q, 1)};
        wrong += !same(hybrid::search(engines, convex, lone, 10, {}, read).front(), expected[q]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong.load(), std::size_t{0});
}
