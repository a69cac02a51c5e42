#include "lexical/coarse.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>

#include "core/aligned.h"
#include "lexical/candidates.h"
#include "lexical/recycled.h"
#include "simd/dispatch.h"

namespace sightline::lexical {
namespace {

constexpr std::size_t kMaximaPerWindow = kWindowRows / simd::kStride;
static_assert(kWindowRows % simd::kStrideGroup == 0);

constexpr std::size_t kMaxSegments = 65536;
constexpr std::size_t kMaxTerms = 4096;  // each costs up to one unit of 65,535 by rounding
// Where sums of weights are within these, no product overflows or loses its precision to denormal numbers.
constexpr double kLeastSum = 1e-30;
constexpr double kGreatestSum = 1e30;
// A term's factor, from gains to units of the sums, is a float32: far below its greatest, or it could become infinite where a
// weight is large and all gains are tiny, though their products are in range.
constexpr double kGreatestFactor = 1e37;
// Below one posting for so many rows it is cheaper to look at the postings again than at every row of a window.
constexpr std::size_t kRowsPerPostingForSweep = 48;

// Lists shorter than this are added rather than deferred to look-ups; one look-up costs about as much as adding so many postings.
constexpr std::size_t kMinDeferred = 512;
constexpr std::size_t kPostingsPerLookup = 24;
constexpr float kMaxDeferredShare = 0.5F;

// The k-th document's bound exceeds its score by much less than the codes allow at worst. A threshold is lowered by this part
// of it; when that was too little, which the exact scores show, the search runs again with the threshold they give. The more
// documents are asked for, the nearer to the average are those near the k-th: of 1000 searches of abstracts 2 to 35 run again.
double error_share(std::size_t k) noexcept { return std::clamp(std::log2(static_cast<double>(k)), 3.0, 8.0); }

using Table = std::array<std::uint16_t, kCodeCount>;

// Zero between searches, so that a query pays only for the windows it touches.
struct Sums {
  AlignedBuffer<std::uint16_t> values{kWindowRows};
  AlignedBuffer<std::uint16_t> maxima{kMaximaPerWindow};
  AlignedBuffer<simd::TakenValue> taken{kWindowRows};
  PostingBuffer buffer;
  Sums() { clear(); }
  void clear() noexcept { std::memset(values.data(), 0, values.size_bytes()); }
};

// Four neighbours in one load, the first in the lowest bits: the loops below are bound by how many loads and stores they make.
template <typename Word, typename Value>
Word load_four(const Value* values) noexcept {
  static_assert(sizeof(Word) == 4 * sizeof(Value));
  Word word = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&word, values, sizeof word);
  } else {
    for (std::size_t i = 0; i < 4; ++i) word |= static_cast<Word>(values[i]) << (8 * sizeof(Value) * i);
  }
  return word;
}

void add_to(std::uint16_t& sum, std::uint16_t value) noexcept { sum = static_cast<std::uint16_t>(sum + value); }

void add_block(const PostingBlock& block, const Table& table, std::uint16_t* sums) noexcept {
  const std::uint16_t* offsets = block.offsets.data();
  const std::uint8_t* codes = block.codes.data();
  const std::uint16_t* values = table.data();
  const std::size_t count = block.size();
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    // All loads of the tables first: the compiler must assume that a store to the sums changes them.
    const auto code = load_four<std::uint32_t>(codes + i);
    const auto at = load_four<std::uint64_t>(offsets + i);
    const std::uint16_t v0 = values[code & 0xFF];
    const std::uint16_t v1 = values[code >> 8 & 0xFF];
    const std::uint16_t v2 = values[code >> 16 & 0xFF];
    const std::uint16_t v3 = values[code >> 24];
    add_to(sums[at & 0xFFFF], v0);
    add_to(sums[at >> 16 & 0xFFFF], v1);
    add_to(sums[at >> 32 & 0xFFFF], v2);
    add_to(sums[at >> 48], v3);
  }
  for (; i < count; ++i) add_to(sums[offsets[i]], values[codes[i]]);
}

