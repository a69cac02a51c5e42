// What the database of an index keeps of documents, row by row: hashed on its way there, checked and decoded on its way to hits.
// python/sightline/store_format.py says what the values mean. The hashes are hashlib's and zlib's own, called without a Python
// function around each; what is made here is what they are of.
#include <pybind11/gil_safe_call_once.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bindings/entries.h"
#include "bindings/json_objects.h"
#include "bindings/objects.h"
#include "bindings/registry.h"
#include "bindings/texts.h"
#include "core/error.h"

namespace sightline::bindings {
namespace {

namespace py = pybind11;

constexpr long long kEmbedded = 4;  // a bit of the flags: the embedder made the vector
constexpr int kDigestBytes = 16;

void append_number(std::string& out, long long number) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_utf8(std::string& out, PyObject* text) { out.append(Utf8(text).view()); }

// One row of the table, borrowed. SQLite columns hold values of any type, so damage may change the types as well.
struct Content {
  PyObject* row;
  PyObject* flags;
  PyObject* name;
  PyObject* metadata;
  PyObject* title;
  PyObject* text;

  bool has_its_types() const {
    const auto is_text = [](PyObject* value) { return PyUnicode_CheckExact(value) != 0; };
    return PyLong_CheckExact(row) && PyLong_CheckExact(flags) && is_text(name) && is_text(text) &&
           (metadata == Py_None || is_text(metadata)) && (title == Py_None || is_text(title));
  }
};

// What hashlib and zlib are asked with, found once: to import a module again takes longer than to hash a document.
struct HashFunctions {
  py::object blake2b = py::module_::import("hashlib").attr("blake2b");
  py::object crc32 = py::module_::import("zlib").attr("crc32");
  py::tuple keywords = py::make_tuple("digest_size");
  py::object digest_bytes = py::int_(kDigestBytes);
  py::str digest{"digest"};

  static const HashFunctions& get() {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<HashFunctions> functions;
    return functions.call_once_and_store_result([] { return HashFunctions(); }).get_stored();
  }
};

class Hashes {
 public:
  // Of everything in a row. Precondition: has_its_types().
  py::object of_content(const Content& content) {
    const auto length = [](PyObject* text) { return text == Py_None ? -1 : static_cast<long long>(PyUnicode_GET_LENGTH(text)); };
    const long long row = PyLong_AsLongLong(content.row);
    const long long flags = PyLong_AsLongLong(content.flags);
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    // Lengths first, -1 for None, so that no two contents are the same sequence of characters.
    whole_.clear();
    append_number(whole_, row);
    whole_ += ' ';
    append_number(whole_, flags);
    whole_ += " [";
    append_number(whole_, length(content.name));
    for (PyObject* each : {content.metadata, content.title, content.text}) {
      whole_ += ", ";
      append_number(whole_, length(each));
    }
    whole_ += "] ";
    for (PyObject* each : {content.name, content.metadata, content.title, content.text}) {
      if (each != Py_None) append_utf8(whole_, each);
    }
    return blake2b();
  }

  // Of what is searched of a document: its title, if it has one that is not empty, and its text.
  py::object of_searched_text(PyObject* title, PyObject* text) {
    whole_.clear();
    if (title != Py_None && PyUnicode_GET_LENGTH(title) != 0) {
      append_utf8(whole_, title);
      whole_ += ' ';
    }
    append_utf8(whole_, text);
    return blake2b();
  }

  // Of metadata and the row that it belongs to.
  py::object of_metadata(long long row, PyObject* metadata) {
    whole_.clear();
    if (metadata != Py_None) append_utf8(whole_, metadata);
    return functions_.crc32(py::bytes(whole_), py::int_(static_cast<std::uint32_t>(row)));
  }

 private:
  py::object blake2b() const {
    const py::bytes bytes(whole_);
    PyObject* const arguments[] = {bytes.ptr(), functions_.digest_bytes.ptr()};
    const py::object hash = checked(PyObject_Vectorcall(functions_.blake2b.ptr(), arguments, 1, functions_.keywords.ptr()));
    return checked(PyObject_CallMethodNoArgs(hash.ptr(), functions_.digest.ptr()));
  }

  const HashFunctions& functions_ = HashFunctions::get();
  std::string whole_;
};

py::object content_hash(const py::object& row, const py::object& flags, const py::object& name, const py::object& metadata,
                        const py::object& title, const py::object& text) {
  const Content content{row.ptr(), flags.ptr(), name.ptr(), metadata.ptr(), title.ptr(), text.ptr()};
  if (!content.has_its_types()) throw py::type_error("a row of the database holds a value of another type");
  return Hashes().of_content(content);
}

// The rows of the table `contents`, as its columns are ordered.
py::list content_rows(const py::list& rows, const py::tuple& columns) {
  const std::size_t count = rows.size();
  const Entries entries(columns, count);
  Hashes hashes;
  py::list found(count);
  for (std::size_t i = 0; i < count; ++i) {
    PyObject* const row = PyList_GET_ITEM(rows.ptr(), static_cast<Py_ssize_t>(i));
    const Content content{row, entries.flags(i), entries.name(i), entries.metadata(i), entries.title(i), entries.text(i)};
    if (!content.has_its_types()) throw py::type_error("a document to be written holds a value of another type");
    const py::object whole = hashes.of_content(content);
    const bool is_embedded = (PyLong_AsLongLong(content.flags) & kEmbedded) != 0;
    const py::object key = is_embedded ? hashes.of_searched_text(content.title, content.text) : py::object(py::none());
    const py::object check = hashes.of_metadata(PyLong_AsLongLong(content.row), content.metadata);
    found[i] = checked(PyTuple_Pack(9, content.row, content.name, content.flags, whole.ptr(), key.ptr(), content.metadata, check.ptr(),
                                    content.title, content.text));
  }
  return found;
}

// The object that metadata is, or nothing if it is not JSON.
py::object metadata_of(const Content& content, JsonObjects& objects, const py::object& decode) {
  if (content.metadata == Py_None) return py::dict();
  if (py::object usual = objects.read(content.metadata)) return usual;
  try {
    return decode(py::handle(content.metadata));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ValueError)) throw;
    return {};
  }
}

