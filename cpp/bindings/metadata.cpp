// What the database of an index keeps, on its way there: metadata objects are checked, copied and written as JSON without a Python
// call for each value. python/sightline/documents.py says what metadata may be, and decides wherever it is not of the usual kinds.
#include "bindings/metadata.h"

#include <pybind11/pybind11.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string>
#include <string_view>

#include "bindings/arrays.h"
#include "bindings/objects.h"
#include "bindings/registry.h"
#include "bindings/texts.h"
#include "core/error.h"
#include "core/row_digest.h"

namespace sightline::bindings {
namespace {

namespace py = pybind11;

constexpr int kMaxDepth = 64;

bool is_usual_scalar(PyObject* value) {
  if (value == Py_None || PyBool_Check(value)) return true;
  if (PyUnicode_CheckExact(value)) return is_encodable(value);
  if (PyFloat_CheckExact(value)) return std::isfinite(PyFloat_AS_DOUBLE(value));
  if (!PyLong_CheckExact(value)) return false;
  int overflow = 0;
  (void)PyLong_AsLongLongAndOverflow(value, &overflow);
  return overflow == 0;
}

bool is_usual_list(PyObject* value) {
  if (!PyList_CheckExact(value)) return false;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); ++i) {
    if (!is_usual_scalar(PyList_GET_ITEM(value, i))) return false;
  }
  return true;
}

bool is_usual_key(PyObject* key) {
  if (!PyUnicode_CheckExact(key) || PyUnicode_GET_LENGTH(key) == 0 || !PyUnicode_IS_ASCII(key)) return false;
  return PyUnicode_1BYTE_DATA(key)[0] != '$';
}

// Whether each key is a path of its own: no dots in keys, no objects within.
bool is_flat(const py::dict& metadata) {
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(metadata.ptr(), &at, &key, &value) != 0;) {
    if (!PyUnicode_Check(key) || !PyUnicode_IS_ASCII(key) || PyDict_Check(value)) return false;
    if (std::memchr(PyUnicode_1BYTE_DATA(key), '.', static_cast<std::size_t>(PyUnicode_GET_LENGTH(key))) != nullptr) return false;
  }
  return true;
}

void append_escaped(std::string& out, std::string_view utf8) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  std::size_t done = 0;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto c = static_cast<unsigned char>(utf8[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(utf8, done, i - done);
    done = i + 1;
    out += '\\';
    switch (c) {
      case '"':
      case '\\': out += static_cast<char>(c); break;
      case '\n': out += 'n'; break;
      case '\r': out += 'r'; break;
      case '\t': out += 't'; break;
      case '\f': out += 'f'; break;
      case '\b': out += 'b'; break;
      default:
        out += "u00";
        out += kDigits[c >> 4];
        out += kDigits[c & 15];
    }
  }
  out.append(utf8, done);
  out += '"';
}

void append_str(std::string& out, PyObject* text) { append_escaped(out, Utf8(text).view()); }

void append_int(std::string& out, PyObject* value) {
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow == 0) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  } else {
    out += py::cast<std::string>(checked(PyLong_Type.tp_repr(value)));
  }
}

// As json.dumps writes it with ensure_ascii=False and separators=(",", ":").
void append_json(std::string& out, PyObject* value, int depth) {
  if (depth > kMaxDepth) throw Error(ErrorKind::kInvalidInput, "metadata: is nested too deeply");
  if (value == Py_None) {
    out += "null";
  } else if (PyBool_Check(value)) {
    out += value == Py_True ? "true" : "false";
  } else if (PyUnicode_Check(value)) {
    append_str(out, value);
  } else if (PyLong_Check(value)) {
    append_int(out, value);
  } else if (PyFloat_Check(value) && std::isfinite(PyFloat_AS_DOUBLE(value))) {
    char* const text = PyOS_double_to_string(PyFloat_AS_DOUBLE(value), 'r', 0, Py_DTSF_ADD_DOT_0, nullptr);
    if (text == nullptr) throw py::error_already_set();
    out += text;
    PyMem_Free(text);
  } else if (PyList_Check(value)) {
    out += '[';
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); ++i) {
      if (i != 0) out += ',';
      append_json(out, PyList_GET_ITEM(value, i), depth + 1);
    }
    out += ']';
  } else if (PyDict_Check(value)) {
    out += '{';
    PyObject* key = nullptr;
    PyObject* item = nullptr;
    bool first = true;
    for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item) != 0;) {
      if (!PyUnicode_Check(key)) throw Error(ErrorKind::kInvalidInput, "metadata: expected keys of type str, got " + type_name(key));
      if (!first) out += ',';
      first = false;
      append_str(out, key);
      out += ':';
      append_json(out, item, depth + 1);
    }
    out += '}';
  } else {
    throw Error(ErrorKind::kInvalidInput, "metadata: expected plain JSON, got " + type_name(value));
  }
}

// Of each object its JSON, None of an empty one.
py::list encode_metadata(const py::list& metadatas) {
  py::list found(metadatas.size());
  std::string text;
  for (std::size_t i = 0; i < metadatas.size(); ++i) {
    const py::dict metadata = metadatas[i];
    if (metadata.empty()) {
      found[i] = py::none();
      continue;
    }
    text.clear();
    append_json(text, metadata.ptr(), 0);
    found[i] = checked(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
  }
  return found;
}

}  // namespace

bool is_encodable(PyObject* text) {
  const Py_ssize_t length = PyUnicode_GET_LENGTH(text);
  const auto is_surrogate = [](Py_UCS4 c) { return c >= 0xD800 && c <= 0xDFFF; };
  switch (PyUnicode_KIND(text)) {
    case PyUnicode_1BYTE_KIND: return true;
    case PyUnicode_2BYTE_KIND: return std::none_of(PyUnicode_2BYTE_DATA(text), PyUnicode_2BYTE_DATA(text) + length, is_surrogate);
    default: return std::none_of(PyUnicode_4BYTE_DATA(text), PyUnicode_4BYTE_DATA(text) + length, is_surrogate);
  }
}

py::object flat_copy(const py::handle& metadata) {
  if (!PyDict_CheckExact(metadata.ptr())) return py::none();
  bool has_lists = false;
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(metadata.ptr(), &at, &key, &value) != 0;) {
    if (!is_usual_key(key)) return py::none();
    if (is_usual_scalar(value)) continue;
    if (!is_usual_list(value)) return py::none();
    has_lists = true;
  }
  py::object copy = checked(PyDict_Copy(metadata.ptr()));
  if (!has_lists) return copy;
  for (Py_ssize_t at = 0; PyDict_Next(metadata.ptr(), &at, &key, &value) != 0;) {
    if (!PyList_CheckExact(value)) continue;
    const py::object list = checked(PyList_GetSlice(value, 0, PyList_GET_SIZE(value)));
    if (PyDict_SetItem(copy.ptr(), key, list.ptr()) != 0) throw py::error_already_set();
  }
  return copy;
}

void register_metadata(py::module_& m) {
  m.def("flat_copy", &flat_copy, py::arg("metadata"));
  m.def("is_flat", &is_flat, py::arg("metadata"));
  m.def("digest_of_rows", [](const py::array& rows) { return digest_of_rows(id_vector(rows, "rows")); }, py::arg("rows"));
  m.def("encode_metadata", &encode_metadata, py::arg("metadatas"));
}

}  // namespace sightline::bindings
