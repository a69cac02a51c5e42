// Word splitting on raw bytes, which Python strings cannot produce, and the word table.
#include <random>
#include <string>
#include <vector>

#include "lexical/analyzer.h"
#include "lexical/word_reader.h"
#include "lexical/word_table.h"
#include "tests/check.h"

namespace sightline::lexical {
namespace {

std::string joined_words(std::string_view text) {
  std::string result;
  WordReader reader(text);
  while (reader.next()) result.append(reader.word()).push_back('|');
  return result;
}

}  // namespace

TEST(words_ascii_and_folding) {
  CHECK_EQ(joined_words(""), "");
  CHECK_EQ(joined_words("Hello, World"), "hello|world|");
  CHECK_EQ(joined_words("don't stop' 3.14, v1.2.3."), "don't|stop|3.14|v1.2.3|");
  CHECK_EQ(joined_words("stra\xC3\x9F" "e"), "strasse|");
  CHECK_EQ(joined_words("\xE6\x9D\xB1\xE4\xBA\xAC\xE9\x83\xBD"), "\xE6\x9D\xB1\xE4\xBA\xAC|\xE4\xBA\xAC\xE9\x83\xBD|");
}

TEST(words_bytes_that_are_not_utf8_separate) {
  CHECK_EQ(joined_words("a\xFF" "b"), "a|b|");
  CHECK_EQ(joined_words("a\xC3"), "a|");                  // cut short
  CHECK_EQ(joined_words("a\xE6\x9D"), "a|");
  CHECK_EQ(joined_words("a\xC0\x80" "b"), "a|b|");          // overlong
  CHECK_EQ(joined_words("a\xED\xA0\x80" "b"), "a|b|");      // surrogate
  CHECK_EQ(joined_words("a\xF4\x90\x80\x80" "b"), "a|b|");  // beyond U+10FFFF
  CHECK_EQ(joined_words("\x80\xBF" "b"), "b|");
}

TEST(words_random_bytes_terminate_within_bounds) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    // Each text has its own allocation, so that the address sanitizer sees a read past its end.
    std::vector<char> bytes(random() % 12);
    for (char& byte : bytes) byte = static_cast<char>(random() % 4 == 0 ? random() % 128 : 128 + random() % 128);
    WordReader reader({bytes.data(), bytes.size()});
    std::size_t count = 0;
    while (reader.next()) {
      CHECK(!reader.word().empty());
      ++count;
    }
    CHECK(count <= bytes.size());
  }
}

TEST(word_table_numbers_in_order_of_insertion) {
  WordTable table;
  CHECK_EQ(table.find("a", word_hash("a")), kNoWord);
  for (std::uint32_t i = 0; i < 5000; ++i) CHECK_EQ(table.insert(std::to_string(i)), i);
  for (std::uint32_t i = 0; i < 5000; ++i) CHECK_EQ(table.insert(std::to_string(i)), i);
  CHECK_EQ(table.size(), 5000U);
  CHECK(table.word(4321) == "4321");
  CHECK_EQ(table.insert(""), 5000U);
  CHECK_EQ(table.find("", word_hash("")), 5000U);
}

TEST(analyzer_resolves_each_distinct_word_once) {
  std::size_t resolved = 0;
  const Analyzer analyzer([&](const std::vector<std::string_view>& words) {
    resolved += words.size();
    std::vector<std::string> terms;
    for (const std::string_view word : words) terms.emplace_back(word == "the" ? "" : word.substr(0, 3));
    return terms;
  });
  const std::vector<std::string_view> texts{"the cats", "", "the catalogue the"};
  for (int round = 0; round < 2; ++round) {
    const AnalyzedDocuments documents = analyzer.analyze_together(texts, TextKind::kDocument);
    CHECK_EQ(documents.document_count(), 3U);
    CHECK_EQ(documents.terms.size(), 1U);
    CHECK(documents.terms.word(0) == "cat");
    CHECK_EQ(documents.document(0).size(), 1U);
    CHECK_EQ(documents.document(1).size(), 0U);
    CHECK_EQ(documents.document(2).size(), 1U);
  }
  CHECK_EQ(resolved, 3U);
  CHECK_EQ(analyzer.cached_words(), 3U);
}

TEST(analyzer_shards_keep_the_order_of_documents) {
  const Analyzer analyzer([](const std::vector<std::string_view>& words) {
    return std::vector<std::string>(words.begin(), words.end());
  });
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) texts.push_back(std::string("w").append(std::to_string(i)).append(" ").append(500, 'x'));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<std::size_t> sizes;
  for (const std::string_view view : views) sizes.push_back(view.size());
  const std::vector<AnalyzedDocuments> shards = analyzer.analyze(views, shard_ends(sizes));
  CHECK(shards.size() > 1);
  std::size_t next = 0;
  for (const AnalyzedDocuments& shard : shards) {
    for (std::size_t d = 0; d < shard.document_count(); ++d) {
      CHECK_EQ(std::string(shard.terms.word(shard.document(d)[0])), std::string("w").append(std::to_string(next++)));
    }
  }
  CHECK_EQ(next, texts.size());
}

}  // namespace sightline::lexical
