// Fused search over VectorIndex and BM25Index as Python sees it. Arguments arrive checked by python/sightline/convex_search.py.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/field_settings.h"
#include "bindings/lexical_common.h"
#include "bindings/queries.h"
#include "bindings/registry.h"
#include "core/checked.h"
#include "dense/index.h"
#include "hybrid/search.h"
#include "hybrid/words.h"
#include "lexical/bm25_index.h"
#include "lexical/field_index.h"

namespace sightline::bindings {
namespace {

using hybrid::FusedHit;

// (counts (q,), scores, ids, dense, lexical (q, k)); only the first counts[i] places of row i mean anything.
py::tuple to_fused(const std::vector<std::vector<FusedHit>>& results) {
  std::size_t k = 0;
  for (const auto& hits : results) k = std::max(k, hits.size());
  const std::size_t cells = checked_mul(results.size(), k);
  std::vector<std::int64_t> counts;
  std::vector<double> scores(cells);
  std::vector<DocId> ids(cells, kNoId);
  std::vector<double> dense(cells);
  std::vector<double> lexical(cells);
  for (std::size_t q = 0; q < results.size(); ++q) {
    counts.push_back(static_cast<std::int64_t>(results[q].size()));
    for (std::size_t i = 0; i < results[q].size(); ++i) {
      const FusedHit& hit = results[q][i];
      scores[q * k + i] = hit.score;
      ids[q * k + i] = hit.id;
      dense[q * k + i] = static_cast<double>(hit.dense);
      lexical[q * k + i] = static_cast<double>(hit.lexical);
    }
  }
  const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(results.size()), static_cast<py::ssize_t>(k)};
  return py::make_tuple(to_array(std::move(counts)), to_array(std::move(scores), shape), to_array(std::move(ids), shape),
                        to_array(std::move(dense), shape), to_array(std::move(lexical), shape));
}

// A bool vector with an entry for each of `count` rows, or nothing.
std::optional<std::span<const std::uint8_t>> row_mask(const std::optional<py::array>& mask, const char* name) {
  if (!mask) return std::nullopt;
  if (mask->ndim() != 1) fail_array(name, "shape (n,)", *mask);
  const bool* const data = checked_data<bool>(*mask, name, "bool");
  return std::span(reinterpret_cast<const std::uint8_t*>(data), static_cast<std::size_t>(mask->shape(0)));
}

// What both kinds of lexical engine have in common; words: makes hybrid::Words of a snapshot of it.
struct Arguments {
  const py::array& vectors;
  std::size_t k;
  double alpha;
  double scale;
  const std::optional<py::array>& dense_mask;
  const std::optional<py::array>& lexical_mask;
  const std::optional<py::array>& among;
};

template <typename MakeWords>
py::tuple search_both(const dense::VectorIndex& dense_index, const lexical::Analyzer* analyzer, const py::list& list,
                      const Arguments& given, const MakeWords& make_words) {
  const auto matrix = float_matrix(given.vectors, "vectors", dense_index.dim());
  const auto analyzed = analyze_queries(analyzer, list);
  if (analyzed->queries.size() != matrix.rows) fail_array("vectors", "one for each query", given.vectors);
  const auto dense_rows = row_mask(given.dense_mask, "dense_mask");
  const auto lexical_rows = row_mask(given.lexical_mask, "lexical_mask");
  std::optional<std::span<const DocId>> ids;
  if (given.among) ids = id_vector(*given.among, "among");
  std::vector<std::vector<FusedHit>> results;
  {
    const py::gil_scoped_release release;
    const auto dense_snapshot = dense_index.snapshot();
    const auto words = make_words();
    const hybrid::Engines engines{*dense_snapshot, *words.words};
    const hybrid::Convex convex{given.alpha, given.scale};
    const hybrid::Queries queries{matrix.data, analyzed->queries};
    std::size_t rows_in_place = 0;
    if (ids) {
      results = hybrid::search_among(engines, convex, queries, given.k, *ids);
    } else {
      std::optional<dense::RowFilter> dense_filter;
      std::optional<lexical::RowFilter> lexical_filter;
      if (dense_rows) {
        if (dense_rows->size() != dense_snapshot->live_count()) {
          throw Error(ErrorKind::kInvalidInput, "dense_mask: expected one entry for each of the " +
                                                    std::to_string(dense_snapshot->live_count()) + " rows, got " +
                                                    std::to_string(dense_rows->size()));
        }
        dense_filter = dense_snapshot->select(*dense_rows);
      }
      if (lexical_rows) lexical_filter = lexical::filter_from_mask(words.words->rows(), *lexical_rows);
      const hybrid::Filters filters{dense_filter ? &*dense_filter : nullptr, lexical_filter ? &*lexical_filter : nullptr};
      results = hybrid::search(engines, convex, queries, given.k, filters, rows_in_place);
    }
    dense_snapshot->note_vectors_read(rows_in_place, matrix.rows);
  }
  return to_fused(results);
}

// A snapshot, and what searches it.
template <typename Snapshot, typename Words>
struct HeldWords {
  std::shared_ptr<const Snapshot> snapshot;
  std::unique_ptr<const Words> words;
};

py::tuple search_convex(const dense::VectorIndex& dense_index, const lexical::Bm25Index& lexical_index,
                        const lexical::Analyzer* analyzer, const py::list& list, const py::array& vectors, std::size_t k,
                        double alpha, double scale, const std::optional<py::array>& dense_mask,
                        const std::optional<py::array>& lexical_mask, const std::optional<py::array>& among, std::uint32_t variant,
                        double k1, double b, double delta) {
  const lexical::Parameters parameters = make_parameters(variant, k1, b, delta);
  return search_both(dense_index, analyzer, list, {vectors, k, alpha, scale, dense_mask, lexical_mask, among}, [&] {
    auto snapshot = lexical_index.snapshot();
    auto words = std::make_unique<const hybrid::TextWords>(*snapshot, parameters);
    return HeldWords<lexical::Snapshot, hybrid::TextWords>{std::move(snapshot), std::move(words)};
  });
}

py::tuple search_convex_fields(const dense::VectorIndex& dense_index, const lexical::FieldIndex& lexical_index,
                               const lexical::Analyzer* analyzer, const py::list& list, const py::array& vectors, std::size_t k,
                               double alpha, double scale, const std::optional<py::array>& dense_mask,
                               const std::optional<py::array>& lexical_mask, const std::optional<py::array>& among,
                               std::uint32_t variant, double k1, double delta, const FieldSettings& settings) {
  const lexical::Parameters parameters = make_field_parameters(variant, k1, delta);
  const std::vector<lexical::FieldParameters> fields = make_fields(lexical_index, settings);
  return search_both(dense_index, analyzer, list, {vectors, k, alpha, scale, dense_mask, lexical_mask, among}, [&] {
    auto snapshot = lexical_index.snapshot();
    auto words = std::make_unique<const hybrid::FieldWords>(*snapshot, parameters, fields);
    return HeldWords<lexical::FieldSnapshot, hybrid::FieldWords>{std::move(snapshot), std::move(words)};
  });
}

}  // namespace

void register_hybrid(py::module_& m) {
  m.def("search_convex", &search_convex, py::arg("dense"), py::arg("lexical"), py::arg("analyzer").none(true), py::arg("queries"),
        py::arg("vectors"), py::arg("k"), py::arg("alpha"), py::arg("scale"), py::arg("dense_mask"), py::arg("lexical_mask"),
        py::arg("among"), py::arg("variant"), py::arg("k1"), py::arg("b"), py::arg("delta"));
  m.def("search_convex_fields", &search_convex_fields, py::arg("dense"), py::arg("lexical"), py::arg("analyzer").none(true),
        py::arg("queries"), py::arg("vectors"), py::arg("k"), py::arg("alpha"), py::arg("scale"), py::arg("dense_mask"),
        py::arg("lexical_mask"), py::arg("among"), py::arg("variant"), py::arg("k1"), py::arg("delta"), py::arg("fields"));
}

}  // namespace sightline::bindings
