// The one place that turns C++ exceptions into Python ones. pybind11 itself maps std::bad_alloc to MemoryError.
#include <pybind11/pybind11.h>

#include <string_view>

#include "bindings/registry.h"
#include "core/error.h"

namespace py = pybind11;

namespace sightline::bindings {
namespace {

const char* class_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidInput: return "InvalidInputError";
    case ErrorKind::kNotFound: return "NotFoundError";
    case ErrorKind::kDuplicateId: return "DuplicateIdError";
    case ErrorKind::kCorruptIndex: return "CorruptIndexError";
    case ErrorKind::kIncompatibleIndex: return "IncompatibleIndexError";
    case ErrorKind::kIndexLocked: return "IndexLockedError";
    case ErrorKind::kStorage: return "StorageError";
  }
  return "SightlineError";
}

}  // namespace

void register_errors() {
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      const py::object type = py::module_::import("sightline.errors").attr(class_name(error.kind()));
      // A message may quote a file name, which need not be UTF-8.
      const std::string_view text = error.what();
      const auto message = py::reinterpret_steal<py::object>(
          PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "backslashreplace"));
      PyErr_SetObject(type.ptr(), message.ptr());
    }
  });
}

}  // namespace sightline::bindings
