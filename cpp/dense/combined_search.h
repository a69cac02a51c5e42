// Searches that arrive while another one runs are answered together by the next pass.
//
// A lone query waits for memory: a pass over the codes for eight of them takes about twice as long as for one. So when several
// threads search an index at once, one of them leads: it takes every query that has come meanwhile and searches for all. A
// query that finds no search running starts at once; one that does waits for that pass, as it would for the processors, then
// goes with the next. Only right after a shared pass does the next one wait, an eighth as long and two milliseconds at most, for
// those who were in it to come again. Answers are exact, so they do not depend on who shared a pass.
//
// Thread safety: any number of threads. After fork() a child starts afresh and never waits for a thread only its parent has.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "core/types.h"
#include "dense/search.h"
#include "dense/snapshot.h"

namespace sightline::dense {

class CombinedSearch {
 public:
  CombinedSearch() = default;
  ~CombinedSearch();  // no search may be under way in this process
  CombinedSearch(const CombinedSearch&) = delete;
  CombinedSearch& operator=(const CombinedSearch&) = delete;

  // As dense::search() without filters. `stats` tells of the whole pass, to the caller who led it, and stays as it is for the
  // others. Returns how many queries it tells of.
  std::size_t search(const Snapshot& snapshot, const float* queries, std::size_t query_count, std::size_t k, float* scores,
                     DocId* ids, SearchStats& stats);

 private:
  struct Request;
  struct Queue;

  Queue& queue();
  static void run_together(std::size_t count, Request* const* batch);
  static void run_alone(Request& request) noexcept;

  std::atomic<Queue*> queue_{nullptr};
};

}  // namespace sightline::dense