// The same of a packed window, whose codes are looked up as they are needed and never written.
void add_packed(const PackedWindow& window, const RowCodes& row_codes, std::size_t first_row, const Table& table,
                std::uint16_t* sums) noexcept {
  const std::uint8_t* classes = row_codes.classes.data() + first_row;
  const std::uint8_t* codes = row_codes.codes.data();
  const std::uint16_t* values = table.data();
  const auto value = [=](std::size_t offset, std::size_t tf) { return values[codes[tf << 8 | classes[offset]]]; };
  std::array<std::uint16_t, WindowReader::kRoom> offsets;
  std::array<std::uint16_t, WindowReader::kRoom> tfs;
  WindowReader reader(window);
  while (const std::size_t count = reader.next(offsets.data(), tfs.data())) {
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      const auto at = load_four<std::uint64_t>(offsets.data() + i);
      const auto tf = load_four<std::uint64_t>(tfs.data() + i);
      const std::uint16_t v0 = value(at & 0xFFFF, tf & 0xFFFF);
      const std::uint16_t v1 = value(at >> 16 & 0xFFFF, tf >> 16 & 0xFFFF);
      const std::uint16_t v2 = value(at >> 32 & 0xFFFF, tf >> 32 & 0xFFFF);
      const std::uint16_t v3 = value(at >> 48, tf >> 48);
      add_to(sums[at & 0xFFFF], v0);
      add_to(sums[at >> 16 & 0xFFFF], v1);
      add_to(sums[at >> 32 & 0xFFFF], v2);
      add_to(sums[at >> 48], v3);
    }
    for (; i < count; ++i) add_to(sums[offsets[i]], value(offsets[i], tfs[i]));
  }
}

// A term of the query in one segment.
struct Cursor {
  const Postings& postings;
  const Table* table;
  const SegmentGains& gains;
  float factor;  // from gains to units
  std::size_t next = 0;    // the next window
};

// The postings of one term in the current window.
struct TermBlock {
  const Postings* postings;
  std::size_t window;  // among those of the term
  std::size_t size;
  const Table* table;
  std::uint32_t greatest;  // any posting here is worth at most that
};

struct SegmentScanBuffers {
  std::vector<TermBlock> blocks_;
  std::vector<std::uint16_t> wanted_;
  std::vector<FoundPosting> found_;
  std::size_t size_bytes() const noexcept {
    return blocks_.capacity() * sizeof(TermBlock) + found_.capacity() * sizeof(FoundPosting);
  }
};

// One query in one segment.
class SegmentScan : Recycled<SegmentScanBuffers> {
 public:
  SegmentScan(std::uint32_t number, const Segment& segment, const Bitset* allowed, std::size_t k, Sums& sums,
              Candidates& candidates)
      : number_(number), segment_(segment), allowed_(allowed), k_(k), sums_(sums), candidates_(candidates) {}

  // Stops early where the candidates are overwhelmed. The sums are zero in either case.
  void run(std::vector<Cursor>& cursors) {
    constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
    while (true) {
      std::size_t window = kNone;
      for (const Cursor& c : cursors) {
        if (c.next < c.postings.windows().size()) window = std::min<std::size_t>(window, c.postings.windows()[c.next].window);
      }
      if (window == kNone) return;
      scan_window(cursors, window);
      if (candidates_.overwhelmed()) return;
    }
  }

 private:
  void scan_window(std::vector<Cursor>& cursors, std::size_t window) {
    const std::size_t first_row = window << kWindowBits;
    const std::size_t row_count = std::min(kWindowRows, segment_.row_count() - first_row);
    std::uint32_t greatest_sum = 0;
    std::size_t posting_count = 0;
    blocks_.clear();
    for (Cursor& c : cursors) {
      if (c.next == c.postings.windows().size() || c.postings.windows()[c.next].window != window) continue;
      const std::uint32_t greatest = CoarseUnits::of(c.gains.greatest(c.postings.windows()[c.next].max_tf), c.factor);
      blocks_.push_back({&c.postings, c.next, c.postings.window_size(c.next), c.table, greatest});
      ++c.next;
      greatest_sum += greatest;
      posting_count += blocks_.back().size;
    }
    if (greatest_sum < candidates_.limit() || !any_allowed(first_row, row_count)) return;
    if (posting_count * kRowsPerPostingForSweep >= row_count) {
      defer_common_terms();
      for (std::size_t b = deferred_; b < blocks_.size(); ++b) add(blocks_[b]);
      sweep(first_row, row_count);
    } else {
      for (const TermBlock& b : blocks_) add(b);
      revisit(first_row);
    }
    candidates_.settle();
  }

