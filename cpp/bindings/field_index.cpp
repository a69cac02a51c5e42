// BM25Index with named fields as Python sees it. Arguments arrive checked by python/sightline/bm25_index.py, as for
// bm25_index.cpp.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <utility>

#include "bindings/arrays.h"
#include "bindings/changes.h"
#include "bindings/document_stream.h"
#include "bindings/field_settings.h"
#include "bindings/queries.h"
#include "bindings/registry.h"
#include "lexical/field_index.h"
#include "lexical/field_search.h"
#include "lexical/lexical_file.h"

namespace sightline::bindings {
namespace {

using lexical::Analyzer;
using lexical::FieldIndex;
using lexical::FieldParameters;
using lexical::FieldSnapshot;
using lexical::Parameters;
using lexical::Snapshot;

py::tuple search(const FieldIndex& index, const Analyzer* analyzer, const py::list& list, std::size_t k,
                 const std::vector<py::array>& masks, const py::list& clauses, std::uint32_t variant, double k1, double delta,
                 const FieldSettings& settings) {
  const Parameters parameters = make_field_parameters(variant, k1, delta);
  const std::vector<FieldParameters> fields = make_fields(index, settings);
  const auto analyzed = analyze_queries(analyzer, list);
  const Restrictions restrictions(masks, clauses, analyzed->queries.size());
  std::vector<std::vector<Hit>> results;
  {
    const py::gil_scoped_release release;
    const std::shared_ptr<const FieldSnapshot> snapshot = index.snapshot();
    const std::vector<lexical::RowFilter> filters = restrictions.filters(snapshot->pointers());
    results = lexical::search_fields_batch(*snapshot, parameters, fields, analyzed->queries, k, filters);
  }
  return to_result(results, k);
}

py::array_t<float> score(const FieldIndex& index, const Analyzer* analyzer, const py::list& query, const py::array& ids,
                         const py::list& clauses, std::uint32_t variant, double k1, double delta,
                         const FieldSettings& settings) {
  const Parameters parameters = make_field_parameters(variant, k1, delta);
  const std::vector<FieldParameters> fields = make_fields(index, settings);
  const std::span<const DocId> wanted = id_vector(ids, "ids");
  const auto analyzed = analyze_queries(analyzer, query);
  const Restrictions restrictions({}, clauses, 1);
  std::vector<float> scores(wanted.size());
  {
    const py::gil_scoped_release release;
    const std::shared_ptr<const FieldSnapshot> snapshot = index.snapshot();
    const std::vector<lexical::RowFilter> filters = restrictions.filters(snapshot->pointers());
    const lexical::BoundFieldQuery bound(*snapshot, parameters, fields, analyzed->queries.at(0));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const lexical::RowLocation at = required_row(snapshot->field(0), wanted[i]);
      scores[i] = allows(filters, at) ? bound.score_row(at) : 0.0F;
    }
  }
  return to_array(std::move(scores));
}

py::dict explain(const FieldIndex& index, const Analyzer* analyzer, const py::list& query, DocId id, const py::list& clauses,
                 std::uint32_t variant, double k1, double delta, const FieldSettings& settings) {
  const Parameters parameters = make_field_parameters(variant, k1, delta);
  const std::vector<FieldParameters> fields = make_fields(index, settings);
  const auto analyzed = analyze_queries(analyzer, query);
  const Restrictions restrictions({}, clauses, 1);
  const std::shared_ptr<const FieldSnapshot> snapshot = index.snapshot();
  const lexical::RowLocation at = required_row(snapshot->field(0), id);
  const bool met = allows(restrictions.filters(snapshot->pointers()), at);
  const lexical::BoundFieldQuery bound(*snapshot, parameters, fields, analyzed->queries.at(0));
  const lexical::FieldExplanation e = lexical::explain_fields(bound, analyzed->queries.at(0), at);
  py::list terms;
  for (const lexical::FieldTermExplanation& t : e.terms) {
    py::list parts;
    for (const lexical::FieldContribution& part : t.fields) {
      parts.append(py::make_tuple(part.tf, part.length, part.frequency, met ? part.contribution : 0.0));
    }
    terms.append(py::make_tuple(to_str(t.term), t.query_count, t.df, t.idf, met ? t.contribution : 0.0, parts));
  }
  py::dict result;
  result["score"] = met ? e.score : 0.0F;
  result["document_count"] = e.document_count;
  result["lengths"] = e.lengths;
  result["average_lengths"] = e.average_lengths;
  result["terms"] = terms;
  return result;
}

void save(const FieldIndex& index, const std::filesystem::path& path, bool positions, std::uint32_t variant, double k1, double b,
          double delta, const std::string& settings) {
  const Parameters parameters = make_parameters(variant, k1, b, delta);
  const py::gil_scoped_release release;
  // The snapshot first: an id used after it was taken is then below next_id all the same.
  const std::shared_ptr<const FieldSnapshot> snapshot = index.snapshot();
  lexical::save_index(path, {snapshot->fields(), true, positions, index.next_id(), parameters, settings, index.form()});
}

}  // namespace

