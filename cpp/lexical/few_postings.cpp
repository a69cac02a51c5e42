#include "lexical/few_postings.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>

#include "topk/sort_hits.h"

namespace sightline::lexical {
namespace {

// The documents of one segment that have a term, in the order in which they are met, and where each of them is.
class MetRows {
 public:
  // Empties the table, with room for so many rows.
  void reset(std::size_t most) {
    bits_ = static_cast<std::uint32_t>(std::bit_width(2 * most));  // at most half of the places are taken
    places_.assign(std::size_t{1} << bits_, kFree);
    rows_.resize(most);
    sums_.resize(most);
    count_ = 0;
  }
  std::size_t size() const noexcept { return count_; }
  RowIndex row(std::size_t i) const noexcept { return rows_[i]; }
  double sum(std::size_t i) const noexcept { return sums_[i]; }

  // Of a row that has not been met.
  void append(RowIndex row, double gain) noexcept {
    rows_[count_] = row;
    sums_[count_++] = kUntouched + gain;
  }
  void add(RowIndex row, double gain) noexcept {
    std::size_t place = first_place(row);
    for (; places_[place] != kFree; place = (place + 1) & (places_.size() - 1)) {
      double& sum = sums_[places_[place]];
      if (rows_[places_[place]] != row) continue;
      sum += gain;
      return;
    }
    places_[place] = static_cast<std::uint16_t>(count_);
    append(row, gain);
  }

 private:
  static constexpr std::uint16_t kFree = 0xFFFF;
  static_assert(kMostFewPostings < kFree);
  std::size_t first_place(RowIndex row) const noexcept { return row * 0x9E3779B1U >> (32 - bits_); }

  std::uint32_t bits_ = 1;
  std::size_t count_ = 0;
  std::vector<std::uint16_t> places_;  // open addressing, linear probing
  std::vector<RowIndex> rows_;
  std::vector<double> sums_;
};

struct MetRow {
  float score;
  std::uint32_t segment;
  RowIndex row;
};

// What a search keeps; each thread that ever searched has one.
struct Room {
  MetRows met;
  std::vector<MetRow> rows;
  // Of one term, aligned:
  std::vector<RowIndex> term_rows;
  std::vector<double> frequencies;
  std::vector<double> lengths;
  std::vector<double> gains;
};

// What the term adds to the score of each row that has it and is allowed: rows in room.term_rows, gains in room.gains. Returns
// how many. Step by step, so that what is waited for, lengths and divisions, overlaps.
std::size_t compute_gains(const BoundQuery& query, const Segment& segment, const BoundQuery::Term& term, const Postings& postings,
                          const Bitset* allowed, Room& room) {
  if (room.gains.size() < postings.size()) {
    room.term_rows.resize(postings.size());
    for (std::vector<double>* values : {&room.frequencies, &room.lengths, &room.gains}) values->resize(postings.size());
  }
  RowIndex* const rows = room.term_rows.data();
  double* const frequencies = room.frequencies.data();
  double* const lengths = room.lengths.data();
  double* const gains = room.gains.data();
  std::size_t count = 0;
  const auto take = [&](RowIndex row) {
    rows[count] = row;
    count += allowed == nullptr || allowed->test(row) ? 1 : 0;
  };
  if (segment.arrays().weighted()) {
    postings.for_each([&](RowIndex row, const FoundPosting& posting) {
      gains[count] = static_cast<double>(segment.arrays().values[posting.position]);
      take(row);
    });
  } else {
    postings.for_each([&](RowIndex row, const FoundPosting& posting) {
      frequencies[count] = segment.tf(posting);
      lengths[count] = segment.length(row);
      take(row);
    });
    query.scorer().gains({frequencies, count}, {lengths, count}, gains);
  }
  for (std::size_t i = 0; i < count; ++i) gains[i] *= term.weight;
  return count;
}

void add_segment(const BoundQuery& query, std::uint32_t number, const RowFilter* filter, Room& room) {
  const SegmentView& view = query.snapshot().segments()[number];
  const Segment& segment = *view.segment;
  const Bitset* allowed = view.tombstones ? &view.tombstones->live() : nullptr;
  if (filter != nullptr) allowed = &filter->allowed[number];
  std::size_t posting_count = 0;
  std::size_t term_count = 0;
  for (const BoundQuery::Term& term : query.terms()) {
    posting_count += term.postings[number] ? term.postings[number]->size() : 0;
    term_count += term.postings[number] ? 1 : 0;
  }
  if (posting_count == 0) return;
  MetRows& met = room.met;
  met.reset(posting_count);
  for (const BoundQuery::Term& term : query.terms()) {
    if (!term.postings[number]) continue;
    const std::size_t count = compute_gains(query, segment, term, *term.postings[number], allowed, room);
    for (std::size_t i = 0; i < count; ++i) {
      if (term_count == 1) {
        met.append(room.term_rows[i], room.gains[i]);
      } else {
        met.add(room.term_rows[i], room.gains[i]);
      }
    }
  }
  for (std::size_t i = 0; i < met.size(); ++i) room.rows.push_back({query.score(met.sum(i)), number, met.row(i)});
}

// Leaves the k best and those near the k-th, or all. Precondition: more than k.
void keep_best(std::vector<MetRow>& rows, std::size_t k) {
  constexpr std::size_t kBuckets = 256;
  float greatest = 0;
  for (const MetRow& r : rows) greatest = std::max(greatest, r.score);
  const float scale = (kBuckets - 1) / greatest;
  if (!(scale > 0) || !std::isfinite(scale)) return;
  // Never falls as the score rises. Scores are not negative.
  const auto bucket = [scale](float score) { return std::min(static_cast<std::size_t>(score * scale), kBuckets - 1); };
  std::array<std::uint32_t, kBuckets> counts{};
  for (const MetRow& r : rows) ++counts[bucket(r.score)];
  std::size_t lowest = kBuckets - 1;
  for (std::size_t above = counts[lowest]; above < k; above += counts[lowest]) --lowest;
  std::size_t kept = 0;
  for (const MetRow r : rows) {
    rows[kept] = r;
    kept += bucket(r.score) >= lowest ? 1 : 0;
  }
  rows.resize(kept);
}

}  // namespace

std::vector<Hit> search_few_postings(const BoundQuery& query, std::size_t k, const RowFilter* filter) {
  thread_local const auto held = std::make_unique<Room>();  // by a pointer: see coarse.cpp
  Room& room = *held;
  std::vector<MetRow>& rows = room.rows;
  rows.clear();
  const std::vector<SegmentView>& segments = query.snapshot().segments();
  for (std::uint32_t s = 0; s < segments.size(); ++s) add_segment(query, s, filter, room);
  if (rows.size() > k) keep_best(rows, k);
  std::vector<Hit> hits;
  hits.reserve(rows.size());
  for (const MetRow& r : rows) hits.push_back({r.score, segments[r.segment].segment->id(r.row)});
  sort_hits(hits);
  if (hits.size() > k) hits.resize(k);
  return hits;
}

}  // namespace sightline::lexical
