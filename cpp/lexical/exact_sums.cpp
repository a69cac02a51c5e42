#include "lexical/exact_sums.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

namespace sightline::lexical {

ExactSums::ExactSums(const BoundQuery& query) : query_(query), tables_(nullptr), order_(query.terms().size()) {
  std::iota(order_.begin(), order_.end(), std::size_t{0});
}

ExactSums::ExactSums(const BoundQuery& query, const GainTables& tables, CoarseUnits units) : ExactSums(query) {
  tables_ = &tables;
  const std::vector<BoundQuery::Term>& terms = query.terms();
  for (const BoundQuery::Term& term : terms) factors_.push_back(units.factor(term.weight));
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    return terms[a].weight != terms[b].weight ? terms[a].weight > terms[b].weight : a < b;
  });
}

void ExactSums::compute(std::uint32_t segment, std::span<const RowIndex> rows, std::span<const std::uint32_t> coarse,
                        std::span<double> sums) {
  for (std::size_t begin = 0; begin < rows.size(); begin += kRowsAtOnce) {
    const std::size_t count = std::min(kRowsAtOnce, rows.size() - begin);
    compute_part(segment, rows.subspan(begin, count), coarse.empty() ? coarse : coarse.subspan(begin, count),
                 sums.subspan(begin, count));
  }
}

// Term by term over all windows: what a loop costs before it starts and when it ends is then paid once for many rows.
void ExactSums::compute_part(std::uint32_t number, std::span<const RowIndex> rows, std::span<const std::uint32_t> coarse,
                             std::span<double> sums) {
  const Segment& segment = *query_.snapshot().segments()[number].segment;
  const SegmentGains* const gains = tables_ != nullptr ? &tables_->segments[number] : nullptr;
  const Scorer& scorer = query_.scorer();
  const bool weighted = segment.arrays().weighted();
  const std::size_t count = rows.size();
  if (coarse.empty()) {
    left_.assign(count, std::numeric_limits<std::uint32_t>::max());
  } else {
    left_.assign(coarse.begin(), coarse.end());
  }
  set_rows(rows);
  norms_.resize(count);
  for (std::size_t i = 0; i < count; ++i) norms_[i] = weighted ? 0.0 : scorer.norm(segment.length(rows[i]));
  gains_.assign(count * query_.terms().size(), kUntouched);
  for (const std::size_t t : order_) {
    const BoundQuery::Term& term = query_.terms()[t];
    if (!term.postings[number]) continue;
    look_up(*term.postings[number], gains != nullptr ? CoarseUnits::of(gains->least(), factors_[t]) : 0);
    double* const of_term = gains_.data() + t * count;
    const double* const norms = norms_.data();
    std::uint32_t* const left = left_.data();
    for (const Lookup& hit : hits_) {
      const double gain = weighted ? static_cast<double>(segment.arrays().values[hit.found.position])
                                   : scorer.gain_of_norm(segment.tf(hit.found), norms[hit.row]);
      of_term[hit.row] = term.weight * gain;
      if (gains != nullptr) left[hit.row] -= CoarseUnits::of(gains->upper()[hit.found.code], factors_[t]);
    }
    if (hits_.empty()) continue;
    std::size_t kept = 0;
    for (const std::uint32_t i : open_) {
      open_[kept] = i;
      kept += left_[i] != 0 ? 1 : 0;
    }
    open_.resize(kept);
    if (kept == 0) break;
  }
  // The order of the query, whatever the order of the look-ups. Adding kUntouched, negative zero, changes no number.
  std::fill(sums.begin(), sums.end(), kUntouched);
  for (std::size_t t = 0; t < query_.terms().size(); ++t) {
    for (std::size_t i = 0; i < count; ++i) sums[i] += gains_[t * count + i];
  }
}

