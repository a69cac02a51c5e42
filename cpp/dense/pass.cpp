#include "dense/pass.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>

#include "parallel/thread_pool.h"
#include "simd/dispatch.h"

namespace sightline::dense {
namespace {

// Up to this many queries reading the high plane first pays; beyond, unpacking both planes is shared by enough of them.
constexpr std::size_t kMaxQueriesHighFirst = 48;
// A block with more survivors of the high plane than this is bounded again with both planes: a row of the low plane is
// spread over as many cache lines as the block has octets, so for a few rows the float32 vectors are the cheaper read.
constexpr int kMaxHighSurvivors = 8;
// Where the high plane leaves more rows a block than this on average, reading both planes at once is cheaper.
constexpr double kHighPlaneTolerates = 4.0;
// From this many queries on their survivors share the lines of the low plane, and a row of it in the caches is a third of
// the work of scoring a vector.
constexpr std::size_t kMinQueriesRefined = 32;
// Bounding a block for a query by both planes costs as much as bounding so many of its rows one by one.
constexpr int kMaxRefinedRows = 4;
// Where the high plane leaves more rows a query and block than this on average, reading both planes at once is cheaper.
constexpr double kRefiningTolerates = 0.5;
// Where both planes leave more than this share of the rows, they are not worth reading.
constexpr double kBothPlanesTolerate = 0.5;
// Blocks looked at before a stage is judged, and skipped after it was judged useless until it is tried again.
constexpr std::size_t kWindowBlocks = 16;
constexpr std::size_t kMaxRestWindows = 16;
// One block in so many is looked at first where a threshold is presumed. From this k on it was measured to pay, and for the
// few queries that read the high plane first, whose lower bounds are loose, from a greater one.
constexpr std::size_t kSampleEvery = 16;
constexpr std::size_t kLeastKPresumed = 64;
constexpr std::size_t kLeastKPresumedByFew = 300;
constexpr std::size_t kFewQueries = 4;  // whose rows lie too far from each other to share a page, too
// Rows for each hit wanted, below which a sample tells too little.
constexpr std::size_t kRowsForSample = 32;
// Queries for which comparing a row with the one before costs little beside scoring it.
constexpr std::size_t kMinQueriesRepeated = 4;
// What a worker has to read at the least, times queries, where rows are scored without codes.
constexpr std::size_t kLeastRowBytes = std::size_t{1} << 18;
// Rows and queries that are scored together.
constexpr std::size_t kRowsAtOnce = 16;
constexpr std::size_t kQueriesAtOnce = 32;

}  // namespace

void Pass::LevelBounds::reset(const Snapshot& snapshot, std::span<const CodedQuery> queries, const Segment& segment, Level level,
                              std::span<const SharedThreshold> current) {
  bounds.clear();
  constants.clear();
  thresholds.clear();
  for (std::size_t q = 0; q < queries.size(); ++q) {
    bounds.emplace_back(snapshot.metric(), queries[q], segment, level);
    thresholds.push_back(current[q].load());
    constants.push_back(bounds.back().constants(thresholds.back()));
  }
}

// Thresholds rise rarely after the first blocks, and a division a query and block would show.
void Pass::LevelBounds::follow(std::size_t q, float threshold) {
  if (threshold == thresholds[q]) return;
  thresholds[q] = threshold;
  constants[q].threshold = bounds[q].coarse_threshold(threshold);
}

void Pass::Usefulness::record(std::size_t left, std::size_t tiles_a_block, std::size_t window_blocks,
                              double tolerated) noexcept {
  rows_left += left;
  rows_tolerated += tolerated;
  const std::size_t window = tiles_a_block * window_blocks;
  if (++seen < window) return;
  if (static_cast<double>(rows_left) > rows_tolerated) {
    blocks_to_rest = rest_windows * window_blocks;
    rest_windows = std::min(2 * rest_windows, kMaxRestWindows);
  } else {
    rest_windows = 1;
  }
  seen = 0;
  rows_left = 0;
  rows_tolerated = 0;
}

Pass::Pass(const Snapshot& snapshot, const float* queries, std::size_t query_count, std::size_t first_position, std::size_t k,
           float least_score, std::span<const RowFilter* const> filters, bool coarse, bool presume, RowSink* sink)
    : snapshot_(snapshot),
      kernels_(simd::kernels()),
      filters_(filters),
      coarse_(coarse),
      sink_(sink),
      query_count_(query_count),
      padded_dim_((snapshot.dim() + 7) / 8 * 8),
      tile_count_((query_count + kernels_.tile_width - 1) / kernels_.tile_width),
      refines_(kernels_.dot_row != nullptr && query_count >= kMinQueriesRefined),
      high_first_(query_count <= kMaxQueriesHighFirst || refines_),
      from_planes_(query_count <= kernels_.most_from_planes),
      stray_rows_(query_count <= kFewQueries),
      k_(k),
      sample_rank_(presume && coarse ? sample_rank() : 0),
      // Until k rows have been seen everything survives; that must not count against the planes. The threshold of a range
      // search is good from the first row.
      window_blocks_(least_score > kNoScore
                         ? kWindowBlocks
                         : std::max(kWindowBlocks, (sample_rank_ == 0 ? k : sample_rank_) * 16 / simd::kBlockRows)),
      thresholds_(query_count),
      presumed_(sample_rank_ == 0 ? 0 : query_count, kNoScore),
      codes_(query_count * padded_dim_),
      row_code_count_((padded_dim_ + simd::kRowCodes - 1) / simd::kRowCodes * simd::kRowCodes),
      row_codes_(refines_ ? query_count * row_code_count_ : 0) {
  std::vector<std::int8_t> row(padded_dim_);
  for (std::size_t q = 0; q < query_count; ++q) {
    const float* vector = queries + q * snapshot.dim();
    queries_.push_back(code_query(snapshot.metric(), vector, snapshot.dim(), first_position + q, row.data()));
    interleave(q, row.data());
    if (refines_) std::copy(row.begin(), row.end(), row_codes_.data() + q * row_code_count_);
    thresholds_[q].raise(least_score);
  }
  make_tasks();
  const std::size_t worker_count = useful_workers();
  workers_.reserve(worker_count);
  for (std::size_t w = 0; w < worker_count; ++w) workers_.emplace_back(w, sink == nullptr ? query_count : 0, k, least_score);
}

void Pass::interleave(std::size_t q, const std::int8_t* row) {
  const std::size_t first = q / kernels_.tile_width * kernels_.tile_width;
  const std::size_t width = std::min(kernels_.tile_width, query_count_ - first);
  std::int8_t* out = codes_.data() + first * padded_dim_ + (q - first) * 4;
  for (std::size_t quad = 0; quad < padded_dim_ / 4; ++quad) std::copy_n(row + 4 * quad, 4, out + quad * width * 4);
}

// The rank in the sample of a score that more than k rows of all exceed: as many as are expected, and more by five standard
// deviations of that number, since similar rows often lie together. 0 if a sample does not pay.
std::size_t Pass::sample_rank() const {
  if (k_ < (query_count_ <= kFewQueries ? kLeastKPresumedByFew : kLeastKPresumed) || filters_.size() > 1) return 0;
  std::size_t rows = 0;
  std::size_t sampled = 0;
  for (std::uint32_t s = 0; s < snapshot_.segments().size(); ++s) {
    for (std::size_t block = 0; block < segment_at(s).block_count(); ++block) {
      const auto allowed = static_cast<std::size_t>(std::popcount(allowed_word(0, s, block)));
      rows += allowed;
      if (block % kSampleEvery == 0) sampled += allowed;
    }
  }
  if (rows < k_ * kRowsForSample) return 0;
  const double expected = static_cast<double>(k_) * static_cast<double>(sampled) / static_cast<double>(rows);
  return static_cast<std::size_t>(expected + 5 * std::sqrt(expected) + 4);
}

void Pass::make_tasks() {
  std::size_t blocks = 0;
  for (const SegmentView& view : snapshot_.segments()) blocks += view.segment->block_count();
  // At least 64 tasks a thread, so that the last one to finish matters little, but none below about a megabyte of codes
  // times queries.
  const std::size_t block_bytes = simd::kBlockRows * padded_dim_;
  const std::size_t least = std::max<std::size_t>(1, (std::size_t{1} << 20) / (block_bytes * std::max<std::size_t>(1, query_count_)));
  const std::size_t length = std::max(least, std::min<std::size_t>(256, blocks / (64 * parallel::num_threads())));
  const auto add_tasks = [&](std::size_t of_length, bool of_sample) {
    for (std::uint32_t s = 0; s < snapshot_.segments().size(); ++s) {
      const std::size_t count = segment_at(s).block_count();
      for (std::size_t first = 0; first < count; first += of_length) {
        tasks_.push_back({s, first, std::min(count, first + of_length), of_sample});
      }
    }
  };
  if (sample_rank_ != 0) add_tasks(kSampleEvery * length, true);
  sample_tasks_ = tasks_.size();
  add_tasks(length, false);
}

// A sparse filter may leave so few rows that they are scored before a second thread has woken up.
std::size_t Pass::useful_workers() const {
  const std::size_t most = parallel::worker_limit(tasks_.size());
  if (coarse_) return most;
  std::size_t bytes = 0;  // of rows, times the queries that score them
  for (std::uint32_t s = 0; s < snapshot_.segments().size() && bytes / kLeastRowBytes < most; ++s) {
    std::size_t rows = filters_.empty() ? segment_at(s).row_count() : 0;
    for (const RowFilter* filter : filters_) rows += (*filter)[s].count();
    bytes += rows * segment_at(s).row_bytes() * (filters_.size() > 1 ? 1 : query_count_);
  }
  return std::clamp<std::size_t>(bytes / kLeastRowBytes, 1, std::max<std::size_t>(1, most));
}

std::uint64_t Pass::allowed_word(std::size_t q, std::uint32_t segment, std::size_t block) const {
  if (filters_.empty()) return snapshot_.segments()[segment].live_word(block);
  return (*filters_[filters_.size() == 1 ? 0 : q])[segment].word(block);
}

std::uint64_t Pass::allowed_to_any(std::uint32_t segment, std::size_t block) const {
  std::uint64_t any = 0;
  for (std::size_t q = 0; q < std::max<std::size_t>(filters_.size(), 1); ++q) any |= allowed_word(q, segment, block);
  return any;
}

Hit Pass::exact_hit(std::size_t q, std::uint32_t segment, RowIndex row) const {
  const auto score = stray_rows_ ? exact_score_of_stray : exact_score;
  return {score(snapshot_.metric(), kernels_, queries_[q], segment_at(segment), row), segment_at(segment).ids()[row]};
}

void Pass::run(const std::function<void()>& beside) {
  if (sample_rank_ != 0) {
    for (Worker& worker : workers_) worker.set_rank(sample_rank_);
    parallel::parallel_for(sample_tasks_, workers_.size(),
                           [this](std::size_t task, std::size_t worker) { scan(tasks_[task], workers_[worker]); });
    parallel::parallel_for(query_count_, [this](std::size_t q, std::size_t) { presume(q); });
    for (Worker& worker : workers_) worker.set_rank(k_);
  }
  const std::size_t others = beside ? 1 : 0;
  parallel::parallel_for(others + tasks_.size() - sample_tasks_, workers_.size(), [&](std::size_t task, std::size_t worker) {
    if (task < others) {
      beside();
    } else {
      scan(tasks_[sample_tasks_ + task - others], workers_[worker]);
    }
  });
}

void Pass::presume(std::size_t q) {
  std::vector<float> lowers;
  for (const Worker& worker : workers_) worker.collectors[q].append_lower_bounds(lowers);
  if (lowers.size() >= sample_rank_) {
    const auto nth = lowers.begin() + static_cast<std::ptrdiff_t>(sample_rank_ - 1);
    std::nth_element(lowers.begin(), nth, lowers.end(), std::greater<>());
    thresholds_[q].raise(*nth);
  }
  presumed_[q] = thresholds_[q].load();
  for (Worker& worker : workers_) worker.collectors[q].drop_hopeless(thresholds_[q]);
}

bool Pass::is_proven(std::size_t q, const std::vector<Hit>& hits) const {
  return sample_rank_ == 0 || presumed_[q] == kNoScore || (hits.size() == k_ && hits.back().score >= presumed_[q]);
}

void Pass::scan(const Task& task, Worker& worker) {
  if (coarse_) {
    worker.full.reset(snapshot_, queries_, segment_at(task.segment), Level::kFull, thresholds_);
    if (high_first_) worker.high.reset(snapshot_, queries_, segment_at(task.segment), Level::kHigh, thresholds_);
    if (worker.unpacked.size() == 0 && (!from_planes_ || refines_)) worker.unpacked = AlignedBuffer<std::uint8_t>(simd::kBlockRows * padded_dim_);
  } else {
    score_blocks(task.segment, task.first_block, task.end_block, worker);
    return;
  }
  for (std::size_t block = task.first_block; block < task.end_block; ++block) {
    if (sample_rank_ != 0 && (block % kSampleEvery == 0) != task.of_sample) continue;
    if (allowed_to_any(task.segment, block) == 0) continue;
    if (worker.both_planes.resting()) {
      score_blocks(task.segment, block, block + 1, worker);
    } else {
      scan_block(task.segment, block, worker);
    }
  }
}

void Pass::scan_block(std::uint32_t s, std::size_t block, Worker& worker) {
  const Segment& segment = segment_at(s);
  const bool high_first = high_first_ && !worker.high_plane.resting();
  std::uint64_t rows_high = 0;
  worker.is_unpacked = false;
  worker.rows_full = 0;
  for (std::size_t first = 0; first < query_count_; first += kernels_.tile_width) {
    const std::size_t width = std::min(kernels_.tile_width, query_count_ - first);
    if (high_first) {
      rows_high = simd::kBlockRows;
      if (scan_tile_high(s, block, first, width, worker)) continue;
    }
    scan_tile_full(s, block, first, width, worker);
  }
  const std::size_t row_bytes = segment.plane_bytes_per_block() / simd::kBlockRows;  // of one plane
  const std::size_t constant_bytes = 2 * sizeof(float);
  const auto rows_full = static_cast<std::size_t>(std::popcount(worker.rows_full));
  worker.stats.rows_high += rows_high;
  worker.stats.rows_full += rows_full;
  worker.stats.bytes += rows_high * (row_bytes + constant_bytes);
  worker.stats.bytes += rows_full * ((rows_high != 0 ? row_bytes : 2 * row_bytes) + constant_bytes);
}

void Pass::unpack(std::uint32_t s, std::size_t block, Worker& worker) {
  if (worker.is_unpacked) return;
  const Segment& segment = segment_at(s);
  kernels_.unpack_block(segment.high_plane(block), segment.low_plane(block), segment.octets(), worker.unpacked.data());
  worker.is_unpacked = true;
}

// Scores the allowed rows of some blocks without their bounds. Rows equal to the one before are not scored again: nothing
// separates them, so there may be very many.
void Pass::score_blocks(std::uint32_t s, std::size_t first_block, std::size_t end_block, Worker& worker) {
  const Segment& segment = segment_at(s);
  worker.rows.clear();
  for (std::size_t block = first_block; block < end_block; ++block) {
    for (std::uint64_t bits = allowed_to_any(s, block); bits != 0; bits &= bits - 1) {
      worker.rows.push_back(static_cast<RowIndex>(block * simd::kBlockRows + static_cast<std::size_t>(std::countr_zero(bits))));
    }
  }
  worker.scores.resize(query_count_);
  // Some rows and some queries at a time, so that both stay in the first caches.
  for (std::size_t first = 0; first < worker.rows.size(); first += kRowsAtOnce) {
    const std::span<const RowIndex> rows = std::span(worker.rows).subspan(first, std::min(kRowsAtOnce, worker.rows.size() - first));
    bool repeated[kRowsAtOnce];
    for (std::size_t i = 0; i < rows.size(); ++i) {
      repeated[i] = first + i > 0 && query_count_ >= kMinQueriesRepeated && filters_.size() <= 1 &&
                    std::memcmp(segment.stored_row(rows[i]).data, segment.stored_row(worker.rows[first + i - 1]).data, segment.row_bytes()) == 0;
    }
    for (std::size_t q = 0; q < query_count_; q += kQueriesAtOnce) {
      const std::size_t end = std::min(query_count_, q + kQueriesAtOnce);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::size_t ahead = first + i + kPrefetchRows;
        if (q == 0 && ahead < worker.rows.size()) segment.prefetch(worker.rows[ahead]);
        score_row(s, rows[i], repeated[i], q, end, worker);
      }
    }
    worker.stats.bytes += rows.size() * segment.row_bytes();
  }
}

