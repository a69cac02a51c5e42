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
// A packed segment says the same in other arrays: `packed` and term_bytes, large_positions, large_tfs, code_map and tokens, as
// above; the other arrays are empty. Its positions are the term's number in the upper 32 bits and in the lower ones where the
// posting stands among the term's.
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
#include "lexical/packed_lists.h"
#include "lexical/packed_numbers.h"
#include "lexical/posting_block.h"
#include "lexical/scoring.h"
#include "lexical/tokens.h"

namespace sightline::lexical {

// Weights that were given, of documents and of queries: no product or sum of them leaves the range of float32.
inline constexpr float kMaxWeight = 1e15F;

// How a segment keeps its postings: at three bytes each, as they are searched (kScan), or in about half of that (kPacked).
enum class PostingForm : std::uint8_t { kScan = 0, kPacked = 1 };

// What a packed segment has in place of the arrays from ids to codes, term_bytes apart. All but the lists are PackedNumbers.
struct PackedArrays {
  std::uint64_t row_count = 0;  // 0: the segment is not packed
  std::uint64_t term_count = 0;
  std::uint64_t posting_count = 0;
  std::span<const std::uint8_t> ids;           // of step 1
  std::span<const std::uint8_t> lengths;
  std::span<const std::uint8_t> hash_heads;    // the upper 32 bits of each term's hash; the rest follows from the term
  std::span<const std::uint8_t> term_offsets;  // into term_bytes, one more than terms
  std::span<const std::uint8_t> list_offsets;  // into lists, one more than terms
  std::span<const std::uint8_t> lists;         // packed_lists.h
  bool present() const noexcept { return row_count != 0; }
};

// The owned form.
struct PackedData {
  std::uint64_t row_count = 0;
  std::uint64_t term_count = 0;
  std::uint64_t posting_count = 0;
  std::vector<std::uint8_t> ids;
  std::vector<std::uint8_t> lengths;
  std::vector<std::uint8_t> hash_heads;
  std::vector<std::uint8_t> term_offsets;
  std::vector<std::uint8_t> list_offsets;
  std::vector<std::uint8_t> lists;
  PackedArrays arrays() const noexcept {
    return {row_count, term_count, posting_count, ids, lengths, hash_heads, term_offsets, list_offsets, lists};
  }
};

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
  PackedArrays packed;

  bool weighted() const noexcept { return !values.empty(); }

  std::size_t posting_count() const noexcept { return packed.present() ? packed.posting_count : offsets.size(); }
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
  PackedData packed;

  SegmentArrays arrays() const noexcept;
};

class Segment;
struct UnpackedPostings;

// The postings of one term. A view: the segment must outlive it. Short packed lists are unpacked when it is made, O(postings);
// of long ones only the directory of their windows.
class Postings {
 public:
  Postings(const Segment& segment, std::uint32_t term);
  Postings(Postings&&) noexcept;
  Postings& operator=(Postings&&) noexcept;
  ~Postings();

  std::size_t size() const noexcept { return size_; }
  bool packed() const noexcept { return offsets_.empty(); }  // window by window; block() needs its buffer
  std::span<const PostingWindow> windows() const noexcept { return windows_; }
  std::size_t window_size(std::size_t i) const noexcept { return windows_[i].end - window_begin(i); }
  // The postings of windows()[i], in the buffer if they were packed: the block is then good until the buffer is used again.
  PostingBlock block(std::size_t i, PostingBuffer& buffer) const;
  // Which of windows() that window of rows is, if the term occurs in it. O(log windows).
  std::optional<std::size_t> find_window(std::size_t window) const noexcept;

  // The same as it lies in memory, if it is packed; data is null otherwise.
  PackedWindow packed_window(std::size_t i) const noexcept;

  // The posting of a row, if there is one, of any window or of windows()[i] by its offset there. O(log postings).
  std::optional<FoundPosting> find(RowIndex row) const noexcept;
  std::optional<FoundPosting> find_in_window(std::size_t i, std::uint16_t offset) const noexcept;
  // Many of one window, to out[j] for offsets[j]; their position is kNoPosition where there is none. In any order, but where
  // they ascend, a block of a packed list is unpacked once for all that it has.
  void find_in_window(std::size_t i, std::span<const std::uint16_t> offsets, FoundPosting* out) const noexcept;
  // Calls visit(row, FoundPosting) for every posting, rows ascending.
  template <typename Visit>
  void for_each(Visit visit) const {
    constexpr std::size_t kFewInWindow = 8;
    if (!packed() && size_ < kFewInWindow * windows_.size()) {
      // One loop, whose end alone is hard to predict, where a loop a window would end all the time; no window is empty.
      const PostingWindow* window = windows_.data();
      for (std::size_t i = 0; i < size_; ++i) {
        window += i == window->end ? 1 : 0;
        visit(RowIndex{window->window} << kWindowBits | offsets_[i], FoundPosting{begin_ + i, codes_[i]});
      }
      return;
    }
    PostingBuffer buffer;
    for (std::size_t w = 0; w < windows_.size(); ++w) {
      const PostingBlock b = block(w, buffer);
      for (std::size_t i = 0; i < b.size(); ++i) visit(b.first_row + b.offsets[i], FoundPosting{b.position + i, b.codes[i]});
    }
  }

