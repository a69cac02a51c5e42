#include "bindings/texts.h"

#include "core/error.h"

namespace sightline::bindings {

std::string type_name(const py::handle& object) { return Py_TYPE(object.ptr())->tp_name; }

bool is_tokens(const py::handle& item) { return PyList_Check(item.ptr()) != 0 || PyTuple_Check(item.ptr()) != 0; }

namespace {

std::string_view ascii_view(const py::handle& text) {
  return {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text.ptr())),
          static_cast<std::size_t>(PyUnicode_GET_LENGTH(text.ptr()))};
}

py::object encode(const py::handle& text, const char* errors) {
  PyObject* bytes = PyUnicode_AsEncodedString(text.ptr(), "utf-8", errors);
  if (bytes == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(bytes);
}

std::string_view bytes_view(const py::handle& bytes) {
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

py::object to_nfc(const py::object& text) {
  const py::module_ unicodedata = py::module_::import("unicodedata");
  if (unicodedata.attr("is_normalized")("NFC", text).cast<bool>()) return text;
  return unicodedata.attr("normalize")("NFC", text);
}

}  // namespace

Utf8::Utf8(PyObject* text) {
  if (PyUnicode_IS_ASCII(text)) {
    view_ = ascii_view(text);
  } else {
    kept_ = encode(text, "strict");
    view_ = bytes_view(kept_);
  }
}

Items::Items(const py::list& list, const char* argument) {
  items_.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    py::object item = list[i];
    const bool tokens = is_tokens(item);
    if (!tokens && PyUnicode_Check(item.ptr()) == 0) {
      throw Error(ErrorKind::kInvalidInput, std::string(argument) + ": expected str (or a list of tokens) at position " +
                                                std::to_string(i) + ", got " + type_name(item) + "; convert it first");
    }
    const ItemKind kind = tokens ? ItemKind::kTokens : ItemKind::kText;
    if (i == 0) kind_ = kind;
    if (kind != kind_) {
      throw Error(ErrorKind::kInvalidInput, std::string(argument) + ": expected only str or only lists of tokens, got " +
                                                type_name(items_.front()) + " at position 0 and " + type_name(item) +
                                                " at position " + std::to_string(i) + "; pass them in separate calls");
    }
    items_.push_back(std::move(item));
  }
}

void Texts::add(const py::object& text) {
  if (PyUnicode_IS_ASCII(text.ptr())) {
    bytes_.append(ascii_view(text));
  } else {
    const py::object encoded = encode(to_nfc(text), "replace");
    bytes_.append(bytes_view(encoded));
  }
  ends_.push_back(bytes_.size());
}

void Texts::clear() noexcept {
  bytes_.clear();
  ends_.clear();
}

std::vector<std::string_view> Texts::views() const {
  std::vector<std::string_view> result(size());
  for (std::size_t i = 0; i < size(); ++i) result[i] = (*this)[i];
  return result;
}

void append_tokens(lexical::AnalyzedDocuments& documents, const py::object& tokens, const char* argument, std::size_t position) {
  const py::sequence sequence = py::reinterpret_borrow<py::sequence>(tokens);
  const std::size_t count = sequence.size();
  for (std::size_t i = 0; i < count; ++i) {
    const py::object token = sequence[i];
    if (PyUnicode_Check(token.ptr()) == 0) {
      throw Error(ErrorKind::kInvalidInput, std::string(argument) + ": expected str as token " + std::to_string(i) +
                                                " of the item at position " + std::to_string(position) + ", got " +
                                                type_name(token) + "; convert it first");
    }
    if (PyUnicode_IS_ASCII(token.ptr())) {
      documents.tokens.push_back(documents.terms.insert(ascii_view(token)));
    } else {
      // Ready tokens are taken as they are, so even a lone surrogate must stay distinct.
      documents.tokens.push_back(documents.terms.insert(bytes_view(encode(token, "surrogatepass"))));
    }
  }
  documents.document_ends.push_back(documents.tokens.size());
}

py::str to_str(std::string_view utf8) {
  PyObject* text = PyUnicode_DecodeUTF8(utf8.data(), static_cast<py::ssize_t>(utf8.size()), "surrogatepass");
  if (text == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(text);
}

}  // namespace sightline::bindings
