// One pass over a snapshot for a batch of queries: every worker bounds blocks of rows by their coarse image and collects
// candidates; finish() settles a query by exact scores.
//
// Life: construct, run() once, score_in_row_order() or not, then finish(q) once for each q, which may run in parallel. The
// snapshot, the query vectors and the filters must outlive it.
//
// Which plane is read, and whether any, is decided block by block from what the data has shown (see scan()):
//   - up to some tens of queries read the high plane first and the low one only where it left many rows: half the bytes,
//     and no unpacking;
//   - many queries wait for arithmetic, so they read both planes, unless the table takes four bits much faster than eight
//     (kernels.h, dot_row): then they read the high plane, and of the rows that it leaves both, row by row;
//   - where even both planes leave most rows (equal rows, k near the number of rows), rows are scored without them.
//
// For a large k a pass may presume: it looks at every kSampleEvery-th block first, takes the score that more than k rows
// will exceed if the rest is like the sample, and drops what cannot reach it. That is a guess, and a result proves or
// refutes it: with k hits that reach the presumed score nothing was dropped wrongly. What is_proven() denies must be searched
// again without presuming. It spares most of the candidates that come and go while a proven threshold rises.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/aligned.h"
#include "core/types.h"
#include "dense/bound.h"
#include "dense/collector.h"
#include "dense/search.h"
#include "dense/snapshot.h"
#include "simd/kernels.h"

namespace sightline::dense {

// How far ahead of scoring a row it is asked for.
inline constexpr std::size_t kPrefetchRows = 4;

// Takes the rows of a pass as they are found, and decides what they are worth.
class RowSink {
 public:
  // A row of query q that may reach the threshold, which take() may raise. Its bounds are equal if they are its exact score.
  // Calls of one worker do not overlap; those of several do.
  virtual void take(std::size_t worker, std::size_t q, const Candidate& row, SharedThreshold& threshold) = 0;

 protected:
  ~RowSink() = default;
};

class Pass {
 public:
  // filters: none, one for all queries, or one a query. coarse: false scores every allowed row exactly.
  // Hits below least_score are not kept. first_position numbers the queries in messages. presume: allowed to, see above; not with
  // a sink. sink: takes what is found instead; there is nothing to finish then.
  // Throws InvalidInputError for a query that cannot be searched.
  Pass(const Snapshot& snapshot, const float* queries, std::size_t query_count, std::size_t first_position, std::size_t k,
       float least_score, std::span<const RowFilter* const> filters, bool coarse, bool presume, RowSink* sink = nullptr);

  // beside: a task that one of the threads does first, while the others scan; it may raise thresholds.
  void run(const std::function<void()>& beside = {});
  SharedThreshold& threshold(std::size_t q) noexcept { return thresholds_[q]; }
  std::size_t worker_count() const noexcept { return workers_.size(); }

  // Scores what is left of many queries with a large k together, once after run(); else does nothing.
  void score_in_row_order();

  // The hits of query q, best first.
  std::vector<Hit> finish(std::size_t q, SearchStats& stats);

  // Whether `hits`, from finish(q), are the answer. Always, unless the pass was allowed to presume.
  bool is_proven(std::size_t q, const std::vector<Hit>& hits) const;

  // What run() did, over all workers.
  SearchStats run_stats() const;

 private:
  struct Task {
    std::uint32_t segment;
    std::size_t first_block;
    std::size_t end_block;
    bool of_sample;  // only the blocks of the sample; else all others, or all if there is no sample
  };

  // The bounds of all queries over one segment at one level, and what the kernel needs of them.
  struct LevelBounds {
    std::vector<SegmentBound> bounds;
    std::vector<simd::CoarseQuery> constants;
    std::vector<float> thresholds;  // what `constants` were made for

    void reset(const Snapshot& snapshot, std::span<const CodedQuery> queries, const Segment& segment, Level level,
               std::span<const SharedThreshold> current);
    void follow(std::size_t q, float threshold);
  };

  // Whether a stage leaves so many rows that it is better skipped: looks at a window of blocks at a time, tile by tile,
  // then rests or not, each time for longer while it stays useless, since thresholds are poor at first and the data may
  // be what is hard.
  struct Usefulness {
    std::size_t seen = 0;
    std::size_t rows_left = 0;
    double rows_tolerated = 0;
    std::size_t blocks_to_rest = 0;
    std::size_t rest_windows = 1;

