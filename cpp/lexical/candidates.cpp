#include "lexical/candidates.h"

#include <cmath>
#include <limits>

#include "topk/sort_hits.h"

namespace sightline::lexical {
namespace {

// Where so many documents tie, or nearly, that no threshold parts them, reading every posting exactly is cheaper than to score
// each candidate by look-ups: more candidates than all of these end the search.
constexpr std::size_t kMaxCandidates = 4096;
constexpr std::size_t kMaxCandidatesPerHit = 64;
constexpr std::uint64_t kPostingsPerCandidate = 16;

// What is not greater than this cannot round to a score that reaches the threshold.
double bound_below(float threshold) noexcept {
  return static_cast<double>(std::nextafter(threshold, -std::numeric_limits<float>::infinity()));
}

}  // namespace

Candidates::Candidates(const BoundQuery& query, std::size_t k, const GainTables& tables, double scale)
    : query_(query),
      exact_sums_(query, tables, CoarseUnits(scale)),
      k_(k),
      scale_(scale),
      most_(std::max({kMaxCandidates, kMaxCandidatesPerHit * k,
                      static_cast<std::size_t>(query.posting_count() / kPostingsPerCandidate)})),
      next_prune_(prune_size()),
      histogram_(k) {
  found_.clear();
  found_.reserve(std::min(next_prune_, kMaxCandidates));
}

void Candidates::restart() noexcept {
  found_.clear();
  certain_ = true;
  threshold_ = 0;
  greatest_limit_ = 1;
  histogram_ = BoundHistogram(k_);
  next_prune_ = prune_size();
}

// Where candidates within the error of the bounds remain many, the least exact score of the k best gives a better limit.
void Candidates::prune() {
  drop_below(limit());
  if (found_.size() >= next_prune_ || found_.size() > most_) {
    const std::span<const float> scores = score_best();
    if (scores.size() == k_) raise_exact_limit(*std::min_element(scores.begin(), scores.end()));
    found_.insert(found_.end(), best_.begin(), best_.end());
    drop_below(limit());
  }
  overwhelmed_ = found_.size() > most_;
  next_prune_ = std::max(prune_size(), 2 * found_.size());  // geometric: no pruning in vain again and again
}

// Moves the k candidates of the greatest bounds, or all if they are fewer, from found_ to best_, and computes their scores.
std::span<const float> Candidates::score_best() {
  const std::uint32_t last_bucket = histogram_.kth_bucket();
  std::size_t room = k_ - std::min(k_, histogram_.above());
  best_.resize(k_ < found_.size() ? k_ : found_.size());
  std::size_t best = 0;
  std::size_t kept = 0;
  // Which candidates are taken cannot be predicted, so there is no branch on it. Once k are taken, the rest goes nowhere.
  std::uint64_t beyond = 0;
  for (const std::uint64_t c : found_) {
    const std::uint32_t bucket = BoundHistogram::bucket(upper(c));
    const std::size_t fits = bucket == last_bucket && room > 0 ? 1 : 0;
    const std::size_t taken = fits | (bucket > last_bucket ? 1 : 0);
    *(best < best_.size() ? &best_[best] : &beyond) = c;
    found_[kept] = c;
    best += taken;
    kept += 1 - taken;
    room -= fits;
  }
  best_.resize(best);
  found_.resize(kept);
  score(best_);
  return scores_;
}

std::vector<Hit> Candidates::finish() {
  std::vector<Hit> hits;
  drop_below(limit());
  const auto append = [&](std::span<const std::uint64_t> candidates) {
    for (std::size_t i = 0; i < candidates.size(); ++i) hits.push_back({scores_[i], id(candidates[i])});
  };
  const std::span<const float> scores = score_best();
  hits.reserve(best_.size() + found_.size());
  append(best_);
  if (scores.size() == k_) {
    raise_exact_limit(*std::min_element(scores.begin(), scores.end()));
    drop_below(exact_limit_);  // few are left
  }
  score(found_);
  append(found_);
  sort_hits(hits);
  if (hits.size() >= k_) {
    hits.resize(k_);
    raise_exact_limit(hits.back().score);
  }
  return hits;
}

// At least k documents have this score or a greater one: a bound below the limit is too small for it even when rounded.
void Candidates::raise_exact_limit(float score) noexcept {
  const double units = (bound_below(score) - query_.base()) * scale_ * (1 - 0x1p-40);
  if (units >= 1) exact_limit_ = std::max(exact_limit_, static_cast<std::uint32_t>(std::min(units, 65535.0)));
}

void Candidates::drop_below(std::uint32_t limit) {
  const std::uint64_t least = std::uint64_t{limit} << 48;
  std::size_t kept = 0;
  for (const std::uint64_t c : found_) {
    found_[kept] = c;
    kept += c >= least ? 1 : 0;
  }
  found_.resize(kept);
}

// Leaves the exact scores of candidates in scores_, aligned with them.
void Candidates::score(std::span<const std::uint64_t> candidates) {
  const std::size_t count = candidates.size();
  rows_.resize(count);
  uppers_.resize(count);
  sums_.resize(count);
  scores_.resize(count);
  for (std::size_t i = 0; i < count; ++i) rows_[i] = row(candidates[i]);
  for (std::size_t i = 0; i < count; ++i) uppers_[i] = upper(candidates[i]);
  for (std::size_t begin = 0, end = 0; begin < count; begin = end) {
    const std::uint32_t number = segment(candidates[begin]);
    while (end < count && segment(candidates[end]) == number) ++end;
    const auto part = [=](auto& values) { return std::span(values).subspan(begin, end - begin); };
    exact_sums_.compute(number, part(rows_), part(uppers_), part(sums_));
  }
  for (std::size_t i = 0; i < count; ++i) scores_[i] = query_.score(sums_[i]);
}

}  // namespace sightline::lexical
