// Texts to words to postings to hits, and what the engines share: the k best of a stream, checksums.
// The texts are made: words of a law like Zipf's, so that some have many postings and most have few.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "bench/case.h"
#include "lexical/analyzer.h"
#include "lexical/bm25_index.h"
#include "lexical/posting_reader.h"
#include "lexical/search.h"
#include "lexical/segment_builder.h"
#include "lexical/word_reader.h"
#include "simd/dispatch.h"
#include "storage/xxh64.h"
#include "topk/top_k.h"
#include "topk/top_k_buffer.h"

namespace sightline::bench {
namespace {

using namespace sightline::lexical;

constexpr std::size_t kVocabulary = 2000;
constexpr std::size_t kDocuments = 4000;
constexpr std::size_t kWordsPerDocument = 30;

std::string word(std::size_t number) { return "word" + std::to_string(number); }

std::size_t draw(std::mt19937& random) {
  const double u = static_cast<double>(random()) / 0x1p32;
  return static_cast<std::size_t>(u * u * u * kVocabulary);
}

AnalyzedDocuments make_documents(std::size_t count) {
  AnalyzedDocuments documents;
  std::mt19937 random(3);
  std::vector<std::uint32_t> numbers;
  for (std::size_t w = 0; w < kVocabulary; ++w) numbers.push_back(documents.terms.insert(word(w)));
  for (std::size_t d = 0; d < count; ++d) {
    for (std::size_t i = 0; i < kWordsPerDocument; ++i) documents.tokens.push_back(numbers[draw(random)]);
    documents.document_ends.push_back(documents.tokens.size());
  }
  return documents;
}

std::vector<DocId> ids_of(std::size_t count) {
  std::vector<DocId> ids(count);
  for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<DocId>(i);
  return ids;
}

Case words_case(const char* separator, const char* ending, WordOptions options) {
  std::mt19937 random(4);
  auto text = std::make_shared<std::string>();
  while (text->size() < 8192) {
    text->append("Word").append(std::to_string(draw(random))).append(ending).append(separator);
  }
  std::size_t words = 0;
  for (WordReader reader(*text, options); reader.next();) ++words;
  return {Reference::kBytes, static_cast<double>(text->size()), static_cast<double>(words), "words", [text, options] {
            WordReader reader(*text, options);
            while (reader.next()) keep(reader.word());
          }};
}

Case analyze_case() {
  struct Data {
    std::vector<std::string> texts;
    std::vector<std::string_view> views;
    Analyzer analyzer{[](const std::vector<std::string_view>& words) {
      return std::vector<std::string>(words.begin(), words.end());
    }};
  };
  const auto data = std::make_shared<Data>();
  std::mt19937 random(5);
  double bytes = 0;
  for (int t = 0; t < 32; ++t) {
    std::string text;
    for (std::size_t i = 0; i < kWordsPerDocument; ++i) text.append(word(draw(random))).append(" ");
    bytes += static_cast<double>(text.size());
    data->texts.push_back(std::move(text));
  }
  data->views.assign(data->texts.begin(), data->texts.end());
  return {Reference::kBytes, bytes, 32.0 * kWordsPerDocument, "words",
          [data] { keep(data->analyzer.analyze_together(data->views, TextKind::kDocument)); }};
}

Case build_case() {
  constexpr std::size_t kCount = 100;
  const auto documents = std::make_shared<AnalyzedDocuments>(make_documents(kCount));
  return {Reference::kBytes, 4.0 * kCount * kWordsPerDocument, kCount * kWordsPerDocument, "tokens",
          [documents, ids = ids_of(kCount)] { keep(build_segment(*documents, ids)); }};
}

// A segment and its commonest terms.
struct Lists {
  Segment segment{build_segment(make_documents(kDocuments), ids_of(kDocuments))};
  std::vector<std::uint32_t> terms;
  double postings = 0;

