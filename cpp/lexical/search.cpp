#include "lexical/search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "parallel/thread_pool.h"
#include "topk/top_k_buffer.h"

namespace sightline::lexical {
namespace {

// Documents accumulated at once: 256 KB of sums, which stay in the second-level cache while every term passes.
constexpr std::size_t kWindowRows = 32768;

// Marks a row that no term has reached. Gains are never negative zero, so the first one makes it positive, even if it is 0.
constexpr double kUntouched = -0.0;
bool is_untouched(double sum) noexcept { return std::bit_cast<std::uint64_t>(sum) == std::bit_cast<std::uint64_t>(kUntouched); }

// Finding a row among the postings of a term costs about as much as adding this many postings.
constexpr std::size_t kPostingsPerLookup = 32;

// Above one posting for so many rows it is cheaper to look at every row of a window than at its postings again.
constexpr std::size_t kRowsPerPostingForSweep = 8;

// Rows compared at once: two cache lines. Vector extensions of the compiler, which every CPU's baseline has registers for.
constexpr std::size_t kBlockRows = 16;
static_assert(64 % kBlockRows == 0 && kWindowRows % 64 == 0);
typedef double Pair __attribute__((vector_size(16)));
typedef std::int64_t PairMask __attribute__((vector_size(16)));

struct TableGains {
  const double* gains;
  double operator()(std::uint32_t code) const noexcept { return gains[code]; }
};

struct ComputedGains {
  const Scorer* scorer;
  const ImpactPair* pairs;
  double operator()(std::uint32_t code) const noexcept { return scorer->gain(pairs[code].tf, pairs[code].length); }
};

struct Cursor {
  Postings postings;
  double weight;
  std::size_t next = 0;
  std::size_t window_end = 0;  // where the current window's postings end
};

template <typename Code, typename Gains>
void add_postings(const RowIndex* rows, const Code* codes, std::size_t begin, std::size_t end, RowIndex first_row,
                  double weight, const Gains& gains, double* sums) noexcept {
  for (std::size_t i = begin; i < end; ++i) sums[rows[i] - first_row] += weight * gains(codes[i]);
}

// The first posting at or after `next` whose row is `bound` or greater; steps double, so it costs the log of what it skips.
std::size_t skip_to(std::span<const RowIndex> rows, std::size_t next, RowIndex bound) noexcept {
  std::size_t low = next;
  std::size_t step = 64;
  while (low + step < rows.size() && rows[low + step] < bound) {
    low += step;
    step *= 2;
  }
  const std::size_t high = std::min(rows.size(), low + step + 1);
  const auto found = std::lower_bound(rows.begin() + static_cast<std::ptrdiff_t>(low),
                                      rows.begin() + static_cast<std::ptrdiff_t>(high), bound);
  return static_cast<std::size_t>(found - rows.begin());
}

// One query in one segment.
template <typename Gains>
class SegmentSearch {
 public:
  SegmentSearch(const BoundQuery& query, std::uint32_t segment_number, const Bitset* allowed, const Gains& gains,
                std::vector<double>& sums, TopKBuffer& top)
      : query_(query),
        segment_(*query.snapshot().segments()[segment_number].segment),
        allowed_(allowed),
        gains_(gains),
        sums_(sums.data()),
        top_(top),
        bound_(bound_below(top.threshold())) {
    for (const BoundQuery::Term& term : query.terms()) {
      const std::uint32_t number = term.segment_terms[segment_number];
      if (number != BoundQuery::kAbsent) cursors_.push_back({segment_.postings(number), term.weight});
    }
  }

  // allowed_count: how many rows the filter leaves.
  void run(std::size_t allowed_count) {
    std::size_t posting_count = 0;
    for (const Cursor& c : cursors_) posting_count += c.postings.size();
    if (allowed_ != nullptr && allowed_count * cursors_.size() * kPostingsPerLookup < posting_count) {
      score_allowed_rows();
    } else {
      scan_postings();
    }
  }

 private:
  // For a filter that leaves few rows: looks each of them up in the postings of each term.
  void score_allowed_rows() {
    for (std::size_t w = 0; w < allowed_->word_count(); ++w) {
      for (std::uint64_t word = allowed_->word(w); word != 0; word &= word - 1) {
        const auto row = static_cast<RowIndex>(64 * w + static_cast<std::size_t>(std::countr_zero(word)));
        double sum = kUntouched;
        for (Cursor& c : cursors_) {
          c.next = skip_to(c.postings.rows, c.next, row);
          if (c.next == c.postings.size() || c.postings.rows[c.next] != row) continue;
          sum += c.weight * gains_(c.postings.codes[c.next]);
        }
        offer(row, sum);
      }
    }
  }