  void add(const TermBlock& b) {
    const PackedWindow packed = b.postings->packed_window(b.window);
    if (packed.data == nullptr) {
      add_block(b.postings->block(b.window, sums_.buffer), *b.table, sums_.values.data());
    } else {
      const std::size_t first_row = std::size_t{b.postings->windows()[b.window].window} << kWindowBits;
      add_packed(packed, segment_.row_codes(), first_row, *b.table, sums_.values.data());
    }
  }

  // Moves the longest lists to the front and counts in deferred_ those that need not be added: documents without any of the
  // other terms cannot reach the limit, and the few whose other terms come near it look the deferred ones up.
  void defer_common_terms() {
    deferred_ = 0;
    deferred_greatest_ = 0;
    deferred_postings_ = 0;
    if (!candidates_.has_threshold() || blocks_.size() < 2) return;
    std::sort(blocks_.begin(), blocks_.end(),
              [](const TermBlock& a, const TermBlock& b) { return a.size > b.size; });
    const auto budget = static_cast<std::uint32_t>(static_cast<float>(candidates_.limit()) * deferred_share_);
    for (const TermBlock& b : blocks_) {
      if (b.size < kMinDeferred || deferred_greatest_ + b.greatest > budget || deferred_ + 1 == blocks_.size()) break;
      deferred_greatest_ += b.greatest;
      deferred_postings_ += b.size;
      ++deferred_;
    }
  }

