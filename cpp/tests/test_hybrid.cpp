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
#include "hybrid/words.h"
#include "lexical/analyzer.h"
#include "lexical/bm25_index.h"
#include "lexical/field_index.h"
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
  explicit Collection(std::size_t count) : dense(dense::Metric::kCosine, kDim), fields(2) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> vectors;
    std::vector<DocId> with_vector;
    lexical::AnalyzedDocuments documents;
    lexical::AnalyzedDocuments titles;  // every second word, every fourth document has none
    std::vector<DocId> with_text;
    for (std::size_t d = 0; d < count; ++d) {
      if (d % 7 != 0) {
        with_vector.push_back(static_cast<DocId>(d));
        for (std::size_t c = 0; c < kDim; ++c) vectors.push_back(std::round(4 * (normal(random) + (d % 5 == c % 5 ? 1.0F : 0.0F))) + 0.5F);
      }
      if (d % 9 != 0) {
        with_text.push_back(static_cast<DocId>(d));
        for (std::size_t i = 0; i < random() % 6; ++i) {
          const std::string text = word(static_cast<int>((random() % kWords) * (random() % kWords) / kWords));
          documents.tokens.push_back(documents.terms.insert(text));
          if (i % 2 == 0 && d % 4 != 0) titles.tokens.push_back(titles.terms.insert(text));
        }
        documents.document_ends.push_back(documents.tokens.size());
        titles.document_ends.push_back(titles.tokens.size());
      }
    }
    dense.add(vectors.data(), with_vector);
    std::vector<lexical::SegmentData> segments;
    segments.push_back(lexical::build_segment(documents, with_text));
    lexical.add(std::move(segments), lexical::OnExisting::kFail);
    std::vector<std::vector<lexical::SegmentData>> of_fields(2);
    of_fields[0].push_back(lexical::build_segment(titles, with_text));
    of_fields[1].push_back(lexical::build_segment(documents, with_text));
    fields.add(std::move(of_fields), lexical::OnExisting::kFail);
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

  // Both true scores of every document that has one.
  std::vector<hybrid::FusedHit> all_scores(const hybrid::Engines& engines, std::size_t q) const {
    const std::size_t rows = engines.dense.live_count();
    std::vector<float> scores(rows);
    std::vector<DocId> ids(rows);
    dense::SearchStats stats;
    dense::search(engines.dense, query_vectors.data() + q * kDim, 1, rows, {}, scores.data(), ids.data(), stats);
    std::map<DocId, hybrid::FusedHit> hits;
    for (std::size_t i = 0; i < rows; ++i) hits[ids[i]] = {0, ids[i], scores[i], 0.0F};
    const auto bound = engines.lexical.bind(queries[q]);
    for (const Hit& hit : bound->search(engines.lexical.rows().statistics().document_count, nullptr)) {
      hits.try_emplace(hit.id, hybrid::FusedHit{0, hit.id, std::nanf(""), 0.0F}).first->second.lexical = hit.score;
    }
    std::vector<hybrid::FusedHit> all;
    for (const auto& [id, hit] : hits) all.push_back(hit);
    return all;
  }

  std::vector<hybrid::FusedHit> brute_force(const hybrid::Engines& engines, const hybrid::Convex& convex, std::size_t q,
                                            std::size_t k) const {
    return best(all_scores(engines, q), convex, k);
  }

  static std::vector<hybrid::FusedHit> best(std::vector<hybrid::FusedHit> all, const hybrid::Convex& convex, std::size_t k) {
    for (hybrid::FusedHit& hit : all) {
      hit.score = convex.combine(std::isnan(hit.dense) ? 0.0 : static_cast<double>(hit.dense), static_cast<double>(hit.lexical));
    }
    k = std::min(k, all.size());
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k), all.end(),
                      [](const auto& a, const auto& b) { return ranks_before(a, b); });
    all.resize(k);
    return all;
  }

  static constexpr std::size_t kQueries = 12;
  dense::VectorIndex dense;
  lexical::Bm25Index lexical;
  lexical::FieldIndex fields;
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

void check_fusion(const Collection& c, const hybrid::Engines& engines) {
  std::vector<DocId> everything(20000);
  for (std::size_t i = 0; i < everything.size(); ++i) everything[i] = static_cast<DocId>(i);
  std::vector<std::vector<hybrid::FusedHit>> scores;  // once a query: emulators and sanitizers run this, too
  for (std::size_t q = 0; q < c.queries.size(); ++q) scores.push_back(c.all_scores(engines, q));
  std::size_t read = 0;
  for (const hybrid::Convex convex : {hybrid::Convex{0.5, 20.0}, {0.9, 5.0}, {0.1, 20.0}, {1.0, 1.0}, {0.0, 1.0}}) {
    std::vector<std::vector<hybrid::FusedHit>> expected;
    for (const auto& all : scores) expected.push_back(Collection::best(all, convex, 200));
    for (const std::size_t k : {1UL, 10UL, 200UL}) {
      const auto together = hybrid::search(engines, convex, {c.query_vectors.data(), c.queries}, k, {}, read);
      const auto among = hybrid::search_among(engines, convex, {c.query_vectors.data(), c.queries}, k, everything);
      for (std::size_t q = 0; q < c.queries.size(); ++q) {
        const std::vector<hybrid::FusedHit> first(expected[q].begin(), expected[q].begin() + static_cast<std::ptrdiff_t>(k));
        CHECK(same(together[q], first));
        CHECK(same(among[q], first));
        const hybrid::Queries lone{c.query_vectors.data() + q * kDim, std::span(c.queries).subspan(q, 1)};
        CHECK(same(hybrid::search(engines, convex, lone, k, {}, read).front(), first));
        if (k == 10) CHECK(same(hybrid::search_among(engines, convex, lone, k, everything).front(), first));
      }
    }
  }
  CHECK(read > 0);
}

}  // namespace

