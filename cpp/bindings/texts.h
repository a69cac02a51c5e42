// Python strings as UTF-8, and Python lists of tokens as analyzed documents. Call with the GIL held.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lexical/analyzer.h"

namespace sightline::bindings {

namespace py = pybind11;

std::string type_name(const py::handle& object);
bool is_tokens(const py::handle& item);  // a list or a tuple

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

// Strings as UTF-8 in NFC, one after the other in memory of its own. A lone surrogate becomes a question mark, which
// separates words.
class Texts {
 public:
  void add(const py::object& text);
  void add_empty() { ends_.push_back(bytes_.size()); }
  void clear() noexcept;
  std::size_t size() const noexcept { return ends_.size(); }
  std::size_t size_bytes() const noexcept { return bytes_.size(); }
  std::string_view operator[](std::size_t i) const noexcept {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return {bytes_.data() + begin, ends_[i] - begin};
  }
  // Valid until the next change. O(texts).
  std::vector<std::string_view> views() const;

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

// Lets other threads run Python between pieces of a long conversion. Work is counted in bytes, roughly, and the GIL let go
// once it was held for longer than the interpreter's switch interval (5 ms): a thread that has waited for so long has asked
// for it, and only then is the interpreter sure to hand it over; let go more often, it would mostly come straight back, and
// start the other's wait anew.
class GilSlices {
 public:
  void worked(std::size_t bytes) {
    done_ += bytes;
    if (done_ < kBytesPerLook) return;
    done_ = 0;
    if (std::chrono::steady_clock::now() - held_since_ < kSlice) return;
    { const py::gil_scoped_release release; }
    held_since_ = std::chrono::steady_clock::now();
  }

 private:
  static constexpr std::size_t kBytesPerLook = std::size_t{1} << 14;
  static constexpr std::chrono::milliseconds kSlice{6};
  std::size_t done_ = 0;
  std::chrono::steady_clock::time_point held_since_ = std::chrono::steady_clock::now();
};

// Appends a document whose tokens are taken as they are. `argument` and `position` name it in an error.
void append_tokens(lexical::AnalyzedDocuments& documents, const py::object& tokens, const char* argument, std::size_t position);

py::str to_str(std::string_view utf8);

// The UTF-8 of a str, which must stay meanwhile: its own memory where it is ASCII, else a copy, not the form that the str would
// keep. Throws the Python error of a lone surrogate.
class Utf8 {
 public:
  explicit Utf8(PyObject* text);
  std::string_view view() const noexcept { return view_; }

 private:
  py::object kept_;
  std::string_view view_;
};

}  // namespace sightline::bindings
