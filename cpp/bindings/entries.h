// Documents as the database has them, by column: sightline.store_format.Entries. Call with the GIL held.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

#include "core/error.h"

namespace sightline::bindings {

namespace py = pybind11;

// Borrows its values.
class Entries {
 public:
  // columns: lists of names, flags, metadata as JSON or None, titles or None, texts. Throws InvalidInputError unless each has
  // `count` values.
  Entries(const py::tuple& columns, std::size_t count) : columns_(columns) {
    bool fits = columns.size() == kColumns;
    for (std::size_t i = 0; fits && i < kColumns; ++i) {
      PyObject* const column = PyTuple_GET_ITEM(columns.ptr(), static_cast<Py_ssize_t>(i));
      fits = PyList_CheckExact(column) && static_cast<std::size_t>(PyList_GET_SIZE(column)) == count;
    }
    if (!fits) throw Error(ErrorKind::kInvalidInput, "entries: expected five lists, as many of each as rows");
  }

  PyObject* name(std::size_t i) const { return at(0, i); }
  PyObject* flags(std::size_t i) const { return at(1, i); }
  PyObject* metadata(std::size_t i) const { return at(2, i); }
  PyObject* title(std::size_t i) const { return at(3, i); }
  PyObject* text(std::size_t i) const { return at(4, i); }

 private:
  static constexpr std::size_t kColumns = 5;

  PyObject* at(Py_ssize_t column, std::size_t i) const {
    return PyList_GET_ITEM(PyTuple_GET_ITEM(columns_.ptr(), column), static_cast<Py_ssize_t>(i));
  }

  py::tuple columns_;
};

}  // namespace sightline::bindings
