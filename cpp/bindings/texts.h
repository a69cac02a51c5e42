// Python strings as UTF-8, and Python lists of tokens as analyzed documents. Call with the GIL held.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lexical/analyzer.h"

namespace sightline::bindings {

namespace py = pybind11;

// What a list holds: all str, or all lists (or tuples) of str.
enum class ItemKind { kText, kTokens };

// Holds references to the items of a list, so that the list may change while the GIL is released.
// Throws InvalidInputError naming the first item that is neither or not of the kind of the first.
class Items {
 public:
  Items(const py::list& list, const char* argument);
  std::size_t size() const noexcept { return items_.size(); }
  ItemKind kind() const noexcept { return kind_; }
  const py::object& operator[](std::size_t i) const noexcept { return items_[i]; }

 private:
  std::vector<py::object> items_;
  ItemKind kind_ = ItemKind::kText;
};

// UTF-8 views of strings. ASCII strings are borrowed; others are brought to NFC and copied. A lone surrogate becomes a
// question mark, which separates words.
class Texts {
 public:
  void add(const py::object& text);
  const std::vector<std::string_view>& views() const noexcept { return views_; }
  std::size_t size_bytes() const noexcept { return size_bytes_; }

 private:
  std::vector<std::string_view> views_;
  std::vector<py::object> owners_;
  std::size_t size_bytes_ = 0;
};

// Appends a document whose tokens are taken as they are. `argument` and `position` name it in an error.
void append_tokens(lexical::AnalyzedDocuments& documents, const py::object& tokens, const char* argument, std::size_t position);

py::str to_str(std::string_view utf8);

}  // namespace sightline::bindings
