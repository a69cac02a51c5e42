// An immutable inverted index over some documents.
//
// Documents are rows in ascending order of id. A posting is a row and a code; the code numbers the distinct pairs
// (term frequency, document length) of the segment, which is all that a score needs of a posting. There are few such
// pairs, so a search computes each gain once and then only looks them up.
//
// Invariants (checked when a segment comes from a file):
//   ids strictly ascending, >= 0; lengths aligned with ids
//   terms ascending by (hash, bytes), distinct; posting_offsets and term_offsets start at 0, end at the array's size, never fall
//   every term has a posting; the rows of a term strictly ascending, < row_count
//   codes < pair_count; pairs strictly ascending by (tf, length), 1 <= tf <= length, length as in lengths[row]
//
// Immutable, safe for concurrent use. The arrays live in the segment itself or in the file that it keeps open.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace sightline::lexical {

struct ImpactPair {
  std::uint32_t tf;
  std::uint32_t length;
  auto operator<=>(const ImpactPair&) const = default;
};

// Codes take two bytes where they can, and they nearly always can; exactly one of the spans is used.
struct Codes {
  std::span<const std::uint16_t> narrow;
  std::span<const std::uint32_t> wide;
  std::uint32_t operator[](std::size_t i) const noexcept { return wide.empty() ? narrow[i] : wide[i]; }
};
inline constexpr std::size_t kMaxNarrowPairs = 65536;

struct Postings {
  std::span<const RowIndex> rows;
  Codes codes;
  std::size_t size() const noexcept { return rows.size(); }
};

struct SegmentArrays {
  std::span<const DocId> ids;
  std::span<const std::uint32_t> lengths;
  std::span<const std::uint64_t> term_hashes;
  std::span<const std::uint64_t> term_offsets;     // into term_bytes, one more than terms
  std::span<const char> term_bytes;
  std::span<const std::uint64_t> posting_offsets;  // into rows and codes, one more than terms
  std::span<const RowIndex> rows;
  Codes codes;
  std::span<const ImpactPair> pairs;
};

// The owned form, which builders fill.
struct SegmentData {
  std::vector<DocId> ids;
  std::vector<std::uint32_t> lengths;
  std::vector<std::uint64_t> term_hashes;
  std::vector<std::uint64_t> term_offsets{0};
  std::vector<char> term_bytes;
  std::vector<std::uint64_t> posting_offsets{0};
  std::vector<RowIndex> rows;
  std::vector<std::uint16_t> narrow_codes;
  std::vector<std::uint32_t> wide_codes;  // used if pairs.size() > kMaxNarrowPairs
  std::vector<ImpactPair> pairs;

  SegmentArrays arrays() const noexcept;
};

class Segment {
 public:
  explicit Segment(SegmentData data);
  // `arrays` must live as long as `owner` does, and satisfy the invariants.
  Segment(const SegmentArrays& arrays, std::shared_ptr<const void> owner);
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  std::size_t row_count() const noexcept { return arrays_.ids.size(); }
  std::size_t term_count() const noexcept { return arrays_.term_hashes.size(); }
  std::uint64_t total_length() const noexcept { return total_length_; }
  const SegmentArrays& arrays() const noexcept { return arrays_; }

  DocId id(RowIndex row) const noexcept { return arrays_.ids[row]; }
  std::optional<RowIndex> find_row(DocId id) const noexcept;

  std::string_view term(std::size_t t) const noexcept {
    return {arrays_.term_bytes.data() + arrays_.term_offsets[t], arrays_.term_offsets[t + 1] - arrays_.term_offsets[t]};
  }
  std::optional<std::uint32_t> find_term(std::string_view term, std::uint64_t hash) const noexcept;
  Postings postings(std::uint32_t term) const noexcept;

 private:
  std::shared_ptr<const void> owner_;
  SegmentArrays arrays_;
  std::uint64_t total_length_ = 0;
};

// The position of `row` in `rows` (ascending), if it is there.
std::optional<std::size_t> find_posting(std::span<const RowIndex> rows, RowIndex row) noexcept;

}  // namespace sightline::lexical
