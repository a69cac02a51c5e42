// What the C API of Python returns, owned. Call with the GIL held.
#pragma once

#include <pybind11/pybind11.h>

namespace sightline::bindings {

// Takes over a new reference; throws the Python error where there is none.
inline pybind11::object checked(PyObject* made) {
  if (made == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(made);
}

}  // namespace sightline::bindings
