#include "dense/combined_search.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <vector>

#include "dense/bound.h"
#include "parallel/thread_pool.h"

namespace sightline::dense {
namespace {

using Clock = std::chrono::steady_clock;

// How long a leader waits for those who were in the last pass to come again, as a share of that pass: threads that search in
// a loop would else fall into two groups, a large one and one that is left out every other time.
constexpr int kPatience = 8;
constexpr Clock::duration kMostPatience = std::chrono::milliseconds(2);
// A pass over fewer bytes of codes is over before others arrive, and may leave threads idle that others could use.
constexpr std::size_t kLeastCodeBytes = std::size_t{8} << 20;
// A caller with more queries makes good use of a pass alone.
constexpr std::size_t kMostQueriesACaller = 16;
constexpr std::size_t kMostQueries = 64;
// Results of a shared pass are copied to the callers; where they are many, that and its memory are not worth it.
constexpr std::size_t kMostPlacesACaller = std::size_t{1} << 14;

bool is_large(const Snapshot& snapshot) {
  std::size_t bytes = 0;
  for (const SegmentView& view : snapshot.segments()) bytes += view.segment->block_count() * view.segment->plane_bytes_per_block();
  return bytes >= kLeastCodeBytes;
}

}  // namespace

struct CombinedSearch::Request {
  const Snapshot* snapshot;
  const float* queries;
  std::size_t query_count;
  std::size_t k;
  float* scores;
  DocId* ids;
  SearchStats* stats;
  std::exception_ptr failure{};  // written by the leader before `done`
  // Guarded by Queue::mutex:
  bool leads = false;
  bool done = false;
  std::condition_variable woken{};
};

struct CombinedSearch::Queue {
  explicit Queue(unsigned generation) : fork_generation(generation) {}
  const unsigned fork_generation;
  std::mutex mutex;
  bool running = false;
  std::condition_variable arrived;  // for a leader that waits for company
  // Of the last pass: callers, how long it took, when it ended.
  std::size_t last_count = 0;
  Clock::duration last_duration{};
  Clock::time_point last_end{};
  std::deque<Request*> waiting;  // live on the stacks of their callers, who leave when they are done
};

CombinedSearch::~CombinedSearch() {
  // A parent's queue may be in use for ever, as its child sees it: destroying it there would wait for the parent's threads.
  const Queue* const queue = queue_.load();
  if (queue != nullptr && queue->fork_generation == parallel::fork_generation()) delete queue;
}

CombinedSearch::Queue& CombinedSearch::queue() {
  const unsigned generation = parallel::fork_generation();
  Queue* current = queue_.load();
  if (current != nullptr && current->fork_generation == generation) return *current;
  // A parent's queue may be locked for ever in its child, so it is left behind.
  auto fresh = std::make_unique<Queue>(generation);
  if (queue_.compare_exchange_strong(current, fresh.get())) return *fresh.release();
  return *current;  // another thread was faster
}

std::size_t CombinedSearch::search(const Snapshot& snapshot, const float* queries, std::size_t query_count, std::size_t k, float* scores,
                                   DocId* ids, SearchStats& stats) {
  const bool few = query_count != 0 && query_count <= kMostQueriesACaller && k <= kMostPlacesACaller / query_count;
  if (!few || !is_large(snapshot)) {
    dense::search(snapshot, queries, query_count, k, {}, scores, ids, stats);
    return query_count;
  }
  // A bad query is the concern of its caller alone.
  for (std::size_t q = 0; q < query_count; ++q) check_query(snapshot.metric(), queries + q * snapshot.dim(), snapshot.dim(), q);
  Queue& q = queue();
  Request mine{&snapshot, queries, query_count, k, scores, ids, &stats};
  std::size_t told_of = 0;
  std::unique_lock lock(q.mutex);
  if (q.running) {
    q.waiting.push_back(&mine);
    q.arrived.notify_one();
    mine.woken.wait(lock, [&] { return mine.leads || mine.done; });
  }
  if (!mine.done) {
    q.running = true;
    const Clock::time_point until = q.last_end + std::min(q.last_duration / kPatience, kMostPatience);
    q.arrived.wait_until(lock, until, [&] { return q.waiting.size() + 1 >= q.last_count; });
    Request* batch[kMostQueries] = {&mine};
    std::size_t count = 1;
    std::size_t total = query_count;
    std::erase_if(q.waiting, [&](Request* other) {
      if (other->snapshot != &snapshot || other->k != k || total + other->query_count > kMostQueries) return false;
      total += other->query_count;
      batch[count++] = other;
      return true;
    });
    lock.unlock();
    const Clock::time_point begin = Clock::now();
    try {
      run_together(count, batch);
    } catch (...) {
      // Memory for all at once, say, or an array that its owner changed meanwhile: nobody fails for another's sake.
      for (std::size_t i = 0; i < count; ++i) run_alone(*batch[i]);
    }
    lock.lock();
    told_of = total;
    q.last_count = count;
    q.last_end = Clock::now();
    q.last_duration = q.last_end - begin;
    for (std::size_t i = 1; i < count; ++i) {
      batch[i]->done = true;
      batch[i]->woken.notify_one();
    }
    q.running = !q.waiting.empty();
    if (q.running) {
      Request* const next = q.waiting.front();
      q.waiting.pop_front();
      next->leads = true;
      next->woken.notify_one();
    }
  }
  lock.unlock();
  if (mine.failure) std::rethrow_exception(mine.failure);
  return told_of;
}

void CombinedSearch::run_alone(Request& request) noexcept {
  try {
    dense::search(*request.snapshot, request.queries, request.query_count, request.k, {}, request.scores, request.ids, *request.stats);
  } catch (...) {
    request.failure = std::current_exception();
  }
}

void CombinedSearch::run_together(std::size_t count, Request* const* batch) {
  const Request& leader = *batch[0];
  if (count == 1) {
    run_alone(*batch[0]);
    return;
  }
  const std::size_t dim = leader.snapshot->dim();
  const std::size_t k = leader.k;
  std::vector<float> queries;
  for (std::size_t i = 0; i < count; ++i) queries.insert(queries.end(), batch[i]->queries, batch[i]->queries + batch[i]->query_count * dim);
  const std::size_t total = queries.size() / dim;
  std::vector<float> scores(total * k);
  std::vector<DocId> ids(total * k);
  dense::search(*leader.snapshot, queries.data(), total, k, {}, scores.data(), ids.data(), *leader.stats);
  std::size_t from = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t places = batch[i]->query_count * k;
    std::copy_n(scores.data() + from, places, batch[i]->scores);
    std::copy_n(ids.data() + from, places, batch[i]->ids);
    from += places;
  }
}

}  // namespace sightline::dense
