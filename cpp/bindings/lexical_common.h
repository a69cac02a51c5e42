// What the bindings of lexical indexes have in common: ids, masks, results. Call with the GIL held, unless a function says
// otherwise.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <span>
#include <vector>

#include "core/types.h"
#include "lexical/row_filter.h"
#include "lexical/snapshot.h"

namespace sightline::bindings {

namespace py = pybind11;

// A copy of the ids, which the caller's other threads cannot change. Throws unless they are distinct and from 0 to one less
// than the greatest DocId.
std::vector<DocId> checked_ids(const py::array& array);
// The same; throws unless there are `count`, too.
std::vector<DocId> checked_ids(const py::array& array, std::size_t count);

// The items in the order in which they are indexed: ascending by id. Empty if they are in it already.
std::vector<std::size_t> order_by_id(std::span<const DocId> ids);

// A bool or an int64 vector.
struct MaskView {
  std::span<const std::uint8_t> rows;
  std::span<const DocId> ids;
  bool by_row;
};

// Throws InvalidInputError unless there is none, one for all or one for each of the queries.
std::vector<MaskView> view_masks(const std::vector<py::array>& masks, std::size_t query_count);
// Needs no GIL.
std::vector<lexical::RowFilter> make_filters(const lexical::Snapshot& snapshot, const std::vector<MaskView>& masks);

// Throws NotFoundError if there is no such document.
lexical::RowLocation required_row(const lexical::Snapshot& snapshot, DocId id);

// (scores, ids), both (queries, k), padded.
py::tuple to_result(const std::vector<std::vector<Hit>>& results, std::size_t k);

// Bytes by part, of all fields together.
py::dict memory_of(std::span<const lexical::Snapshot* const> fields);
inline py::dict memory_of(const lexical::Snapshot& snapshot) {
  const lexical::Snapshot* const field = &snapshot;
  return memory_of({&field, 1});
}

}  // namespace sightline::bindings
