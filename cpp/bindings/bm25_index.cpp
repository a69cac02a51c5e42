// BM25Index as Python sees it. Arguments arrive checked for type and range by python/sightline/bm25_index.py; what only
// the index can know (ids present, size of a mask) is checked here and below.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <memory>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/changes.h"
#include "bindings/document_stream.h"
#include "bindings/queries.h"
#include "bindings/registry.h"
#include "lexical/bm25_index.h"
#include "lexical/explain.h"
#include "lexical/field_index.h"
#include "lexical/lexical_file.h"
#include "lexical/search.h"

namespace sightline::bindings {
namespace {

using lexical::Analyzer;
using lexical::Bm25Index;
using lexical::Parameters;
using lexical::Snapshot;

py::tuple search(const Bm25Index& index, const Analyzer* analyzer, const py::list& list, std::size_t k,
                 const std::vector<py::array>& masks, const py::list& clauses, std::uint32_t variant, double k1, double b,
                 double delta) {
  const Parameters parameters = make_parameters(variant, k1, b, delta);
  const auto analyzed = analyze_queries(analyzer, list);
  const Restrictions restrictions(masks, clauses, analyzed->queries.size());
  std::vector<std::vector<Hit>> results;
  {
    const py::gil_scoped_release release;
    const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
    const Snapshot* const field = snapshot.get();
    const std::vector<lexical::RowFilter> filters = restrictions.filters({&field, 1});
    results = lexical::search_batch(*snapshot, parameters, analyzed->queries, k, filters);
  }
  return to_result(results, k);
}

py::array_t<float> score(const Bm25Index& index, const Analyzer* analyzer, const py::list& query, const py::array& ids,
                         const py::list& clauses, std::uint32_t variant, double k1, double b, double delta) {
  const Parameters parameters = make_parameters(variant, k1, b, delta);
  const std::span<const DocId> wanted = id_vector(ids, "ids");
  const auto analyzed = analyze_queries(analyzer, query);
  const Restrictions restrictions({}, clauses, 1);
  std::vector<float> scores(wanted.size());
  {
    const py::gil_scoped_release release;
    const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
    const Snapshot* const field = snapshot.get();
    const std::vector<lexical::RowFilter> filters = restrictions.filters({&field, 1});
    const lexical::BoundQuery bound(*snapshot, parameters, analyzed->queries.at(0));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const lexical::RowLocation at = required_row(*snapshot, wanted[i]);
      scores[i] = allows(filters, at) ? bound.score_row(at) : 0.0F;
    }
  }
  return to_array(std::move(scores));
}

py::dict explain(const Bm25Index& index, const Analyzer* analyzer, const py::list& query, DocId id, const py::list& clauses,
                 std::uint32_t variant, double k1, double b, double delta) {
  const Parameters parameters = make_parameters(variant, k1, b, delta);
  const auto analyzed = analyze_queries(analyzer, query);
  const Restrictions restrictions({}, clauses, 1);
  const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
  const Snapshot* const field = snapshot.get();
  const lexical::RowLocation at = required_row(*snapshot, id);
  const bool met = allows(restrictions.filters({&field, 1}), at);
  const lexical::Explanation e = lexical::explain(*snapshot, parameters, analyzed->queries.at(0), at);
  py::list terms;
  for (const lexical::TermExplanation& t : e.terms) {
    terms.append(py::make_tuple(to_str(t.term), t.query_count, t.tf, t.df, t.idf, met ? t.contribution : 0.0));
  }
  py::dict result;
  result["score"] = met ? e.score : 0.0F;
  result["length"] = e.length;
  result["average_length"] = e.average_length;
  result["document_count"] = e.document_count;
  result["terms"] = terms;
  return result;
}

py::dict memory(const Bm25Index& index) {
  const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
  const Snapshot* const field = snapshot.get();
  return memory_of({&field, 1});
}

void save(const Bm25Index& index, const std::filesystem::path& path, bool positions, std::uint32_t variant, double k1, double b,
          double delta, const std::string& settings) {
  const Parameters parameters = make_parameters(variant, k1, b, delta);
  const py::gil_scoped_release release;
  // The snapshot first: an id used after it was taken is then below next_id all the same.
  const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
  lexical::save_index(path, {{snapshot}, false, positions, index.next_id(), parameters, settings, index.form()});
}

// Returns a BM25Index or a FieldIndex, and what it was saved with.
py::tuple load(const std::filesystem::path& path, bool mmap) {
  lexical::SavedIndex saved;
  {
    const py::gil_scoped_release release;
    saved = lexical::load_index(path, mmap);
  }
  py::object index;
  if (saved.named_fields) {
    index = py::cast(std::make_unique<lexical::FieldIndex>(std::move(saved.fields), saved.next_id, saved.form));
  } else {
    index = py::cast(std::make_unique<Bm25Index>(std::move(saved.fields.front()), saved.next_id, saved.form));
  }
  const Parameters& p = saved.parameters;
  return py::make_tuple(std::move(index), saved.positions, static_cast<std::uint32_t>(p.variant), p.k1, p.b, p.delta,
                        py::bytes(saved.settings));
}

}  // namespace

