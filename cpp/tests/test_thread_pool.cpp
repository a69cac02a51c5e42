// The thread pool: the promises of thread_pool.h, one test each.
#include "parallel/thread_pool.h"

#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "tests/check.h"

using namespace sightline;
using namespace sightline::testing;
using parallel::parallel_for;

namespace {

// Sets the thread limit for one test.
class ThreadLimit {
 public:
  explicit ThreadLimit(std::size_t count) : before_(parallel::num_threads()) { parallel::set_num_threads(count); }
  ~ThreadLimit() { parallel::set_num_threads(before_); }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  std::size_t before_;
};

void raise_to(std::atomic<std::size_t>& greatest, std::size_t value) {
  std::size_t seen = greatest.load();
  while (seen < value && !greatest.compare_exchange_weak(seen, value)) {
  }
}

// A short task: long enough for others to start beside it. Windows counts milliseconds here, and takes less for none.
#if defined(_WIN32)
constexpr std::chrono::microseconds kBriefly{2000};
#else
constexpr std::chrono::microseconds kBriefly{200};
#endif
void work_briefly() { std::this_thread::sleep_for(kBriefly); }

// Runs parallel_for and checks that every task ran once and no two tasks shared a worker index at the same time.
void check_one_call(std::size_t task_count, bool slow) {
  const std::size_t workers = parallel::worker_limit(task_count);
  std::vector<std::atomic<int>> runs(task_count);
  std::vector<std::atomic<int>> busy(workers);
  std::atomic<bool> shared{false};
  parallel_for(task_count, workers, [&](std::size_t task, std::size_t worker) {
    if (worker >= workers || busy[worker].exchange(1) != 0) {
      shared = true;
      return;
    }
    if (slow) work_briefly();
    ++runs[task];
    busy[worker] = 0;
  });
  CHECK(!shared);
  for (const auto& count : runs) CHECK_EQ(count.load(), 1);
}

}  // namespace

TEST(thread_pool_runs_every_task_once) {
  for (const std::size_t limit : {1, 2, 3, 8}) {
    const ThreadLimit threads(limit);
    for (const std::size_t tasks : {0, 1, 2, 3, 7, 100, 5000}) check_one_call(tasks, false);
    check_one_call(50, true);
  }
}

