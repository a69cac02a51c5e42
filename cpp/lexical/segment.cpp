#include "lexical/segment.h"

#include <algorithm>
#include <ranges>

#include "lexical/word_table.h"

namespace sightline::lexical {

SegmentArrays SegmentData::arrays() const noexcept {
  return {ids,     lengths, term_hashes, term_offsets,    term_bytes, posting_offsets, window_offsets,
          windows, offsets, codes,       large_positions, large_tfs,  code_map.view(), values, value_bounds,
          {tokens.begins, tokens.bytes}, packed.arrays()};
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
  std::vector<std::uint32_t> unpacked_lengths;
  if (packed()) {
    open_packed();
    for (RowIndex row = 0; row < row_count(); ++row) unpacked_lengths.push_back(length(row));
    packed_.row_codes = RowCodes(arrays_.code_map, length_classes(arrays_.code_map.class_begins, unpacked_lengths));
  }
  for (const std::uint32_t length : packed() ? std::span<const std::uint32_t>(unpacked_lengths) : arrays_.lengths) {
    total_length_ += length;
    max_length_ = std::max(max_length_, length);
  }
  max_tf_ = kMaxCodedTf;
  for (const std::uint32_t tf : arrays_.large_tfs) max_tf_ = std::max(max_tf_, tf);
  code_ranges_ = lexical::code_ranges(arrays_.code_map, max_tf_);
}

void Segment::open_packed() {
  const PackedArrays& p = arrays_.packed;
  packed_.ids = {p.ids, p.row_count, 1};
  packed_.lengths = {p.lengths, p.row_count, 0};
  packed_.hash_heads = {p.hash_heads, p.term_count, 0};
  packed_.term_offsets = {p.term_offsets, p.term_count + 1, 0};
  packed_.list_offsets = {p.list_offsets, p.term_count + 1, 0};
}

std::optional<RowIndex> Segment::find_row(DocId id) const noexcept {
  const auto rows = std::views::iota(std::size_t{0}, row_count());
  const auto found = std::ranges::partition_point(rows, [&](std::size_t row) { return this->id(static_cast<RowIndex>(row)) < id; });
  if (found == rows.end() || this->id(static_cast<RowIndex>(*found)) != id) return std::nullopt;
  return static_cast<RowIndex>(*found);
}

std::uint64_t Segment::term_hash(std::size_t t) const noexcept { return packed() ? word_hash(term(t)) : arrays_.term_hashes[t]; }

namespace {

// The first of terms in the order of their hashes whose hash is not less; hash_of(t) is what is kept of a hash.
template <typename HashOf>
std::size_t first_not_less(std::size_t count, std::uint64_t hash, std::size_t guess, const HashOf& hash_of) noexcept {
  std::size_t low = guess;   // every position below `low` holds a smaller hash
  std::size_t high = guess;  // no position at or above `high` holds a smaller hash
  for (std::size_t step = 8; low > 0 && hash_of(low - 1) >= hash; step *= 2) {
    high = low - 1;
    low -= std::min(low, step);
  }
  for (std::size_t step = 8; high < count && hash_of(high) < hash; step *= 2) {
    low = high + 1;
    high += std::min(count - high, step);
  }
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (hash_of(middle) < hash) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

std::optional<std::uint32_t> Segment::find_term(std::string_view term, std::uint64_t hash) const noexcept {
  const auto find = [&](std::uint64_t kept, const auto& hash_of) -> std::optional<std::uint32_t> {
    const std::size_t count = term_count();
    // Hashes are uniform, so the position is known to about sqrt(n) / 2: start there and double the step.
    const auto guess = static_cast<std::size_t>((static_cast<unsigned __int128>(hash) * count) >> 64);
    for (std::size_t t = first_not_less(count, kept, guess, hash_of); t < count && hash_of(t) == kept; ++t) {
      if (this->term(t) == term) return static_cast<std::uint32_t>(t);
    }
    return std::nullopt;
  };
  if (packed()) return find(hash >> 32, [this](std::size_t t) { return packed_.hash_heads[t]; });
  return find(hash, [this](std::size_t t) { return arrays_.term_hashes[t]; });
}

std::size_t Segment::posting_count(std::uint32_t term) const noexcept {
  if (packed()) return read_header(list(term)).count;
  return arrays_.posting_offsets[term + 1] - arrays_.posting_offsets[term];
}

std::uint32_t Segment::large_tf(std::uint64_t position) const noexcept {
  const auto found = std::lower_bound(arrays_.large_positions.begin(), arrays_.large_positions.end(), position);
  return arrays_.large_tfs[static_cast<std::size_t>(found - arrays_.large_positions.begin())];
}

}  // namespace sightline::lexical
