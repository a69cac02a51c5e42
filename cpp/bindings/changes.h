// What every lexical index does with its form and with documents, for Bm25Index and FieldIndex. Call with the GIL held.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/document_stream.h"
#include "core/types.h"
#include "lexical/bm25_index.h"

namespace sightline::bindings {

// packed: the form of the segments that the index makes.
template <typename Index, typename... Arguments>
std::unique_ptr<Index> make_index(Arguments... arguments, bool packed) {
  return std::make_unique<Index>(arguments..., packed ? lexical::PostingForm::kPacked : lexical::PostingForm::kScan);
}

template <typename Index>
bool is_packed(const Index& index) {
  return index.form() == lexical::PostingForm::kPacked;
}

// Adds what a stream made; `segments` is the index's own form of stream.finish(). `replace`: documents that have one of the
// ids that were given go. Returns the ids.
template <typename Index, typename Segments>
py::array_t<DocId> add_stream(Index& index, Segments segments, const DocumentStream& stream, bool replace) {
  std::vector<DocId> ids = stream.ids();
  {
    const py::gil_scoped_release release;
    if (stream.has_given_ids()) {
      index.add(std::move(segments), replace ? lexical::OnExisting::kReplace : lexical::OnExisting::kFail);
    } else {
      std::iota(ids.begin(), ids.end(), index.add_with_next_ids(std::move(segments)));
    }
  }
  return to_array(std::move(ids));
}

template <typename Index>
void check_absent(const Index& index, const py::array& ids) {
  const std::span<const DocId> given = id_vector(ids, "ids");
  const std::vector<DocId> copy(given.begin(), given.end());
  const py::gil_scoped_release release;
  index.check_absent(copy);
}

template <typename Index>
std::size_t remove_ids(Index& index, const py::array& ids) {
  const std::span<const DocId> given = id_vector(ids, "ids");
  const std::vector<DocId> copy(given.begin(), given.end());  // another thread may write to the array meanwhile
  const py::gil_scoped_release release;
  return index.remove(copy);
}

}  // namespace sightline::bindings
