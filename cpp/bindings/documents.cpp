// Documents on their way into an index: the usual ones are checked and copied without Python code for each. What is unusual, and
// whatever is wrong, is python/sightline/documents.py's to read, which says what documents may be.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "bindings/metadata.h"
#include "bindings/objects.h"
#include "bindings/registry.h"
#include "bindings/texts.h"

namespace sightline::bindings {
namespace {

namespace py = pybind11;

// Of a batch that is larger, vectors are kept one by one: nobody has said that there are so many.
constexpr py::ssize_t kMostVectors = 1024;
constexpr py::ssize_t kDocumentsPerLook = 1024;  // between two looks whether the user wants to interrupt
constexpr std::size_t kBytesOfWork = 512;        // of a document, for GilSlices

using FloatArray = py::array_t<float, py::array::c_style>;

// A float32 vector with a cosine, or nothing if it is another object or may have none. No harm in saying so of a good one.
std::optional<FloatArray> usual_vector(PyObject* vector) {
  if (Py_TYPE(vector) != py::detail::npy_api::get().PyArray_Type_ || !FloatArray::check_(vector)) return std::nullopt;
  auto array = py::reinterpret_borrow<FloatArray>(vector);
  const bool is_aligned = (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
  if (array.ndim() != 1 || array.size() == 0 || !is_aligned) return std::nullopt;
  // Sums side by side, so that the compiler may add several at a time. NaN, infinity and what overflows end in one of them.
  std::array<float, 16> sums{};
  const float* const values = array.data();
  const auto size = static_cast<std::size_t>(array.size());
  std::size_t i = 0;
  for (; i + sums.size() <= size; i += sums.size()) {
    for (std::size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += values[i + lane] * values[i + lane];
  }
  float sum = 0.0F;
  for (; i < size; ++i) sum += values[i] * values[i];
  for (const float each : sums) sum += each;
  if (!(sum > 0.0F && std::isfinite(sum))) return std::nullopt;
  return array;
}

// The vectors of a batch as rows of one matrix, where all have one dimension and are no more than expected.
class VectorBlock {
 public:
  explicit VectorBlock(py::ssize_t most) : most_(most) {}

  // A copy of a vector: a row of the matrix if it fits in.
  py::object take(const FloatArray& vector) {
    if (count_ == 0 && !block_) {
      dim_ = vector.size();
      block_ = FloatArray({most_, dim_});
    }
    if (vector.size() != dim_ || count_ == most_) {  // there may be more than was said before
      is_whole_ = false;
      return FloatArray(vector.size(), vector.data());  // without a base this copies
    }
    float* const row = block_->mutable_data(count_, 0);
    std::memcpy(row, vector.data(), static_cast<std::size_t>(dim_) * sizeof(float));
    ++count_;
    return FloatArray({dim_}, {static_cast<py::ssize_t>(sizeof(float))}, row, *block_);
  }

  // All vectors in order, or None if there is none or one is not in it.
  py::object matrix() const {
    if (!block_ || !is_whole_) return py::none();
    if (count_ == most_) return *block_;
    return FloatArray({count_, dim_}, {dim_ * static_cast<py::ssize_t>(sizeof(float)), static_cast<py::ssize_t>(sizeof(float))},
                      block_->data(), *block_);
  }

 private:
  py::ssize_t most_;
  py::ssize_t dim_ = 0;
  py::ssize_t count_ = 0;
  bool is_whole_ = true;
  std::optional<FloatArray> block_;
};

bool is_usual_text(PyObject* text) { return PyUnicode_CheckExact(text) && is_encodable(text); }

class DocumentReader {
 public:
  // document_type: sightline.Document; otherwise: reads any item, called with it and its position.
  DocumentReader(const py::object& document_type, py::object otherwise, py::ssize_t most)
      : document_(document_type, kNames), otherwise_(std::move(otherwise)), vectors_(most) {}

  void add(const py::object& item, py::ssize_t position) {
    if (!add_usual(item)) {
      const py::object read = otherwise_(item, position);
      if (!PyTuple_CheckExact(read.ptr()) || PyTuple_GET_SIZE(read.ptr()) != 2) throw py::type_error("otherwise: expected two values");
      documents.append(py::handle(PyTuple_GET_ITEM(read.ptr(), 0)));
      const py::handle vector = PyTuple_GET_ITEM(read.ptr(), 1);
      given.append(vector.is_none() ? py::object(py::none()) : vectors_.take(py::reinterpret_borrow<FloatArray>(vector)));
    }
  }

  py::object matrix() const { return vectors_.matrix(); }

  py::list documents;  // without their vectors
  py::list given;      // their vectors, or None

 private:
  static constexpr std::array<const char*, 5> kNames{"id", "text", "metadata", "vector", "title"};
  enum Field : std::size_t { kId, kText, kMetadata, kVector, kTitle };

  // The values of an item of the usual kinds, by field, nothing for a missing one; false for an item of another kind.
  bool take_apart(PyObject* item, std::array<py::object, 5>& values) const {
    if (document_.is_exactly_of(item)) {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = document_.get(item, i);
      return true;
    }
    if (!PyDict_CheckExact(item)) return false;
    Py_ssize_t found = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      PyObject* const value = PyDict_GetItemWithError(item, keys_[i].ptr());
      if (value == nullptr && PyErr_Occurred() != nullptr) throw py::error_already_set();
      if (value != nullptr) ++found;
      values[i] = value == nullptr ? py::object(py::none()) : py::reinterpret_borrow<py::object>(value);
    }
    return found == PyDict_GET_SIZE(item);  // there is no other key
  }

  bool add_usual(const py::object& item) {
    std::array<py::object, 5> values;
    if (!take_apart(item.ptr(), values)) return false;
    if (!is_usual_text(values[kId].ptr()) || PyUnicode_GET_LENGTH(values[kId].ptr()) == 0 || !is_usual_text(values[kText].ptr())) {
      return false;
    }
    if (!values[kTitle].is_none() && !is_usual_text(values[kTitle].ptr())) return false;
    std::optional<FloatArray> vector;
    if (!values[kVector].is_none()) {
      vector = usual_vector(values[kVector].ptr());
      if (!vector) return false;
    }
    const py::object metadata = values[kMetadata].is_none() ? py::object(py::dict()) : flat_copy(values[kMetadata]);
    if (metadata.is_none()) return false;
    documents.append(document_.make({values[kId].ptr(), values[kText].ptr(), metadata.ptr(), Py_None, values[kTitle].ptr()}));
    given.append(vector ? vectors_.take(*vector) : py::object(py::none()));
    return true;
  }

  SlottedClass<5> document_;
  py::object otherwise_;
  VectorBlock vectors_;
  std::array<py::str, 5> keys_{py::str(kNames[0]), py::str(kNames[1]), py::str(kNames[2]), py::str(kNames[3]), py::str(kNames[4])};
};

// The next documents of an iterator, `most` at most: each is taken before the next is asked for, which may reuse its memory.
// (documents without vectors, their vectors or None, the vectors as one matrix or None). first: the position of the first.
py::tuple next_documents(const py::iterator& items, py::ssize_t most, py::ssize_t first, const py::object& document_type,
                         const py::object& otherwise) {
  py::ssize_t hint = PyObject_LengthHint(items.ptr(), most);
  if (hint < 0) {  // it is of no more use than that
    if (PyErr_ExceptionMatches(PyExc_Exception) == 0) throw py::error_already_set();
    PyErr_Clear();
    hint = most;
  }
  DocumentReader reader(document_type, otherwise, std::clamp<py::ssize_t>(std::min(hint, most), 1, kMostVectors));
  GilSlices slices;
  for (py::ssize_t count = 0; count < most; ++count) {
    if (count % kDocumentsPerLook == 0 && PyErr_CheckSignals() != 0) throw py::error_already_set();
    slices.worked(kBytesOfWork);
    PyObject* const next = PyIter_Next(items.ptr());
    if (next == nullptr) {
      if (PyErr_Occurred() != nullptr) throw py::error_already_set();
      break;
    }
    reader.add(py::reinterpret_steal<py::object>(next), first + count);
  }
  return py::make_tuple(reader.documents, reader.given, reader.matrix());
}

}  // namespace

void register_documents(py::module_& m) {
  m.def("next_documents", &next_documents, py::arg("items"), py::arg("most"), py::arg("first"), py::arg("document_type"),
        py::arg("otherwise"));
}

}  // namespace sightline::bindings
