#include "bindings/json_objects.h"

#include <cstring>
#include <string_view>

#include "bindings/objects.h"

namespace sightline::bindings {
namespace {

constexpr int kMaxDepth = 16;
constexpr std::ptrdiff_t kMaxDigits = 18;  // any so long fits 64 bits
constexpr std::size_t kMaxKeysKept = 64;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// The characters up to the closing quotation mark, or a view without data if there is an escape, or none.
std::string_view plain_characters(const char* begin, const char* end) noexcept {
  for (const char* at = begin; at != end; ++at) {
    if (*at == '"') return {begin, static_cast<std::size_t>(at - begin)};
    if (*at == '\\' || static_cast<unsigned char>(*at) < 0x20) break;
  }
  return {};
}

}  // namespace

py::object JsonObjects::read(PyObject* text) {
  Py_ssize_t size = 0;
  const char* const utf8 = PyUnicode_AsUTF8AndSize(text, &size);
  if (utf8 == nullptr) throw py::error_already_set();
  return read(std::string_view(utf8, static_cast<std::size_t>(size)));
}

py::object JsonObjects::read(std::string_view text) {
  at_ = text.data();
  end_ = at_ + text.size();
  if (!take('{')) return {};
  py::object found = object(1);
  return at_ == end_ ? found : py::object();
}

bool JsonObjects::take(char wanted) noexcept {
  if (at_ == end_ || *at_ != wanted) return false;
  ++at_;
  return true;
}

py::object JsonObjects::value(int depth) {
  if (at_ == end_) return {};
  switch (*at_) {
    case '"': ++at_; return string();
    case '{': ++at_; return object(depth + 1);
    case '[': ++at_; return list(depth + 1);
    case 't': return literal("true", Py_True);
    case 'f': return literal("false", Py_False);
    case 'n': return literal("null", Py_None);
    default: return number();
  }
}

py::object JsonObjects::object(int depth) {
  if (depth > kMaxDepth) return {};
  py::object made = checked(PyDict_New());
  if (take('}')) return made;
  for (std::size_t position = 0;; ++position) {
    if (!take('"')) return {};
    const py::object name = key(position);
    if (!name || !take(':')) return {};
    const py::object held = value(depth);
    if (!held) return {};
    if (PyDict_SetItem(made.ptr(), name.ptr(), held.ptr()) != 0) throw py::error_already_set();
    if (take('}')) return made;
    if (!take(',')) return {};
  }
}

py::object JsonObjects::list(int depth) {
  if (depth > kMaxDepth) return {};
  py::object made = checked(PyList_New(0));
  if (take(']')) return made;
  for (;;) {
    const py::object held = value(depth);
    if (!held) return {};
    if (PyList_Append(made.ptr(), held.ptr()) != 0) throw py::error_already_set();
    if (take(']')) return made;
    if (!take(',')) return {};
  }
}

py::object JsonObjects::string() {
  const std::string_view found = plain_characters(at_, end_);
  if (found.data() == nullptr) return {};
  at_ = found.data() + found.size() + 1;
  return checked(PyUnicode_DecodeUTF8(found.data(), static_cast<Py_ssize_t>(found.size()), nullptr));
}

py::object JsonObjects::key(std::size_t position) {
  const std::string_view found = plain_characters(at_, end_);
  if (found.data() == nullptr) return {};
  if (position < keys_.size() && keys_[position].text == found) {
    at_ = found.data() + found.size() + 1;
    return keys_[position].object;
  }
  const py::object made = string();
  if (position < kMaxKeysKept) {
    if (position >= keys_.size()) keys_.resize(position + 1);
    keys_[position] = {std::string(found), made};
  }
  return made;
}

py::object JsonObjects::literal(const char* word, PyObject* meaning) {
  const std::size_t length = std::strlen(word);
  if (static_cast<std::size_t>(end_ - at_) < length || std::memcmp(at_, word, length) != 0) return {};
  at_ += length;
  return py::reinterpret_borrow<py::object>(meaning);
}

py::object JsonObjects::number() {
  const char* const begin = at_;
  const char* at = begin + (*begin == '-' ? 1 : 0);
  const char* const digits = at;
  unsigned long long whole = 0;  // of one digit too many, before that is seen
  for (; at != end_ && is_digit(*at) && at - digits <= kMaxDigits; ++at) whole = 10 * whole + static_cast<unsigned long long>(*at - '0');
  if (at == digits || at - digits > kMaxDigits || (*digits == '0' && at - digits > 1)) return {};
  if (at == end_ || (*at != '.' && *at != 'e' && *at != 'E')) {
    at_ = at;
    const auto number = static_cast<long long>(whole);
    return checked(PyLong_FromLongLong(*begin == '-' ? -number : number));
  }
  const auto skip_digits = [&] {
    const char* const first = at;
    while (at != end_ && is_digit(*at)) ++at;
    return at != first;
  };
  if (*at == '.') {
    ++at;
    if (!skip_digits()) return {};
  }
  if (at != end_ && (*at == 'e' || *at == 'E')) {
    ++at;
    if (at != end_ && (*at == '+' || *at == '-')) ++at;
    if (!skip_digits()) return {};
  }
  char* end = nullptr;
  const double number = PyOS_string_to_double(begin, &end, nullptr);  // the text ends in a zero; this reads JSON's numbers whole
  if (end != at) {
    PyErr_Clear();
    return {};
  }
  at_ = at;
  return checked(PyFloat_FromDouble(number));
}

}  // namespace sightline::bindings
