#include "lexical/segment.h"

#include <algorithm>
#include <bit>

#include "simd/dispatch.h"

namespace sightline::lexical {

SegmentArrays SegmentData::arrays() const noexcept {
  return {ids,     lengths, term_hashes, term_offsets,    term_bytes, posting_offsets, window_offsets,
          windows, offsets, codes,       large_positions, large_tfs,  code_map.view(), values, value_bounds,
          {tokens.begins, tokens.bytes}};
}

// 16 values to the power of two, the first 16 exact.
std::uint8_t pack_length(std::uint32_t length) noexcept {
  if (length < 16) return static_cast<std::uint8_t>(length);
  const int shift = std::bit_width(length) - 5;
  return static_cast<std::uint8_t>((shift + 1) << 4 | ((length >> shift) & 15));
}

std::uint32_t unpack_length(std::uint8_t packed) noexcept {
  if (packed < 16) return packed;
  return (16U | (packed & 15U)) << ((packed >> 4) - 1);
}

std::optional<std::size_t> find_offset(const PostingBlock& b, std::uint16_t wanted) noexcept {
  // Offsets are spread about evenly, so the place is known to about the root of their number. All offsets near it are
  // compared without a branch: halving the block would mispredict half its comparisons.
  const std::uint16_t* offsets = b.offsets.data();
  const std::size_t size = b.size();
  const std::size_t guess = (size * wanted) >> kWindowBits;
  const std::size_t reach = std::size_t{16} + (std::size_t{1} << (static_cast<std::size_t>(std::bit_width(size)) / 2));
  const std::size_t low = guess > reach ? guess - reach : 0;
  const std::size_t high = std::min(size, guess + reach);
  if ((low != 0 && offsets[low] > wanted) || (high != size && offsets[high - 1] < wanted)) {
    const auto at = std::lower_bound(b.offsets.begin(), b.offsets.end(), wanted);
    if (at == b.offsets.end() || *at != wanted) return std::nullopt;
    return static_cast<std::size_t>(at - b.offsets.begin());
  }
  const std::uint32_t found = simd::kernels().find_equal_u16(offsets + low, high - low, wanted);
  if (found == simd::kNotFound) return std::nullopt;
  return low + found;
}

Segment::Segment(SegmentData data) {
  auto owned = std::make_shared<const SegmentData>(std::move(data));
  arrays_ = owned->arrays();
  owner_ = std::move(owned);
  summarise();
}

Segment::Segment(const SegmentArrays& arrays, std::shared_ptr<const void> owner)
    : owner_(std::move(owner)), arrays_(arrays) {
  summarise();
}

void Segment::summarise() {
  for (const std::uint32_t length : arrays_.lengths) {
    total_length_ += length;
    max_length_ = std::max(max_length_, length);
  }
  max_tf_ = kMaxCodedTf;
  for (const std::uint32_t tf : arrays_.large_tfs) max_tf_ = std::max(max_tf_, tf);
  code_ranges_ = lexical::code_ranges(arrays_.code_map, max_tf_);
}

std::optional<RowIndex> Segment::find_row(DocId id) const noexcept {
  const auto found = std::lower_bound(arrays_.ids.begin(), arrays_.ids.end(), id);
  if (found == arrays_.ids.end() || *found != id) return std::nullopt;
  return static_cast<RowIndex>(found - arrays_.ids.begin());
}

std::optional<std::uint32_t> Segment::find_term(std::string_view term, std::uint64_t hash) const noexcept {
  const std::span<const std::uint64_t> hashes = arrays_.term_hashes;
  if (hashes.empty()) return std::nullopt;
  // Hashes are uniform, so the position is known to about sqrt(n) / 2: start there and double the step.
  const auto guess = static_cast<std::size_t>((static_cast<unsigned __int128>(hash) * hashes.size()) >> 64);
  std::size_t low = guess;   // every position below `low` holds a smaller hash
  std::size_t high = guess;  // no position at or above `high` holds a smaller hash
  for (std::size_t step = 8; low > 0 && hashes[low - 1] >= hash; step *= 2) {
    high = low - 1;
    low -= std::min(low, step);
  }
  for (std::size_t step = 8; high < hashes.size() && hashes[high] < hash; step *= 2) {
    low = high + 1;
    high += std::min(hashes.size() - high, step);
  }
  const auto first = std::lower_bound(hashes.begin() + static_cast<std::ptrdiff_t>(low),
                                      hashes.begin() + static_cast<std::ptrdiff_t>(high), hash);
  for (auto t = static_cast<std::size_t>(first - hashes.begin()); t < hashes.size() && hashes[t] == hash; ++t) {
    if (this->term(t) == term) return static_cast<std::uint32_t>(t);
  }
  return std::nullopt;
}

std::uint32_t Segment::large_tf(std::uint64_t position) const noexcept {
  const auto found = std::lower_bound(arrays_.large_positions.begin(), arrays_.large_positions.end(), position);
  return arrays_.large_tfs[static_cast<std::size_t>(found - arrays_.large_positions.begin())];
}

Postings::Postings(const Segment& segment, std::uint32_t term) noexcept
    : segment_(&segment), begin_(segment.arrays().posting_offsets[term]), size_(segment.posting_count(term)) {
  const std::span<const std::uint32_t> offsets = segment.arrays().window_offsets;
  windows_ = segment.arrays().windows.subspan(offsets[term], offsets[term + 1] - offsets[term]);
}

PostingBlock Postings::block(std::size_t i) const noexcept {
  const std::uint64_t first = begin_ + (i == 0 ? 0 : windows_[i - 1].end);
  const std::size_t count = begin_ + windows_[i].end - first;
  const SegmentArrays& a = segment_->arrays();
  return {static_cast<RowIndex>(std::size_t{windows_[i].window} << kWindowBits), first, a.offsets.subspan(first, count),
          a.codes.subspan(first, count)};
}

std::optional<PostingBlock> Postings::block_of_window(std::size_t window) const noexcept {
  std::size_t i = std::min(window, windows_.size() - 1);  // where it is if the term occurs in every window
  if (windows_[i].window != window) {
    const auto at = std::lower_bound(windows_.begin(), windows_.begin() + static_cast<std::ptrdiff_t>(i), window,
                                     [](const PostingWindow& w, std::size_t wanted) { return w.window < wanted; });
    if (at->window != window) return std::nullopt;
    i = static_cast<std::size_t>(at - windows_.begin());
  }
  return block(i);
}

std::optional<std::uint64_t> Postings::find(RowIndex row) const noexcept {
  const std::optional<PostingBlock> b = block_of_window(row >> kWindowBits);
  if (!b) return std::nullopt;
  const std::optional<std::size_t> found = find_offset(*b, static_cast<std::uint16_t>(row & (kWindowRows - 1)));
  if (!found) return std::nullopt;
  return b->position + *found;
}

}  // namespace sightline::lexical