void register_field_index(py::module_& m) {
  const auto none_ok = py::arg("analyzer").none(true);
  py::class_<FieldIndex>(m, "FieldIndex")
      .def(py::init(&make_index<FieldIndex, std::size_t>), py::arg("field_count"), py::arg("packed"))
      .def("is_packed", &is_packed<FieldIndex>)
      .def("__len__", [](const FieldIndex& index) { return index.snapshot()->field(0).statistics().document_count; })
      .def("field_count", [](const FieldIndex& index) { return index.snapshot()->field_count(); })
      .def("add",
           [](FieldIndex& index, DocumentStream& stream, bool replace) {
             auto segments = stream.finish();
             return add_stream(index, std::move(segments), stream, replace);
           },
           py::arg("stream"), py::arg("replace"))
      .def("check_absent", &check_absent<FieldIndex>, py::arg("ids"))
      .def("remove", &remove_ids<FieldIndex>, py::arg("ids"))
      .def("attach", &FieldIndex::attach, py::arg("other"), py::call_guard<py::gil_scoped_release>())
      .def("compact", &FieldIndex::compact, py::call_guard<py::gil_scoped_release>())
      .def("fork",
           [](const FieldIndex& index) {
             const auto snapshot = index.snapshot();  // first: a later next_id is greater than all of its ids as well
             return std::make_unique<FieldIndex>(snapshot->fields(), index.next_id(), index.form());
           })
      .def("search", &search, none_ok, py::arg("queries"), py::arg("k"), py::arg("masks"), py::arg("clauses"), py::arg("variant"),
           py::arg("k1"), py::arg("delta"), py::arg("fields"))
      .def("score", &score, none_ok, py::arg("query"), py::arg("ids"), py::arg("clauses"), py::arg("variant"), py::arg("k1"),
           py::arg("delta"), py::arg("fields"))
      .def("explain", &explain, none_ok, py::arg("query"), py::arg("id"), py::arg("clauses"), py::arg("variant"), py::arg("k1"),
           py::arg("delta"), py::arg("fields"))
      .def("matching",
           [](const FieldIndex& index, const py::list& clauses) {
             return matching_ids(index.snapshot()->pointers(), clauses);
           },
           py::arg("clauses"))
      .def("ids", [](const FieldIndex& index) { return to_array(index.snapshot()->field(0).ids()); })
      .def("segment_count", [](const FieldIndex& index) { return index.snapshot()->field(0).segments().size(); })
      .def("memory", [](const FieldIndex& index) { return memory_of(index.snapshot()->pointers()); })
      .def("save", &save, py::arg("path"), py::arg("positions"), py::arg("variant"), py::arg("k1"), py::arg("b"),
           py::arg("delta"), py::arg("settings"));
}

}  // namespace sightline::bindings
