#include "lexical/exhaustive.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "topk/top_k_buffer.h"

namespace sightline::lexical {
namespace {

// Finding a row among the postings of a term costs about as much as adding this many postings.
constexpr std::size_t kPostingsPerLookup = 32;

// Above one posting for so many rows it is cheaper to look at every row of a window than at its postings again.
constexpr std::size_t kRowsPerPostingForSweep = 8;

// Rows compared at once: two cache lines. Vector extensions of the compiler, which every CPU's baseline has registers for.
constexpr std::size_t kBlockRows = 16;
static_assert(64 % kBlockRows == 0 && kWindowRows % 64 == 0);
typedef double Pair __attribute__((vector_size(16)));
typedef std::int64_t PairMask __attribute__((vector_size(16)));

struct Cursor {
  const Postings& postings;
  double weight;
  std::size_t next = 0;  // the next window
  PostingBuffer buffer;  // of the block of the current window
};

struct Gains {
  const Scorer& scorer;
  const Segment& segment;
  const SegmentGains* table;  // may be null

  double operator()(const FoundPosting& posting, RowIndex row) const noexcept {
    if (segment.arrays().weighted()) return static_cast<double>(segment.arrays().values[posting.position]);
    const std::uint32_t tf = segment.tf(posting);
    const std::uint32_t length = segment.length(row);
    return table != nullptr ? table->exact(scorer, tf, length) : scorer.gain(tf, length);
  }
};

// One query in one segment.
class SegmentSearch {
 public:
  SegmentSearch(const BoundQuery& query, std::uint32_t segment_number, const Bitset* allowed, const SegmentGains* table,
                std::vector<double>& sums, TopKBuffer& top)
      : query_(query),
        segment_(*query.snapshot().segments()[segment_number].segment),
        allowed_(allowed),
        gains_{query.scorer(), segment_, table},
        sums_(sums.data()),
        top_(top),
        bound_(bound_below(top.threshold())) {
    for (const BoundQuery::Term& term : query.terms()) {
      const std::optional<Postings>& postings = term.postings[segment_number];
      if (postings) cursors_.push_back({*postings, term.weight, 0, {}});
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
        for (const Cursor& c : cursors_) {
          const std::optional<FoundPosting> found = c.postings.find(row);
          if (found) sum += c.weight * gains_(*found, row);
        }
        offer(row, sum);
      }
    }
  }

  void scan_postings() {
    constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
    while (true) {
      std::size_t window = kNone;
      for (const Cursor& c : cursors_) {
        if (c.next < c.postings.windows().size()) window = std::min<std::size_t>(window, c.postings.windows()[c.next].window);
      }
      if (window == kNone) return;
      search_window(window);
    }
  }

  void search_window(std::size_t window) {
    const std::size_t first_row = window << kWindowBits;
    const std::size_t row_end = std::min(first_row + kWindowRows, segment_.row_count());
    blocks_.clear();
    std::size_t posting_count = 0;
    for (Cursor& c : cursors_) {
      if (c.next == c.postings.windows().size() || c.postings.windows()[c.next].window != window) continue;
      blocks_.push_back({c.postings.block(c.next++, c.buffer), c.weight});
      posting_count += blocks_.back().block.size();
    }
    if (!any_allowed(first_row, row_end)) return;
    for (const WeightedBlock& b : blocks_) {
      for (std::size_t i = 0; i < b.block.size(); ++i) {
        const std::uint16_t offset = b.block.offsets[i];
        sums_[offset] += b.weight * gains_({b.block.position + i, b.block.codes[i]}, b.block.first_row + offset);
      }
    }
    if (posting_count * kRowsPerPostingForSweep >= row_end - first_row) {
      sweep_rows(first_row, row_end);
    } else {
      revisit_postings(first_row);
    }
  }

  bool any_allowed(std::size_t first_row, std::size_t row_end) const noexcept {
    if (allowed_ == nullptr) return true;
    for (std::size_t w = first_row / 64; w < (row_end + 63) / 64; ++w) {
      if (allowed_->word(w) != 0) return true;
    }
    return false;
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
    for (const WeightedBlock& b : blocks_) {
      for (const std::uint16_t offset : b.block.offsets) {
        double& sum = sums_[offset];
        if (query_.base() + sum > bound_) offer(first_row + offset, sum);
        sum = kUntouched;
      }
    }
  }

  struct WeightedBlock {
    PostingBlock block;
    double weight;
  };
  const BoundQuery& query_;
  const Segment& segment_;
  const Bitset* allowed_;
  Gains gains_;
  double* sums_;
  TopKBuffer& top_;
  double bound_;
  std::vector<Cursor> cursors_;
  std::vector<WeightedBlock> blocks_;
};

}  // namespace

std::vector<Hit> search_exhaustively(const BoundQuery& query, std::size_t k, const RowFilter* filter, const GainTables* tables) {
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
      SegmentSearch(query, s, allowed, tables == nullptr ? nullptr : &tables->segments[s], sums, top).run(allowed_count);
    }
  } catch (...) {
    std::fill(sums.begin(), sums.end(), kUntouched);
    throw;
  }
  return top.take_sorted();
}

}  // namespace sightline::lexical
