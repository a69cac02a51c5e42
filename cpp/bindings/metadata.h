// Checks of what documents hold, for whoever takes documents in. Call with the GIL held.
#pragma once

#include <pybind11/pybind11.h>

namespace sightline::bindings {

// Whether a str has a UTF-8 form: no lone surrogate.
bool is_encodable(PyObject* text);

// A copy of an object of the usual scalars and lists of them, which shares nothing that can change; None of any other.
pybind11::object flat_copy(const pybind11::handle& metadata);

}  // namespace sightline::bindings
