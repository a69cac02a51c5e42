#include "lexical/few_postings.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

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

void add_segment(const BoundQuery& query, std::uint32_t number, const RowFilter* filter, MetRows& met, std::vector<MetRow>& rows) {
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
  met.reset(posting_count);
  for (const BoundQuery::Term& term : query.terms()) {
    if (!term.postings[number]) continue;
    const auto visit = [&](const auto& keep) {
      term.postings[number]->for_each([&](RowIndex row, const FoundPosting& posting) {
        if (allowed == nullptr || allowed->test(row)) keep(row, term.weight * segment.gain(query.scorer(), row, posting));
      });
    };
    if (term_count == 1) {
      visit([&](RowIndex row, double gain) { met.append(row, gain); });
    } else {
      visit([&](RowIndex row, double gain) { met.add(row, gain); });
    }
  }
  for (std::size_t i = 0; i < met.size(); ++i) rows.push_back({query.score(met.sum(i)), number, met.row(i)});
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
  thread_local MetRows met;
  thread_local std::vector<MetRow> rows;
  rows.clear();
  const std::vector<SegmentView>& segments = query.snapshot().segments();
  for (std::uint32_t s = 0; s < segments.size(); ++s) add_segment(query, s, filter, met, rows);
  if (rows.size() > k) keep_best(rows, k);
  std::vector<Hit> hits;
  hits.reserve(rows.size());
  for (const MetRow& r : rows) hits.push_back({r.score, segments[r.segment].segment->id(r.row)});
  sort_hits(hits);
  if (hits.size() > k) hits.resize(k);
  return hits;
}

}  // namespace sightline::lexical
