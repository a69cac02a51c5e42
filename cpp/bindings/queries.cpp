#include "bindings/queries.h"

#include <optional>
#include <string>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/texts.h"
#include "core/error.h"
#include "parallel/thread_pool.h"

namespace sightline::bindings {
namespace {

using lexical::AnalyzedDocuments;
using lexical::Analyzer;
using lexical::Clause;
using lexical::Parameters;
using lexical::Query;
using lexical::RowFilter;
using lexical::RowLocation;

const Analyzer& required(const Analyzer* analyzer) {
  if (analyzer == nullptr) throw Error(ErrorKind::kInvalidInput, "queries: expected lists of tokens, because the index has no analyzer");
  return *analyzer;
}

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

std::vector<Clause> parse_clauses(const py::handle& list) {
  std::vector<Clause> clauses;
  for (const py::handle& item : list) {
    const auto parts = py::reinterpret_borrow<py::tuple>(item);
    Clause clause{{}, parts[1].cast<bool>(), parts[2].cast<bool>()};
    lexical::AnalyzedDocuments terms;
    append_tokens(terms, py::reinterpret_borrow<py::object>(parts[0]), "query", 0);
    for (const std::uint32_t term : terms.tokens) clause.terms.emplace_back(terms.terms.word(term));
    clauses.push_back(std::move(clause));
  }
  return clauses;
}

}  // namespace

Restrictions::Restrictions(const std::vector<py::array>& masks, const py::list& clauses, std::size_t query_count)
    : masks_(view_masks(masks, query_count)) {
  for (const py::handle& of_query : clauses) clauses_.push_back(parse_clauses(of_query));
  if (!clauses_.empty() && clauses_.size() != query_count) {
    throw Error(ErrorKind::kInvalidInput, "clauses: expected a list for each of " + std::to_string(query_count) +
                                              " queries, got " + std::to_string(clauses_.size()));
  }
}

std::vector<RowFilter> Restrictions::filters(FieldSpan fields) const {
  std::vector<RowFilter> filters = make_filters(*fields.front(), masks_);
  if (clauses_.empty()) return filters;
  std::vector<RowFilter> restricted(clauses_.size());
  parallel::parallel_for(clauses_.size(), [&](std::size_t q, std::size_t) {
    const RowFilter* within = filters.empty() ? nullptr : &filters[filters.size() == 1 ? 0 : q];
    restricted[q] = lexical::filter_from_clauses(fields, clauses_[q], within);
  });
  return restricted;
}

bool allows(const std::vector<RowFilter>& filters, const RowLocation& at) {
  return filters.empty() || filters.front().allowed[at.segment].test(at.row);
}

py::array_t<DocId> matching_ids(FieldSpan fields, const py::list& clauses) {
  const std::vector<Clause> parsed = parse_clauses(clauses);
  std::vector<DocId> ids;
  {
    const py::gil_scoped_release release;
    const RowFilter filter = lexical::filter_from_clauses(fields, parsed, nullptr);
    for (const RowLocation& at : fields.front()->rows_by_id()) {
      if (filter.allowed[at.segment].test(at.row)) ids.push_back(fields.front()->segments()[at.segment].segment->id(at.row));
    }
  }
  return to_array(std::move(ids));
}

Parameters make_parameters(std::uint32_t variant, double k1, double b, double delta) {
  const Parameters parameters{static_cast<lexical::Variant>(variant), k1, b, delta};
  if (!parameters.valid()) throw Error(ErrorKind::kInvalidInput, "variant, k1, b, delta: out of range");
  return parameters;
}

std::unique_ptr<AnalyzedQueries> analyze_queries(const Analyzer* analyzer, const py::list& list) {
  const Items items(list, "queries");
  auto analyzed = std::make_unique<AnalyzedQueries>();
  if (items.kind() == ItemKind::kTokens) {
    for (std::size_t i = 0; i < items.size(); ++i) append_tokens(analyzed->documents, items[i], "queries", i);
  } else if (items.size() != 0) {
    Texts texts;
    for (std::size_t i = 0; i < items.size(); ++i) texts.add(items[i]);
    const py::gil_scoped_release release;
    analyzed->documents = required(analyzer).analyze_together(texts.views(), lexical::TextKind::kQuery);
  }
  collect_terms(*analyzed);
  return analyzed;
}

}  // namespace sightline::bindings