 private:
  std::uint32_t window_begin(std::size_t i) const noexcept { return i == 0 ? 0 : windows_[i - 1].end; }
  void unpack(const std::uint8_t* list);
  void unpack_rows(const ListHeader& header, RowIndex* rows);

  const Segment* segment_;
  std::uint64_t begin_;  // the position of the first
  std::size_t size_;
  std::span<const PostingWindow> windows_;
  std::span<const std::uint16_t> offsets_;  // of all postings; empty if they are packed window by window
  std::span<const std::uint8_t> codes_;
  std::unique_ptr<UnpackedPostings> unpacked_;  // of a packed segment; what the spans above view
};

struct WantedTerm {
  std::string_view term;
  std::uint64_t hash;
};

class Segment {
 public:
  explicit Segment(SegmentData data);
  // `arrays` must live as long as `owner` does, and satisfy the invariants.
  Segment(const SegmentArrays& arrays, std::shared_ptr<const void> owner);
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  PostingForm form() const noexcept { return packed() ? PostingForm::kPacked : PostingForm::kScan; }
  std::size_t row_count() const noexcept { return packed() ? packed_.ids.size() : arrays_.ids.size(); }
  std::size_t term_count() const noexcept { return packed() ? packed_.hash_heads.size() : arrays_.term_hashes.size(); }
  std::uint64_t total_length() const noexcept { return total_length_; }
  std::uint32_t max_length() const noexcept { return max_length_; }
  std::uint32_t max_tf() const noexcept { return max_tf_; }
  // What a packed segment has is in arrays().packed; the functions below serve both forms.
  const SegmentArrays& arrays() const noexcept { return arrays_; }
  const CodeRanges& code_ranges() const noexcept { return code_ranges_; }
  const RowCodes& row_codes() const noexcept { return packed_.row_codes; }  // of a packed segment
  std::size_t size_bytes_beside_arrays() const noexcept { return packed_.row_codes.classes.capacity(); }

  DocId id(RowIndex row) const noexcept {
    if (consecutive_ids_) return first_id_ + static_cast<DocId>(row);  // no load, which for hits is a cache miss each
    return packed() ? static_cast<DocId>(packed_.ids[row]) : arrays_.ids[row];
  }
  DocId last_id() const noexcept { return id(static_cast<RowIndex>(row_count() - 1)); }
  std::optional<RowIndex> find_row(DocId id) const noexcept;
  std::uint32_t length(RowIndex row) const noexcept {
    return packed() ? static_cast<std::uint32_t>(packed_.lengths[row]) : arrays_.lengths[row];
  }

  std::string_view term(std::size_t t) const noexcept {
    const std::uint64_t begin = packed() ? packed_.term_offsets[t] : arrays_.term_offsets[t];
    const std::uint64_t end = packed() ? packed_.term_offsets[t + 1] : arrays_.term_offsets[t + 1];
    return {arrays_.term_bytes.data() + begin, end - begin};
  }
  std::uint64_t term_hash(std::size_t t) const noexcept;
  std::optional<std::uint32_t> find_term(std::string_view term, std::uint64_t hash) const noexcept;
  // Many terms, to found[i] for wanted[i], so that what each waits for memory overlaps; starts to load their postings, too.
  void find_terms(std::span<const WantedTerm> wanted, std::optional<std::uint32_t>* found) const noexcept;
  Postings postings(std::uint32_t term) const { return {*this, term}; }
  std::size_t posting_count(std::uint32_t term) const noexcept;
  // What a posting adds to a score, for a weight of 1 of its term.
  double gain(const Scorer& scorer, RowIndex row, const FoundPosting& posting) const noexcept {
    if (arrays_.weighted()) return static_cast<double>(arrays_.values[posting.position]);
    return scorer.gain(tf(posting), length(row));
  }
  // The frequency of a posting; not of a weighted one.
  std::uint32_t tf(const FoundPosting& posting) const noexcept {
    return posting.code == kLargeTfCode ? large_tf(posting.position) : code_ranges_[posting.code].tf_low;
  }
  // The frequency of a posting with kLargeTfCode.
  std::uint32_t large_tf(std::uint64_t position) const noexcept;

 private:
  friend class Postings;
  // Views of arrays_.packed, and what is derived from them.
  struct Packed {
    PackedNumbers ids;
    PackedNumbers lengths;
    PackedNumbers hash_heads;
    PackedNumbers term_offsets;
    PackedNumbers list_offsets;
    RowCodes row_codes;
  };
  bool packed() const noexcept { return arrays_.packed.present(); }
  const std::uint8_t* list(std::uint32_t term) const noexcept {
    return arrays_.packed.lists.data() + packed_.list_offsets[term];
  }
  void open_packed();
  void summarise();

  std::shared_ptr<const void> owner_;
  SegmentArrays arrays_;
  Packed packed_;
  std::uint64_t total_length_ = 0;
  std::uint32_t max_length_ = 0;
  std::uint32_t max_tf_ = 0;  // at least kMaxCodedTf
  CodeRanges code_ranges_;
  DocId first_id_ = 0;
  bool consecutive_ids_ = false;
};

}  // namespace sightline::lexical
