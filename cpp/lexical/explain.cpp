#include "lexical/explain.h"

#include "lexical/exact_parts.h"

namespace sightline::lexical {

Explanation explain(const Snapshot& snapshot, const Parameters& parameters, const Query& query, const RowLocation& at) {
  const BoundQuery bound(snapshot, parameters, query);
  const Segment& segment = *snapshot.segments()[at.segment].segment;
  Explanation result{bound.score_row(at), segment.length(at.row), bound.scorer().average_length(),
                     snapshot.statistics().document_count, {}};
  bool any_found = false;
  double gains = 0.0;
  auto next = bound.terms().begin();  // the bound terms are the query's without those that no document has
  for (const QueryTerm& q : query) {
    TermExplanation& e = result.terms.emplace_back(TermExplanation{q.term, q.count, 0, 0, 0.0, 0.0});
    if (next == bound.terms().end() || next->term != q.term) continue;
    const BoundQuery::Term& term = *next++;
    e.df = term.document_frequency;
    e.idf = term.idf;
    e.contribution = term.weight * bound.scorer().absent();
    if (!term.postings[at.segment]) continue;
    if (const auto found = term.postings[at.segment]->find(at.row)) {
      e.tf = segment.tf(*found);
      const double gain = term.weight * bound.scorer().gain(e.tf, result.length);
      e.contribution += gain;
      gains += gain;
      any_found = true;
    }
  }
  std::vector<double*> parts;
  for (TermExplanation& e : result.terms) {
    if (!any_found) e.contribution = 0.0;
    parts.push_back(&e.contribution);
  }
  if (any_found) settle_parts(parts, bound.base() + gains);
  return result;
}

}  // namespace sightline::lexical
