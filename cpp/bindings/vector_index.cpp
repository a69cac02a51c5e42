// VectorIndex for Python. Arguments arrive as the exact arrays that vector_index.py makes of what the user passed.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "bindings/arrays.h"
#include "bindings/registry.h"
#include "dense/index.h"
#include "dense/search.h"
#include "simd/dispatch.h"

namespace py = pybind11;

namespace sightline::bindings {
namespace {

using dense::Metric;
using dense::RowFilter;
using dense::SearchStats;
using dense::Snapshot;
using dense::StoredType;
using dense::VectorIndex;

Metric parse_metric(const std::string& name) {
  if (name == "cosine") return Metric::kCosine;
  if (name == "ip") return Metric::kInnerProduct;
  if (name == "l2") return Metric::kSquaredL2;
  throw Error(ErrorKind::kInvalidInput, "metric: expected 'cosine', 'ip' or 'l2', got '" + name + "'");
}

const char* metric_name(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return "cosine";
    case Metric::kInnerProduct: return "ip";
    case Metric::kSquaredL2: return "l2";
  }
  return "";
}

StoredType parse_dtype(const std::string& name) {
  for (const StoredType type : {StoredType::kFloat32, StoredType::kFloat16, StoredType::kBFloat16}) {
    if (name == dense::stored_type_name(type)) return type;
  }
  throw Error(ErrorKind::kInvalidInput, "dtype: expected 'float32', 'float16' or 'bfloat16', got '" + name + "'");
}

// A mask as vector_index.py passes it: nothing, a bool matrix with one row for all queries or one a query, or a list of
// int64 arrays likewise. Views into arrays that the caller keeps alive.
class MaskView {
 public:
  MaskView(const std::optional<py::array>& bits, const std::optional<std::vector<py::array>>& id_lists, std::size_t query_count) {
    std::size_t count = 0;
    if (bits) {
      if (bits->ndim() != 2) fail_array("mask", "shape (1, n) or (queries, n)", *bits);
      bits_ = checked_data<bool>(*bits, "mask", "bool");
      count = static_cast<std::size_t>(bits->shape(0));
      columns_ = static_cast<std::size_t>(bits->shape(1));
      bit_rows_ = count;
    } else if (id_lists) {
      for (const py::array& ids : *id_lists) ids_.push_back(id_vector(ids, "mask"));
      count = ids_.size();
    } else {
      return;
    }
    if (count != 1 && count != query_count) {
      throw Error(ErrorKind::kInvalidInput, "mask: expected one for all queries or one for each of the " +
                                                std::to_string(query_count) + " queries, got " + std::to_string(count));
    }
  }

  // Needs no GIL.
  std::vector<RowFilter> resolve(const Snapshot& snapshot) const {
    std::vector<RowFilter> filters;
    if (bits_ != nullptr && columns_ != snapshot.live_count()) {
      throw Error(ErrorKind::kInvalidInput, "mask: expected one entry for each of the " + std::to_string(snapshot.live_count()) +
                                                " rows, in the order of ids, got " + std::to_string(columns_));
    }
    for (std::size_t i = 0; i < bit_rows_; ++i) {
      filters.push_back(snapshot.select({reinterpret_cast<const std::uint8_t*>(bits_) + i * columns_, columns_}));
    }
    for (const auto& ids : ids_) filters.push_back(snapshot.select_ids(ids));
    return filters;
  }

