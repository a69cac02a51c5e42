// The words of each document of a segment in text order: what a phrase is looked for in. An option of an index, in arrays of
// its own beside the postings, which it does not depend on.
//
// A token is the number of its term in the segment, in as few bytes as the number of terms needs. A phrase is searched
// only in documents that have all its words, so reading those few in order costs less than a list of positions for every
// posting would, in memory and in time.
//
// Invariants (checked when a segment comes from a file): begins has an entry for each row and one more, starts at 0 and
// grows by the row's length; bytes has token_width(terms) bytes for each token; a token is less than the number of terms.
//
// Functions without state; the views are immutable, safe for concurrent use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace sightline::lexical {

struct AnalyzedDocuments;
struct SegmentArrays;
struct SegmentView;
class Segment;

struct TokenArrays {
  std::span<const std::uint64_t> begins;  // empty: the segment has no tokens
  std::span<const std::uint8_t> bytes;
  bool present() const noexcept { return !begins.empty(); }
};

// The owned form.
struct TokenData {
  std::vector<std::uint64_t> begins;
  std::vector<std::uint8_t> bytes;
};

// 1 to 4: the bytes of the greatest number of a term.
std::size_t token_width(std::size_t term_count) noexcept;

// The tokens of the documents that a segment was built from. O(tokens + t log t).
TokenData build_tokens(const AnalyzedDocuments& documents, const SegmentArrays& segment);

// The tokens of a segment that was merged from `inputs`, which all have them. O(tokens + t log t).
// Throws CorruptIndexError where the tokens of an input contradict its postings.
TokenData merge_tokens(std::span<const SegmentView> inputs, const SegmentArrays& merged);

// Whether the words stand side by side in a document. `terms` are numbers of the segment's terms, at least one.
bool has_phrase(const Segment& segment, RowIndex row, std::span<const std::uint32_t> terms) noexcept;

// The first invariant above that does not hold, in words; null if all hold. Reads nothing out of bounds. O(tokens).
const char* broken_tokens(const Segment& segment);

}  // namespace sightline::lexical