  void scan_postings() {
    while (true) {
      RowIndex next_row = std::numeric_limits<RowIndex>::max();
      bool more = false;
      for (const Cursor& c : cursors_) {
        if (c.next == c.postings.size()) continue;
        next_row = std::min(next_row, c.postings.rows[c.next]);
        more = true;
      }
      if (!more) return;
      search_window(next_row - next_row % kWindowRows);
    }
  }

  void search_window(std::size_t first_row) {
    const std::size_t row_end = std::min(first_row + kWindowRows, segment_.row_count());
    std::size_t posting_count = 0;
    for (Cursor& c : cursors_) {
      c.window_end = row_end == segment_.row_count()
                         ? c.postings.size()
                         : skip_to(c.postings.rows, c.next, static_cast<RowIndex>(row_end));
      posting_count += c.window_end - c.next;
    }
    if (any_allowed(first_row, row_end)) {
      for (const Cursor& c : cursors_) accumulate(c, static_cast<RowIndex>(first_row));
      if (posting_count * kRowsPerPostingForSweep >= row_end - first_row) {
        sweep_rows(first_row, row_end);
      } else {
        revisit_postings(first_row);
      }
    }
    for (Cursor& c : cursors_) c.next = c.window_end;
  }

  bool any_allowed(std::size_t first_row, std::size_t row_end) const noexcept {
    if (allowed_ == nullptr) return true;
    for (std::size_t w = first_row / 64; w < (row_end + 63) / 64; ++w) {
      if (allowed_->word(w) != 0) return true;
    }
    return false;
  }

  void accumulate(const Cursor& c, RowIndex first_row) noexcept {
    const RowIndex* rows = c.postings.rows.data();
    const Codes& codes = c.postings.codes;
    if (codes.wide.empty()) {
      add_postings(rows, codes.narrow.data(), c.next, c.window_end, first_row, c.weight, gains_, sums_);
    } else {
      add_postings(rows, codes.wide.data(), c.next, c.window_end, first_row, c.weight, gains_, sums_);
    }
  }

  void offer(std::size_t row, double sum) {
    if (is_untouched(sum) || (allowed_ != nullptr && !allowed_->test(row))) return;
    const float score = query_.score(sum);
    if (score >= top_.threshold() && top_.push({score, segment_.id(static_cast<RowIndex>(row))})) {
      bound_ = bound_below(top_.threshold());
    }
  }

  // What is not greater than this cannot round to a score that reaches the threshold.
  static double bound_below(float threshold) noexcept {
    return static_cast<double>(std::nextafter(threshold, -std::numeric_limits<float>::infinity()));
  }

  // One bit for each row of a block that a search may return. Blocks do not straddle the words of the filter.
  std::uint32_t allowed_in_block(std::size_t first_row) const noexcept {
    constexpr std::uint32_t kAll = (1U << kBlockRows) - 1;
    return allowed_ == nullptr ? kAll : static_cast<std::uint32_t>(allowed_->word(first_row / 64) >> (first_row % 64)) & kAll;
  }

  // Looks at every row of the window, and clears it: blocks without a sum above the bound cost two instructions a pair.
  void sweep_rows(std::size_t first_row, std::size_t row_end) {
    const std::size_t count = row_end - first_row;
    const Pair base = {query_.base(), query_.base()};
    std::size_t i = 0;
    for (; i + kBlockRows <= count; i += kBlockRows) {
      const std::uint32_t allowed = allowed_in_block(first_row + i);
      if (allowed == 0) {
        std::fill(sums_ + i, sums_ + i + kBlockRows, kUntouched);
        continue;
      }
      const Pair bound = {bound_, bound_};
      PairMask passing = {0, 0};
      for (std::size_t j = 0; j < kBlockRows; j += 2) {
        Pair sums;
        std::memcpy(&sums, sums_ + i + j, sizeof sums);
        passing |= base + sums > bound;
      }
      if ((passing[0] | passing[1]) != 0) {
        std::uint32_t rows = 0;
        for (std::size_t j = 0; j < kBlockRows; ++j) {
          rows |= static_cast<std::uint32_t>(query_.base() + sums_[i + j] > bound_) << j;
        }
        for (rows &= allowed; rows != 0; rows &= rows - 1) {
          const auto j = static_cast<std::size_t>(std::countr_zero(rows));
          offer(first_row + i + j, sums_[i + j]);
        }
      }
      std::fill(sums_ + i, sums_ + i + kBlockRows, kUntouched);
    }
    for (; i < count; ++i) {
      offer(first_row + i, sums_[i]);
      sums_[i] = kUntouched;
    }
  }