void ExactSums::set_rows(std::span<const RowIndex> rows) {
  const std::size_t count = rows.size();
  windows_.clear();
  window_of_.resize(count);
  offsets_.resize(count);
  open_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t window = rows[i] >> kWindowBits;
    if (windows_.empty() || windows_.back().window != window) windows_.push_back({nullptr, nullptr, 0, 0, 0, window});
    window_of_[i] = static_cast<std::uint32_t>(windows_.size() - 1);
    offsets_[i] = static_cast<std::uint16_t>(rows[i] & (kWindowRows - 1));
    open_[i] = static_cast<std::uint32_t>(i);
  }
}

// Looks one term up for the rows that can have it, and leaves in hits_ those that do. In passes without a branch that is hard
// to predict, so that the look-ups overlap.
void ExactSums::look_up(const Postings& postings, std::uint32_t least) {
  const bool packed = postings.packed();
  for (WindowPart& part : windows_) {
    const std::optional<std::size_t> at = postings.find_window(part.window);
    part.size = at ? static_cast<std::uint32_t>(postings.window_size(*at)) : 0;
    part.at = static_cast<std::uint32_t>(at.value_or(0));
    if (packed || !at) continue;
    const PostingBlock block = postings.block(*at, buffer_);
    part.offsets = block.offsets.data();
    part.codes = block.codes.data();
    part.position = block.position;
  }
  choose_asked(least);
  if (packed) {
    find_asked_packed(postings);
  } else {
    find_asked();
  }
}

// Plain pointers here and below: a store through one vector might, for all the compiler knows, change where the others lie.
void ExactSums::choose_asked(std::uint32_t least) {
  asked_.resize(open_.size());
  wanted_.resize(open_.size());
  const WindowPart* const windows = windows_.data();
  const std::uint32_t* const window_of = window_of_.data();
  const std::uint32_t* const left = left_.data();
  const std::uint16_t* const offsets = offsets_.data();
  std::uint32_t* const asked = asked_.data();
  WantedOffset* const wanted = wanted_.data();
  std::size_t count = 0;
  for (const std::uint32_t i : open_) {
    const WindowPart& part = windows[window_of[i]];
    asked[count] = i;
    wanted[count] = {part.offsets, part.size, offsets[i]};
    count += static_cast<std::size_t>(left[i] >= least) & static_cast<std::size_t>(part.size != 0);
  }
  asked_.resize(count);
  wanted_.resize(count);
}

void ExactSums::find_asked() {
  const std::size_t count = asked_.size();
  places_.resize(count);
  find_offsets(wanted_, places_.data());
  hits_.resize(count);
  const WindowPart* const windows = windows_.data();
  const std::uint32_t* const window_of = window_of_.data();
  const std::uint32_t* const asked = asked_.data();
  const std::uint32_t* const places = places_.data();
  Lookup* const hits = hits_.data();
  std::size_t found = 0;
  for (std::size_t a = 0; a < count; ++a) {
    const bool there = places[a] != kNotThere;
    const std::size_t at = there ? places[a] : 0;
    const WindowPart& part = windows[window_of[asked[a]]];
    hits[found] = {asked[a], {part.position + at, part.codes[at]}};
    found += there ? 1 : 0;
  }
  hits_.resize(found);
}

void ExactSums::find_asked_packed(const Postings& postings) {
  hits_.clear();
  for (std::size_t begin = 0, end = 0; begin < asked_.size(); begin = end) {
    const std::uint32_t window = window_of_[asked_[begin]];
    asked_offsets_.clear();
    for (; end < asked_.size() && window_of_[asked_[end]] == window; ++end) asked_offsets_.push_back(offsets_[asked_[end]]);
    found_.resize(asked_offsets_.size());
    postings.find_in_window(windows_[window].at, asked_offsets_, found_.data());
    for (std::size_t i = begin; i < end; ++i) {
      if (found_[i - begin].position != kNoPosition) hits_.push_back({asked_[i], found_[i - begin]});
    }
  }
}

}  // namespace sightline::lexical
