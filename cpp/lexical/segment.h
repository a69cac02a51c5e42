// An immutable inverted index over some documents.
//
// Documents are rows in ascending order of id, in windows of 16,384. A posting is the row's offset in its window (two bytes)
// and a code (one byte, impact_codes.h); the postings of a term lie window by window, and a directory of 8 bytes for each
// (term, window) finds them. A posting with a frequency beyond the codes has it in a list beside.
//
// Invariants (checked when a segment comes from a file):
//   ids strictly ascending, >= 0; lengths aligned with ids, each above 0 in a class of the code map
//   terms ascending by (hash, bytes), distinct; term_offsets, posting_offsets and window_offsets start at 0, end at the
//   array's size, never fall
//   every term has a posting; its windows strictly ascending, none empty, their ends rising to its number of postings
//   offsets strictly ascending within a window, rows < row_count; a code is that of its row's length class, or kLargeTfCode
//   values: empty, or the weight of every posting, above 0 and at most kMaxWeight; then lengths are 0, there is no code map, and
//   code c says that a weight is above value_bounds[c - 1] and at most value_bounds[c], which strictly ascend
//   large_positions strictly ascending, exactly the postings with kLargeTfCode; kMaxCodedTf < large_tfs; tf <= length always
//   a window's max_tf and min_length bound those of its postings
//
// Immutable, safe for concurrent use. The arrays live in the segment itself or in the file that it keeps open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "lexical/impact_codes.h"
#include "lexical/scoring.h"
#include "lexical/tokens.h"

namespace sightline::lexical {

inline constexpr std::size_t kWindowBits = 14;
inline constexpr std::size_t kWindowRows = std::size_t{1} << kWindowBits;
inline constexpr std::size_t kMaxSegmentRows = std::size_t{1} << (16 + kWindowBits);

// Weights that were given, of documents and of queries: no product or sum of them leaves the range of float32.
inline constexpr float kMaxWeight = 1e15F;

// The postings of a term in one window.
struct PostingWindow {
  std::uint32_t end;        // where they end, counted from the term's first posting
  std::uint16_t window;
  std::uint8_t max_tf;      // at most this, where kUnboundedTf stands for any
  std::uint8_t min_length;  // at least unpack_length() of this
};
static_assert(sizeof(PostingWindow) == 8);
inline constexpr std::uint8_t kUnboundedTf = 255;

// A length rounded down to 4 bits of mantissa.
std::uint8_t pack_length(std::uint32_t length) noexcept;
std::uint32_t unpack_length(std::uint8_t packed) noexcept;

// Some postings of one window: row first_row + offsets[i] with codes[i], at position + i among all of the segment.
struct PostingBlock {
  RowIndex first_row;
  std::uint64_t position;
  std::span<const std::uint16_t> offsets;
  std::span<const std::uint8_t> codes;
  std::size_t size() const noexcept { return offsets.size(); }
};

// Where the offset is in the block, if it is there. O(log size), usually within a few cache lines.
std::optional<std::size_t> find_offset(const PostingBlock& block, std::uint16_t offset) noexcept;

struct SegmentArrays {
  std::span<const DocId> ids;
  std::span<const std::uint32_t> lengths;
  std::span<const std::uint64_t> term_hashes;
  std::span<const std::uint64_t> term_offsets;     // into term_bytes, one more than terms
  std::span<const char> term_bytes;
  std::span<const std::uint64_t> posting_offsets;  // into offsets and codes, one more than terms
  std::span<const std::uint32_t> window_offsets;   // into windows, one more than terms
  std::span<const PostingWindow> windows;
  std::span<const std::uint16_t> offsets;
  std::span<const std::uint8_t> codes;
  std::span<const std::uint64_t> large_positions;
  std::span<const std::uint32_t> large_tfs;  // aligned with large_positions
  CodeMap code_map;
  std::span<const float> values;
  std::span<const float> value_bounds;
  TokenArrays tokens;

  bool weighted() const noexcept { return !values.empty(); }