  // Each sum is offered and cleared at its first posting; at the later ones it is untouched.
  void revisit_postings(std::size_t first_row) {
    for (const Cursor& c : cursors_) {
      for (std::size_t i = c.next; i < c.window_end; ++i) {
        const RowIndex row = c.postings.rows[i];
        double& sum = sums_[row - first_row];
        if (query_.base() + sum > bound_) offer(row, sum);
        sum = kUntouched;
      }
    }
  }

  const BoundQuery& query_;
  const Segment& segment_;
  const Bitset* allowed_;
  const Gains& gains_;
  double* sums_;
  TopKBuffer& top_;
  double bound_;
  std::vector<Cursor> cursors_;
};

}  // namespace

BoundQuery::BoundQuery(const Snapshot& snapshot, const Parameters& parameters, const Query& query)
    : snapshot_(&snapshot), scorer_(parameters, snapshot.statistics()) {
  const std::vector<SegmentView>& segments = snapshot.segments();
  for (const QueryTerm& q : query) {
    Term term{q.term, q.count, 0, 0.0, 0.0, std::vector<std::uint32_t>(segments.size(), kAbsent)};
    for (std::size_t s = 0; s < segments.size(); ++s) {
      const std::optional<std::uint32_t> number = segments[s].segment->find_term(q.term, q.hash);
      if (!number) continue;
      term.segment_terms[s] = *number;
      term.document_frequency += segments[s].document_frequency(*number);
      posting_count_ += segments[s].segment->postings(*number).size();
    }
    if (term.document_frequency == 0) continue;
    term.idf = scorer_.idf(term.document_frequency);
    term.weight = static_cast<double>(q.count) * term.idf;
    base_ += term.weight * scorer_.absent();
    terms_.push_back(std::move(term));
  }
}

float BoundQuery::score_row(const RowLocation& at) const noexcept {
  const Segment& segment = *snapshot_->segments()[at.segment].segment;
  double sum = kUntouched;
  for (const Term& term : terms_) {
    if (term.segment_terms[at.segment] == kAbsent) continue;
    const Postings postings = segment.postings(term.segment_terms[at.segment]);
    const std::optional<std::size_t> found = find_posting(postings.rows, at.row);
    if (!found) continue;
    const ImpactPair& pair = segment.arrays().pairs[postings.codes[*found]];
    sum += term.weight * scorer_.gain(pair.tf, pair.length);
  }
  return is_untouched(sum) ? 0.0F : score(sum);
}

std::vector<Hit> search(const BoundQuery& query, std::size_t k, const RowFilter* filter, const GainTables* tables) {
  if (query.terms().empty()) return {};
  // kUntouched everywhere between searches, so that a query pays only for the rows it touches.
  thread_local std::vector<double> sums(kWindowRows, kUntouched);
  TopKBuffer top(k);
  const std::vector<SegmentView>& segments = query.snapshot().segments();
  try {
    for (std::uint32_t s = 0; s < segments.size(); ++s) {
      const Bitset* allowed = nullptr;
      std::size_t allowed_count = segments[s].live_count();
      if (filter != nullptr) {
        allowed = &filter->allowed[s];
        allowed_count = filter->allowed_counts[s];
      } else if (segments[s].tombstones) {
        allowed = &segments[s].tombstones->live();
      }
      if (tables != nullptr) {
        const TableGains gains{tables->gains[s].data()};
        SegmentSearch(query, s, allowed, gains, sums, top).run(allowed_count);
      } else {
        const ComputedGains gains{&query.scorer(), segments[s].segment->arrays().pairs.data()};
        SegmentSearch(query, s, allowed, gains, sums, top).run(allowed_count);
      }
    }
  } catch (...) {
    std::fill(sums.begin(), sums.end(), kUntouched);
    throw;
  }
  return top.take_sorted();
}

std::vector<std::vector<Hit>> search_batch(const Snapshot& snapshot, const Parameters& parameters,
                                           std::span<const Query> queries, std::size_t k,
                                           std::span<const RowFilter> filters) {
  std::vector<std::vector<Hit>> results(queries.size());
  parallel::parallel_for(queries.size(), [&](std::size_t q, std::size_t) {
    const BoundQuery query(snapshot, parameters, queries[q]);
    const RowFilter* filter = filters.empty() ? nullptr : &filters[filters.size() == 1 ? 0 : q];
    // Making a table entry costs about as much as computing a gain; the table of the last search is free.
    const bool worth_a_table = query.posting_count() >= snapshot.pair_count();
    const auto tables = worth_a_table ? snapshot.gain_tables(parameters) : snapshot.cached_gain_tables(parameters);
    results[q] = search(query, k, filter, tables.get());
  });
  return results;
}

}  // namespace sightline::lexical
