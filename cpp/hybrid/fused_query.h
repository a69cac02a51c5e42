// One query of a fused search: the best documents of both engines together, proved complete.
//
// 1. list() takes the best D documents of the lexical engine and looks up the cosine of each, so their fused scores are known.
//    Whatever it did not list has a lexical score of at most R, the D-th (0 if the list is complete).
// 2. Let theta be the k-th best fused score known so far, a lower bound of the final one. An unlisted document whose cosine is
//    c scores at most combine(c, R). So the dense scan needs only rows whose bound reaches the least t with
//    combine(t, R) >= theta: a range search whose threshold rises with theta. take() collects them with their certified bounds;
//    k rows of cosines of at least l raise theta to combine(l, 0).
// 3. finish() looks up the lexical scores of what is left, which brings most of their upper bounds below theta without reading
//    a vector, and scores the rest exactly, best bounds first.
// 4. Documents without a vector are in no dense scan. deepen() lists more until combine(0, R) < theta excludes the others.
//
// list() may run beside the scan. Until it is done theta is not known, and take() drops what is below the m-th best cosine so
// far, which only might be right; missed() tells in the end whether it was, and the scan is to be repeated if not.
//
// Source: the threshold algorithm of R. Fagin, A. Lotem, M. Naor, Optimal aggregation algorithms for middleware, 2003, of
// which this is the variant that reads one list at once and the other one by its bound.
// Thread safety: take() may run in several threads, one for each worker, and beside list(); the others may not overlap.
#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "core/types.h"
#include "dense/collector.h"
#include "dense/search.h"
#include "hybrid/convex.h"
#include "hybrid/lookup.h"
#include "hybrid/words.h"
#include "lexical/search.h"
#include "topk/top_k.h"

namespace sightline::hybrid {

class FusedQuery {
 public:
  // What is passed must outlive this. filter: may be null. Precondition: k >= 1.
  FusedQuery(const Engines& engines, const Convex& convex, const float* vector, const lexical::Query& terms, std::size_t k,
             const lexical::RowFilter* filter);

  // What one may come to hold while `workers` scan, where bounds separate the rows badly.
  static std::size_t most_bytes(const Engines& engines, std::size_t k, std::size_t workers) noexcept;

  // m, above: the rank by which rows are dropped while nothing is listed.
  static std::size_t provisional_rank(std::size_t k) noexcept;

  void list();
  // The dense score below which no unlisted row can be among the k best.
  float dense_threshold() const noexcept;

  void prepare(std::size_t worker_count);
  void take(std::size_t worker, const dense::Candidate& row, dense::SharedThreshold& threshold);
  void finish();
  // The same by the threads of the pool, for a lone query: what its scan left, mostly look-ups, is a good part of its time.
  void finish_together();
  bool missed() const noexcept;
  void restart();  // forgets what the scan found, but not theta
  void deepen();

  // Best first; the last call.
  std::vector<FusedHit> take_hits() { return top_.take_sorted(); }

 private:
  using Top = TopKOf<FusedHit>;
  struct Open {  // a candidate that may belong to the answer
    DocId id;
    double upper;
    float lexical;
    dense::Candidate row;
  };
  struct Found {  // by one worker
    Found(std::size_t k, std::size_t least_capacity) : best(k), capacity(least_capacity) {}
    Top best;
    std::vector<dense::Candidate> candidates;
    std::size_t capacity;  // settled when it is reached
    std::vector<float> lowers;  // this and the following: scratch
    std::vector<double> fused_lowers;
    std::vector<Open> open;
    std::vector<DocId> ids;
    Lookup lookup;
  };

  static std::size_t least_capacity(const Engines& engines, std::size_t k) noexcept;
  void search_listed(std::size_t depth);
  FusedHit fused(DocId id, std::optional<float> dense, float lexical) const noexcept;
  void settle(Found& found, dense::SharedThreshold& threshold);
  void raise_by_lower_bounds(Found& found);
  void raise_by_fused_bounds(Found& found, const Top& top);
  void drop_hopeless(std::vector<dense::Candidate>& candidates) const;
  void score(Found& found, Top& top);
  double theta() const noexcept { return theta_.load(std::memory_order_relaxed); }
  void raise(double fused) noexcept;

  const Engines& engines_;
  const Convex convex_;
  const std::size_t k_;
  const lexical::RowFilter* filter_;
  const std::unique_ptr<const WordQuery> bound_;
  const dense::RowScorer scorer_;

  // Written by list(), read by others once listed_ is true.
  std::size_t depth_ = 0;
  bool complete_ = false;  // every document with a query term is listed
  float rest_ = 0;         // R
  std::vector<FusedHit> listed_hits_;
  std::vector<DocId> listed_ids_;  // ascending
  std::atomic<bool> listed_{false};

  std::atomic<double> theta_{-std::numeric_limits<double>::infinity()};
  std::atomic<float> provisional_{kNoScore};  // the greatest threshold that was applied before listed_ was true
  std::vector<Found> found_;  // by worker
  Top top_;
};

}  // namespace sightline::hybrid
