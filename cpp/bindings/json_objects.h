// JSON text as Python objects, for the usual metadata: what json.loads makes of it, in a third of the time or less.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>
#include <vector>

namespace sightline::bindings {

namespace py = pybind11;

// Thread safety: one owner; call with the GIL held.
class JsonObjects {
 public:
  // The object that a text is, or nothing if any of it is unusual: not an object, white space between values, escapes in strings,
  // integers of more than 18 digits, NaN, deeper than 16 levels, or not JSON at all. Whoever asks then takes Python's own
  // reader, so what is said here need not be complete, only right. O(length).
  // A number that ends the text is read past its end, up to what is no part of a number: that must be there, a zero say.
  py::object read(std::string_view text);
  py::object read(PyObject* text);  // a str

 private:
  py::object value(int depth);
  py::object object(int depth);
  py::object list(int depth);
  py::object string();
  py::object number();
  py::object literal(const char* word, PyObject* meaning);
  py::object key(std::size_t position);
  bool take(char wanted) noexcept;

  // Documents of an index mostly have the same keys in the same order: a key that stands where it stood before is that very
  // object, whose hash is known.
  struct Key {
    std::string text;
    py::object object;
  };
  std::vector<Key> keys_;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
};

}  // namespace sightline::bindings
