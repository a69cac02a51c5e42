// The documents of segments as Python sees them: written beside engines and columns, read for hits without the database.
// python/sightline/document_file.py says when.
#include "documents/document_file.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/entries.h"
#include "bindings/json_objects.h"
#include "bindings/objects.h"
#include "bindings/registry.h"
#include "bindings/texts.h"
#include "core/error.h"

namespace sightline::bindings {
namespace {

using documents::DocumentView;
using File = std::shared_ptr<const documents::DocumentFile>;

struct DocumentFile {
  File file;
};

// Lets go of what it wrote, and of its temporary file, when it is told to: an exception may hold the Python object for long.
struct DocumentFileWriter {
  std::unique_ptr<documents::DocumentFileWriter> writer;

  documents::DocumentFileWriter& get() const {
    if (!writer) throw Error(ErrorKind::kInvalidInput, "this file of documents was committed or abandoned");
    return *writer;
  }
};

// Several files, whose rows are not each other's.
struct DocumentFiles {
  std::vector<File> files;
};

Utf8 utf8_of(PyObject* text, const char* what) {
  if (PyUnicode_Check(text)) return Utf8(text);
  throw Error(ErrorKind::kInvalidInput, std::string("entries: expected str as ") + what + ", got " + type_name(text));
}

std::optional<Utf8> optional_utf8_of(PyObject* text, const char* what) {
  if (text == Py_None) return std::nullopt;
  return utf8_of(text, what);
}

std::optional<std::string_view> view_of(const std::optional<Utf8>& text) {
  if (!text) return std::nullopt;
  return text->view();
}

void add_documents(const DocumentFileWriter& self, const std::vector<DocId>& rows, const py::tuple& columns) {
  const Entries entries(columns, rows.size());
  documents::DocumentFileWriter& writer = self.get();
  GilSlices slices;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Utf8 name = utf8_of(entries.name(i), "name");
    const std::optional<Utf8> metadata = optional_utf8_of(entries.metadata(i), "metadata");
    const std::optional<Utf8> title = optional_utf8_of(entries.title(i), "title");
    const Utf8 text = utf8_of(entries.text(i), "text");
    const auto flags = py::handle(entries.flags(i)).cast<std::uint32_t>();
    if (writer.add(rows[i], {flags, name.view(), view_of(metadata), view_of(title), text.view()})) {
      const py::gil_scoped_release release;
      writer.write_texts();
    }
    slices.worked(64 + text.view().size());
  }
}

// Throws NotFound if the file does not have a row.
void copy_documents(const DocumentFileWriter& self, const DocumentFile& from, const py::array& rows) {
  const std::span<const DocId> wanted = id_vector(rows, "rows");
  documents::DocumentFileWriter& writer = self.get();
  const py::gil_scoped_release release;
  std::vector<std::size_t> places;
  for (const DocId row : wanted) {
    const std::optional<std::size_t> place = from.file->find(row);
    if (!place) throw Error(ErrorKind::kNotFound, "rows: the file does not have row " + std::to_string(row));
    places.push_back(*place);
  }
  writer.copy(*from.file, places);
}

py::object str_or_none(const std::optional<std::string_view>& text) { return text ? py::object(to_str(*text)) : py::object(py::none()); }

// (flags, name, metadata as JSON, title, text) of all rows from place `first` on, `most` of them at most.
py::list stored_documents(const DocumentFile& self, std::size_t first, std::size_t most) {
  const std::size_t count = self.file->rows().size();
  const std::size_t last = first >= count ? first : first + std::min(most, count - first);
  std::vector<std::string> buffers(last - first);
  std::vector<DocumentView> read;
  {
    const py::gil_scoped_release release;  // the disk may be asked
    if (first < last) self.file->expect_reads(first, last - 1);
    for (std::size_t place = first; place < last; ++place) read.push_back(self.file->read(place, buffers[place - first]));
  }
  py::list found;
  for (const DocumentView& document : read) {
    found.append(py::make_tuple(document.flags, to_str(document.name), str_or_none(document.metadata), str_or_none(document.title),
                                to_str(document.text)));
  }
  return found;
}

// What hits show of a document: id, text, title, metadata. decode: json.loads, for metadata that is unusual.
py::object content_of(const DocumentView& document, JsonObjects& objects, const py::object& decode) {
  const auto metadata = [&]() -> py::object {
    if (!document.metadata) return py::dict();
    if (py::object usual = objects.read(*document.metadata)) return usual;
    return decode(to_str(*document.metadata));
  };
  return checked(PyTuple_Pack(4, to_str(document.name).ptr(), to_str(document.text).ptr(), str_or_none(document.title).ptr(),
                              metadata().ptr()));
}

struct Found {
  const documents::DocumentFile* file = nullptr;
  std::size_t place = 0;
  std::string buffer;
  DocumentView document;
};

// Finds and reads rows. A row that no file has stays without one.
std::vector<Found> read_rows(const DocumentFiles& self, const std::vector<DocId>& rows) {
  std::vector<Found> found(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const File& file : self.files) {
      const std::optional<std::size_t> place = file->find(rows[i]);
      if (!place) continue;
      found[i].file = file.get();
      found[i].document = file->read(*place, found[i].buffer);
      break;
    }
  }
  return found;
}