  std::size_t posting_count() const noexcept { return offsets.size(); }
};

// The owned form, which builders fill.
struct SegmentData {
  std::vector<DocId> ids;
  std::vector<std::uint32_t> lengths;
  std::vector<std::uint64_t> term_hashes;
  std::vector<std::uint64_t> term_offsets{0};
  std::vector<char> term_bytes;
  std::vector<std::uint64_t> posting_offsets{0};
  std::vector<std::uint32_t> window_offsets{0};
  std::vector<PostingWindow> windows;
  std::vector<std::uint16_t> offsets;
  std::vector<std::uint8_t> codes;
  std::vector<std::uint64_t> large_positions;
  std::vector<std::uint32_t> large_tfs;
  OwnedCodeMap code_map;
  std::vector<float> values;
  std::vector<float> value_bounds;
  TokenData tokens;

  SegmentArrays arrays() const noexcept;
};

class Segment;

// The postings of one term. A view: the segment must outlive it.
class Postings {
 public:
  Postings(const Segment& segment, std::uint32_t term) noexcept;

  std::size_t size() const noexcept { return size_; }
  std::span<const PostingWindow> windows() const noexcept { return windows_; }
  // The postings of windows()[i].
  PostingBlock block(std::size_t i) const noexcept;
  // The postings of a window of rows, if there are any. O(log windows).
  std::optional<PostingBlock> block_of_window(std::size_t window) const noexcept;

  // The position of the row's posting, if it has one. O(log postings).
  std::optional<std::uint64_t> find(RowIndex row) const noexcept;
  // Calls visit(row, position) for every posting, rows ascending.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::size_t w = 0; w < windows_.size(); ++w) {
      const PostingBlock b = block(w);
      for (std::size_t i = 0; i < b.size(); ++i) visit(b.first_row + b.offsets[i], b.position + i);
    }
  }

 private:
  const Segment* segment_;
  std::uint64_t begin_;
  std::size_t size_;
  std::span<const PostingWindow> windows_;
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
  std::uint32_t max_length() const noexcept { return max_length_; }
  std::uint32_t max_tf() const noexcept { return max_tf_; }
  const SegmentArrays& arrays() const noexcept { return arrays_; }
  const CodeRanges& code_ranges() const noexcept { return code_ranges_; }

  DocId id(RowIndex row) const noexcept { return arrays_.ids[row]; }
  std::optional<RowIndex> find_row(DocId id) const noexcept;

  std::string_view term(std::size_t t) const noexcept {
    return {arrays_.term_bytes.data() + arrays_.term_offsets[t], arrays_.term_offsets[t + 1] - arrays_.term_offsets[t]};
  }
  std::optional<std::uint32_t> find_term(std::string_view term, std::uint64_t hash) const noexcept;
  Postings postings(std::uint32_t term) const noexcept { return {*this, term}; }
  std::size_t posting_count(std::uint32_t term) const noexcept {
    return arrays_.posting_offsets[term + 1] - arrays_.posting_offsets[term];
  }
  // What a posting adds to a score, for a weight of 1 of its term.
  double gain(const Scorer& scorer, RowIndex row, std::uint64_t position) const noexcept {
    if (arrays_.weighted()) return static_cast<double>(arrays_.values[position]);
    return scorer.gain(tf(position), arrays_.lengths[row]);
  }
  // The frequency of a posting; not of a weighted one.
  std::uint32_t tf(std::uint64_t position) const noexcept {
    const std::uint8_t code = arrays_.codes[position];
    return code == kLargeTfCode ? large_tf(position) : code_ranges_[code].tf_low;
  }
  // The frequency of a posting with kLargeTfCode.
  std::uint32_t large_tf(std::uint64_t position) const noexcept;

 private:
  void summarise();

  std::shared_ptr<const void> owner_;
  SegmentArrays arrays_;
  std::uint64_t total_length_ = 0;
  std::uint32_t max_length_ = 0;
  std::uint32_t max_tf_ = 0;  // at least kMaxCodedTf
  CodeRanges code_ranges_;
};

}  // namespace sightline::lexical
