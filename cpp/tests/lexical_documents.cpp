#include "tests/lexical_documents.h"

#include <algorithm>
#include <string>

#include "lexical/segment_builder.h"
#include "lexical/tokens.h"

namespace sightline::testing {

lexical::SegmentData random_segment(std::mt19937& random, DocId first, std::size_t count, DocumentKind kind) {
  lexical::AnalyzedDocuments documents;
  std::vector<float> weights;
  std::vector<DocId> ids;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::uint32_t> seen;
    for (std::size_t left = random() % 12; left > 0; --left) {
      const std::size_t word = random() % 3 == 0 ? random() % 200 : random() % 5;
      const auto term = documents.terms.insert(std::string("w").append(std::to_string(word)));
      if (kind.weighted) {  // of distinct terms
        if (std::find(seen.begin(), seen.end(), term) != seen.end()) continue;
        seen.push_back(term);
        weights.push_back(static_cast<float>(1 + random() % 1000) / 100.0F);
      }
      documents.tokens.push_back(term);
    }
    if (!kind.weighted && i % 20 == 7) {
      for (int repeated = 0; repeated < 300; ++repeated) documents.tokens.push_back(documents.terms.insert("w0"));
    }
    documents.document_ends.push_back(documents.tokens.size());
    ids.push_back(first + static_cast<DocId>(2 * i));
  }
  lexical::SegmentData data =
      kind.weighted ? lexical::build_weighted_segment(documents, weights, ids) : lexical::build_segment(documents, ids);
  if (kind.positions) data.tokens = lexical::build_tokens(documents, data.arrays());
  return data;
}

lexical::Query query_of(std::initializer_list<std::string_view> words, DocumentKind kind) {
  lexical::Query query;
  for (const std::string_view word : words) {
    query.push_back({word, lexical::word_hash(word), 1, kind.weighted ? 0.5F : 0.0F});
  }
  return query;
}

}  // namespace sightline::testing
