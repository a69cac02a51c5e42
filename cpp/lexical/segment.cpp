#include "lexical/segment.h"

#include <algorithm>
#include <array>
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
  if (row_count() != 0) {
    first_id_ = id(0);
    consecutive_ids_ = static_cast<std::uint64_t>(last_id() - first_id_) == row_count() - 1;  // since they ascend from 0 or more
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
  if (consecutive_ids_) {
    const std::uint64_t row = static_cast<std::uint64_t>(id) - static_cast<std::uint64_t>(first_id_);  // great for ids before
    return row < row_count() ? std::optional(static_cast<RowIndex>(row)) : std::nullopt;
  }
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

// Where a hash is among so many, which are uniform: to about sqrt(n) / 2.
std::size_t guess_place(std::uint64_t hash, std::size_t count) noexcept {
  return static_cast<std::size_t>((static_cast<unsigned __int128>(hash) * count) >> 64);
}

// The same from the hash that is at the guess: to about the root of the guess's error, a cache line or two.
std::size_t guess_again(std::uint64_t hash, std::uint64_t at_guess, std::size_t guess, std::size_t count) noexcept {
  const auto distance = static_cast<std::int64_t>(hash - at_guess);
  const auto moved = static_cast<std::int64_t>((static_cast<__int128>(distance) * static_cast<std::int64_t>(count)) >> 64);
  const std::int64_t last = static_cast<std::int64_t>(count) - 1;
  return static_cast<std::size_t>(std::clamp(static_cast<std::int64_t>(guess) + moved, std::int64_t{0}, last));
}

template <typename T>
void prefetch(const T* at) noexcept {
  __builtin_prefetch(at);
}

}  // namespace

// Each pass reads what the pass before it has asked for.
void Segment::find_terms(std::span<const WantedTerm> wanted, std::optional<std::uint32_t>* found) const noexcept {
  if (packed() || term_count() == 0) {
    for (std::size_t i = 0; i < wanted.size(); ++i) found[i] = find_term(wanted[i].term, wanted[i].hash);
    return;
  }
  constexpr std::size_t kAtOnce = 16;
  constexpr std::size_t kHashesPerLine = 8;
  const std::uint64_t* const hashes = arrays_.term_hashes.data();
  const std::size_t count = arrays_.term_hashes.size();
  std::array<std::size_t, kAtOnce> places;
  for (std::size_t begin = 0; begin < wanted.size(); begin += kAtOnce) {
    const std::span<const WantedTerm> some = wanted.subspan(begin, std::min(kAtOnce, wanted.size() - begin));
    for (std::size_t i = 0; i < some.size(); ++i) {
      places[i] = guess_place(some[i].hash, count);
      prefetch(hashes + places[i]);
    }
    for (std::size_t i = 0; i < some.size(); ++i) {
      places[i] = guess_again(some[i].hash, hashes[places[i]], places[i], count);
      prefetch(hashes + places[i]);
      prefetch(hashes + places[i] - std::min(kHashesPerLine / 2, places[i]));
      prefetch(hashes + std::min(count - 1, places[i] + kHashesPerLine / 2));
    }
    for (std::size_t i = 0; i < some.size(); ++i) {
      places[i] = first_not_less(count, some[i].hash, places[i], [hashes](std::size_t t) { return hashes[t]; });
      if (places[i] == count || hashes[places[i]] != some[i].hash) continue;
      prefetch(arrays_.term_offsets.data() + places[i]);
      prefetch(arrays_.posting_offsets.data() + places[i]);
      prefetch(arrays_.window_offsets.data() + places[i]);
    }
    for (std::size_t i = 0; i < some.size(); ++i) {
      if (places[i] == count || hashes[places[i]] != some[i].hash) continue;
      prefetch(arrays_.term_bytes.data() + arrays_.term_offsets[places[i]]);
      prefetch(arrays_.windows.data() + arrays_.window_offsets[places[i]]);
      prefetch(arrays_.offsets.data() + arrays_.posting_offsets[places[i]]);
      prefetch(arrays_.codes.data() + arrays_.posting_offsets[places[i]]);
    }
    for (std::size_t i = 0; i < some.size(); ++i) {
      std::size_t t = places[i];
      while (t < count && hashes[t] == some[i].hash && term(t) != some[i].term) ++t;
      const bool there = t < count && hashes[t] == some[i].hash;
      found[begin + i] = there ? std::optional(static_cast<std::uint32_t>(t)) : std::nullopt;
    }
  }
}

std::optional<std::uint32_t> Segment::find_term(std::string_view term, std::uint64_t hash) const noexcept {
  const auto find = [&](std::uint64_t kept, const auto& hash_of) -> std::optional<std::uint32_t> {
    const std::size_t count = term_count();
    // Hashes are uniform, so the position is known to about sqrt(n) / 2: start there and double the step.
    const std::size_t guess = guess_place(hash, count);
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