TEST(hybrid_search_is_the_fusion_of_all_scores) {
  const Collection c(20000);
  const auto dense = c.dense.snapshot();
  const auto lexical = c.lexical.snapshot();
  const hybrid::TextWords words(*lexical, {});
  check_fusion(c, {*dense, words});
}

TEST(hybrid_search_over_fields_is_the_fusion_of_all_scores) {
  const Collection c(20000);
  const auto dense = c.dense.snapshot();
  const auto lexical = c.fields.snapshot();
  for (const lexical::Variant variant : {lexical::Variant::kLucene, lexical::Variant::kBm25Plus}) {
    lexical::Parameters parameters;
    parameters.variant = variant;
    const std::vector<lexical::FieldParameters> settings{{2.0, 0.5}, {1.0, 0.75}};
    const hybrid::FieldWords words(*lexical, parameters, settings);
    check_fusion(c, {*dense, words});
  }
}

// One writer adds, removes and compacts; searches meanwhile hold snapshots of both engines, which may be of different moments.
TEST(hybrid_search_beside_writes) {
  Collection c(6000);
  std::atomic<bool> done = false;
  std::atomic<std::size_t> wrong = 0;
  std::vector<std::thread> readers;
  for (std::size_t t = 0; t < 3; ++t) {
    readers.emplace_back([&, t] {
      const hybrid::Convex convex{0.5, 20.0};
      std::vector<DocId> everything(9000);
      for (std::size_t i = 0; i < everything.size(); ++i) everything[i] = static_cast<DocId>(i);
      for (std::size_t i = t; i < t + 6 || !done.load(); ++i) {
        std::size_t read = 0;
        const auto dense = c.dense.snapshot();
        const auto lexical = c.lexical.snapshot();
        const auto fields = c.fields.snapshot();
        const hybrid::TextWords text(*lexical, {});
        const hybrid::FieldWords both(*fields, {}, std::vector<lexical::FieldParameters>{{2.0, 0.5}, {1.0, 0.75}});
        const hybrid::Words& words = i % 2 == 0 ? static_cast<const hybrid::Words&>(text) : both;
        const hybrid::Engines engines{*dense, words};
        const std::size_t q = i % c.queries.size();
        const hybrid::Queries lone{c.query_vectors.data() + q * kDim, std::span(c.queries).subspan(q, 1)};
        wrong += !same(hybrid::search(engines, convex, lone, 10, {}, read).front(),
                       hybrid::search_among(engines, convex, lone, 10, everything).front());
      }
    });
  }
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  for (DocId first = 6000; first < 7500; first += 50) {
    std::vector<DocId> ids;
    std::vector<float> vectors;
    lexical::AnalyzedDocuments documents;
    for (DocId id = first; id < first + 50; ++id) {
      ids.push_back(id);
      for (std::size_t i = 0; i < kDim; ++i) vectors.push_back(normal(random));
      documents.tokens.push_back(documents.terms.insert(word(static_cast<int>(random() % kWords))));
      documents.document_ends.push_back(documents.tokens.size());
    }
    const std::vector<DocId> gone{first - 6000, first - 40};
    c.dense.add(vectors.data(), ids);
    c.dense.remove(gone);
    std::vector<lexical::SegmentData> segments;
    segments.push_back(lexical::build_segment(documents, ids));
    c.lexical.add(std::move(segments), lexical::OnExisting::kFail);
    c.lexical.remove(gone);
    std::vector<std::vector<lexical::SegmentData>> of_fields(2);
    for (auto& field : of_fields) field.push_back(lexical::build_segment(documents, ids));
    c.fields.add(std::move(of_fields), lexical::OnExisting::kFail);
    c.fields.remove(gone);
    if (first % 500 == 0) {
      c.dense.compact();
      c.lexical.compact();
      c.fields.compact();
    }
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK_EQ(wrong.load(), std::size_t{0});
}

TEST(hybrid_search_by_several_threads) {
  const Collection c(20000);
  const auto dense = c.dense.snapshot();
  const auto lexical = c.lexical.snapshot();
  const hybrid::TextWords words(*lexical, {});
  const hybrid::Engines engines{*dense, words};
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
