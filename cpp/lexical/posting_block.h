// Postings of one term in one window of rows, as searches read them whatever form a segment keeps them in.
// Views do not own. Functions without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/types.h"

namespace sightline::lexical {

inline constexpr std::size_t kWindowBits = 14;
inline constexpr std::size_t kWindowRows = std::size_t{1} << kWindowBits;
inline constexpr std::size_t kMaxSegmentRows = std::size_t{1} << (16 + kWindowBits);

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

// Where postings that are packed are unpacked to. One owner.
struct PostingBuffer {
  std::vector<std::uint16_t> offsets;
  std::vector<std::uint16_t> tfs;
  std::vector<std::uint8_t> codes;
};

struct FoundPosting {
  std::uint64_t position;
  std::uint8_t code;
};
inline constexpr std::uint64_t kNoPosition = ~std::uint64_t{0};  // of what was looked up and is not there
inline constexpr std::uint32_t kNotThere = 0xFFFFFFFF;  // in place of an offset's place

// Where each wanted offset is among those of a block, ascending, or kNotThere; in any order. O(log size) each.
// Precondition: a block is not empty.
void find_offsets(std::span<const std::uint16_t> offsets, std::span<const std::uint16_t> wanted, std::uint32_t* found) noexcept;

// The same of several blocks. Fastest where those of about one size follow each other.
struct WantedOffset {
  const std::uint16_t* offsets;
  std::uint32_t size;
  std::uint32_t wanted;
};
void find_offsets(std::span<const WantedOffset> wanted, std::uint32_t* found) noexcept;

}  // namespace sightline::lexical
