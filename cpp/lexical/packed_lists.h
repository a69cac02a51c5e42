// The packed form of a term's postings: gaps between rows and frequencies in as few bits as each block of 128 needs. The
// code of a posting (impact_codes.h) follows from its frequency and its row's class of lengths, so it takes no space.
//
//   list      varint 2 * postings + (1 if windowed), then a plain or a windowed body
//   plain     block by block: a byte, width of gaps * 8 + width of frequencies; gaps, each one less than the difference
//             to the row before, the list's first to row -1; frequencies less one. For lists read in one go.
//   windowed  varint windows less one; for each window varint windows passed over since the one before, varint postings less
//             one, varint bytes of its data, max_tf, min_length (posting_block.h); the data of all windows. So a search
//             unpacks only windows that it needs, and looking a row up only its block.
//   data      first offset of each block, two bytes each; for each block its widths, as above; block by block the gaps
//             between its offsets and its frequencies
//
// Gaps and frequencies begin at a byte each; bits count from the lowest. A frequency beyond kMaxCodedTf is stored as
// kMaxCodedTf + 1 and found in the segment's list of them. kPackedSlack bytes follow the last list.
//
// Source: blocks of 128 with one width each after Zukowski et al., "Super-scalar RAM-CPU cache compression", 2006, and Lemire,
// Boytsov, "Decoding billions of integers per second through vectorization", 2015; here value after value, not interleaved,
// so that blocks may end anywhere.
//
// Views do not own. Functions without state, safe from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/types.h"
#include "lexical/impact_codes.h"
#include "lexical/posting_block.h"
#include "simd/kernels.h"

namespace sightline::lexical {

inline constexpr std::size_t kListBlock = 128;
inline constexpr std::uint8_t kLargeTf = kMaxCodedTf;  // the stored frequency, which is less by one, of all beyond kMaxCodedTf
inline constexpr std::uint32_t kMaxGapWidth = 30;      // of a plain body
inline constexpr std::uint32_t kMaxTfWidth = 5;

// From a stored frequency and a row to the posting's code.
struct RowCodes {
  std::vector<std::uint8_t> classes;  // of the length of each row
  std::array<std::uint8_t, (kLargeTf + 1) * 256> codes{};

  RowCodes() = default;
  RowCodes(const CodeMap& map, std::vector<std::uint8_t> row_classes);
  std::uint8_t operator()(std::size_t row, std::size_t stored_tf) const noexcept { return codes[stored_tf * 256 + classes[row]]; }
};

// Appends a list. `offsets` and stored `tfs` are aligned, `windows` those of the term.
void append_list(std::span<const PostingWindow> windows, std::span<const std::uint16_t> offsets,
                 std::span<const std::uint8_t> tfs, bool windowed, std::vector<std::uint8_t>& out);

struct ListHeader {
  std::uint32_t count;
  bool windowed;
  const std::uint8_t* body;
};
// Precondition of this and all below: the list is whole (whole_list), and kPackedSlack bytes can be read after it.
ListHeader read_header(const std::uint8_t* list) noexcept;

// Whether a list fills the bytes, and no part of it points outside them: it can then be unpacked, to numbers that mean
// something or not. Reads nothing outside.
bool whole_list(std::span<const std::uint8_t> list, std::size_t row_count) noexcept;

// Unpacks to rows and stored frequencies, which have room for the next multiple of kListBlock above `count`.
void unpack_plain(const ListHeader& list, RowIndex* rows, std::uint16_t* tfs) noexcept;

// The data of one window.
struct PackedWindow {
  const std::uint8_t* data;
  std::uint32_t count;
};
// Appends to `windows` the windows of a windowed list and to `data` where the data of each begins.
void read_windows(const ListHeader& list, std::vector<PostingWindow>& windows, std::vector<const std::uint8_t*>& data);
// The blocks of a window, one after another.
class WindowReader {
 public:
  static constexpr std::size_t kRoom = kListBlock + simd::kPackedStep;

  explicit WindowReader(const PackedWindow& window) noexcept;
  // Unpacks the next block to offsets and stored frequencies, which have room for kRoom; returns its postings, 0 at the end.
  std::size_t next(std::uint16_t* offsets, std::uint16_t* tfs) noexcept;

 private:
  const simd::Kernels& kernels_;
  const std::uint8_t* firsts_;
  const std::uint8_t* widths_;
  const std::uint8_t* at_;
  std::size_t left_;
};

// Room that unpack_window needs for `count` postings.
constexpr std::size_t window_room(std::size_t count) noexcept { return count + 2 * kListBlock; }
void unpack_window(const PackedWindow& window, std::uint16_t* offsets, std::uint16_t* tfs) noexcept;

struct FoundInWindow {
  std::uint32_t index;  // among the window's postings
  std::uint8_t stored_tf;
};
// Look-ups in one window, in any order, but fast in ascending order: then each goes on at the block of the one before, which
// stays unpacked. One owner.
class WindowFinder {
 public:
  explicit WindowFinder(const PackedWindow& window) noexcept;
  // Unpacks one block at the most. O(blocks of the window); O(those in between) after a smaller offset.
  std::optional<FoundInWindow> operator()(std::uint16_t offset) noexcept;

 private:
  void rewind() noexcept;

  const simd::Kernels& kernels_;
  const PackedWindow window_;
  const std::size_t blocks_;
  const std::uint8_t* const widths_;
  std::size_t block_ = 0;  // the last that begins at the last offset asked for or before it
  std::uint16_t first_ = 0;  // its first offset
  std::uint32_t next_first_ = 0;  // that of the next, or one beyond all
  const std::uint8_t* at_ = nullptr;  // its data
  std::size_t count_ = 0;  // its postings, once it is unpacked; else 0
  std::array<std::uint16_t, kListBlock + simd::kPackedStep> offsets_;
};

}  // namespace sightline::lexical
