// The one place that inspects NumPy arrays. Views borrow the array's memory: keep the py::array alive while they are used,
// which every bound function does by holding its arguments. Call with the GIL held.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/types.h"

namespace sightline::bindings {

namespace py = pybind11;

inline std::string describe(const py::array& array) {
  std::string shape = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    shape += (i == 0 ? "" : ", ") + std::to_string(array.shape(i));
  }
  if (array.ndim() == 1) shape += ",";
  return py::str(array.dtype()).cast<std::string>() + " " + shape + ")";
}

[[noreturn]] inline void fail_array(const char* argument, const std::string& expected, const py::array& got) {
  throw Error(ErrorKind::kInvalidInput, std::string(argument) + ": expected " + expected + ", got " + describe(got));
}

template <typename T>
const T* checked_data(const py::array& array, const char* argument, const char* expected) {
  if (!py::isinstance<py::array_t<T>>(array) || (array.flags() & py::array::c_style) == 0) {
    fail_array(argument, std::string("a C-contiguous ") + expected + " array", array);
  }
  return static_cast<const T*>(array.data());
}

// A row-major matrix borrowed from NumPy.
template <typename T>
struct MatrixView {
  const T* data;
  std::size_t rows;
  std::size_t columns;
};

inline MatrixView<float> float_matrix(const py::array& array, const char* argument, std::size_t columns) {
  if (array.ndim() != 2 || static_cast<std::size_t>(array.shape(1)) != columns) {
    fail_array(argument, "shape (n, " + std::to_string(columns) + ")", array);
  }
  const float* data = checked_data<float>(array, argument, "float32");
  return {data, static_cast<std::size_t>(array.shape(0)), columns};
}

inline std::span<const DocId> id_vector(const py::array& array, const char* argument) {
  if (array.ndim() != 1) fail_array(argument, "shape (n,)", array);
  const DocId* data = checked_data<DocId>(array, argument, "int64");
  return {data, static_cast<std::size_t>(array.shape(0))};
}

// Hands a vector's memory to NumPy without a copy.
template <typename T>
py::array_t<T> to_array(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto owner = std::make_unique<std::vector<T>>(std::move(values));
  T* data = owner->data();
  py::capsule keeper(owner.get(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
  owner.release();
  return py::array_t<T>(std::move(shape), data, keeper);
}

template <typename T>
py::array_t<T> to_array(std::vector<T>&& values) {
  const auto size = static_cast<py::ssize_t>(values.size());
  return to_array(std::move(values), {size});
}

}  // namespace sightline::bindings