// repeated: the row equals the one before, whose scores worker.scores holds.
void Pass::score_row(std::uint32_t s, RowIndex row, bool repeated, std::size_t first_query, std::size_t end_query, Worker& worker) {
  const Segment& segment = segment_at(s);
  for (std::size_t q = first_query; q < end_query; ++q) {
    if (filters_.size() > 1 && !(*filters_[q])[s].test(row)) continue;
    if (!repeated) {
      worker.scores[q] = exact_score(snapshot_.metric(), kernels_, queries_[q], segment, row);
      ++worker.stats.rows_exact;
      ++worker.stats.rows_in_place;
    }
    // Few rows get further, so few need their ids, each a line of memory that nobody asked for in time.
    if (worker.scores[q] < thresholds_[q].load()) continue;
    if (sink_ == nullptr) {
      worker.collectors[q].push_exact({worker.scores[q], segment.ids()[row]}, thresholds_[q]);
    } else {
      sink_->take(worker.number, q, {worker.scores[q], worker.scores[q], s, row}, thresholds_[q]);
    }
  }
}

// Bounds one block by its high plane. False if that left too many rows and nothing was recorded.
bool Pass::scan_tile_high(std::uint32_t s, std::size_t block, std::size_t first, std::size_t width, Worker& worker) {
  const Segment& segment = segment_at(s);
  const simd::CoarseRows rows = segment.high_rows(block);
  std::uint64_t survivors[simd::kMaxTileWidth];
  float upper[simd::kMaxTileWidth * simd::kBlockRows];
  for (std::size_t q = first; q < first + width; ++q) worker.high.follow(q, thresholds_[q].load());
  kernels_.scan_block_high(segment.high_plane(block), segment.octets(), rows,
                           codes_.data() + first * padded_dim_, worker.high.constants.data() + first, width, survivors, upper);
  int most = 0;
  for (std::size_t i = 0; i < width; ++i) {
    survivors[i] &= allowed_word(first + i, s, block);
    most = std::max(most, std::popcount(survivors[i]));
  }
  if (refines_) return refine_tile(s, block, first, width, survivors, worker);
  worker.high_plane.record(static_cast<std::size_t>(most), tile_count_, window_blocks_, kHighPlaneTolerates);
  if (most > kMaxHighSurvivors) return false;
  for (std::size_t i = 0; i < width; ++i) {
    collect(first + i, s, block, survivors[i], upper + i * simd::kBlockRows, rows, worker.high.bounds[first + i], worker);
  }
  return true;
}

