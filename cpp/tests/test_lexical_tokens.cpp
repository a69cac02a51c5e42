// Tokens, fields and parts that add up, below Python, where the sanitizers can watch.
#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "lexical/bm25_index.h"
#include "lexical/exact_parts.h"
#include "lexical/field_index.h"
#include "lexical/segment_builder.h"
#include "lexical/tokens.h"
#include "tests/check.h"

namespace sightline::lexical {
namespace {

using Tokens = std::vector<std::string>;

SegmentData segment_of(const std::vector<Tokens>& documents, DocId first_id, bool with_tokens) {
  AnalyzedDocuments analyzed;
  std::vector<DocId> ids;
  for (const Tokens& tokens : documents) {
    for (const std::string& token : tokens) analyzed.tokens.push_back(analyzed.terms.insert(token));
    analyzed.document_ends.push_back(analyzed.tokens.size());
    ids.push_back(first_id + static_cast<DocId>(ids.size()));
  }
  SegmentData data = build_segment(analyzed, ids);
  if (with_tokens) data.tokens = build_tokens(analyzed, data.arrays());
  return data;
}

bool found(const Segment& segment, RowIndex row, const Tokens& phrase) {
  std::vector<std::uint32_t> numbers;
  for (const std::string& term : phrase) {
    const auto number = segment.find_term(term, word_hash(term));
    if (!number) return false;
    numbers.push_back(*number);
  }
  return has_phrase(segment, row, numbers);
}

std::string word(int i) { return std::string("w").append(std::to_string(i)); }

}  // namespace

TEST(tokens_take_as_few_bytes_as_terms_need) {
  CHECK_EQ(token_width(0), 1U);
  CHECK_EQ(token_width(256), 1U);
  CHECK_EQ(token_width(257), 2U);
  CHECK_EQ(token_width(65536), 2U);
  CHECK_EQ(token_width(65537), 3U);
  CHECK_EQ(token_width(std::size_t{1} << 24), 3U);
  CHECK_EQ(token_width((std::size_t{1} << 24) + 1), 4U);
}

TEST(phrases_survive_merging_with_removed_documents) {
  Bm25Index index;
  std::vector<Tokens> documents;
  for (int i = 0; i < 300; ++i) {  // more than 256 terms, so that numbers get wider as segments merge
    documents.push_back({word(i), "middle", word((7 * i) % 300), word(i)});
  }
  for (int i = 0; i < 300; ++i) {
    std::vector<SegmentData> one;
    one.push_back(segment_of({documents[static_cast<std::size_t>(i)]}, i, true));
    index.add(std::move(one), OnExisting::kFail);
    if (i % 3 == 0) {
      const DocId id = i;
      CHECK_EQ(index.remove({&id, 1}), 1U);
    }
  }
  const auto snapshot = index.snapshot();
  for (int i = 0; i < 300; ++i) {
    const auto at = snapshot->find(i);
    CHECK_EQ(at.has_value(), i % 3 != 0);
    if (!at) continue;
    const Segment& segment = *snapshot->segments()[at->segment].segment;
    CHECK(broken_tokens(segment) == nullptr);
    CHECK(found(segment, at->row, documents[static_cast<std::size_t>(i)]));
    CHECK(found(segment, at->row, {"middle"}));
    CHECK(!found(segment, at->row, {"middle", "middle"}));
    CHECK(!found(segment, at->row, Tokens(3, word(i))));
  }
}

TEST(merging_with_a_segment_without_tokens_leaves_none) {
  const auto index_of = [](const Tokens& tokens, DocId id, bool with_tokens) {
    auto index = std::make_unique<Bm25Index>();
    std::vector<SegmentData> segments;
    segments.push_back(segment_of({tokens}, id, with_tokens));
    index->add(std::move(segments), OnExisting::kFail);
    return index;
  };
  for (const bool first_has_tokens : {false, true}) {
    const auto index = index_of({"a", "b"}, 0, first_has_tokens);
    index->attach(*index_of({"b", "a"}, 1, !first_has_tokens));
    index->compact();
    const auto snapshot = index->snapshot();
    CHECK_EQ(snapshot->segments().size(), 1U);
    CHECK(!snapshot->segments().front().segment->arrays().tokens.present());
  }
}

TEST(merging_refuses_tokens_that_contradict_the_postings) {
  // As from a crafted file: the first document's only token is "b", which by the postings only the second has.
  SegmentData crafted = segment_of({{"a"}, {"b"}}, 0, true);
  CHECK_EQ(crafted.tokens.bytes.size(), 2U);
  crafted.tokens.bytes[0] = crafted.tokens.bytes[1];
  CHECK(broken_tokens(Segment(crafted)) == nullptr);
  Bm25Index index;
  std::vector<SegmentData> segments;
  segments.push_back(std::move(crafted));
  index.add(std::move(segments), OnExisting::kFail);
  const DocId second = 1;
  ErrorKind kind = ErrorKind::kInvalidInput;
  try {
    index.remove({&second, 1});  // rewrites the segment without the term "b"
  } catch (const Error& error) {
    kind = error.kind();
  }
  CHECK(kind == ErrorKind::kCorruptIndex);
  CHECK_EQ(index.snapshot()->statistics().document_count, 2U);  // nothing changed
}

TEST(tokens_of_a_file_are_checked) {
  const SegmentData good = segment_of({{"a", "b", "a"}, {}, {"b"}}, 0, true);
  CHECK(broken_tokens(Segment(good)) == nullptr);
  CHECK(broken_tokens(Segment(segment_of({{"a"}}, 0, false))) == nullptr);
  SegmentData bad = good;
  bad.tokens.begins.pop_back();
  CHECK(broken_tokens(Segment(bad)) != nullptr);
  bad = good;
  bad.tokens.begins[0] = 1;
  CHECK(broken_tokens(Segment(bad)) != nullptr);
  bad = good;
  bad.tokens.begins[2] = ~std::uint64_t{0};
  CHECK(broken_tokens(Segment(bad)) != nullptr);
  bad = good;
  bad.tokens.bytes.pop_back();
  CHECK(broken_tokens(Segment(bad)) != nullptr);
  bad = good;
  bad.tokens.bytes[1] = 2;  // there are two terms
  CHECK(broken_tokens(Segment(bad)) != nullptr);
}

TEST(fields_must_have_the_same_documents) {
  const auto field_of = [](const std::vector<Tokens>& documents, DocId first_id) {
    Bm25Index index;
    std::vector<SegmentData> segments;
    segments.push_back(segment_of(documents, first_id, false));
    index.add(std::move(segments), OnExisting::kFail);
    return index.snapshot();
  };
  const auto first = field_of({{"a"}, {"b"}}, 0);
  CHECK(same_documents({first}));
  CHECK(same_documents({first, field_of({{}, {"c", "d"}}, 0)}));
  CHECK(!same_documents({first, field_of({{"a"}, {"b"}}, 1)}));
  CHECK(!same_documents({first, field_of({{"a"}}, 0)}));
  CHECK(!same_documents({first, std::make_shared<const Snapshot>(std::vector<SegmentView>{})}));
  Bm25Index removed(first, 2);
  const DocId id = 0;
  removed.remove({&id, 1});
  CHECK(!same_documents({first, removed.snapshot()}));
  CHECK(!same_documents({first, removed.snapshot()}, {first, first}));
}

TEST(settled_parts_add_up_exactly_in_any_order) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  for (int round = 0; round < 2000; ++round) {
    std::vector<double> parts(1 + random() % 30);
    double whole = 0.0;
    for (double& part : parts) part = random() % 4 == 0 ? 0.0 : uniform(random) * std::pow(10.0, uniform(random) * 8 - 4);
    for (std::size_t i = parts.size(); i-- > 0;) whole += parts[i];  // another order than the one below
    const std::vector<double> before = parts;
    std::vector<double*> pointers;
    for (double& part : parts) pointers.push_back(&part);
    settle_parts(pointers, whole);
    double sum = 0.0;
    for (const double part : parts) sum += part;
    CHECK_EQ(sum, whole);
    for (std::size_t i = 0; i < parts.size(); ++i) CHECK(std::abs(parts[i] - before[i]) <= whole * 1e-14);
  }
}

}  // namespace sightline::lexical
