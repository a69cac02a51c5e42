#include "bindings/lexical_common.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "bindings/arrays.h"
#include "parallel/thread_pool.h"

namespace sightline::bindings {

using lexical::Bm25Index;
using lexical::Snapshot;

std::vector<DocId> checked_ids(const py::array& array, std::size_t count) {
  const std::span<const DocId> given = id_vector(array, "ids");
  if (given.size() != count) fail_array("ids", "one id for each of " + std::to_string(count) + " items", array);
  std::vector<DocId> sorted(given.begin(), given.end());
  std::sort(sorted.begin(), sorted.end());
  if (!sorted.empty() && sorted.front() < 0) {
    throw Error(ErrorKind::kInvalidInput, "ids: expected integers >= 0, got " + std::to_string(sorted.front()));
  }
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    throw Error(ErrorKind::kDuplicateId, "ids: " + std::to_string(*twice) + " occurs twice; give each item its own id");
  }
  return {given.begin(), given.end()};
}

std::vector<std::size_t> order_by_id(std::span<const DocId> ids) {
  if (std::is_sorted(ids.begin(), ids.end())) return {};
  std::vector<std::size_t> order(ids.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ids[a] < ids[b]; });
  return order;
}

std::vector<MaskView> view_masks(const std::vector<py::array>& masks, std::size_t query_count) {
  std::vector<MaskView> views;
  for (const py::array& mask : masks) {
    if (mask.ndim() != 1) fail_array("mask", "one dimension for each query", mask);
    if (py::isinstance<py::array_t<bool>>(mask)) {
      const auto* rows = reinterpret_cast<const std::uint8_t*>(checked_data<bool>(mask, "mask", "bool"));
      views.push_back({{rows, static_cast<std::size_t>(mask.shape(0))}, {}, true});
    } else {
      views.push_back({{}, id_vector(mask, "mask"), false});
    }
  }
  if (views.size() > 1 && views.size() != query_count) {
    throw Error(ErrorKind::kInvalidInput, "mask: expected one for all or one for each of " + std::to_string(query_count) +
                                              " queries, got " + std::to_string(views.size()));
  }
  return views;
}

std::vector<lexical::RowFilter> make_filters(const Snapshot& snapshot, const std::vector<MaskView>& masks) {
  std::vector<lexical::RowFilter> filters(masks.size());
  parallel::parallel_for(masks.size(), [&](std::size_t i, std::size_t) {
    filters[i] = masks[i].by_row ? lexical::filter_from_mask(snapshot, masks[i].rows)
                                 : lexical::filter_from_ids(snapshot, masks[i].ids);
  });
  return filters;
}

lexical::RowLocation required_row(const Snapshot& snapshot, DocId id) {
  const auto at = snapshot.find(id);
  if (!at) {
    throw Error(ErrorKind::kNotFound, "ids: " + std::to_string(id) + " is not in the index; `ids` lists those that are");
  }
  return *at;
}

py::tuple to_result(const std::vector<std::vector<Hit>>& results, std::size_t k) {
  std::vector<float> scores(results.size() * k, kNoScore);
  std::vector<DocId> ids(results.size() * k, kNoId);
  for (std::size_t q = 0; q < results.size(); ++q) {
    for (std::size_t i = 0; i < results[q].size(); ++i) {
      scores[q * k + i] = results[q][i].score;
      ids[q * k + i] = results[q][i].id;
    }
  }
  const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(results.size()), static_cast<py::ssize_t>(k)};
  return py::make_tuple(to_array(std::move(scores), shape), to_array(std::move(ids), shape));
}

std::size_t remove_ids(Bm25Index& index, const py::array& ids) {
  const std::span<const DocId> view = id_vector(ids, "ids");
  const py::gil_scoped_release release;
  return index.remove(view);
}

py::dict memory_of(const Snapshot& snapshot) {
  std::size_t postings = 0;
  std::size_t terms = 0;
  std::size_t documents = 0;
  std::size_t tombstones = 0;
  for (const lexical::SegmentView& view : snapshot.segments()) {
    const lexical::SegmentArrays& a = view.segment->arrays();
    postings += a.offsets.size_bytes() + a.codes.size_bytes() + a.windows.size_bytes() + a.large_positions.size_bytes() +
                a.large_tfs.size_bytes() + a.posting_offsets.size_bytes() + a.window_offsets.size_bytes() +
                a.code_map.class_begins.size_bytes() + a.code_map.codes.size_bytes() + a.values.size_bytes() + a.value_bounds.size_bytes();
    terms += a.term_hashes.size_bytes() + a.term_offsets.size_bytes() + a.term_bytes.size_bytes();
    documents += a.ids.size_bytes() + a.lengths.size_bytes();
    if (view.tombstones) tombstones += view.tombstones->size_bytes();
  }
  py::dict result;
  result["postings"] = postings;
  result["terms"] = terms;
  result["documents"] = documents;
  result["tombstones"] = tombstones;
  return result;
}

}  // namespace sightline::bindings
