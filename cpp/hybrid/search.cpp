#include "hybrid/search.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>

#include "dense/bound.h"
#include "dense/pass.h"
#include "hybrid/fused_query.h"
#include "hybrid/lookup.h"
#include "parallel/thread_pool.h"
#include "topk/top_k.h"

namespace sightline::hybrid {
namespace {

constexpr std::size_t kMaxBatch = 1024;  // queries that share one pass over the codes, if they have room in
constexpr std::size_t kBatchBytes = std::size_t{256} << 20;
constexpr std::size_t kIdsATask = 256;
constexpr std::size_t kPrefetchRows = 4;  // how far ahead of scoring a row it is asked for

// Queries that share a pass.
class Batch final : public dense::RowSink {
 public:
  Batch(const Engines& engines, const Convex& convex, const Queries& queries, std::size_t first, std::size_t end, std::size_t k,
        const Filters& filters)
      : engines_(engines), vectors_(queries.vectors + first * engines.dense.dim()), first_(first), k_(k), filters_(filters) {
    queries_.resize(end - first);
    const auto bind = [&](std::size_t i, std::size_t) {
      const std::size_t q = first + i;
      queries_[i] = std::make_unique<FusedQuery>(engines, convex, queries.vectors + q * engines.dense.dim(), queries.terms[q], k,
                                                 filters.lexical);
    };
    if (queries_.size() == 1) {
      bind(0, 0);
    } else {
      parallel::parallel_for(queries_.size(), bind);  // with packed postings this unpacks what all segments share of a term
    }
  }

  void run() {
    // A lone query's lexical search waits for memory here and there, its scan for bandwidth: they go well together.
    const bool beside = queries_.size() == 1;
    if (!beside) parallel::parallel_for(queries_.size(), [&](std::size_t q, std::size_t) { queries_[q]->list(); });
    scan(beside);
    if (queries_.front()->missed()) {  // only a lone query can have
      queries_.front()->restart();
      scan(false);
    }
    each([](FusedQuery& query) { query.deepen(); });
  }

  void take(std::size_t worker, std::size_t q, const dense::Candidate& row, dense::SharedThreshold& threshold) override {
    queries_[q]->take(worker, row, threshold);
  }

  std::vector<FusedHit> take_hits(std::size_t q) { return queries_[q]->take_hits(); }
  std::size_t rows_in_place() const noexcept { return rows_in_place_; }

 private:
  template <typename Do>
  void each(Do act) {
    if (queries_.size() == 1) {
      act(*queries_.front());
    } else {
      parallel::parallel_for(queries_.size(), [&](std::size_t q, std::size_t) { act(*queries_[q]); });
    }
  }

  void scan(bool list_beside) {
    const std::size_t rank = FusedQuery::provisional_rank(k_);
    const std::size_t rows = engines_.dense.live_count();
    std::vector<const dense::RowFilter*> filters;
    if (filters_.dense != nullptr) filters.push_back(filters_.dense);
    // With k near the number of rows nothing can be dropped, and bounds would only be read for nothing.
    dense::Pass pass(engines_.dense, vectors_, queries_.size(), first_, std::min(rank, rows), kNoScore, filters, k_ <= rows / 2,
                     false, this);
    for (const auto& query : queries_) query->prepare(pass.worker_count());
    const auto raise = [&](std::size_t q) { pass.threshold(q).raise(queries_[q]->dense_threshold()); };
    if (list_beside) {
      pass.run([&] {
        queries_.front()->list();
        raise(0);
      });
    } else {
      for (std::size_t q = 0; q < queries_.size(); ++q) raise(q);
      pass.run();
    }
    rows_in_place_ += pass.run_stats().rows_in_place;
    if (queries_.size() == 1) {
      queries_.front()->finish_together();
    } else {
      each([](FusedQuery& query) { query.finish(); });
    }
  }

