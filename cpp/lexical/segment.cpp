#include "lexical/segment.h"

#include <algorithm>
#include <numeric>

namespace sightline::lexical {

SegmentArrays SegmentData::arrays() const noexcept {
  return {ids,  lengths, term_hashes, term_offsets, term_bytes, posting_offsets, rows, {narrow_codes, wide_codes},
          pairs};
}

Segment::Segment(SegmentData data) {
  auto owned = std::make_shared<const SegmentData>(std::move(data));
  arrays_ = owned->arrays();
  owner_ = std::move(owned);
  total_length_ = std::accumulate(arrays_.lengths.begin(), arrays_.lengths.end(), std::uint64_t{0});
}

Segment::Segment(const SegmentArrays& arrays, std::shared_ptr<const void> owner)
    : owner_(std::move(owner)),
      arrays_(arrays),
      total_length_(std::accumulate(arrays.lengths.begin(), arrays.lengths.end(), std::uint64_t{0})) {}

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

Postings Segment::postings(std::uint32_t term) const noexcept {
  const std::uint64_t begin = arrays_.posting_offsets[term];
  const std::uint64_t count = arrays_.posting_offsets[term + 1] - begin;
  Postings result{arrays_.rows.subspan(begin, count), {}};
  if (arrays_.codes.wide.empty()) {
    result.codes.narrow = arrays_.codes.narrow.subspan(begin, count);
  } else {
    result.codes.wide = arrays_.codes.wide.subspan(begin, count);
  }
  return result;
}

std::optional<std::size_t> find_posting(std::span<const RowIndex> rows, RowIndex row) noexcept {
  const auto found = std::lower_bound(rows.begin(), rows.end(), row);
  if (found == rows.end() || *found != row) return std::nullopt;
  return static_cast<std::size_t>(found - rows.begin());
}

}  // namespace sightline::lexical
