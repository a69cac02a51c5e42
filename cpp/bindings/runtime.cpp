// Threads and kernels as seen from Python.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/registry.h"
#include "parallel/thread_pool.h"
#include "simd/dispatch.h"

namespace py = pybind11;

namespace sightline::bindings {

void register_runtime(py::module_& m) {
  m.def("set_num_threads", [](std::size_t count) { parallel::set_num_threads(std::max<std::size_t>(count, 1)); }, py::arg("count"));
  m.def("get_num_threads", [] { return parallel::num_threads(); });
  m.def("cpu_info", [] {
    const simd::Selection& selection = simd::selection();
    py::dict info;
    info["isa"] = std::string(selection.kernels->name);
    info["reason"] = selection.reason;
    info["forced"] = selection.forced.empty() ? py::object(py::none()) : py::object(py::str(selection.forced));
    info["available"] = simd::available_names();
    info["compiled"] = simd::compiled_names();
    info["features"] = simd::cpu_features();
    info["cpus"] = parallel::available_cpus();
    info["compiler"] = SIGHTLINE_COMPILER;
    info["compiler_flags"] = SIGHTLINE_COMPILER_FLAGS;
    return info;
  });
}

}  // namespace sightline::bindings
