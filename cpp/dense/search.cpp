#include "dense/search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <limits>
#include <string>

#include "dense/bound.h"
#include "dense/collector.h"
#include "parallel/thread_pool.h"
#include "simd/dispatch.h"

namespace sightline::dense {
namespace {

constexpr std::size_t kMaxBatch = 1024;                      // queries that share one pass over the codes
constexpr std::size_t kCollectorBytes = std::size_t{256} << 20;  // for all collectors of a batch
// Up to this many queries the scan waits for memory, so it reads the high plane first; beyond, for arithmetic.
constexpr std::size_t kMaxQueriesHighFirst = 4;
// A block with more survivors of the high plane than this is bounded again with both planes.
constexpr int kMaxHighSurvivors = 8;
// Where the high plane leaves more than this many rows a block on average, reading both planes at once is cheaper.
constexpr double kHighPlaneGivesUp = 4.0;
// Rows are scored one by one, without the coarse pass, where a filter keeps fewer than one in this many.
constexpr std::size_t kSparseFilter = 16;

struct Query {
  Query(CodedQuery coded_query, float initial_threshold) : coded(coded_query), threshold(initial_threshold) {}
  CodedQuery coded;
  SharedThreshold threshold;
};

struct Task {
  std::uint32_t segment;
  std::size_t first_block;
  std::size_t end_block;
};

// One pass over the snapshot for a batch of queries that all go through the coarse image, or all do not.
class Pass {
 public:
  Pass(const Snapshot& snapshot, const float* queries, std::size_t query_count, std::size_t first_position, std::size_t k,
       float least_score, std::span<const RowFilter* const> filters, bool coarse)
      : snapshot_(snapshot), kernels_(simd::kernels()), filters_(filters), coarse_(coarse) {
    const std::size_t dim = snapshot.dim();
    padded_dim_ = (dim + 7) / 8 * 8;
    codes_ = AlignedBuffer<std::int8_t>(query_count * padded_dim_);
    std::vector<std::int8_t> row(padded_dim_);
    for (std::size_t q = 0; q < query_count; ++q) {
      queries_.emplace_back(code_query(snapshot.metric(), queries + q * dim, dim, first_position + q, row.data()), least_score);
      interleave(q, query_count, row.data());
    }
    make_tasks();
    worker_count_ = parallel::worker_limit(tasks_.size());
    workers_.reserve(worker_count_);
    for (std::size_t w = 0; w < worker_count_; ++w) workers_.emplace_back(query_count, k, least_score);
  }

  void run() {
    parallel::parallel_for(tasks_.size(), worker_count_, [this](std::size_t task, std::size_t worker) {
      if (coarse_) {
        scan(tasks_[task], workers_[worker]);
      } else {
        score_all(tasks_[task], workers_[worker]);
      }
    });
  }

  // Merges what the workers found for query q and settles what is left by exact scores. May run in parallel over q.
  std::vector<Hit> finish(std::size_t q, SearchStats& stats) {
    Query& query = queries_[q];
    Collector& first = workers_[0].collectors[q];
    std::vector<Candidate> candidates = std::move(first.candidates());
    for (std::size_t w = 1; w < worker_count_; ++w) {
      Collector& other = workers_[w].collectors[q];
      for (const Hit& hit : other.best().unsorted()) first.push_exact(hit, query.threshold);
      candidates.insert(candidates.end(), other.candidates().begin(), other.candidates().end());
    }
    const float least = below(query.threshold.load());
    std::erase_if(candidates, [least](const Candidate& c) { return c.upper < least; });
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.upper > b.upper; });
    // In rounds, so that threads can share the work of one query and yet little is scored beyond what is needed.
    constexpr std::size_t kRound = 256;
    std::vector<Hit> hits;
    for (std::size_t begin = 0; begin < candidates.size(); begin += kRound) {
      if (candidates[begin].upper < below(query.threshold.load())) break;
      hits.resize(std::min(kRound, candidates.size() - begin));
      const auto score_part = [&](std::size_t from, std::size_t to) {
        for (std::size_t i = from; i < to; ++i) hits[i] = exact_hit(q, candidates[begin + i]);
      };
      if (hits.size() < kRound) {
        score_part(0, hits.size());
      } else {
        parallel::parallel_for(4, [&](std::size_t part, std::size_t) { score_part(part * kRound / 4, (part + 1) * kRound / 4); });
      }
      for (const Hit& hit : hits) first.push_exact(hit, query.threshold);
      stats.rows_exact += hits.size();
      stats.bytes += hits.size() * snapshot_.dim() * sizeof(float);
    }
    return first.best().take_sorted();
  }

