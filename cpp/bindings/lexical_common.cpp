#include "bindings/lexical_common.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "bindings/arrays.h"
#include "core/checked.h"
#include "parallel/thread_pool.h"

namespace sightline::bindings {

using lexical::Snapshot;

std::vector<DocId> checked_ids(const py::array& array) {
  const std::span<const DocId> given = id_vector(array, "ids");
  std::vector<DocId> ids(given.begin(), given.end());
  const py::gil_scoped_release release;
  std::vector<DocId> sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  if (!sorted.empty() && sorted.front() < 0) {
    throw Error(ErrorKind::kInvalidInput, "ids: expected integers >= 0, got " + std::to_string(sorted.front()));
  }
  if (!sorted.empty() && sorted.back() == std::numeric_limits<DocId>::max()) {
    throw Error(ErrorKind::kInvalidInput,
                "ids: " + std::to_string(sorted.back()) + " is too large; the greatest allowed id is one less");
  }
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    throw Error(ErrorKind::kDuplicateId, "ids: " + std::to_string(*twice) + " occurs twice; give each item its own id");
  }
  return ids;
}

std::vector<DocId> checked_ids(const py::array& array, std::size_t count) {
  if (array.ndim() == 1 && static_cast<std::size_t>(array.shape(0)) != count) {
    fail_array("ids", "one id for each of " + std::to_string(count) + " items", array);
  }
  return checked_ids(array);
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
  std::vector<float> scores;
  std::vector<DocId> ids;
  {
    const py::gil_scoped_release release;
    const std::size_t cells = checked_mul(results.size(), k);
    scores.assign(cells, kNoScore);
    ids.assign(cells, kNoId);
    for (std::size_t q = 0; q < results.size(); ++q) {
      for (std::size_t i = 0; i < results[q].size(); ++i) {
        scores[q * k + i] = results[q][i].score;
        ids[q * k + i] = results[q][i].id;
      }
    }
  }
  const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(results.size()), static_cast<py::ssize_t>(k)};
  return py::make_tuple(to_array(std::move(scores), shape), to_array(std::move(ids), shape));
}

py::dict memory_of(std::span<const Snapshot* const> fields) {
  std::size_t postings = 0;
  std::size_t terms = 0;
  std::size_t documents = 0;
  std::size_t tombstones = 0;
  std::size_t positions = 0;
  for (const Snapshot* field : fields) {
    for (const lexical::SegmentView& view : field->segments()) {
      const lexical::SegmentArrays& a = view.segment->arrays();
      postings += a.offsets.size_bytes() + a.codes.size_bytes() + a.windows.size_bytes() + a.large_positions.size_bytes() +
                  a.large_tfs.size_bytes() + a.posting_offsets.size_bytes() + a.window_offsets.size_bytes() +
                  a.code_map.class_begins.size_bytes() + a.code_map.codes.size_bytes() + a.values.size_bytes() +
                  a.value_bounds.size_bytes();
      const lexical::PackedArrays& packed = a.packed;
      postings += packed.lists.size() + packed.list_offsets.size() + view.segment->size_bytes_beside_arrays();
      terms += packed.hash_heads.size() + packed.term_offsets.size();
      documents += packed.ids.size() + packed.lengths.size();
      terms += a.term_hashes.size_bytes() + a.term_offsets.size_bytes() + a.term_bytes.size_bytes();
      documents += a.ids.size_bytes() + a.lengths.size_bytes();
      positions += a.tokens.begins.size_bytes() + a.tokens.bytes.size_bytes();
      if (view.tombstones) tombstones += view.tombstones->size_bytes();
    }
  }
  py::dict result;
  result["postings"] = postings;
  result["terms"] = terms;
  result["documents"] = documents;
  result["tombstones"] = tombstones;
  result["positions"] = positions;
  return result;
}

}  // namespace sightline::bindings
