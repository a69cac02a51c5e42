// Probes of the machine's own limits, by which the benchmarks judge the searches.
#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdint>
#include <cstring>

#include "bindings/registry.h"
#include "core/aligned.h"
#include "parallel/thread_pool.h"
#include "simd/dispatch.h"

namespace py = pybind11;

namespace sightline::bindings {
namespace {

// Memory that is read from end to end by all threads, with plain 64-bit loads that the compiler turns into vector ones.
class ReadProbe {
 public:
  explicit ReadProbe(std::size_t size_bytes) : words_(size_bytes / sizeof(std::uint64_t)) {
    std::memset(words_.data(), 1, words_.size_bytes());
  }

  // Returns a sum, so that no load can be left out.
  std::uint64_t read() const {
    constexpr std::size_t kWordsPerTask = std::size_t{1} << 17;  // a megabyte
    std::atomic<std::uint64_t> total{0};
    parallel::parallel_for((words_.size() + kWordsPerTask - 1) / kWordsPerTask, [&](std::size_t task, std::size_t) {
      const std::size_t end = std::min(words_.size(), (task + 1) * kWordsPerTask);
      std::uint64_t lanes[16] = {};
      std::size_t i = task * kWordsPerTask;
      for (; i + 16 <= end; i += 16) {
        for (std::size_t lane = 0; lane < 16; ++lane) lanes[lane] ^= words_[i + lane];
      }
      for (; i < end; ++i) lanes[0] ^= words_[i];
      std::uint64_t sum = 0;
      for (const std::uint64_t lane : lanes) sum += lane;
      total += sum;
    });
    return total;
  }

 private:
  AlignedBuffer<std::uint64_t> words_;
};

// The same number of rounds on every thread; returns the operations of all.
std::uint64_t int8_probe(std::size_t rounds) {
  std::atomic<std::uint64_t> total{0};
  parallel::parallel_for(parallel::num_threads(),
                         [&](std::size_t, std::size_t) { total += simd::kernels().probe_operations(rounds); });
  return total;
}

}  // namespace

void register_limits(py::module_& m) {
  py::class_<ReadProbe>(m, "ReadProbe")
      .def(py::init<std::size_t>(), py::arg("size_bytes"))
      .def("read", &ReadProbe::read, py::call_guard<py::gil_scoped_release>());
  m.def("int8_probe", &int8_probe, py::arg("rounds"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace sightline::bindings