 private:
  const bool* bits_ = nullptr;
  std::size_t bit_rows_ = 0;
  std::size_t columns_ = 0;
  std::vector<std::span<const DocId>> ids_;
};

py::dict stats_dict(const SearchStats& stats, const Snapshot& snapshot) {
  py::dict result;
  result["rows"] = snapshot.live_count();
  result["rows_high"] = stats.rows_high;
  result["rows_full"] = stats.rows_full;
  result["rows_exact"] = stats.rows_exact;
  result["bytes"] = stats.bytes;
  return result;
}

py::tuple search(const VectorIndex& index, const py::array& queries, std::size_t k, const std::optional<py::array>& bits,
                 const std::optional<std::vector<py::array>>& id_lists, bool stats_wanted) {
  const auto matrix = float_matrix(queries, "queries", index.dim());
  const MaskView mask(bits, id_lists, matrix.rows);
  const std::vector<py::ssize_t> shape = {queries.shape(0), static_cast<py::ssize_t>(k)};
  py::array_t<float> scores(shape);
  py::array_t<DocId> ids(shape);
  float* const score_data = scores.mutable_data();
  DocId* const id_data = ids.mutable_data();
  SearchStats stats;
  std::shared_ptr<const Snapshot> snapshot;
  {
    py::gil_scoped_release release;
    snapshot = index.snapshot();
    const std::vector<RowFilter> filters = mask.resolve(*snapshot);
    std::size_t told_of = matrix.rows;  // queries that stats tell of
    if (stats_wanted || !filters.empty()) {
      dense::search(*snapshot, matrix.data, matrix.rows, k, filters, score_data, id_data, stats);
    } else {
      told_of = index.combined().search(*snapshot, matrix.data, matrix.rows, k, score_data, id_data, stats);
    }
    snapshot->note_vectors_read(stats.rows_in_place, told_of);
  }
  return py::make_tuple(scores, ids, stats_dict(stats, *snapshot));
}

py::tuple range_search(const VectorIndex& index, const py::array& query, float threshold, const std::optional<py::array>& bits,
                       const std::optional<std::vector<py::array>>& id_lists) {
  const auto matrix = float_matrix(query, "query", index.dim());
  if (matrix.rows != 1) fail_array("query", "one query", query);
  const MaskView mask(bits, id_lists, 1);
  std::vector<float> scores;
  std::vector<DocId> ids;
  {
    py::gil_scoped_release release;
    const auto snapshot = index.snapshot();
    SearchStats stats;
    const auto hits = dense::range_search(*snapshot, matrix.data, threshold, mask.resolve(*snapshot), stats);
    snapshot->note_vectors_read(stats.rows_in_place, 1);
    scores.reserve(hits.size());
    ids.reserve(hits.size());
    for (const Hit& hit : hits) {
      scores.push_back(hit.score);
      ids.push_back(hit.id);
    }
  }
  return py::make_tuple(to_array(std::move(scores)), to_array(std::move(ids)));
}

py::array_t<float> score(const VectorIndex& index, const py::array& query, const py::array& ids) {
  const auto matrix = float_matrix(query, "query", index.dim());
  if (matrix.rows != 1) fail_array("query", "one query", query);
  const auto wanted = id_vector(ids, "ids");
  std::vector<float> scores(wanted.size());
  {
    py::gil_scoped_release release;
    const auto snapshot = index.snapshot();
    dense::score(*snapshot, matrix.data, wanted, scores.data());
    snapshot->note_vectors_read(wanted.size(), 1);
  }
  return to_array(std::move(scores));
}

py::array_t<float> get(const VectorIndex& index, const py::array& ids) {
  const auto wanted = id_vector(ids, "ids");
  py::array_t<float> vectors({ids.shape(0), static_cast<py::ssize_t>(index.dim())});
  float* out = vectors.mutable_data();
  py::gil_scoped_release release;
  const simd::Kernels& kernels = simd::kernels();
  const auto snapshot = index.snapshot();
  for (const DocId id : wanted) {
    const auto address = snapshot->find(id);
    if (!address) throw Error(ErrorKind::kNotFound, "ids: " + std::to_string(id) + " is not in the index");
    const dense::StoredRow row = snapshot->segments()[address->segment].segment->stored_row(address->row);
    const float* values = row.decode(kernels, index.dim(), out);
    if (values != out) std::copy_n(values, index.dim(), out);
    out += index.dim();
  }
  snapshot->note_vectors_read(wanted.size(), 1);
  return vectors;
}

py::array_t<DocId> insert(VectorIndex& index, const py::array& vectors, const std::optional<py::array>& ids, bool replace) {
  const auto matrix = float_matrix(vectors, "vectors", index.dim());
  if (!ids) {
    std::vector<DocId> given;
    {
      py::gil_scoped_release release;
      given = index.add_next(matrix.data, matrix.rows);
    }
    return to_array(std::move(given));
  }
  // A copy: they are sorted, searched and stored without the GIL, while another thread might write to the array.
  const auto view = id_vector(*ids, "ids");
  std::vector<DocId> wanted(view.begin(), view.end());
  if (wanted.size() != matrix.rows) {
    throw Error(ErrorKind::kInvalidInput, "ids: expected one for each of the " + std::to_string(matrix.rows) +
                                              " vectors, got " + std::to_string(wanted.size()));
  }
  {
    py::gil_scoped_release release;
    if (replace) {
      index.upsert(matrix.data, wanted);
    } else {
      index.add(matrix.data, wanted);
    }
  }
  return to_array(std::move(wanted));
}

py::dict memory(const VectorIndex& index) {
  dense::Segment::Memory total;
  std::size_t tombstones = 0;
  const auto snapshot = index.snapshot();
  for (const auto& view : snapshot->segments()) {
    const auto part = view.segment->memory();
    total.vectors += part.vectors;
    total.codes += part.codes;
    total.bounds += part.bounds;
    total.ids += part.ids;
    total.mapped += part.mapped;
    if (view.live) tombstones += view.live->word_count() * sizeof(std::uint64_t);
  }
  py::dict result;
  result["vectors"] = total.vectors;
  result["codes"] = total.codes;
  result["bounds"] = total.bounds;
  result["ids"] = total.ids;
  result["tombstones"] = tombstones;
  result["mapped"] = total.mapped;
  return result;
}

}  // namespace