TEST(thread_pool_starts_tasks_in_order_on_one_thread) {
  const ThreadLimit threads(1);
  std::vector<std::size_t> order;
  parallel_for(100, [&](std::size_t task, std::size_t worker) {
    CHECK_EQ(worker, std::size_t{0});
    order.push_back(task);
  });
  CHECK_EQ(order.size(), std::size_t{100});
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST(thread_pool_uses_helpers) {
  const ThreadLimit threads(3);
  // Every task waits until three of them run at the same time: only three threads can finish this.
  std::atomic<int> arrived{0};
  parallel_for(3, [&](std::size_t, std::size_t) {
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
  });
  CHECK_EQ(arrived.load(), 3);
}

TEST(thread_pool_carries_the_exception_of_a_task) {
  for (const std::size_t limit : {1, 4}) {
    const ThreadLimit threads(limit);
    for (const std::size_t bad : {0, 1, 50, 99}) {
      std::string message;
      try {
        parallel_for(100, [&](std::size_t task, std::size_t) {
          if (task == bad) throw std::out_of_range("task " + std::to_string(task));
        });
      } catch (const std::out_of_range& error) {
        message = error.what();
      }
      CHECK_EQ(message, "task " + std::to_string(bad));
      check_one_call(20, true);  // and the pool is as good as new
    }
  }
}

TEST(thread_pool_drops_the_tasks_after_an_exception) {
  const ThreadLimit threads(2);
  std::atomic<int> started{0};
  CHECK_THROWS((parallel_for(1000000,
                             [&](std::size_t, std::size_t) {
                               ++started;
                               throw std::runtime_error("first");
                             }),
                0),
               std::runtime_error);
  CHECK(started >= 1 && started <= 2);
}

TEST(thread_pool_runs_nested_calls_in_place) {
  const ThreadLimit threads(4);
  std::atomic<int> inner_tasks{0};
  parallel_for(20, [&](std::size_t, std::size_t) {
    const auto self = std::this_thread::get_id();
    CHECK_EQ(parallel::worker_limit(10), std::size_t{1});
    parallel_for(10, [&](std::size_t, std::size_t worker) {
      CHECK_EQ(worker, std::size_t{0});
      CHECK(std::this_thread::get_id() == self);
      ++inner_tasks;
    });
  });
  CHECK_EQ(inner_tasks.load(), 200);
  CHECK_EQ(parallel::worker_limit(10), std::size_t{4});
}

TEST(thread_pool_nested_exceptions_reach_the_outer_caller) {
  const ThreadLimit threads(2);
  const auto nested = [](std::size_t, std::size_t) {
    parallel_for(3, [](std::size_t, std::size_t) { throw std::domain_error("inner"); });
  };
  CHECK_THROWS((parallel_for(4, nested), 0), std::domain_error);
}

TEST(thread_pool_many_callers_never_exceed_the_limit) {
  for (const std::size_t limit : {1, 2, 3}) {
    const ThreadLimit threads(limit);
    std::atomic<std::size_t> running{0};
    std::atomic<std::size_t> greatest{0};
    std::atomic<std::size_t> done{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 8; ++i) {
      callers.emplace_back([&] {
        for (int call = 0; call < 20; ++call) {
          parallel_for(5, [&](std::size_t, std::size_t) {
            raise_to(greatest, ++running);
            work_briefly();
            --running;
            ++done;
          });
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    CHECK_EQ(done.load(), std::size_t{8 * 20 * 5});
    CHECK(greatest <= limit);
    CHECK_EQ(greatest.load(), limit);  // with so many callers the limit is also reached
  }
}

TEST(thread_pool_limit_may_change_while_it_works) {
  const ThreadLimit threads(2);
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    for (std::size_t i = 0; !stop; ++i) {
      parallel::set_num_threads(1 + i % 5);
      std::this_thread::yield();
    }
  });
  std::vector<std::string> failures(3);
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < failures.size(); ++i) {
    callers.emplace_back([&failures, i] {
      try {
        for (int call = 0; call < 100; ++call) check_one_call(37, call % 10 == 0);
      } catch (const Failure& failure) {
        failures[i] = failure.what();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  stop = true;
  changer.join();
  for (const std::string& failure : failures) CHECK_EQ(failure, std::string());
}

TEST(thread_pool_reports_its_size) {
  CHECK(parallel::available_cpus() >= 1);
  const ThreadLimit threads(3);
  CHECK_EQ(parallel::num_threads(), std::size_t{3});
  CHECK_EQ(parallel::worker_limit(0), std::size_t{1});
  CHECK_EQ(parallel::worker_limit(2), std::size_t{2});
  CHECK_EQ(parallel::worker_limit(100), std::size_t{3});
}

#if !defined(_WIN32)
namespace {

// Forks; the child runs a parallel_for and says by its exit code whether that went well. A child that hangs is killed.
bool child_can_work() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    std::atomic<std::size_t> sum{0};
    parallel_for(100, [&](std::size_t task, std::size_t) { sum += task; });
    ::_exit(sum == 4950 && parallel::num_threads() == 3 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST(thread_pool_works_in_a_forked_child) {
  const ThreadLimit threads(3);
  check_one_call(30, true);  // so that the parent's pool has threads, which the child does not
  CHECK(child_can_work());
  check_one_call(30, true);
}

TEST(thread_pool_works_in_a_child_forked_while_others_search) {
  const ThreadLimit threads(3);
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      while (!stop) parallel_for(8, [](std::size_t, std::size_t) { std::this_thread::yield(); });
    });
  }
  int succeeded = 0;
  for (int i = 0; i < 20; ++i) succeeded += child_can_work() ? 1 : 0;
  stop = true;
  for (std::thread& caller : callers) caller.join();
  CHECK_EQ(succeeded, 20);
}
#endif  // Windows has no fork
