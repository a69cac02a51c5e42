// Look-ups of many terms and of many offsets, against one by one.
#include <algorithm>
#include <initializer_list>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "lexical/packed_segment.h"
#include "lexical/segment_builder.h"
#include "lexical/word_table.h"
#include "simd/kernels.h"
#include "tests/check.h"

namespace sightline::lexical {
namespace {

std::string word(std::size_t number) { return std::string("w").append(std::to_string(number)); }

SegmentData segment_of_words(std::size_t count) {
  AnalyzedDocuments documents;
  std::vector<DocId> ids;
  for (std::size_t w = 0; w < count; ++w) {
    documents.tokens.push_back(documents.terms.insert(word(w)));
    documents.document_ends.push_back(documents.tokens.size());
    ids.push_back(static_cast<DocId>(w));
  }
  return build_segment(documents, ids);
}

}  // namespace

TEST(lexical_segments_find_many_terms_as_they_find_one) {
  std::mt19937 random(8);
  for (const std::size_t count : {1UL, 2UL, 9UL, 1000UL, 20000UL}) {
    const Segment segment(segment_of_words(count));
    const Segment packed(pack_segment(segment_of_words(count)));
    std::vector<std::string> words;
    for (std::size_t i = 0; i < 300; ++i) words.push_back(word(random() % (2 * count)));  // half of them are absent
    std::vector<WantedTerm> wanted;
    for (const std::string& w : words) wanted.push_back({w, word_hash(w)});
    wanted.push_back({"none", 0});
    wanted.push_back({"none", ~std::uint64_t{0}});
    wanted.push_back({"another", word_hash(word(0))});
    for (const std::size_t asked : std::initializer_list<std::size_t>{0, 1, 15, 16, 17, wanted.size()}) {
      for (const Segment* s : {&segment, &packed}) {
        std::vector<std::optional<std::uint32_t>> found(asked);
        s->find_terms(std::span(wanted).subspan(wanted.size() - asked), found.data());
        for (std::size_t i = 0; i < asked; ++i) {
          const WantedTerm& w = wanted[wanted.size() - asked + i];
          CHECK(found[i] == s->find_term(w.term, w.hash));
        }
      }
    }
  }
}

TEST(lexical_offsets_are_found_in_one_block_and_in_several) {
  std::mt19937 random(9);
  std::vector<std::vector<std::uint16_t>> blocks;
  for (const std::size_t size : {1UL, 2UL, 3UL, 4UL, 31UL, 64UL, 65UL, 1000UL, 16384UL}) {
    std::vector<std::uint16_t> all(kWindowRows);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
    std::shuffle(all.begin(), all.end(), random);
    all.resize(size);
    std::sort(all.begin(), all.end());
    blocks.push_back(std::move(all));
  }
  const auto expected = [](const std::vector<std::uint16_t>& block, std::uint32_t wanted) {
    const auto at = std::find(block.begin(), block.end(), wanted);
    return at == block.end() ? kNotThere : static_cast<std::uint32_t>(at - block.begin());
  };
  for (const std::size_t count : {0UL, 1UL, 3UL, 4UL, 5UL, 64UL, 101UL}) {
    std::vector<WantedOffset> wanted;
    std::vector<std::uint16_t> offsets;
    std::vector<std::uint32_t> found(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::vector<std::uint16_t>& block = blocks[random() % blocks.size()];
      const auto offset = static_cast<std::uint16_t>(random() % 2 == 0 ? block[random() % block.size()] : random() % kWindowRows);
      wanted.push_back({block.data(), static_cast<std::uint32_t>(block.size()), offset});
      offsets.push_back(offset);
    }
    find_offsets(wanted, found.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::vector<std::uint16_t> block(wanted[i].offsets, wanted[i].offsets + wanted[i].size);
      CHECK_EQ(found[i], expected(block, wanted[i].wanted));
    }
    for (const std::vector<std::uint16_t>& block : blocks) {
      find_offsets(block, offsets, found.data());
      for (std::size_t i = 0; i < count; ++i) CHECK_EQ(found[i], expected(block, offsets[i]));
    }
  }
}

}  // namespace sightline::lexical
