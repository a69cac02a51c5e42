// BM25Index as Python sees it. Arguments arrive checked for type and range by python/sightline/bm25_index.py; what only
// the index can know (ids present, size of a mask) is checked here and below.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "bindings/arrays.h"
#include "bindings/lexical_common.h"
#include "bindings/registry.h"
#include "bindings/texts.h"
#include "core/checked.h"
#include "lexical/bm25_index.h"
#include "lexical/explain.h"
#include "lexical/lexical_file.h"
#include "lexical/search.h"
#include "lexical/segment_builder.h"
#include "parallel/thread_pool.h"

namespace sightline::bindings {
namespace {

using lexical::AnalyzedDocuments;
using lexical::Analyzer;
using lexical::Bm25Index;
using lexical::Parameters;
using lexical::Query;
using lexical::SegmentData;
using lexical::Snapshot;

// Text analyzed at once; bounds the memory of a large call beyond its texts and its index.
constexpr std::size_t kBatchBytes = std::size_t{64} << 20;
constexpr std::size_t kBatchTokens = std::size_t{1} << 22;

Parameters make_parameters(std::uint32_t variant, double k1, double b, double delta) {
  const Parameters parameters{static_cast<lexical::Variant>(variant), k1, b, delta};
  if (!parameters.valid()) throw Error(ErrorKind::kInvalidInput, "variant, k1, b, delta: out of range");
  return parameters;
}

const Analyzer& required(const Analyzer* analyzer) {
  if (analyzer == nullptr) throw Error(ErrorKind::kInvalidInput, "texts: expected lists of tokens, because the index has no analyzer");
  return *analyzer;
}

// Takes items from a list in order, a batch at a time, and inverts them.
class SegmentMaker {
 public:
  SegmentMaker(const Analyzer* analyzer, const Items& items, std::vector<std::size_t> order, std::vector<DocId> sorted_ids)
      : analyzer_(analyzer), items_(items), order_(std::move(order)), sorted_ids_(std::move(sorted_ids)) {}

  // Call with the GIL held.
  std::vector<SegmentData> make() {
    while (next_ < items_.size()) {
      if (items_.kind() == ItemKind::kText) {
        index_texts();
      } else {
        index_tokens();
      }
    }
    return std::move(segments_);
  }

 private:
  const py::object& item(std::size_t i) const { return items_[order_.empty() ? i : order_[i]]; }

  void index_texts() {
    const Analyzer& analyzer = required(analyzer_);
    Texts texts;
    const std::size_t first = next_;
    while (next_ < items_.size() && texts.size_bytes() < kBatchBytes) texts.add(item(next_++));
    const py::gil_scoped_release release;
    invert(analyzer.analyze(texts.views()), first);
  }

  void index_tokens() {
    std::vector<AnalyzedDocuments> documents(1);
    const std::size_t first = next_;
    while (next_ < items_.size() && documents[0].tokens.size() < kBatchTokens) {
      append_tokens(documents[0], item(next_), "texts", order_.empty() ? next_ : order_[next_]);
      ++next_;
    }
    const py::gil_scoped_release release;
    invert(std::move(documents), first);
  }

  // GIL released.
  void invert(std::vector<AnalyzedDocuments> shards, std::size_t first) {
    std::vector<std::size_t> begins;
    for (const AnalyzedDocuments& shard : shards) {
      begins.push_back(first);
      first += shard.document_count();
    }
    const std::size_t offset = segments_.size();
    segments_.resize(offset + shards.size());
    parallel::parallel_for(shards.size(), [&](std::size_t s, std::size_t) {
      const std::span<const DocId> ids(sorted_ids_.data() + begins[s], shards[s].document_count());
      segments_[offset + s] = lexical::build_segment(shards[s], ids);
      shards[s] = {};
    });
  }