  void add_stats(SearchStats& stats) const {
    for (const Worker& worker : workers_) {
      stats.rows_high += worker.stats.rows_high;
      stats.rows_full += worker.stats.rows_full;
      stats.rows_exact += worker.stats.rows_exact;
      stats.bytes += worker.stats.bytes;
    }
  }

 private:
  struct Worker {
    Worker(std::size_t query_count, std::size_t k, float least_score)
        : collectors(query_count, Collector(k, least_score)), bounds(query_count), high_bounds(query_count),
          constants(query_count), thresholds(query_count) {}
    std::vector<Collector> collectors;
    // Of the segment at hand:
    std::vector<SegmentBound> bounds;
    std::vector<SegmentBound> high_bounds;
    std::vector<simd::CoarseQuery> constants;
    std::vector<float> thresholds;  // what `constants` were made for
    AlignedBuffer<std::uint8_t> unpacked;
    // Whether the high plane is worth its while, over what this worker has seen.
    std::uint64_t high_blocks = 0;
    std::uint64_t high_survivors = 0;
    SearchStats stats;
  };

  // Tiles of tile_width queries, the last one narrower: for each quad of dimensions, `width` queries x 4 bytes.
  void interleave(std::size_t q, std::size_t query_count, const std::int8_t* row) {
    const std::size_t tile = q / kernels_.tile_width;
    const std::size_t width = tile_width(tile, query_count);
    std::int8_t* out = codes_.data() + tile * kernels_.tile_width * padded_dim_ + (q % kernels_.tile_width) * 4;
    for (std::size_t quad = 0; quad < padded_dim_ / 4; ++quad) std::copy_n(row + 4 * quad, 4, out + quad * width * 4);
  }
  std::size_t tile_width(std::size_t tile, std::size_t query_count) const {
    return std::min(kernels_.tile_width, query_count - tile * kernels_.tile_width);
  }

  void make_tasks() {
    std::size_t blocks = 0;
    for (const SegmentView& view : snapshot_.segments()) blocks += view.segment->block_count();
    // At least 64 tasks a thread, so that the last one to finish matters little, but none below about a megabyte.
    const std::size_t block_bytes = simd::kBlockRows * padded_dim_;
    const std::size_t least = std::max<std::size_t>(1, (std::size_t{1} << 20) / (block_bytes * std::max<std::size_t>(1, queries_.size())));
    const std::size_t length = std::max(least, std::min<std::size_t>(256, blocks / (64 * parallel::num_threads())));
    for (std::uint32_t s = 0; s < snapshot_.segments().size(); ++s) {
      const std::size_t count = snapshot_.segments()[s].segment->block_count();
      for (std::size_t first = 0; first < count; first += length) tasks_.push_back({s, first, std::min(count, first + length)});
    }
  }

  const RowFilter* filter_of(std::size_t q) const {
    return filters_.empty() ? nullptr : filters_[filters_.size() == 1 ? 0 : q];
  }
  std::uint64_t allowed_word(std::size_t q, std::uint32_t segment, std::size_t block) const {
    const RowFilter* filter = filter_of(q);
    return filter ? (*filter)[segment].word(block) : snapshot_.segments()[segment].live_word(block);
  }

  Hit exact_hit(std::size_t q, const Candidate& candidate) const {
    const Segment& segment = *snapshot_.segments()[candidate.segment].segment;
    return {exact_score(snapshot_.metric(), kernels_, queries_[q].coded, segment, candidate.row), segment.ids()[candidate.row]};
  }

  void score_all(const Task& task, Worker& worker) {
    for (std::size_t block = task.first_block; block < task.end_block; ++block) {
      for (std::size_t q = 0; q < queries_.size(); ++q) {
        for (std::uint64_t rows = allowed_word(q, task.segment, block); rows != 0; rows &= rows - 1) {
          const auto row = static_cast<RowIndex>(block * simd::kBlockRows + static_cast<std::size_t>(std::countr_zero(rows)));
          worker.collectors[q].push_exact(exact_hit(q, {0, task.segment, row}), queries_[q].threshold);
          ++worker.stats.rows_exact;
          worker.stats.bytes += snapshot_.dim() * sizeof(float);
        }
      }
    }
  }