  const Engines& engines_;
  const float* vectors_;
  std::size_t first_;
  std::size_t k_;
  Filters filters_;
  std::vector<std::unique_ptr<FusedQuery>> queries_;
  std::size_t rows_in_place_ = 0;
};

using Top = TopKOf<FusedHit>;

// One query among some documents.
void score_among(const Engines& engines, const Convex& convex, const WordQuery& bound, const dense::RowScorer& scorer,
                 std::span<const DocId> ids, Top& top) {
  thread_local Lookup lookup;
  const std::span<const double> sums = lookup.sums(bound, ids);
  std::vector<std::optional<dense::RowAddress>> rows(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) rows[i] = engines.dense.find(ids[i]);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i + kPrefetchRows < ids.size() && rows[i + kPrefetchRows]) scorer.prefetch(*rows[i + kPrefetchRows]);
    if (!rows[i] && lexical::is_untouched(sums[i])) continue;
    const float cosine = rows[i] ? scorer(*rows[i]) : 0.0F;
    const float words = lexical_score(bound, sums[i]);
    top.push({convex.combine(static_cast<double>(cosine), static_cast<double>(words)), ids[i],
              rows[i] ? cosine : std::numeric_limits<float>::quiet_NaN(), words});
  }
}

// Before anything is searched, and by its number.
void check_vectors(const Engines& engines, const Queries& queries) {
  if (queries.count() == 1) return;  // which is named as the only one where it is coded
  const std::size_t dim = engines.dense.dim();
  for (std::size_t q = 0; q < queries.count(); ++q) dense::check_query(engines.dense.metric(), queries.vectors + q * dim, dim, q);
}

}  // namespace

std::vector<std::vector<FusedHit>> search(const Engines& engines, const Convex& convex, const Queries& queries, std::size_t k,
                                          const Filters& filters, std::size_t& rows_in_place) {
  check_vectors(engines, queries);
  std::vector<std::vector<FusedHit>> results;
  results.reserve(queries.count());
  const std::size_t each = FusedQuery::most_bytes(engines, k, parallel::num_threads());
  const std::size_t together = std::clamp<std::size_t>(kBatchBytes / each, 1, kMaxBatch);
  for (std::size_t first = 0; first < queries.count(); first += together) {
    const std::size_t end = std::min(queries.count(), first + together);
    Batch batch(engines, convex, queries, first, end, k, filters);
    batch.run();
    for (std::size_t q = 0; q < end - first; ++q) results.push_back(batch.take_hits(q));
    rows_in_place += batch.rows_in_place();
  }
  return results;
}

std::vector<std::vector<FusedHit>> search_among(const Engines& engines, const Convex& convex, const Queries& queries, std::size_t k,
                                                std::span<const DocId> ids) {
  check_vectors(engines, queries);
  std::vector<std::vector<FusedHit>> results(queries.count());
  const bool lone = queries.count() == 1;
  const auto search_one = [&](std::size_t q, std::size_t) {
    const std::unique_ptr<const WordQuery> bound = engines.lexical.bind(queries.terms[q]);
    const dense::RowScorer scorer(engines.dense, queries.vectors + q * engines.dense.dim());
    // Threads share a batch by its queries, a lone query by its documents, where these are worth it.
    const std::size_t parts = lone ? std::max<std::size_t>(1, (ids.size() + kIdsATask - 1) / kIdsATask) : 1;
    const std::size_t length = (ids.size() + parts - 1) / parts;
    std::vector<Top> tops(parts, Top(k));
    const auto score_part = [&](std::size_t part, std::size_t) {
      const std::size_t from = std::min(ids.size(), part * length);
      score_among(engines, convex, *bound, scorer, ids.subspan(from, std::min(length, ids.size() - from)), tops[part]);
    };
    if (parts == 1) {
      score_part(0, 0);
    } else {
      parallel::parallel_for(parts, score_part);
    }
    for (std::size_t part = 1; part < parts; ++part) {
      for (const FusedHit& hit : tops[part].unsorted()) tops[0].push(hit);
    }
    results[q] = tops[0].take_sorted();
  };
  if (lone) {
    search_one(0, 0);
  } else {
    parallel::parallel_for(queries.count(), search_one);
  }
  return results;
}

}  // namespace sightline::hybrid
