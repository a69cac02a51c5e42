#include "lexical/tokens.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "lexical/analyzer.h"
#include "lexical/segment.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {
namespace {

std::string_view term_at(const SegmentArrays& a, std::size_t t) {
  return {a.term_bytes.data() + a.term_offsets[t], a.term_offsets[t + 1] - a.term_offsets[t]};
}

// Throws if the segment lacks the term. It never does for what was built here; but tokens that came from a file are known
// only to be terms of their segment, not those of their document, and merging leaves out terms that no live document has.
std::uint32_t number_of(const SegmentArrays& a, std::string_view term, std::uint64_t hash) {
  auto at = static_cast<std::size_t>(std::lower_bound(a.term_hashes.begin(), a.term_hashes.end(), hash) - a.term_hashes.begin());
  for (;; ++at) {
    if (at == a.term_hashes.size() || a.term_hashes[at] != hash) {
      throw Error(ErrorKind::kCorruptIndex,
                  "the index is damaged: a document's order of words has a word that its postings lack; restore the file that it "
                  "was loaded from, or build it again");
    }
    if (term_at(a, at) == term) break;
  }
  return static_cast<std::uint32_t>(at);
}

// Numbers are stored with the lowest byte first, as they lie in memory (the file format requires a little-endian machine).
void put(std::uint8_t* at, std::uint32_t token, std::size_t width) noexcept { std::memcpy(at, &token, width); }

std::uint32_t get(const std::uint8_t* at, std::size_t width) noexcept {
  std::uint32_t token = 0;
  std::memcpy(&token, at, width);
  return token;
}

}  // namespace

std::size_t token_width(std::size_t term_count) noexcept {
  std::size_t width = 1;
  while (width < 4 && term_count > (std::size_t{1} << (8 * width))) ++width;
  return width;
}

TokenData build_tokens(const AnalyzedDocuments& documents, const SegmentArrays& segment) {
  constexpr std::uint32_t kUnknown = 0xFFFFFFFF;
  const std::size_t width = token_width(segment.term_hashes.size());
  std::vector<std::uint32_t> number(documents.terms.size(), kUnknown);
  TokenData data;
  data.begins.reserve(documents.document_count() + 1);
  data.begins.push_back(0);
  data.begins.insert(data.begins.end(), documents.document_ends.begin(), documents.document_ends.end());
  data.bytes.resize(documents.tokens.size() * width);
  for (std::size_t i = 0; i < documents.tokens.size(); ++i) {
    const std::uint32_t t = documents.tokens[i];
    if (number[t] == kUnknown) number[t] = number_of(segment, documents.terms.word(t), documents.terms.hash(t));
    put(data.bytes.data() + i * width, number[t], width);
  }
  return data;
}

TokenData merge_tokens(std::span<const SegmentView> views, const SegmentArrays& merged) {
  constexpr std::uint32_t kUnknown = 0xFFFFFFFF;
  const std::vector<SegmentView> inputs(views.begin(), views.end());
  const std::size_t width = token_width(merged.term_hashes.size());
  std::vector<std::vector<std::uint32_t>> number(inputs.size());
  for (std::size_t s = 0; s < inputs.size(); ++s) number[s].assign(inputs[s].segment->term_count(), kUnknown);
  TokenData data;
  data.begins.reserve(merged.ids.size() + 1);
  data.begins.push_back(0);
  for (const std::uint32_t length : merged.lengths) data.begins.push_back(data.begins.back() + length);
  data.bytes.resize(data.begins.back() * width);
  std::uint8_t* out = data.bytes.data();
  for (const RowLocation& at : live_rows_by_id(inputs)) {
    const Segment& from = *inputs[at.segment].segment;
    const TokenArrays& tokens = from.arrays().tokens;
    const std::size_t from_width = token_width(from.term_count());
    for (std::uint64_t i = tokens.begins[at.row]; i < tokens.begins[at.row + 1]; ++i) {
      const std::uint32_t t = get(tokens.bytes.data() + i * from_width, from_width);
      std::uint32_t& known = number[at.segment][t];
      if (known == kUnknown) known = number_of(merged, from.term(t), from.term_hash(t));
      put(out, known, width);
      out += width;
    }
  }
  return data;
}

bool has_phrase(const Segment& segment, RowIndex row, std::span<const std::uint32_t> terms) noexcept {
  const TokenArrays& tokens = segment.arrays().tokens;
  const std::size_t width = token_width(segment.term_count());
  const std::uint8_t* begin = tokens.bytes.data() + tokens.begins[row] * width;
  const std::uint64_t length = tokens.begins[row + 1] - tokens.begins[row];
  for (std::uint64_t i = 0; i + terms.size() <= length; ++i) {
    std::size_t same = 0;
    while (same < terms.size() && get(begin + (i + same) * width, width) == terms[same]) ++same;
    if (same == terms.size()) return true;
  }
  return false;
}

const char* broken_tokens(const Segment& segment) {
  const TokenArrays& tokens = segment.arrays().tokens;
  if (!tokens.present()) return nullptr;
  if (tokens.begins.size() != segment.row_count() + 1 || tokens.begins.front() != 0) return "the places of its tokens are wrong";
  for (RowIndex row = 0; row < segment.row_count(); ++row) {
    if (tokens.begins[row + 1] - tokens.begins[row] != segment.length(row)) return "the places of its tokens contradict its lengths";
  }
  const std::size_t width = token_width(segment.term_count());
  if (tokens.bytes.size() % width != 0 || tokens.bytes.size() / width != tokens.begins.back()) {
    return "the number of its tokens is wrong";
  }
  for (std::size_t i = 0; i < tokens.bytes.size(); i += width) {
    if (get(tokens.bytes.data() + i, width) >= segment.term_count()) return "a token is no term";
  }
  return nullptr;
}

}  // namespace sightline::lexical