// Bounds the survivors of the high plane by both planes. False if they are too many and nothing was recorded.
bool Pass::refine_tile(std::uint32_t s, std::size_t block, std::size_t first, std::size_t width, const std::uint64_t* survivors,
                       Worker& worker) {
  std::size_t left = 0;
  std::size_t long_lists = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const int count = std::popcount(survivors[i]);
    left += static_cast<std::size_t>(std::min(count, kMaxRefinedRows));
    long_lists += count > kMaxRefinedRows;
  }
  const double tolerated = kRefiningTolerates * static_cast<double>(width);
  worker.high_plane.record(left, tile_count_, window_blocks_, tolerated);
  if (left == 0) return true;
  if (2 * long_lists > width) return false;
  for (std::size_t i = 0; i < width; ++i) {
    if (survivors[i] == 0) continue;
    if (std::popcount(survivors[i]) <= kMaxRefinedRows) {
      refine_rows(first + i, s, block, survivors[i], worker);
    } else {
      refine_block(first + i, s, block, worker);
    }
  }
  return true;
}

void Pass::refine_rows(std::size_t q, std::uint32_t s, std::size_t block, std::uint64_t survivors, Worker& worker) {
  const Segment& segment = segment_at(s);
  const simd::CoarseRows rows = segment.full_rows(block);
  worker.full.follow(q, thresholds_[q].load());
  const simd::CoarseQuery& constants = worker.full.constants[q];
  worker.rows_full |= survivors;
  float upper[simd::kBlockRows];
  std::uint64_t left = 0;
  for (; survivors != 0; survivors &= survivors - 1) {
    const auto r = static_cast<std::size_t>(std::countr_zero(survivors));
    const std::int32_t dot = kernels_.dot_row(segment.high_plane(block), segment.low_plane(block), segment.octets(), r, row_codes(q));
    upper[r] = row_upper(constants, rows, r, dot);
    left |= static_cast<std::uint64_t>(!(upper[r] < constants.threshold)) << r;
  }
  collect(q, s, block, left, upper, rows, worker.full.bounds[q], worker);
}