// What hits show of the documents of rows, in their order: tuples of id, text, title, metadata, None for a row that no file has;
// and how many have none.
py::tuple contents_of(const DocumentFiles& self, const std::vector<DocId>& rows, const py::object& decode) {
  std::vector<Found> found;
  {
    const py::gil_scoped_release release;  // the disk may be asked
    found = read_rows(self, rows);
  }
  JsonObjects objects;
  py::list contents(rows.size());
  std::size_t missing = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (found[i].file == nullptr) {
      contents[i] = py::none();
      ++missing;
      continue;
    }
    try {
      contents[i] = content_of(found[i].document, objects, decode);
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_ValueError)) throw;
      found[i].file->fail_corrupt("the document of row " + std::to_string(rows[i]) + " is no text or its metadata no JSON");
    }
  }
  return py::make_tuple(contents, missing);
}

}  // namespace

void register_document_file(py::module_& m) {
  py::class_<DocumentFile>(m, "DocumentFile")
      .def(py::init([](const std::filesystem::path& path) {
             const py::gil_scoped_release release;
             return DocumentFile{documents::DocumentFile::open(path)};
           }),
           py::arg("path"))
      .def_property_readonly("path", [](const DocumentFile& self) { return self.file->path(); })
      .def_property_readonly("ids",
                             [](const DocumentFile& self) {
                               const std::span<const DocId> rows = self.file->rows();
                               return py::array_t<DocId>(static_cast<py::ssize_t>(rows.size()), rows.data());
                             })
      .def("documents", &stored_documents, py::arg("first"), py::arg("most"));
  py::class_<DocumentFiles>(m, "DocumentFiles")
      .def(py::init([](const std::vector<const DocumentFile*>& files) {
             DocumentFiles made;
             for (const DocumentFile* each : files) made.files.push_back(each->file);
             return made;
           }),
           py::arg("files"))
      .def("contents", &contents_of, py::arg("rows"), py::arg("decode"));
  py::class_<DocumentFileWriter>(m, "DocumentFileWriter")
      .def(py::init([](const std::filesystem::path& path) {
             return DocumentFileWriter{std::make_unique<documents::DocumentFileWriter>(path)};
           }),
           py::arg("path"))
      .def("add", &add_documents, py::arg("rows"), py::arg("entries"))
      .def("copy", &copy_documents, py::arg("source"), py::arg("rows"))
      .def("commit",
           [](DocumentFileWriter& self) {
             documents::DocumentFileWriter& writer = self.get();
             const py::gil_scoped_release release;
             writer.commit();
             self.writer.reset();
           })
      .def("abandon", [](DocumentFileWriter& self) { self.writer.reset(); });
}

}  // namespace sightline::bindings