  const Analyzer* analyzer_;
  const Items& items_;
  std::vector<std::size_t> order_;
  std::vector<DocId> sorted_ids_;
  std::size_t next_ = 0;
  std::vector<SegmentData> segments_;
};

// ids: given, distinct and >= 0 (`upsert` replaces documents that have them), or None for the next free ones.
py::array_t<DocId> add(Bm25Index& index, const Analyzer* analyzer, const py::list& list,
                       const std::optional<py::array>& ids, bool replace) {
  const Items items(list, "texts");
  std::vector<DocId> chosen(items.size());
  std::vector<std::size_t> order;
  if (ids) {
    chosen = checked_ids(*ids, items.size());
    if (!replace) index.check_absent(chosen);  // before the work; checked again when it is done
    order = order_by_id(chosen);
  } else {
    std::iota(chosen.begin(), chosen.end(), DocId{0});
  }
  std::vector<DocId> sorted_ids = chosen;
  std::sort(sorted_ids.begin(), sorted_ids.end());
  std::vector<SegmentData> segments = SegmentMaker(analyzer, items, std::move(order), std::move(sorted_ids)).make();
  {
    const py::gil_scoped_release release;
    if (ids) {
      index.add(std::move(segments), replace ? lexical::OnExisting::kReplace : lexical::OnExisting::kFail);
    } else {
      std::iota(chosen.begin(), chosen.end(), index.add_with_next_ids(std::move(segments)));
    }
  }
  return to_array(std::move(chosen));
}

// Queries analyzed together. The terms of the queries point into `documents`.
struct AnalyzedQueries {
  AnalyzedDocuments documents;
  std::vector<Query> queries;
};

void collect_terms(AnalyzedQueries& analyzed) {
  const AnalyzedDocuments& documents = analyzed.documents;
  constexpr std::uint32_t kUnseen = 0xFFFFFFFF;
  std::vector<std::uint32_t> place(documents.terms.size(), kUnseen);
  analyzed.queries.resize(documents.document_count());
  for (std::size_t q = 0; q < documents.document_count(); ++q) {
    Query& query = analyzed.queries[q];
    for (const std::uint32_t term : documents.document(q)) {
      if (place[term] == kUnseen) {
        place[term] = static_cast<std::uint32_t>(query.size());
        query.push_back({documents.terms.word(term), documents.terms.hash(term), 0});
      }
      ++query[place[term]].count;
    }
    for (const std::uint32_t term : documents.document(q)) place[term] = kUnseen;
  }
}

// The result must not be moved while its queries are used; hence a pointer.
std::unique_ptr<AnalyzedQueries> analyze_queries(const Analyzer* analyzer, const py::list& list) {
  const Items items(list, "queries");
  auto analyzed = std::make_unique<AnalyzedQueries>();
  if (items.kind() == ItemKind::kTokens) {
    for (std::size_t i = 0; i < items.size(); ++i) append_tokens(analyzed->documents, items[i], "queries", i);
  } else if (items.size() != 0) {
    Texts texts;
    for (std::size_t i = 0; i < items.size(); ++i) texts.add(items[i]);
    const py::gil_scoped_release release;
    analyzed->documents = required(analyzer).analyze_together(texts.views());
  }
  collect_terms(*analyzed);
  return analyzed;
}

py::tuple search(const Bm25Index& index, const Analyzer* analyzer, const py::list& list, std::size_t k,
                 const std::vector<py::array>& masks, std::uint32_t variant, double k1, double b, double delta) {
  const Parameters parameters = make_parameters(variant, k1, b, delta);
  const auto analyzed = analyze_queries(analyzer, list);
  const std::size_t query_count = analyzed->queries.size();
  const std::vector<MaskView> views = view_masks(masks, query_count);
  std::vector<std::vector<Hit>> results;
  {
    const py::gil_scoped_release release;
    checked_mul(query_count, k);
    const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
    const std::vector<lexical::RowFilter> filters = make_filters(*snapshot, views);
    results = lexical::search_batch(*snapshot, parameters, analyzed->queries, k, filters);
  }
  return to_result(results, k);
}

py::array_t<float> score(const Bm25Index& index, const Analyzer* analyzer, const py::list& query, const py::array& ids,
                         std::uint32_t variant, double k1, double b, double delta) {
  const Parameters parameters = make_parameters(variant, k1, b, delta);
  const std::span<const DocId> wanted = id_vector(ids, "ids");
  const auto analyzed = analyze_queries(analyzer, query);
  std::vector<float> scores(wanted.size());
  {
    const py::gil_scoped_release release;
    const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
    const lexical::BoundQuery bound(*snapshot, parameters, analyzed->queries.at(0));
    for (std::size_t i = 0; i < wanted.size(); ++i) scores[i] = bound.score_row(required_row(*snapshot, wanted[i]));
  }
  return to_array(std::move(scores));
}

py::dict explain(const Bm25Index& index, const Analyzer* analyzer, const py::list& query, DocId id, std::uint32_t variant,
                 double k1, double b, double delta) {
  const Parameters parameters = make_parameters(variant, k1, b, delta);
  const auto analyzed = analyze_queries(analyzer, query);
  const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
  const lexical::Explanation e =
      lexical::explain(*snapshot, parameters, analyzed->queries.at(0), required_row(*snapshot, id));
  py::list terms;
  for (const lexical::TermExplanation& t : e.terms) {
    terms.append(py::make_tuple(to_str(t.term), t.query_count, t.tf, t.df, t.idf, t.contribution));
  }
  py::dict result;
  result["score"] = e.score;
  result["length"] = e.length;
  result["average_length"] = e.average_length;
  result["document_count"] = e.document_count;
  result["terms"] = terms;
  return result;
}

void save(const Bm25Index& index, const std::filesystem::path& path, std::uint32_t variant, double k1, double b, double delta,
          const std::string& settings) {
  const Parameters parameters = make_parameters(variant, k1, b, delta);
  const py::gil_scoped_release release;
  // The snapshot first: an id used after it was taken is then below next_id all the same.
  const std::shared_ptr<const Snapshot> snapshot = index.snapshot();
  lexical::save_index(path, {snapshot, index.next_id(), parameters, settings});
}

py::tuple load(const std::filesystem::path& path, bool mmap) {
  lexical::SavedIndex saved;
  std::unique_ptr<Bm25Index> index;
  {
    const py::gil_scoped_release release;
    saved = lexical::load_index(path, mmap);
    index = std::make_unique<Bm25Index>(std::move(saved.snapshot), saved.next_id);
  }
  const Parameters& p = saved.parameters;
  return py::make_tuple(std::move(index), static_cast<std::uint32_t>(p.variant), p.k1, p.b, p.delta, py::bytes(saved.settings));
}

}  // namespace

void register_bm25_index(py::module_& m) {
  const auto none_ok = py::arg("analyzer").none(true);
  py::class_<Bm25Index>(m, "BM25Index")
      .def(py::init<>())
      .def("__len__", [](const Bm25Index& index) { return index.snapshot()->statistics().document_count; })
      .def("add", &add, none_ok, py::arg("texts"), py::arg("ids").none(true), py::arg("replace"))
      .def("remove", &remove_ids, py::arg("ids"))
      .def("fork",
           [](const Bm25Index& index) {
             auto snapshot = index.snapshot();  // first: a later next_id is greater than all of its ids as well
             return std::make_unique<Bm25Index>(std::move(snapshot), index.next_id());
           })
      .def("search", &search, none_ok, py::arg("queries"), py::arg("k"), py::arg("masks"), py::arg("variant"), py::arg("k1"),
           py::arg("b"), py::arg("delta"))
      .def("score", &score, none_ok, py::arg("query"), py::arg("ids"), py::arg("variant"), py::arg("k1"), py::arg("b"),
           py::arg("delta"))
      .def("explain", &explain, none_ok, py::arg("query"), py::arg("id"), py::arg("variant"), py::arg("k1"), py::arg("b"),
           py::arg("delta"))
      .def("ids", [](const Bm25Index& index) { return to_array(index.snapshot()->ids()); })
      .def("segment_count", [](const Bm25Index& index) { return index.snapshot()->segments().size(); })
      .def("memory", [](const Bm25Index& index) { return memory_of(*index.snapshot()); })
      .def("save", &save, py::arg("path"), py::arg("variant"), py::arg("k1"), py::arg("b"), py::arg("delta"),
           py::arg("settings"))
      .def_static("load", &load, py::arg("path"), py::arg("mmap"));
}

}  // namespace sightline::bindings
