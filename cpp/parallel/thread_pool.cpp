#include "parallel/thread_pool.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <pthread.h>
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <bit>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>

namespace sightline::parallel {
namespace {

// Set while this thread runs a task, so that nested calls run in place instead of waiting for a slot they hold.
thread_local bool inside_task = false;

struct Job {
  const std::function<void(std::size_t, std::size_t)>* body;
  std::size_t task_count;
  std::size_t max_workers;
  std::atomic<std::size_t> next_task{0};
  // Guarded by Pool::mutex:
  std::size_t joined = 1;   // worker indices handed out; the caller is worker 0
  std::size_t helpers = 0;  // pool threads inside run()
  std::exception_ptr failure{};
  std::condition_variable helpers_done{};

  // Never throws: a failure is kept for the caller.
  void run(std::size_t worker, std::mutex& mutex) noexcept {
    inside_task = true;
    for (;;) {
      const std::size_t task = next_task.fetch_add(1, std::memory_order_relaxed);
      if (task >= task_count) break;
      try {
        (*body)(task, worker);
      } catch (...) {
        next_task.store(task_count, std::memory_order_relaxed);
        std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
    inside_task = false;
  }
  bool exhausted() const noexcept { return next_task.load(std::memory_order_relaxed) >= task_count; }
};

struct Pool {
  std::mutex mutex;
  std::condition_variable work_available;
  std::condition_variable slot_available;
  std::deque<Job*> jobs;          // jobs that may still take helpers
  std::size_t active = 0;         // threads running tasks now
  std::size_t thread_count = 0;   // pool threads started, never more than the greatest limit - 1
  std::size_t waiting_callers = 0;
  std::atomic<std::size_t> limit{1};

  void release_slot() {  // mutex held
    --active;
    if (waiting_callers > 0) slot_available.notify_one();
    // A caller counts as waiting until it has woken up, so a second slot freed before that must wake a pool thread.
    if (!jobs.empty() && active + waiting_callers < limit.load(std::memory_order_relaxed)) work_available.notify_one();
  }

  void worker_loop() {
    std::unique_lock lock(mutex);
    for (;;) {
      work_available.wait(lock, [&] { return !jobs.empty() && active < limit.load(std::memory_order_relaxed); });
      Job* job = jobs.front();
      if (job->exhausted() || job->joined >= job->max_workers) {
        jobs.pop_front();
        continue;
      }
      const std::size_t worker = job->joined++;
      if (job->joined >= job->max_workers) jobs.pop_front();
      ++job->helpers;
      ++active;
      lock.unlock();
      job->run(worker, mutex);
      lock.lock();
      if (--job->helpers == 0) job->helpers_done.notify_one();
      release_slot();
    }
  }

  // Lets pool threads join the job. Where the system gives no thread or no memory, the caller does with fewer helpers.
  void offer(Job& job) noexcept {  // mutex held
    try {
      jobs.push_back(&job);
      // Threads come as they are first needed: a limit of thousands costs nothing until a job is that wide.
      const std::size_t wanted = std::min(limit.load(std::memory_order_relaxed) - 1, active + job.max_workers - 1);
      for (; thread_count < wanted; ++thread_count) {
        std::thread([this] { worker_loop(); }).detach();
      }
    } catch (const std::exception&) {
    }
    for (std::size_t i = 1; i < job.max_workers; ++i) work_available.notify_one();
  }
};

std::size_t initial_limit() {
  if (const char* text = std::getenv("SIGHTLINE_NUM_THREADS")) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end != text && *end == '\0' && value >= 1 && value <= 4096) return static_cast<std::size_t>(value);
  }
  return available_cpus();
}

std::atomic<Pool*> current_pool{nullptr};
std::atomic<unsigned> generation{0};

void make_pool(std::size_t limit) {
  Pool* fresh = new Pool;  // never freed: its detached threads may outlive every static destructor
  fresh->limit.store(limit);
  current_pool.store(fresh);
}

// The parent's threads do not exist in the child, and its locks may be held by them: the child leaves all of it behind.
// Windows has no fork.
[[maybe_unused]] void reset_after_fork() {
  generation.fetch_add(1);
  if (Pool* parent = current_pool.load()) make_pool(parent->limit.load());
  inside_task = false;
}

Pool& pool() {
  [[maybe_unused]] static const bool made = [] {
    make_pool(initial_limit());
#if !defined(_WIN32)
    ::pthread_atfork(nullptr, nullptr, reset_after_fork);
#endif
    return true;
  }();
  return *current_pool.load();
}

#if defined(__linux__)
// cgroup v2: "max 100000" or "<quota> <period>" in microseconds.
std::size_t cgroup_cpus() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  char* end = nullptr;
  const double value = std::strtod(quota.c_str(), &end);
  if (end == quota.c_str() || value <= 0) return 0;
  return static_cast<std::size_t>(std::max(1.0, value / period + 0.5));
}
#endif

}  // namespace

std::size_t available_cpus() {
  std::size_t count = std::thread::hardware_concurrency();
#if defined(__linux__)
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) count = static_cast<std::size_t>(CPU_COUNT(&set));
  if (const std::size_t quota = cgroup_cpus(); quota != 0) count = std::min(count, quota);
#elif defined(_WIN32)
  // The mask is that of one group of at most 64 processors, and 0 for a process that spans several.
  DWORD_PTR allowed = 0;
  DWORD_PTR present = 0;
  if (::GetProcessAffinityMask(::GetCurrentProcess(), &allowed, &present) != 0 && allowed != 0) {
    count = static_cast<std::size_t>(std::popcount(static_cast<std::uint64_t>(allowed)));
  } else {
    count = ::GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
  }
#endif
  return std::max<std::size_t>(count, 1);
}

std::size_t num_threads() { return pool().limit.load(std::memory_order_relaxed); }

unsigned fork_generation() {
  pool();  // which registers what counts the forks
  return generation.load();
}

void set_num_threads(std::size_t count) {
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  p.limit.store(count, std::memory_order_relaxed);
  p.slot_available.notify_all();
  p.work_available.notify_all();
}

std::size_t worker_limit(std::size_t task_count) {
  if (inside_task) return 1;
  return std::max<std::size_t>(1, std::min(task_count, num_threads()));
}

void parallel_for(std::size_t task_count, std::size_t workers,
                  const std::function<void(std::size_t, std::size_t)>& body) {
  if (task_count == 0) return;
  if (inside_task) {
    for (std::size_t task = 0; task < task_count; ++task) body(task, 0);
    return;
  }
  Pool& p = pool();
  Job job{&body, task_count, std::min(workers, task_count)};
  std::unique_lock lock(p.mutex);
  ++p.waiting_callers;
  p.slot_available.wait(lock, [&] { return p.active < p.limit.load(std::memory_order_relaxed); });
  --p.waiting_callers;
  ++p.active;
  if (job.max_workers > 1) p.offer(job);
  lock.unlock();
  job.run(0, p.mutex);
  lock.lock();
  std::erase(p.jobs, &job);
  p.release_slot();
  job.helpers_done.wait(lock, [&] { return job.helpers == 0; });
  if (job.failure) {
    lock.unlock();
    std::rethrow_exception(job.failure);
  }
}

}  // namespace sightline::parallel
