// What the C API of Python returns, owned, and objects of Python's classes made without their __init__. Call with the GIL held.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>

namespace sightline::bindings {

// Takes over a new reference; throws the Python error where there is none.
inline pybind11::object checked(PyObject* made) {
  if (made == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(made);
}

// A class with `count` slots, whose objects are made and read without a call of Python each: the __init__ of a frozen dataclass
// takes as long as reading a document.
template <std::size_t count>
class SlottedClass {
 public:
  // Throws TypeError for a class that is not made of such slots.
  SlottedClass(const pybind11::object& type, const std::array<const char*, count>& names) : owner_(type) {
    if (!PyType_Check(type.ptr())) throw pybind11::type_error("expected a class");
    type_ = reinterpret_cast<PyTypeObject*>(type.ptr());
    if (type_->tp_new != PyBaseObject_Type.tp_new) throw pybind11::type_error("expected a class that has slots and nothing else");
    for (std::size_t i = 0; i < count; ++i) {
      slots_[i] = type.attr(names[i]);
      if (Py_TYPE(slots_[i].ptr()) != &PyMemberDescr_Type) throw pybind11::type_error("expected a class with slots of these names");
    }
  }

  bool is_exactly_of(PyObject* object) const noexcept { return Py_TYPE(object) == type_; }
  pybind11::object get(PyObject* object, std::size_t slot) const {
    return checked(PyMemberDescr_Type.tp_descr_get(slots_[slot].ptr(), object, reinterpret_cast<PyObject*>(type_)));
  }
  // An object with these values.
  pybind11::object make(const std::array<PyObject*, count>& values) const {
    pybind11::object made = checked(PyBaseObject_Type.tp_new(type_, nothing_.ptr(), nullptr));
    for (std::size_t i = 0; i < count; ++i) {
      if (PyMemberDescr_Type.tp_descr_set(slots_[i].ptr(), made.ptr(), values[i]) != 0) throw pybind11::error_already_set();
    }
    return made;
  }

 private:
  pybind11::object owner_;
  PyTypeObject* type_ = nullptr;
  std::array<pybind11::object, count> slots_;
  pybind11::tuple nothing_;
};

}  // namespace sightline::bindings
