// Metadata columns as Python sees them: made of JSON, and kept in section files. python/sightline/column_file.py gives the
// sections their meaning.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/registry.h"
#include "bindings/texts.h"
#include "metadata/json_columns.h"
#include "metadata/value_groups.h"
#include "storage/section_file.h"

namespace sightline::bindings {
namespace {

using metadata::JsonColumns;
using metadata::Kind;
using storage::SectionFile;

constexpr std::uint32_t kDirectory = 1;
constexpr std::uint32_t kArray = 2;

py::object values_of(metadata::Stream& stream, Kind kind) {
  switch (kind) {
    case Kind::kString: {
      py::list strings(stream.strings.size());
      for (std::size_t i = 0; i < stream.strings.size(); ++i) strings[i] = to_str(stream.strings[i]);
      return py::make_tuple(to_array(std::move(stream.codes)), strings);
    }
    case Kind::kNumber: {
      const py::object low = stream.low.empty() ? py::object(py::none()) : py::object(to_array(std::move(stream.low)));
      return py::make_tuple(to_array(std::move(stream.high)), low);
    }
    case Kind::kBoolean:
      return to_array(std::move(stream.booleans));
    case Kind::kObject:
      break;
  }
  return py::none();
}

void append_streams(py::list& out, std::array<metadata::Stream, metadata::kKindCount>& streams, bool in_list) {
  for (std::size_t i = 0; i < streams.size(); ++i) {
    metadata::Stream& stream = streams[i];
    if (stream.rows.empty()) continue;
    py::object rows = to_array(std::move(stream.rows));
    out.append(py::make_tuple(in_list, static_cast<int>(i), rows, values_of(stream, static_cast<Kind>(i))));
  }
}

// [(path, rows, [(in_list, kind, rows, values)])]
py::list parse_metadata(const py::list& texts) {
  std::vector<py::object> owners;  // which keep the texts while other threads may run
  std::vector<std::string_view> views;
  owners.reserve(texts.size());
  views.reserve(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    py::object text = texts[i];
    if (text.is_none()) {
      views.emplace_back();
      continue;
    }
    py::ssize_t size = 0;
    const char* const data = PyUnicode_Check(text.ptr()) ? PyUnicode_AsUTF8AndSize(text.ptr(), &size) : nullptr;
    if (data == nullptr) {
      PyErr_Clear();
      throw Error(ErrorKind::kInvalidInput, "metadata of row " + std::to_string(i) + ": expected a str or None, got " + type_name(text));
    }
    views.emplace_back(data, static_cast<std::size_t>(size));
    owners.push_back(std::move(text));
  }
  JsonColumns columns;
  {
    const py::gil_scoped_release release;
    for (const std::string_view view : views) columns.add(view);
  }
  py::list found;
  for (metadata::Field& field : columns.fields()) {
    py::list streams;
    append_streams(streams, field.elements, true);
    append_streams(streams, field.scalars, false);
    found.append(py::make_tuple(to_str(field.path), to_array(std::move(field.present)), streams));
  }
  return found;
}

std::span<const std::byte> bytes_of(const py::array& array) {
  if ((array.flags() & py::array::c_style) == 0) fail_array("arrays", "a C-contiguous array", array);
  return {static_cast<const std::byte*>(array.data()), static_cast<std::size_t>(array.nbytes())};
}

void write_column_file(const std::filesystem::path& path, const py::bytes& directory, const std::vector<py::array>& arrays) {
  const std::string_view head = directory;
  std::vector<std::span<const std::byte>> contents;
  for (const py::array& array : arrays) contents.push_back(bytes_of(array));
  const py::gil_scoped_release release;
  storage::SectionFileWriter writer(path, storage::ContentKind::kColumns);
  writer.add(kDirectory, 0, std::as_bytes(std::span(head)));
  for (std::size_t i = 0; i < contents.size(); ++i) writer.add(kArray, static_cast<std::uint32_t>(i), contents[i]);
  writer.commit();
}

using File = std::shared_ptr<const SectionFile>;

// The bytes of an array, read-only, which keep the file open.
py::array_t<std::uint8_t> array_bytes(const File& file, std::uint32_t index) {
  const std::span<const std::byte> raw = file->bytes(kArray, index);
  auto owner = std::make_unique<File>(file);
  py::capsule keeper(owner.get(), [](void* p) { delete static_cast<File*>(p); });
  owner.release();
  py::array_t<std::uint8_t> array(static_cast<py::ssize_t>(raw.size()), reinterpret_cast<const std::uint8_t*>(raw.data()), keeper);
  py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

struct ColumnFile {
  File file;
};

using metadata::ValueGroups;

template <typename T>
std::span<const T> vector_of(const py::array& array, const char* name, const char* type) {
  if (array.ndim() != 1) fail_array(name, "shape (n,)", array);
  return {checked_data<T>(array, name, type), static_cast<std::size_t>(array.shape(0))};
}

ValueGroups group_codes(const py::array& codes, const py::array& rows, std::size_t code_count) {
  const auto values = vector_of<std::int32_t>(codes, "codes", "int32");
  const auto places = vector_of<std::int32_t>(rows, "rows", "int32");
  const py::gil_scoped_release release;
  return ValueGroups::of_codes(values, places, code_count);
}

// None where grouping is not worth its memory.
std::optional<ValueGroups> group_numbers(const py::array& numbers, const py::array& rows) {
  const auto values = vector_of<double>(numbers, "numbers", "float64");
  const auto places = vector_of<std::int32_t>(rows, "rows", "int32");
  const py::gil_scoped_release release;
  ValueGroups groups = ValueGroups::of_numbers(values, places);
  if (groups.empty()) return std::nullopt;
  return groups;
}

py::array_t<std::int32_t> copied(std::span<const std::int32_t> rows) {
  return py::array_t<std::int32_t>(static_cast<py::ssize_t>(rows.size()), rows.data());
}

}  // namespace

void register_columns(py::module_& m) {
  m.def("parse_metadata", &parse_metadata, py::arg("texts"));
  m.def("write_column_file", &write_column_file, py::arg("path"), py::arg("directory"), py::arg("arrays"));
  py::class_<ValueGroups>(m, "ValueGroups")
      .def_static("of_codes", &group_codes, py::arg("codes"), py::arg("rows"), py::arg("code_count"))
      .def_static("of_numbers", &group_numbers, py::arg("numbers"), py::arg("rows"))
      .def("rows_of_code", [](const ValueGroups& self, std::int64_t code) { return copied(self.rows_of_code(code)); }, py::arg("code"))
      .def("rows_of_number", [](const ValueGroups& self, double number) { return copied(self.rows_of_number(number)); }, py::arg("number"));
  py::class_<ColumnFile>(m, "ColumnFile")
      .def(py::init([](const std::filesystem::path& path, bool mmap) {
             const py::gil_scoped_release release;
             return ColumnFile{SectionFile::open(path, storage::ContentKind::kColumns, mmap)};
           }),
           py::arg("path"), py::arg("mmap"))
      .def("directory",
           [](const ColumnFile& self) {
             const std::span<const std::byte> raw = self.file->bytes(kDirectory, 0);
             return py::bytes(reinterpret_cast<const char*>(raw.data()), raw.size());
           })
      .def("array", [](const ColumnFile& self, std::uint32_t index) { return array_bytes(self.file, index); }, py::arg("index"));
}

}  // namespace sightline::bindings
