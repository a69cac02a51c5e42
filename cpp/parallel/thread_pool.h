// One pool of threads for the whole process.
//
// Thread safety: every function here may be called from any thread at any time, also after fork(): a child starts with
// an empty pool of its own and never waits for threads that only its parent has. (A child forked from inside a task must
// exec or exit there: the rest of that parallel_for needs the parent's threads.)
// Invariant: at most num_threads() threads run tasks at once, callers included, however many threads call parallel_for
// together; a caller beyond that waits until one is free (in no fixed order). So many searching Python threads never oversubscribe the machine.
#pragma once

#include <cstddef>
#include <functional>

namespace sightline::parallel {

// The CPUs this process may use: affinity mask and cgroup quota; at least 1.
std::size_t available_cpus();

// SIGHTLINE_NUM_THREADS if set to a positive integer, else available_cpus(), until set_num_threads changes it.
std::size_t num_threads();
void set_num_threads(std::size_t count);  // precondition: count >= 1

// Differs between a process and a child forked from it. What may be locked in a parent at that moment, and so for ever in the
// child, is told apart by it.
unsigned fork_generation();

// Upper bound of the worker indices that parallel_for(task_count, ...) passes, for sizing per-worker state.
std::size_t worker_limit(std::size_t task_count);

// Calls body(task, worker) once for every task in [0, task_count), in increasing order of start, on up to
// worker_limit(task_count) threads, the caller among them. Worker indices are dense from 0 and no two running tasks share one.
// Returns when all are done. The first exception a task throws is rethrown here and the tasks not yet begun are dropped.
// A call from inside a task runs its tasks one after another on the calling thread.
// `workers` must come from worker_limit (a snapshot, so that set_num_threads in another thread cannot outgrow the state).
void parallel_for(std::size_t task_count, std::size_t workers,
                  const std::function<void(std::size_t task, std::size_t worker)>& body);

inline void parallel_for(std::size_t task_count, const std::function<void(std::size_t, std::size_t)>& body) {
  parallel_for(task_count, worker_limit(task_count), body);
}

}  // namespace sightline::parallel