  void scan(const Task& task, Worker& worker) {
    const Segment& segment = *snapshot_.segments()[task.segment].segment;
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      worker.bounds[q] = SegmentBound(snapshot_.metric(), queries_[q].coded, segment, Level::kFull);
      worker.thresholds[q] = queries_[q].threshold.load();
      worker.constants[q] = worker.bounds[q].constants(worker.thresholds[q]);
      if (queries_.size() <= kMaxQueriesHighFirst) {
        worker.high_bounds[q] = SegmentBound(snapshot_.metric(), queries_[q].coded, segment, Level::kHigh);
      }
    }
    if (worker.unpacked.size() == 0) worker.unpacked = AlignedBuffer<std::uint8_t>(simd::kBlockRows * padded_dim_);
    for (std::size_t block = task.first_block; block < task.end_block; ++block) {
      std::uint64_t any = 0;
      for (std::size_t q = 0; q < std::max<std::size_t>(filters_.size(), 1); ++q) any |= allowed_word(q, task.segment, block);
      if (any == 0) continue;
      const bool high_first = queries_.size() <= kMaxQueriesHighFirst &&
                              static_cast<double>(worker.high_survivors) <=
                                  kHighPlaneGivesUp * static_cast<double>(worker.high_blocks + 32);
      if (!high_first || !scan_high(task.segment, segment, block, worker)) scan_full(task.segment, segment, block, worker);
    }
  }

  // Bounds one block by its high plane. False if that left too many rows and nothing was recorded.
  bool scan_high(std::uint32_t s, const Segment& segment, std::size_t block, Worker& worker) {
    const std::size_t count = queries_.size();  // <= kMaxQueriesHighFirst, one tile
    std::uint64_t survivors[kMaxQueriesHighFirst];
    float upper[kMaxQueriesHighFirst * simd::kBlockRows];
    float thresholds[kMaxQueriesHighFirst];
    simd::CoarseQuery constants[kMaxQueriesHighFirst];
    for (std::size_t q = 0; q < count; ++q) {
      thresholds[q] = queries_[q].threshold.load();
      constants[q] = worker.high_bounds[q].constants(thresholds[q]);
    }
    const simd::CoarseRows rows = segment.high_rows(block);
    kernels_.scan_block_high(segment.high_plane(block), segment.octets(), rows, codes_.data(), constants, count, survivors, upper);
    worker.stats.rows_high += simd::kBlockRows;
    worker.stats.bytes += segment.plane_bytes_per_block() + 3 * sizeof(float) * simd::kBlockRows;
    bool warm = true;
    int most = 0;
    for (std::size_t q = 0; q < count; ++q) {
      survivors[q] &= allowed_word(q, s, block);
      most = std::max(most, std::popcount(survivors[q]));
      warm = warm && thresholds[q] > kNoScore;
    }
    if (warm) {  // without a threshold everything survives, which says nothing of the plane
      ++worker.high_blocks;
      worker.high_survivors += static_cast<std::uint64_t>(most);
    }
    if (most > kMaxHighSurvivors) return false;
    for (std::size_t q = 0; q < count; ++q) {
      record(q, s, block, survivors[q], upper + q * simd::kBlockRows, worker.high_bounds[q], worker);
    }
    return true;
  }

  void scan_full(std::uint32_t s, const Segment& segment, std::size_t block, Worker& worker) {
    kernels_.unpack_block(segment.high_plane(block), segment.low_plane(block), segment.octets(), worker.unpacked.data());
    const simd::CoarseRows rows = segment.full_rows(block);
    std::uint64_t survivors[simd::kMaxTileWidth];
    float upper[simd::kMaxTileWidth * simd::kBlockRows];
    const std::size_t count = queries_.size();
    for (std::size_t first = 0; first < count; first += kernels_.tile_width) {
      const std::size_t width = std::min(kernels_.tile_width, count - first);
      for (std::size_t q = first; q < first + width; ++q) {
        // Thresholds rise rarely after the first blocks, and a division a query and block would show.
        const float threshold = queries_[q].threshold.load();
        if (threshold == worker.thresholds[q]) continue;
        worker.thresholds[q] = threshold;
        worker.constants[q].threshold = worker.bounds[q].coarse_threshold(threshold);
      }
      kernels_.scan_block(worker.unpacked.data(), segment.octets(), rows, codes_.data() + first * padded_dim_,
                          worker.constants.data() + first, width, survivors, upper);
      for (std::size_t i = 0; i < width; ++i) {
        survivors[i] &= allowed_word(first + i, s, block);
        record(first + i, s, block, survivors[i], upper + i * simd::kBlockRows, worker.bounds[first + i], worker);
      }
    }
    worker.stats.rows_full += simd::kBlockRows;
    worker.stats.bytes += 2 * segment.plane_bytes_per_block() + 3 * sizeof(float) * simd::kBlockRows;
  }

  void record(std::size_t q, std::uint32_t s, std::size_t block, std::uint64_t survivors, const float* upper,
              const SegmentBound& bound, Worker& worker) {
    for (; survivors != 0; survivors &= survivors - 1) {
      const auto r = static_cast<std::size_t>(std::countr_zero(survivors));
      const Candidate candidate{bound.upper_score(upper[r]), s, static_cast<RowIndex>(block * simd::kBlockRows + r)};
      worker.collectors[q].push_candidate(candidate, queries_[q].threshold, [&](const Candidate& c) {
        ++worker.stats.rows_exact;
        worker.stats.bytes += snapshot_.dim() * sizeof(float);
        return exact_hit(q, c);
      });
    }
  }

  const Snapshot& snapshot_;
  const simd::Kernels& kernels_;
  const std::span<const RowFilter* const> filters_;
  const bool coarse_;
  std::size_t padded_dim_ = 0;
  std::deque<Query> queries_;  // holds atomics, which do not move
  AlignedBuffer<std::int8_t> codes_;
  std::vector<Task> tasks_;
  std::size_t worker_count_ = 1;
  std::vector<Worker> workers_;
};