// For an error; -1 if damage has made something else of it.
py::object number_of(const Content& content) {
  if (PyLong_CheckExact(content.row)) return py::reinterpret_borrow<py::object>(content.row);
  return py::int_(-1);
}

// What hits show of the documents of rows, in their order: tuples of id, text, title, metadata. Instead the number of a row that
// does not have its hash, or None where a row is missing.
// fetched: (row, id, flags, hash, metadata, title, text) in any order; decode: json.loads, for what is unusual.
py::object checked_contents(const py::list& fetched, const py::list& rows, const py::object& decode) {
  Hashes hashes;
  JsonObjects objects;
  std::unordered_map<long long, py::object> found;
  found.reserve(fetched.size());
  for (std::size_t i = 0; i < fetched.size(); ++i) {
    PyObject* const entry = PyList_GET_ITEM(fetched.ptr(), static_cast<Py_ssize_t>(i));
    if (!PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) != 7) throw py::type_error("fetched: expected tuples of seven values");
    const auto at = [entry](Py_ssize_t column) { return PyTuple_GET_ITEM(entry, column); };
    const Content content{at(0), at(2), at(1), at(4), at(5), at(6)};
    PyObject* const hash = at(3);
    const auto is_whole = [&] {
      if (!content.has_its_types() || !PyBytes_CheckExact(hash)) return false;
      return hashes.of_content(content).equal(py::handle(hash));
    };
    if (!is_whole()) return number_of(content);
    const py::object metadata = metadata_of(content, objects, decode);
    if (!metadata) return number_of(content);
    const py::object made = checked(PyTuple_Pack(4, content.name, content.text, content.title, metadata.ptr()));
    found.insert_or_assign(PyLong_AsLongLong(content.row), made);
  }
  py::list ordered(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto each = found.find(rows[i].cast<long long>());
    if (each == found.end()) return py::none();
    ordered[i] = each->second;
  }
  return ordered;
}

using Scores = py::array_t<double, py::array::c_style | py::array::forcecast>;

py::object score_or_none(double score) { return score == score ? py::object(py::float_(score)) : py::object(py::none()); }

// Hits of a search that reranks, explains and degrades nothing. hit_type: a class with the slots of sightline.Hit, set without a
// call of its __init__ for each, which for a frozen dataclass takes as long as reading the document. A score of NaN is None.
py::list plain_hits(const py::object& hit_type, const py::list& contents, const Scores& scores, const Scores& dense,
                    const Scores& lexical, std::size_t first_rank) {
  const auto count = static_cast<py::ssize_t>(contents.size());
  for (const Scores& each : {scores, dense, lexical}) {
    if (each.ndim() != 1 || each.shape(0) != count) throw Error(ErrorKind::kInvalidInput, "scores: expected one for each of the contents");
  }
  const SlottedClass<11> hit(hit_type, {"id", "text", "title", "metadata", "score", "rank", "dense_score", "lexical_score",
                                        "rerank_score", "explanation", "degraded"});
  const py::object none = py::none();
  py::list hits(contents.size());
  for (py::ssize_t i = 0; i < count; ++i) {
    PyObject* const content = PyList_GET_ITEM(contents.ptr(), i);
    if (!PyTuple_CheckExact(content) || PyTuple_GET_SIZE(content) != 4) throw py::type_error("contents: expected tuples of four values");
    const py::object score = py::float_(scores.at(i));
    const py::object rank = py::int_(first_rank + static_cast<std::size_t>(i));
    const py::object cosine = score_or_none(dense.at(i));
    const py::object words = score_or_none(lexical.at(i));
    const auto shown = [content](Py_ssize_t part) { return PyTuple_GET_ITEM(content, part); };
    hits[static_cast<std::size_t>(i)] = hit.make({shown(0), shown(1), shown(2), shown(3), score.ptr(), rank.ptr(), cosine.ptr(),
                                                  words.ptr(), none.ptr(), none.ptr(), none.ptr()});
  }
  return hits;
}

}  // namespace

void register_contents(py::module_& m) {
  m.def("content_hash", &content_hash, py::arg("row"), py::arg("flags"), py::arg("name"), py::arg("metadata"), py::arg("title"),
        py::arg("text"));
  m.def("content_rows", &content_rows, py::arg("rows"), py::arg("entries"));
  m.def("checked_contents", &checked_contents, py::arg("fetched"), py::arg("rows"), py::arg("decode"));
  m.def("plain_hits", &plain_hits, py::arg("hit_type"), py::arg("contents"), py::arg("scores"), py::arg("dense"), py::arg("lexical"),
        py::arg("first_rank"));
}

}  // namespace sightline::bindings