void register_vector_index(py::module_& m) {
  py::class_<VectorIndex>(m, "VectorIndex")
      .def(py::init([](std::size_t dim, const std::string& metric, const std::string& dtype) {
             return std::make_unique<VectorIndex>(parse_metric(metric), dim, parse_dtype(dtype));
           }),
           py::arg("dim"), py::arg("metric"), py::arg("dtype"))
      .def_property_readonly("dim", &VectorIndex::dim)
      .def_property_readonly("metric", [](const VectorIndex& index) { return metric_name(index.metric()); })
      .def_property_readonly("dtype", [](const VectorIndex& index) { return dense::stored_type_name(index.stored_type()); })
      .def("__len__", [](const VectorIndex& index) { return index.snapshot()->live_count(); })
      .def("ids", [](const VectorIndex& index) { return to_array(index.snapshot()->ids()); })
      .def("segment_sizes",
           [](const VectorIndex& index) {
             std::vector<std::size_t> sizes;
             for (const auto& view : index.snapshot()->segments()) sizes.push_back(view.live_count);
             return sizes;
           })
      .def("add", [](VectorIndex& index, const py::array& vectors, const std::optional<py::array>& ids) { return insert(index, vectors, ids, false); },
           py::arg("vectors"), py::arg("ids"))
      .def("upsert", [](VectorIndex& index, const py::array& vectors, const py::array& ids) { return insert(index, vectors, ids, true); },
           py::arg("vectors"), py::arg("ids"))
      .def("remove",
           [](VectorIndex& index, const py::array& ids) {
             const auto unwanted = id_vector(ids, "ids");
             py::gil_scoped_release release;
             return index.remove(unwanted);
           },
           py::arg("ids"))
      .def("fork", &VectorIndex::fork)
      .def("attach", &VectorIndex::attach, py::arg("other"), py::call_guard<py::gil_scoped_release>())
      .def("compact", &VectorIndex::compact, py::call_guard<py::gil_scoped_release>())
      .def("search", &search, py::arg("queries"), py::arg("k"), py::arg("mask_bits"), py::arg("mask_ids"), py::arg("stats"))
      .def("range_search", &range_search, py::arg("query"), py::arg("threshold"), py::arg("mask_bits"), py::arg("mask_ids"))
      .def("score", &score, py::arg("query"), py::arg("ids"))
      .def("get", &get, py::arg("ids"))
      .def("memory", &memory)
      .def("save",
           [](const VectorIndex& index, const std::string& path) {
             py::gil_scoped_release release;
             index.save(path);
           },
           py::arg("path"))
      .def_static("load",
                  [](const std::string& path, bool use_mmap) {
                    py::gil_scoped_release release;
                    return VectorIndex::load(path, use_mmap);
                  },
                  py::arg("path"), py::arg("mmap"));
}

}  // namespace sightline::bindings