// All rows of the block for one query: its codes in the order of dimensions are a tile of width 1.
void Pass::refine_block(std::size_t q, std::uint32_t s, std::size_t block, Worker& worker) {
  const Segment& segment = segment_at(s);
  const simd::CoarseRows rows = segment.full_rows(block);
  std::uint64_t survivors = 0;
  float upper[simd::kBlockRows];
  worker.full.follow(q, thresholds_[q].load());
  worker.rows_full = ~std::uint64_t{0};
  unpack(s, block, worker);
  kernels_.scan_block(worker.unpacked.data(), segment.octets(), rows, row_codes(q), &worker.full.constants[q], 1, &survivors, upper);
  collect(q, s, block, survivors & allowed_word(q, s, block), upper, rows, worker.full.bounds[q], worker);
}

// A tile by both planes, read as they lie or unpacked in worker.unpacked.
void Pass::scan_tile_full(std::uint32_t s, std::size_t block, std::size_t first, std::size_t width, Worker& worker) {
  const Segment& segment = segment_at(s);
  const simd::CoarseRows rows = segment.full_rows(block);
  std::uint64_t survivors[simd::kMaxTileWidth];
  float upper[simd::kMaxTileWidth * simd::kBlockRows];
  for (std::size_t q = first; q < first + width; ++q) worker.full.follow(q, thresholds_[q].load());
  worker.rows_full = ~std::uint64_t{0};
  const std::int8_t* const codes = codes_.data() + first * padded_dim_;
  const simd::CoarseQuery* const constants = worker.full.constants.data() + first;
  if (from_planes_) {
    kernels_.scan_block_planes(segment.high_plane(block), segment.low_plane(block), segment.octets(), rows,
                               codes, constants, width, survivors, upper);
  } else {
    unpack(s, block, worker);
    kernels_.scan_block(worker.unpacked.data(), segment.octets(), rows, codes, constants, width, survivors, upper);
  }
  std::size_t left = 0;
  for (std::size_t i = 0; i < width; ++i) {
    survivors[i] &= allowed_word(first + i, s, block);
    left += static_cast<std::size_t>(std::popcount(survivors[i]));
    collect(first + i, s, block, survivors[i], upper + i * simd::kBlockRows, rows, worker.full.bounds[first + i], worker);
  }
  const double tolerated = kBothPlanesTolerate * static_cast<double>(simd::kBlockRows * width);
  worker.both_planes.record(left, tile_count_, window_blocks_, tolerated);
}

void Pass::collect(std::size_t q, std::uint32_t segment, std::size_t block, std::uint64_t survivors, const float* upper,
                   const simd::CoarseRows& rows, const SegmentBound& bound, Worker& worker) {
  for (; survivors != 0; survivors &= survivors - 1) {
    const auto r = static_cast<std::size_t>(std::countr_zero(survivors));
    const Candidate candidate{bound.lower_score(upper[r], rows.residual[r]), bound.upper_score(upper[r]), segment,
                              static_cast<RowIndex>(block * simd::kBlockRows + r)};
    if (sink_ != nullptr) {
      sink_->take(worker.number, q, candidate, thresholds_[q]);
      continue;
    }
    worker.collectors[q].push_candidate(candidate, thresholds_[q], [&](const Candidate& c) {
      ++worker.stats.rows_exact;
      worker.stats.rows_in_place += stray_rows_ ? 0 : 1;
      worker.stats.bytes += segment_at(c.segment).row_bytes();
      return exact_hit(q, c.segment, c.row);
    });
  }
}

SearchStats Pass::run_stats() const {
  SearchStats total;
  for (const Worker& worker : workers_) total += worker.stats;
  return total;
}

}  // namespace sightline::dense
