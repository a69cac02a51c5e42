#include "lexical/exact_sums.h"

#include <algorithm>
#include <limits>
#include <numeric>

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
  for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    const RowIndex window = rows[begin] >> kWindowBits;
    while (end < rows.size() && rows[end] >> kWindowBits == window) ++end;
    if (coarse.empty()) {
      left_.assign(end - begin, std::numeric_limits<std::uint32_t>::max());
    } else {
      left_.assign(coarse.begin() + static_cast<std::ptrdiff_t>(begin), coarse.begin() + static_cast<std::ptrdiff_t>(end));
    }
    compute_window(segment, rows.subspan(begin, end - begin), sums.subspan(begin, end - begin));
  }
}

void ExactSums::compute_window(std::uint32_t number, std::span<const RowIndex> rows, std::span<double> sums) {
  const Segment& segment = *query_.snapshot().segments()[number].segment;
  const SegmentGains* const gains = tables_ != nullptr ? &tables_->segments[number] : nullptr;
  const Scorer& scorer = query_.scorer();
  const bool weighted = segment.arrays().weighted();
  const std::size_t window = rows.front() >> kWindowBits;
  const std::size_t count = rows.size();
  offsets_.resize(count);
  norms_.resize(count);
  open_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    offsets_[i] = static_cast<std::uint16_t>(rows[i] & (kWindowRows - 1));
    norms_[i] = weighted ? 0.0 : scorer.norm(segment.length(rows[i]));
    open_[i] = static_cast<std::uint32_t>(i);
  }
  gains_.assign(count * query_.terms().size(), kUntouched);
  for (const std::size_t t : order_) {
    const BoundQuery::Term& term = query_.terms()[t];
    if (!term.postings[number]) continue;
    const std::optional<std::size_t> at = term.postings[number]->find_window(window);
    if (!at) continue;
    look_up(*term.postings[number], *at, gains != nullptr ? CoarseUnits::of(gains->least(), factors_[t]) : 0);
    double* const of_term = gains_.data() + t * count;
    for (const Lookup& hit : hits_) {
      const double gain = weighted ? static_cast<double>(segment.arrays().values[hit.found.position])
                                   : scorer.gain_of_norm(segment.tf(hit.found), norms_[hit.row]);
      of_term[hit.row] = term.weight * gain;
      if (gains != nullptr) left_[hit.row] -= CoarseUnits::of(gains->upper()[hit.found.code], factors_[t]);
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

// Looks one term up for the rows that can have it, and leaves in hits_ those that do. In passes without a branch that is hard
// to predict, so that the look-ups overlap.
void ExactSums::look_up(const Postings& postings, std::size_t window, std::uint32_t least) {
  asked_.resize(open_.size());
  asked_offsets_.resize(open_.size());
  std::size_t asked = 0;
  for (const std::uint32_t i : open_) {
    asked_[asked] = i;
    asked_offsets_[asked] = offsets_[i];
    asked += left_[i] >= least ? 1 : 0;
  }
  found_.resize(asked);
  postings.find_in_window(window, {asked_offsets_.data(), asked}, found_.data());
  hits_.resize(asked);
  std::size_t hits = 0;
  for (std::size_t i = 0; i < asked; ++i) {
    hits_[hits] = {asked_[i], found_[i]};
    hits += found_[i].position != kNoPosition ? 1 : 0;
  }
  hits_.resize(hits);
}

}  // namespace sightline::lexical