    bool resting() noexcept {
      if (blocks_to_rest == 0) return false;
      --blocks_to_rest;
      return true;
    }
    void record(std::size_t left, std::size_t tiles_a_block, std::size_t window_blocks, double tolerated) noexcept;
  };

  struct Worker {
    Worker(std::size_t index, std::size_t query_count, std::size_t k, float least_score)
        : number(index), collectors(query_count, Collector(k, least_score)) {}
    std::size_t number;
    std::vector<Collector> collectors;  // none if there is a sink
    LevelBounds full;
    LevelBounds high;  // only if high_first_
    AlignedBuffer<std::uint8_t> unpacked;
    bool is_unpacked = false;           // the block that is being scanned
    std::uint64_t rows_full = 0;        // of this block, those that were bounded by both planes for any query
    std::vector<RowIndex> rows;  // to be scored
    std::vector<float> scores;   // of the row before, one a query
    Usefulness high_plane;
    Usefulness both_planes;
    SearchStats stats;

    void set_rank(std::size_t rank) {
      for (Collector& collector : collectors) collector.set_rank(rank);
    }
  };

  void interleave(std::size_t q, const std::int8_t* row);
  const std::int8_t* row_codes(std::size_t q) const noexcept { return row_codes_.data() + q * row_code_count_; }
  void gather(std::size_t q);
  void score_first(std::span<const std::size_t> begins);
  std::size_t sample_rank() const;
  std::size_t useful_workers() const;
  void make_tasks();
  void presume(std::size_t q);
  std::uint64_t allowed_word(std::size_t q, std::uint32_t segment, std::size_t block) const;
  std::uint64_t allowed_to_any(std::uint32_t segment, std::size_t block) const;
  Hit exact_hit(std::size_t q, std::uint32_t segment, RowIndex row) const;

  void scan(const Task& task, Worker& worker);
  void score_blocks(std::uint32_t segment, std::size_t first_block, std::size_t end_block, Worker& worker);
  void score_row(std::uint32_t segment, RowIndex row, bool repeated, std::size_t first_query, std::size_t end_query, Worker& worker);
  void scan_block(std::uint32_t segment, std::size_t block, Worker& worker);
  bool scan_tile_high(std::uint32_t segment, std::size_t block, std::size_t first, std::size_t width, Worker& worker);
  bool refine_tile(std::uint32_t segment, std::size_t block, std::size_t first, std::size_t width, const std::uint64_t* survivors,
                   Worker& worker);
  void refine_rows(std::size_t q, std::uint32_t segment, std::size_t block, std::uint64_t survivors, Worker& worker);
  void refine_block(std::size_t q, std::uint32_t segment, std::size_t block, Worker& worker);
  void unpack(std::uint32_t segment, std::size_t block, Worker& worker);
  void scan_tile_full(std::uint32_t segment, std::size_t block, std::size_t first, std::size_t width, Worker& worker);
  void collect(std::size_t q, std::uint32_t segment, std::size_t block, std::uint64_t survivors, const float* upper,
               const simd::CoarseRows& rows, const SegmentBound& bound, Worker& worker);

  const Segment& segment_at(std::uint32_t segment) const { return *snapshot_.segments()[segment].segment; }

  const Snapshot& snapshot_;
  const simd::Kernels& kernels_;
  const std::span<const RowFilter* const> filters_;
  const bool coarse_;
  RowSink* const sink_;
  const std::size_t query_count_;
  const std::size_t padded_dim_;
  const std::size_t tile_count_;
  const bool refines_;  // survivors of the high plane are bounded again row by row
  const bool high_first_;
  const bool from_planes_;
  const bool stray_rows_;  // what is scored one by one is read as Segment::stray_row()
  const std::size_t k_;
  const std::size_t sample_rank_;  // 0: no sample
  const std::size_t window_blocks_;
  std::vector<CodedQuery> queries_;
  std::vector<SharedThreshold> thresholds_;  // one a query
  std::vector<float> presumed_;              // one a query, if there is a sample
  AlignedBuffer<std::int8_t> codes_;  // tiles of tile_width queries, the last one narrower
  std::size_t row_code_count_ = 0;
  AlignedBuffer<std::int8_t> row_codes_;  // if refines_: query after query, padded for dot_row
  std::vector<Task> tasks_;  // those of the sample first
  std::size_t sample_tasks_ = 0;
  std::vector<Worker> workers_;
};

}  // namespace sightline::dense