void register_bm25_index(py::module_& m) {
  const auto none_ok = py::arg("analyzer").none(true);
  py::class_<Bm25Index>(m, "BM25Index")
      .def(py::init(&make_index<Bm25Index>), py::arg("packed"))
      .def("is_packed", &is_packed<Bm25Index>)
      .def("__len__", [](const Bm25Index& index) { return index.snapshot()->statistics().document_count; })
      .def("add",
           [](Bm25Index& index, DocumentStream& stream, bool replace) {
             auto segments = std::move(stream.finish().front());
             return add_stream(index, std::move(segments), stream, replace);
           },
           py::arg("stream"), py::arg("replace"))
      .def("check_absent", &check_absent<Bm25Index>, py::arg("ids"))
      .def("remove", &remove_ids<Bm25Index>, py::arg("ids"))
      .def("attach", &Bm25Index::attach, py::arg("other"), py::call_guard<py::gil_scoped_release>())
      .def("compact", &Bm25Index::compact, py::call_guard<py::gil_scoped_release>())
      .def("fork",
           [](const Bm25Index& index) {
             auto snapshot = index.snapshot();  // first: a later next_id is greater than all of its ids as well
             return std::make_unique<Bm25Index>(std::move(snapshot), index.next_id(), index.form());
           })
      .def("search", &search, none_ok, py::arg("queries"), py::arg("k"), py::arg("masks"), py::arg("clauses"), py::arg("variant"),
           py::arg("k1"), py::arg("b"), py::arg("delta"))
      .def("score", &score, none_ok, py::arg("query"), py::arg("ids"), py::arg("clauses"), py::arg("variant"), py::arg("k1"),
           py::arg("b"), py::arg("delta"))
      .def("explain", &explain, none_ok, py::arg("query"), py::arg("id"), py::arg("clauses"), py::arg("variant"),
           py::arg("k1"), py::arg("b"), py::arg("delta"))
      .def("matching",
           [](const Bm25Index& index, const py::list& clauses) {
             const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
             const Snapshot* const field = snapshot.get();
             return matching_ids({&field, 1}, clauses);
           },
           py::arg("clauses"))
      .def("ids", [](const Bm25Index& index) { return to_array(index.snapshot()->ids()); })
      .def("segment_count", [](const Bm25Index& index) { return index.snapshot()->segments().size(); })
      .def("memory", &memory)
      .def("save", &save, py::arg("path"), py::arg("positions"), py::arg("variant"), py::arg("k1"), py::arg("b"), py::arg("delta"),
           py::arg("settings"));
  m.def("load_lexical", &load, py::arg("path"), py::arg("mmap"));
}

}  // namespace sightline::bindings