  // Completes the sums of what was taken with the deferred terms. How far deferring goes follows from how it paid.
  void look_up_deferred(std::size_t count, std::size_t first_row, std::uint32_t limit) {
    std::size_t lookups = 0;
    std::uint32_t missing = deferred_greatest_;
    simd::TakenValue* taken = sums_.taken.data();
    for (std::size_t b = 0; b < deferred_ && count != 0; ++b) {
      const TermBlock& block = blocks_[b];
      missing -= block.greatest;
      lookups += count;
      wanted_.resize(count);
      found_.resize(count);
      for (std::size_t i = 0; i < count; ++i) wanted_[i] = taken[i].position;
      block.postings->find_in_window(block.window, wanted_, found_.data());
      std::size_t kept = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t added = found_[i].position != kNoPosition ? (*block.table)[found_[i].code] : 0;
        const std::uint32_t sum = taken[i].value + added;
        taken[kept] = {static_cast<std::uint16_t>(sum), taken[i].position};
        kept += sum + missing >= limit ? 1 : 0;
      }
      count = kept;
    }
    candidates_.add({taken, count}, number_, first_row);
    if (lookups * kPostingsPerLookup > deferred_postings_) {
      deferred_share_ *= 0.5F;
    } else if (lookups * kPostingsPerLookup * 4 < deferred_postings_) {
      deferred_share_ = std::min(deferred_share_ * 1.25F, kMaxDeferredShare);
    }
  }

  bool any_allowed(std::size_t first_row, std::size_t row_count) const noexcept {
    if (allowed_ == nullptr) return true;
    for (std::size_t w = first_row / 64; w < (first_row + row_count + 63) / 64; ++w) {
      if (allowed_->word(w) != 0) return true;
    }
    return false;
  }

  void clear_disallowed(std::size_t first_row, std::size_t row_count) noexcept {
    std::uint16_t* sums = sums_.values.data();
    for (std::size_t i = 0; i < row_count; i += 64) {
      const std::uint64_t allowed = allowed_->word((first_row + i) / 64);
      if (allowed == 0) {
        std::memset(sums + i, 0, 64 * sizeof *sums);
      } else if (allowed != ~std::uint64_t{0}) {
        for (std::size_t j = 0; j < 64; ++j) {
          sums[i + j] = static_cast<std::uint16_t>(sums[i + j] & -static_cast<int>(allowed >> j & 1));
        }
      }
    }
  }

  void sweep(std::size_t first_row, std::size_t row_count) {
    if (allowed_ != nullptr) clear_disallowed(first_row, row_count);
    if (!candidates_.has_threshold()) find_threshold(row_count);
    const std::size_t padded = (row_count + simd::kStride - 1) / simd::kStride * simd::kStride;
    const std::uint32_t limit = candidates_.limit();
    const std::uint32_t least = std::min<std::uint32_t>(limit - deferred_greatest_, std::numeric_limits<std::uint16_t>::max());
    simd::TakenValue* taken = sums_.taken.data();
    const std::size_t count =
        simd::kernels().take_at_least_u16(sums_.values.data(), padded, static_cast<std::uint16_t>(least), taken);
    if (deferred_ != 0) return look_up_deferred(count, first_row, limit);
    candidates_.add({taken, count}, number_, first_row);
  }

  // Maxima of the sums belong to different documents, so the k-th of them is a threshold.
  void find_threshold(std::size_t row_count) {
    const std::size_t groups = (row_count + simd::kStrideGroup - 1) / simd::kStrideGroup;
    const std::size_t maxima_count = groups * simd::kStride;
    if (k_ > maxima_count) return;
    simd::kernels().strided_maxima_u16(sums_.values.data(), groups, sums_.maxima.data());
    BoundHistogram maxima(k_);
    for (std::size_t i = 0; i < maxima_count; ++i) maxima.add(sums_.maxima[i]);
    candidates_.raise_threshold(maxima.kth_bucket() << BoundHistogram::kBits);
  }

  // Each sum is looked at and cleared at its first posting; which of them reach the limit cannot be predicted. Few postings:
  // so there is room in taken to write one more than is kept.
  void revisit(std::size_t first_row) {
    const std::uint32_t limit = candidates_.limit();
    std::uint16_t* const sums = sums_.values.data();
    simd::TakenValue* const taken = sums_.taken.data();
    std::size_t count = 0;
    const auto look = [&](std::span<const std::uint16_t> offsets, const auto& is_allowed) {
      for (const std::uint16_t offset : offsets) {
        taken[count] = {sums[offset], offset};
        count += static_cast<std::size_t>(sums[offset] >= limit) & static_cast<std::size_t>(is_allowed(offset));
        sums[offset] = 0;
      }
    };
    for (const TermBlock& b : blocks_) {
      const std::span<const std::uint16_t> offsets = b.postings->block(b.window, sums_.buffer).offsets;
      if (allowed_ == nullptr) {
        look(offsets, [](std::uint16_t) { return true; });
      } else {
        look(offsets, [&](std::uint16_t offset) { return allowed_->test(first_row + offset); });
      }
    }
    candidates_.add({taken, count}, number_, first_row);
  }

  std::uint32_t number_;
  const Segment& segment_;
  const Bitset* allowed_;
  std::size_t k_;
  Sums& sums_;
  Candidates& candidates_;
  std::size_t deferred_ = 0;  // blocks at the front that were not added
  std::uint32_t deferred_greatest_ = 0;
  std::size_t deferred_postings_ = 0;
  float deferred_share_ = kMaxDeferredShare / 2;  // of the limit that deferred terms may make up
};

struct CoarseSearchBuffers {
  std::vector<Table> term_tables_;
  std::size_t size_bytes() const noexcept { return term_tables_.capacity() * sizeof(Table); }
};

class CoarseSearch : Recycled<CoarseSearchBuffers> {
 public:
  CoarseSearch(const BoundQuery& query, std::size_t k, const RowFilter* filter, const GainTables& tables, double scale)
      : query_(query), k_(k), filter_(filter), tables_(tables), scale_(scale), units_(scale), candidates_(query, k, tables, scale) {
    if (term_tables_.size() < query.terms().size()) term_tables_.resize(query.terms().size());
  }

