#include "hybrid/fused_query.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <functional>

#include "dense/bound.h"
#include "parallel/thread_pool.h"

namespace sightline::hybrid {
namespace {

using dense::Candidate;

// The depth of the lexical list. Each entry costs a vector to be read, and a longer list spares the dense scan rows: at k = 10
// on 100,000 titles a depth of 16 leaves 600 of them, 48 leaves 430, which get lexical scores, and about 50 are read.
constexpr std::size_t kLeastDepth = 16;
constexpr std::size_t kDepthPerHit = 2;
constexpr std::size_t kGrowth = 4;
// The rank by which rows are dropped before theta is known: few of what the scan met by then, many of the whole. There, one
// query of 300 was missed at a rank of 16, none at 32.
constexpr std::size_t kLeastRank = 32;
constexpr std::size_t kRankPerHit = 3;
// Candidates of one worker before its list is looked through, and before it is scored during the scan.
constexpr std::size_t kLeastCapacity = 256;
constexpr std::size_t kMostCandidates = 4096;
constexpr std::size_t kPrefetchRows = 4;  // how far ahead of scoring a row it is asked for
constexpr std::size_t kCandidatesToShare = 128;  // fewer are looked up before another thread is awake

// The k-th greatest value, if there are so many. Changes their order.
template <typename Value>
std::optional<Value> kth_greatest(std::vector<Value>& values, std::size_t k) {
  if (values.size() < k) return std::nullopt;
  const auto kth = values.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(values.begin(), kth, values.end(), std::greater<>());
  return *kth;
}

std::optional<float> kth_lower_bound(const std::vector<Candidate>& candidates, std::size_t k, std::vector<float>& lowers) {
  lowers.resize(candidates.size());
  std::transform(candidates.begin(), candidates.end(), lowers.begin(), [](const Candidate& c) { return c.lower; });
  return kth_greatest(lowers, k);
}

}  // namespace

FusedQuery::FusedQuery(const Engines& engines, const Convex& convex, const float* vector, const lexical::Query& terms,
                       std::size_t k, const lexical::RowFilter* filter)
    : engines_(engines),
      convex_(convex),
      k_(k),
      filter_(filter),
      bound_(engines.lexical.bind(terms)),
      scorer_(engines.dense, vector),
      top_(k) {}

std::size_t FusedQuery::provisional_rank(std::size_t k) noexcept { return std::max(kLeastRank, kRankPerHit * k); }

std::size_t FusedQuery::least_capacity(const Engines& engines, std::size_t k) noexcept {
  return std::max(kLeastCapacity, 2 * provisional_rank(std::min(k, engines.dense.live_count() + 1)));
}

std::size_t FusedQuery::most_bytes(const Engines& engines, std::size_t k, std::size_t workers) noexcept {
  // A list doubles until it has room for kMostCandidates, and is then scored when it is full.
  const std::size_t candidates = std::max(2 * least_capacity(engines, k), 2 * kMostCandidates);
  const std::size_t each = sizeof(dense::Candidate) + sizeof(float) + sizeof(double) + sizeof(Open) + sizeof(DocId) + sizeof(double);
  const std::size_t hits = std::min(k, engines.dense.live_count() + engines.lexical.rows().statistics().document_count);
  return (workers + 1) * (candidates * each + hits * sizeof(FusedHit)) + kDepthPerHit * hits * sizeof(FusedHit);
}

FusedHit FusedQuery::fused(DocId id, std::optional<float> dense, float lexical) const noexcept {
  return {convex_.combine(static_cast<double>(dense.value_or(0.0F)), static_cast<double>(lexical)), id,
          dense.value_or(std::numeric_limits<float>::quiet_NaN()), lexical};
}

void FusedQuery::raise(double fused) noexcept {
  double current = theta();
  while (fused > current && !theta_.compare_exchange_weak(current, fused, std::memory_order_relaxed)) {
  }
}

void FusedQuery::search_listed(std::size_t depth) {
  const std::vector<Hit> hits = bound_->search(depth, filter_);
  depth_ = depth;
  complete_ = hits.size() < depth;
  rest_ = complete_ ? 0.0F : hits.back().score;
  std::vector<std::optional<dense::RowAddress>> addresses(hits.size());
  for (std::size_t i = 0; i < hits.size(); ++i) addresses[i] = engines_.dense.find(hits[i].id);
  listed_hits_.clear();
  listed_ids_.clear();
  for (std::size_t i = 0; i < hits.size(); ++i) {
    if (i + kPrefetchRows < hits.size() && addresses[i + kPrefetchRows]) scorer_.prefetch(*addresses[i + kPrefetchRows]);
    std::optional<float> cosine;
    if (addresses[i]) cosine = scorer_(*addresses[i]);
    listed_hits_.push_back(fused(hits[i].id, cosine, hits[i].score));
    listed_ids_.push_back(hits[i].id);
  }
  std::sort(listed_ids_.begin(), listed_ids_.end());
}

void FusedQuery::list() {
  search_listed(std::max(kLeastDepth, kDepthPerHit * std::min(k_, engines_.lexical.rows().statistics().document_count + 1)));
  for (const FusedHit& hit : listed_hits_) top_.push(hit);
  raise(top_.threshold());
  listed_.store(true, std::memory_order_release);
}

float FusedQuery::dense_threshold() const noexcept {
  const double least = theta();
  const auto rest = static_cast<double>(rest_);
  const auto reaches = [&](float dense) { return !(convex_.combine(static_cast<double>(dense), rest) < least); };
  if (reaches(-FLT_MAX)) return kNoScore;
  if (!reaches(FLT_MAX)) return std::numeric_limits<float>::infinity();
  // Solved for the dense score, then lowered until no rounding can matter.
  const double solved = (least - (1.0 - convex_.alpha) * (rest / convex_.scale)) / convex_.alpha;
  auto threshold = static_cast<float>(std::clamp<double>(solved, -FLT_MAX, FLT_MAX));
  for (float step = std::max(std::abs(threshold), 1.0F) * 0x1p-22F; reaches(dense::below(threshold)); step *= 4) {
    if (!(threshold > -FLT_MAX)) return kNoScore;
    threshold -= step;
  }
  return threshold;
}

void FusedQuery::prepare(std::size_t worker_count) {
  found_.clear();
  found_.reserve(worker_count);
  const std::size_t capacity = least_capacity(engines_, k_);
  for (std::size_t w = 0; w < worker_count; ++w) found_.emplace_back(k_, capacity);
}

void FusedQuery::take(std::size_t worker, const Candidate& row, dense::SharedThreshold& threshold) {
  Found& found = found_[worker];
  found.candidates.push_back(row);
  if (found.candidates.size() >= found.capacity) settle(found, threshold);
}

// No lexical score is negative, so k rows have at least these fused scores.
void FusedQuery::raise_by_lower_bounds(Found& found) {
  if (const auto reached = kth_lower_bound(found.candidates, k_, found.lowers)) raise(convex_.combine(static_cast<double>(*reached), 0.0));
}

void FusedQuery::drop_hopeless(std::vector<Candidate>& candidates) const {
  const double least = theta();
  const auto rest = static_cast<double>(rest_);
  std::erase_if(candidates, [&](const Candidate& c) { return convex_.combine(static_cast<double>(c.upper), rest) < least; });
}

// With their lexical scores known, the open candidates and the hits of `top`, which are other documents, raise it further.
void FusedQuery::raise_by_fused_bounds(Found& found, const Top& top) {
  found.fused_lowers.clear();
  for (const FusedHit& hit : top.unsorted()) found.fused_lowers.push_back(hit.score);
  for (const Open& o : found.open) {
    found.fused_lowers.push_back(convex_.combine(static_cast<double>(o.row.lower), static_cast<double>(o.lexical)));
  }
  if (const auto reached = kth_greatest(found.fused_lowers, k_)) raise(*reached);
}

void FusedQuery::settle(Found& found, dense::SharedThreshold& threshold) {
  const bool listed = listed_.load(std::memory_order_acquire);
  if (listed) {
    raise_by_lower_bounds(found);
    drop_hopeless(found.candidates);
  } else if (const auto reached = kth_lower_bound(found.candidates, provisional_rank(k_), found.lowers)) {
    float applied = provisional_.load();  // noted before anybody drops a row for it
    while (*reached > applied && !provisional_.compare_exchange_weak(applied, *reached)) {
    }
    threshold.raise(*reached);
    std::erase_if(found.candidates, [least = dense::below(*reached)](const Candidate& c) { return c.upper < least; });
  }
  if (found.candidates.size() > found.capacity - found.capacity / 4) {
    if (!listed || found.capacity < kMostCandidates) {
      found.capacity *= 2;
    } else {
      score(found, found.best);  // where bounds do not separate the rows, so that memory stays bounded
    }
  }
  if (listed) threshold.raise(dense_threshold());
}

// Leaves no candidate.
void FusedQuery::score(Found& found, Top& top) {
  found.open.clear();
  for (const Candidate& c : found.candidates) {
    const DocId id = engines_.dense.segments()[c.segment].segment->ids()[c.row];
    if (!std::binary_search(listed_ids_.begin(), listed_ids_.end(), id)) found.open.push_back({id, 0, 0, c});
  }
  found.candidates.clear();
  std::sort(found.open.begin(), found.open.end(), [](const Open& a, const Open& b) { return a.id < b.id; });
  found.ids.clear();
  for (const Open& o : found.open) found.ids.push_back(o.id);
  const std::span<const double> sums = found.lookup.sums(*bound_, found.ids);
  for (std::size_t i = 0; i < found.open.size(); ++i) {
    Open& o = found.open[i];
    o.lexical = lexical_score(*bound_, sums[i]);
    o.upper = convex_.combine(static_cast<double>(o.row.upper), static_cast<double>(o.lexical));
  }
  raise_by_fused_bounds(found, top);
  std::erase_if(found.open, [least = theta()](const Open& o) { return o.upper < least; });
  std::sort(found.open.begin(), found.open.end(), [](const Open& a, const Open& b) { return a.upper > b.upper; });
  for (std::size_t i = 0; i < found.open.size(); ++i) {
    const Open& o = found.open[i];
    if (o.upper < theta()) break;
    if (i + kPrefetchRows < found.open.size()) {
      const Candidate& ahead = found.open[i + kPrefetchRows].row;
      scorer_.prefetch({ahead.segment, ahead.row});
    }
    const bool exact = o.row.lower == o.row.upper;
    top.push(fused(o.id, exact ? o.row.lower : scorer_({o.row.segment, o.row.row}), o.lexical));
    raise(top.threshold());
  }
}

void FusedQuery::finish() {
  if (found_.empty()) return;
  Found& all = found_[0];
  for (Found& other : found_) {
    for (const FusedHit& hit : other.best.unsorted()) top_.push(hit);
    if (&other != &all) all.candidates.insert(all.candidates.end(), other.candidates.begin(), other.candidates.end());
  }
  raise(top_.threshold());
  raise_by_lower_bounds(all);
  drop_hopeless(all.candidates);
  score(all, top_);
}

void FusedQuery::restart() {
  provisional_.store(kNoScore);
  top_ = Top(k_);
  for (const FusedHit& hit : listed_hits_) top_.push(hit);
}

void FusedQuery::finish_together() {
  std::size_t count = 0;
  for (Found& found : found_) {
    raise_by_lower_bounds(found);
    drop_hopeless(found.candidates);
    count += found.candidates.size();
  }
  if (found_.size() < 2 || count < kCandidatesToShare) {
    finish();
    return;
  }
  // Theta rises for all whoever raises it, so little more is read than by one.
  parallel::parallel_for(found_.size(), found_.size(), [this](std::size_t w, std::size_t) { score(found_[w], found_[w].best); });
  for (Found& found : found_) {
    for (const FusedHit& hit : found.best.unsorted()) top_.push(hit);
  }
  raise(top_.threshold());
}

bool FusedQuery::missed() const noexcept {
  const float applied = provisional_.load();
  return applied > kNoScore && !(convex_.combine(static_cast<double>(dense::below(applied)), static_cast<double>(rest_)) < theta());
}

void FusedQuery::deepen() {
  while (!complete_ && !(convex_.combine(0.0, static_cast<double>(rest_)) < theta())) {
    const std::vector<DocId> before = listed_ids_;
    search_listed(kGrowth * depth_);
    for (const FusedHit& hit : listed_hits_) {
      // One with a vector was in the scan.
      if (std::isnan(hit.dense) && !std::binary_search(before.begin(), before.end(), hit.id)) top_.push(hit);
    }
    raise(top_.threshold());
  }
}

}  // namespace sightline::hybrid
