// SparseIndex as Python sees it: an index of documents whose terms have given weights. Arguments arrive checked for type by
// python/sightline/sparse_index.py; weights and what only the index can know are checked here and below.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/changes.h"
#include "bindings/lexical_common.h"
#include "bindings/registry.h"
#include "bindings/texts.h"
#include "core/checked.h"
#include "lexical/bm25_index.h"
#include "lexical/lexical_file.h"
#include "lexical/search.h"
#include "lexical/segment_builder.h"

namespace sightline::bindings {
namespace {

using lexical::AnalyzedDocuments;
using lexical::Bm25Index;
using lexical::SegmentData;
using lexical::Snapshot;

constexpr std::size_t kBatchTerms = std::size_t{1} << 22;

// A class of its own for Python.
struct SparseIndex {
  std::unique_ptr<Bm25Index> index = std::make_unique<Bm25Index>();
};

struct WeightedDocuments {
  AnalyzedDocuments documents;
  std::vector<float> weights;  // aligned with the documents' tokens
};

[[noreturn]] void fail_weight(const char* argument, std::size_t position, const std::string& got) {
  throw Error(ErrorKind::kInvalidInput, std::string(argument) + ": expected weights above 0 and at most 1e15 in the item at position " +
                                            std::to_string(position) + ", got " + got + "; drop or scale such entries first");
}

float checked_weight(const py::handle& value, const char* argument, std::size_t position) {
  const double wide = PyFloat_AsDouble(value.ptr());
  if (wide == -1.0 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    fail_weight(argument, position, Py_TYPE(value.ptr())->tp_name);
  }
  const auto weight = static_cast<float>(wide);
  if (!(weight > 0) || !(weight <= lexical::kMaxWeight)) fail_weight(argument, position, std::to_string(wide));
  return weight;
}

void check_distinct(std::span<const std::uint32_t> tokens, const char* argument, std::size_t position) {
  std::vector<std::uint32_t> sorted(tokens.begin(), tokens.end());
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end()) return;
  throw Error(ErrorKind::kInvalidInput, std::string(argument) + ": expected each term once in the dict at position " +
                                            std::to_string(position) + ", got keys of equal text; use plain str as keys");
}

// Call with the GIL held.
void append_vector(WeightedDocuments& to, const py::object& item, const char* argument, std::size_t position) {
  if (PyDict_Check(item.ptr()) == 0) {
    throw Error(ErrorKind::kInvalidInput, std::string(argument) + ": expected a dict of term to weight at position " +
                                              std::to_string(position) + ", got " + Py_TYPE(item.ptr())->tp_name);
  }
  py::list terms;
  bool distinct = true;  // as the keys of a dict are by their own __eq__, which subclasses of str may define
  for (const auto& [term, weight] : py::reinterpret_borrow<py::dict>(item)) {
    distinct = distinct && PyUnicode_CheckExact(term.ptr()) != 0;
    terms.append(term);
    to.weights.push_back(checked_weight(weight, argument, position));
  }
  const std::size_t first_token = to.documents.tokens.size();
  append_tokens(to.documents, terms, argument, position);
  if (to.documents.tokens.size() != to.weights.size()) {
    throw Error(ErrorKind::kInvalidInput, std::string(argument) + ": the dict at position " + std::to_string(position) +
                                              " changed while it was read; pass a copy");
  }
  if (!distinct) check_distinct(std::span(to.documents.tokens).subspan(first_token), argument, position);
}

std::vector<SegmentData> build_segments(const py::list& vectors, const std::vector<std::size_t>& order,
                                        std::span<const DocId> sorted_ids) {
  std::vector<SegmentData> segments;
  for (std::size_t next = 0; next < sorted_ids.size();) {
    WeightedDocuments batch;
    const std::size_t first = next;
    while (next < sorted_ids.size() && batch.weights.size() < kBatchTerms) {
      const std::size_t position = order.empty() ? next : order[next];
      if (position >= vectors.size()) {
        throw Error(ErrorKind::kInvalidInput, "vectors: the list changed while it was read; pass a copy");
      }
      append_vector(batch, vectors[position], "vectors", position);
      ++next;
    }
    const py::gil_scoped_release release;
    segments.push_back(lexical::build_weighted_segment(batch.documents, batch.weights, sorted_ids.subspan(first, next - first)));
  }
  return segments;
}

py::array_t<DocId> add(SparseIndex& self, const py::list& vectors, const std::optional<py::array>& ids, bool replace) {
  std::vector<DocId> chosen(vectors.size());
  std::vector<std::size_t> order;
  if (ids) {
    chosen = checked_ids(*ids, vectors.size());
    if (!replace) self.index->check_absent(chosen);  // before the work; checked again when it is done
    order = order_by_id(chosen);
  } else {
    std::iota(chosen.begin(), chosen.end(), DocId{0});
  }
  std::vector<DocId> sorted_ids = chosen;
  std::sort(sorted_ids.begin(), sorted_ids.end());
  std::vector<SegmentData> segments = build_segments(vectors, order, sorted_ids);
  {
    const py::gil_scoped_release release;
    if (ids) {
      self.index->add(std::move(segments), replace ? lexical::OnExisting::kReplace : lexical::OnExisting::kFail);
    } else {
      std::iota(chosen.begin(), chosen.end(), self.index->add_with_next_ids(std::move(segments)));
    }
  }
  return to_array(std::move(chosen));
}

// The terms of the queries point into `documents`, which must not be moved.
struct WeightedQueries {
  WeightedDocuments vectors;
  std::vector<lexical::Query> queries;
};

std::unique_ptr<WeightedQueries> read_queries(const py::list& list) {
  auto result = std::make_unique<WeightedQueries>();
  for (std::size_t i = 0; i < list.size(); ++i) append_vector(result->vectors, list[i], "queries", i);
  const AnalyzedDocuments& documents = result->vectors.documents;
  std::size_t begin = 0;
  for (const std::uint64_t end : documents.document_ends) {
    lexical::Query& query = result->queries.emplace_back();
    for (; begin < end; ++begin) {
      const std::uint32_t term = documents.tokens[begin];
      query.push_back({documents.terms.word(term), documents.terms.hash(term), 1, result->vectors.weights[begin]});
    }
  }
  return result;
}

py::tuple search(const SparseIndex& self, const py::list& list, std::size_t k, const std::vector<py::array>& masks) {
  const auto queries = read_queries(list);
  const std::vector<MaskView> views = view_masks(masks, queries->queries.size());
  std::vector<std::vector<Hit>> results;
  {
    const py::gil_scoped_release release;
    checked_mul(queries->queries.size(), k);
    const std::shared_ptr<const Snapshot> snapshot = self.index->snapshot();
    const std::vector<lexical::RowFilter> filters = make_filters(*snapshot, views);
    results = lexical::search_batch(*snapshot, {}, queries->queries, k, filters);
  }
  return to_result(results, k);
}

py::array_t<float> score(const SparseIndex& self, const py::list& query, const py::array& ids) {
  const std::span<const DocId> wanted = id_vector(ids, "ids");
  const auto queries = read_queries(query);
  std::vector<float> scores(wanted.size());
  {
    const py::gil_scoped_release release;
    const std::shared_ptr<const Snapshot> snapshot = self.index->snapshot();
    const lexical::BoundQuery bound(*snapshot, {}, queries->queries.at(0));
    for (std::size_t i = 0; i < wanted.size(); ++i) scores[i] = bound.score_row(required_row(*snapshot, wanted[i]));
  }
  return to_array(std::move(scores));
}

void save(const SparseIndex& self, const std::filesystem::path& path) {
  const py::gil_scoped_release release;
  // The snapshot first: an id used after it was taken is then below next_id all the same.
  const std::shared_ptr<const Snapshot> snapshot = self.index->snapshot();
  lexical::save_index(path, {{snapshot}, false, false, self.index->next_id(), {}, "", lexical::PostingForm::kScan, true});
}

SparseIndex load(const std::filesystem::path& path, bool mmap) {
  const py::gil_scoped_release release;
  lexical::SavedIndex saved = lexical::load_index(path, mmap, true);
  return {std::make_unique<Bm25Index>(std::move(saved.fields.front()), saved.next_id)};
}

SparseIndex fork(const SparseIndex& self) {
  auto snapshot = self.index->snapshot();  // first: a later next_id is greater than all of its ids as well
  return {std::make_unique<Bm25Index>(std::move(snapshot), self.index->next_id())};
}

}  // namespace

void register_sparse_index(py::module_& m) {
  py::class_<SparseIndex>(m, "SparseIndex")
      .def(py::init<>())
      .def("__len__", [](const SparseIndex& self) { return self.index->snapshot()->statistics().document_count; })
      .def("add", &add, py::arg("vectors"), py::arg("ids").none(true), py::arg("replace"))
      .def("remove", [](SparseIndex& self, const py::array& ids) { return remove_ids(*self.index, ids); }, py::arg("ids"))
      .def("fork", &fork)
      .def("search", &search, py::arg("queries"), py::arg("k"), py::arg("masks"))
      .def("score", &score, py::arg("query"), py::arg("ids"))
      .def("ids", [](const SparseIndex& self) { return to_array(self.index->snapshot()->ids()); })
      .def("memory",
           [](const SparseIndex& self) {
             py::dict parts = memory_of(*self.index->snapshot());
             parts.attr("pop")("positions");  // given weights have no order
             return parts;
           })
      .def("save", &save, py::arg("path"))
      .def_static("load", &load, py::arg("path"), py::arg("mmap"));
}

}  // namespace sightline::bindings