  std::optional<std::vector<Hit>> run() {
    // By a pointer, since compilers may look up the address of what is thread_local again at each use.
    thread_local const auto held = std::make_unique<Sums>();
    Sums& sums = *held;
    const std::vector<SegmentView>& segments = query_.snapshot().segments();
    std::vector<std::uint32_t> order(segments.size());
    std::iota(order.begin(), order.end(), 0U);
    // The largest first, so that the others meet a high threshold.
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return segments[a].segment->row_count() > segments[b].segment->row_count();
    });
    std::vector<Hit> hits;
    do {
      try {
        for (const std::uint32_t s : order) {
          scan(s, sums);
          if (candidates_.overwhelmed()) return std::nullopt;
        }
      } catch (...) {
        sums.clear();
        throw;
      }
      hits = candidates_.finish();
      if (candidates_.complete()) break;
      candidates_.restart();
    } while (true);
    return hits;
  }

 private:
  void scan(std::uint32_t s, Sums& sums) {
    const SegmentView& view = query_.snapshot().segments()[s];
    std::vector<Cursor> cursors;
    double error = 0;
    for (std::size_t t = 0; t < query_.terms().size(); ++t) {
      const BoundQuery::Term& term = query_.terms()[t];
      if (!term.postings[s]) continue;
      cursors.push_back(make_cursor(term.weight, *term.postings[s], tables_.segments[s], term_tables_[t], error));
    }
    if (cursors.empty()) return;
    candidates_.raise_error(rounding_error() + static_cast<std::uint32_t>(error / error_share(k_)));
    const Bitset* allowed = view.tombstones ? &view.tombstones->live() : nullptr;
    if (filter_ != nullptr) allowed = &filter_->allowed[s];
    SegmentScan(s, *view.segment, allowed, k_, sums, candidates_).run(cursors);
  }

  // Two scores that differ by less may be equal once rounded to float32, and then the ids decide.
  std::uint32_t rounding_error() const noexcept {
    const double units = (std::abs(query_.base()) * scale_ + 65536.0) * 0x1p-22;
    return static_cast<std::uint32_t>(std::min(units, 1e6)) + 2;
  }

  // Fills in the codes that the term's postings may have, and returns its cursor; adds the greatest distance between the two
  // bounds of one of them to `error`.
  Cursor make_cursor(double weight, const Postings& postings, const SegmentGains& gains, Table& table, double& error) const noexcept {
    std::uint32_t max_tf = 0;
    for (const PostingWindow& window : postings.windows()) max_tf = std::max<std::uint32_t>(max_tf, window.max_tf);
    const float factor = units_.factor(weight);
    const std::size_t limit = gains.code_limit(max_tf);
    const float* upper = gains.upper().data();
    for (std::size_t code = 0; code < limit; ++code) {
      table[code] = static_cast<std::uint16_t>(CoarseUnits::of(upper[code], factor));
    }
    error += gains.widest(max_tf) * factor + 1;
    return {postings, &table, gains, factor};
  }

  const BoundQuery& query_;
  std::size_t k_;
  const RowFilter* filter_;
  const GainTables& tables_;
  double scale_;
  CoarseUnits units_;
  Candidates candidates_;
};

}  // namespace

std::optional<std::vector<Hit>> search_coarsely(const BoundQuery& query, std::size_t k, const RowFilter* filter,
                                                const GainTables& tables) {
  double greatest_gain = 0;
  for (const SegmentGains& gains : tables.segments) greatest_gain = std::max(greatest_gain, double{gains.greatest(kUnboundedTf)});
  double greatest_sum = 0;
  double greatest_weight = 0;
  for (const BoundQuery::Term& term : query.terms()) {
    greatest_sum += term.weight * greatest_gain;
    greatest_weight = std::max(greatest_weight, term.weight);
  }
  const bool in_range = greatest_sum >= kLeastSum && greatest_sum <= kGreatestSum && query.base() <= kGreatestSum;
  if (!in_range || query.terms().size() > kMaxTerms || tables.segments.size() > kMaxSegments) return std::nullopt;
  const double scale = (65534.0 - static_cast<double>(query.terms().size())) / (greatest_sum * (1 + 2 * CoarseUnits::kSlack));
  if (!(greatest_weight * scale * (1 + CoarseUnits::kSlack) <= kGreatestFactor)) return std::nullopt;
  return CoarseSearch(query, k, filter, tables, scale).run();
}

}  // namespace sightline::lexical