std::size_t count_allowed(const RowFilter& filter) {
  std::size_t total = 0;
  for (const Bitset& bits : filter) total += bits.count();
  return total;
}

void write_hits(const std::vector<Hit>& hits, std::size_t k, float* scores, DocId* ids) {
  for (std::size_t i = 0; i < k; ++i) {
    scores[i] = i < hits.size() ? hits[i].score : kNoScore;
    ids[i] = i < hits.size() ? hits[i].id : kNoId;
  }
}

}  // namespace

void search(const Snapshot& snapshot, const float* queries, std::size_t query_count, std::size_t k,
            std::span<const RowFilter> filters, float* scores, DocId* ids, SearchStats& stats) {
  const std::size_t dim = snapshot.dim();
  // More places than rows only need padding.
  const std::size_t kept = std::max<std::size_t>(1, std::min(k, snapshot.live_count()));
  const std::size_t bytes_per_query = parallel::num_threads() * kept * (2 * sizeof(Candidate) + sizeof(Hit));
  const std::size_t batch = std::clamp<std::size_t>(kCollectorBytes / bytes_per_query, 1, kMaxBatch);
  std::vector<bool> sparse(filters.size());
  for (std::size_t f = 0; f < filters.size(); ++f) sparse[f] = count_allowed(filters[f]) < snapshot.live_count() / kSparseFilter;
  const auto is_sparse = [&](std::size_t q) { return !filters.empty() && sparse[filters.size() == 1 ? 0 : q]; };
  for (std::size_t first = 0; first < query_count;) {
    // A run of queries that go the same way.
    const bool coarse = !is_sparse(first);
    std::size_t end = first + 1;
    while (end < query_count && end - first < batch && is_sparse(end) != coarse) ++end;
    std::vector<const RowFilter*> chosen;
    if (filters.size() == 1) chosen.push_back(&filters[0]);
    if (filters.size() > 1) {
      for (std::size_t q = first; q < end; ++q) chosen.push_back(&filters[q]);
    }
    Pass pass(snapshot, queries + first * dim, end - first, first, kept, kNoScore, chosen, coarse);
    pass.run();
    std::vector<SearchStats> finishing(end - first);
    const auto finish = [&](std::size_t q, std::size_t) {
      write_hits(pass.finish(q, finishing[q]), k, scores + (first + q) * k, ids + (first + q) * k);
    };
    // A lone query settles its candidates with all threads, many queries with one thread each.
    if (end - first == 1) {
      finish(0, 0);
    } else {
      parallel::parallel_for(end - first, finish);
    }
    pass.add_stats(stats);
    for (const SearchStats& part : finishing) {
      stats.rows_exact += part.rows_exact;
      stats.bytes += part.bytes;
    }
    first = end;
  }
}

std::vector<Hit> range_search(const Snapshot& snapshot, const float* query, float threshold,
                              std::span<const RowFilter> filters, SearchStats& stats) {
  std::vector<const RowFilter*> chosen;
  bool coarse = true;
  if (!filters.empty()) {
    chosen.push_back(&filters[0]);
    coarse = count_allowed(filters[0]) >= snapshot.live_count() / kSparseFilter;
  }
  // One place more than there are rows: the list never fills, so the threshold stays where it is.
  Pass pass(snapshot, query, 1, kLoneQuery, snapshot.live_count() + 1, threshold, chosen, coarse);
  pass.run();
  std::vector<Hit> hits = pass.finish(0, stats);
  pass.add_stats(stats);
  return hits;
}

void score(const Snapshot& snapshot, const float* query, std::span<const DocId> ids, float* scores) {
  std::vector<std::int8_t> codes((snapshot.dim() + 7) / 8 * 8);
  const CodedQuery coded = code_query(snapshot.metric(), query, snapshot.dim(), kLoneQuery, codes.data());
  const simd::Kernels& kernels = simd::kernels();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::optional<RowAddress> address = snapshot.find(ids[i]);
    if (!address) throw Error(ErrorKind::kNotFound, "ids: " + std::to_string(ids[i]) + " is not in the index");
    scores[i] = exact_score(snapshot.metric(), kernels, coded, *snapshot.segments()[address->segment].segment, address->row);
  }
}

}  // namespace sightline::dense