  Lists() {
    for (std::size_t w = 0; w < 32; ++w) {
      terms.push_back(*segment.find_term(word(w), word_hash(word(w))));
      postings += static_cast<double>(segment.posting_count(terms.back()));
    }
  }
};

Case decode_case() {
  const auto lists = std::make_shared<Lists>();
  return {Reference::kBytes, 3 * lists->postings, lists->postings, "postings", [lists] {
            std::uint64_t sum = 0;
            for (const std::uint32_t term : lists->terms) {
              for_each_posting(lists->segment, term, [&](RowIndex row, std::uint32_t tf) { sum += row * tf; });
            }
            keep(sum);
          }};
}

Case lookup_case() {
  const auto lists = std::make_shared<Lists>();
  constexpr std::size_t kRows = 32;
  return {Reference::kBytes, 0, static_cast<double>(kRows * lists->terms.size()), "look-ups", [lists] {
            std::uint64_t sum = 0;
            for (const std::uint32_t term : lists->terms) {
              for (std::size_t i = 0; i < kRows; ++i) {
                sum += term_frequency(lists->segment, term, static_cast<RowIndex>(i * 2654435761U % kDocuments));
              }
            }
            keep(sum);
          }};
}

Case search_case(Plan plan) {
  struct Data {
    Bm25Index index;
    std::vector<std::string> words;
    Query query;
  };
  const auto data = std::make_shared<Data>();
  std::vector<SegmentData> segments;
  segments.push_back(build_segment(make_documents(kDocuments), ids_of(kDocuments)));
  data->index.add(std::move(segments), OnExisting::kFail);
  for (const std::size_t number : {1U, 5U, 20U, 80U}) data->words.push_back(word(number));
  for (const std::string& w : data->words) data->query.push_back({w, word_hash(w), 1});
  const auto postings = static_cast<double>(BoundQuery(*data->index.snapshot(), {}, data->query).posting_count());
  return {Reference::kBytes, 3 * postings, postings, "postings", [data, plan] {
            const auto snapshot = data->index.snapshot();
            keep(search(BoundQuery(*snapshot, {}, data->query), 10, nullptr, plan));
          }};
}

template <typename Selection>
Case selection_case(std::size_t k) {
  constexpr std::size_t kHits = 4096;
  auto hits = std::make_shared<std::vector<Hit>>();
  std::mt19937 random(6);
  for (std::size_t i = 0; i < kHits; ++i) {
    hits->push_back({static_cast<float>(random() % 100000), static_cast<DocId>(i)});
  }
  return {Reference::kBytes, static_cast<double>(kHits * sizeof(Hit)), kHits, "hits", [hits, k] {
            Selection best(k);
            for (const Hit& hit : *hits) best.push(hit);
            keep(best.take_sorted());
          }};
}

Case checksum_case() {
  const auto bytes = std::make_shared<std::vector<std::uint8_t>>(16384, std::uint8_t{7});
  return {Reference::kBytes, 16384, 16384, "bytes", [bytes] { keep(storage::xxh64(bytes->data(), bytes->size())); }};
}

}  // namespace

std::vector<Definition> lexical_cases() {
  const std::string table = std::string(simd::kernels().name) + "/";
  return {
      {"common/words_ascii", [] { return words_case(" ", "", {}); }},
      {"common/words_unicode", [] { return words_case("\u3002", "\u00e9t\u00e9", {}); }},
      {"common/words_unspaced", [] { return words_case(" ", "\u691c\u7d22\u691c\u7d22", {.unigrams = true}); }},
      {"common/words_identifiers", [] { return words_case("_", "", {.identifiers = true}); }},
      {"common/analyze", analyze_case},
      {"common/build_segment", build_case},
      {"common/decode_postings", decode_case},
      {"common/look_up_postings", lookup_case},
      {"common/top_k_heap", [] { return selection_case<TopK>(10); }},
      {"common/top_k_buffer", [] { return selection_case<TopKBuffer>(100); }},
      {"common/xxh64", checksum_case},
      {table + "bm25_exhaustive", [] { return search_case(Plan::kExhaustive); }},
      {table + "bm25_coarse", [] { return search_case(Plan::kCoarse); }},
  };
}

}  // namespace sightline::bench
