#include "lexical/clauses.h"

#include <bit>
#include <optional>

#include "core/error.h"
#include "lexical/posting_reader.h"
#include "lexical/tokens.h"
#include "lexical/word_table.h"

namespace sightline::lexical {
namespace {

// One segment of each field.
using FieldSegments = std::vector<const Segment*>;

Bitset rows_with_term(const FieldSegments& fields, const std::string& term) {
  Bitset rows(fields.front()->row_count());
  for (const Segment* segment : fields) {
    if (const auto number = segment->find_term(term, word_hash(term))) {
      for_each_posting(*segment, *number, [&](RowIndex row, std::uint32_t) { rows.set(row); });
    }
  }
  return rows;
}

// The numbers of a phrase's terms in one field; none if the field lacks one of them.
std::optional<std::vector<std::uint32_t>> phrase_numbers(const Segment& segment, const Clause& clause) {
  std::vector<std::uint32_t> numbers;
  for (const std::string& term : clause.terms) {
    const auto number = segment.find_term(term, word_hash(term));
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

void keep_phrases(const FieldSegments& fields, const Clause& clause, Bitset& rows) {
  std::vector<std::optional<std::vector<std::uint32_t>>> numbers;
  for (const Segment* segment : fields) {
    if (!segment->arrays().tokens.present()) {
      throw Error(ErrorKind::kInvalidInput,
                  "query: a phrase needs the places of the words, which this index does not keep; make it with positions=True");
    }
    numbers.push_back(phrase_numbers(*segment, clause));
  }
  for (std::size_t w = 0; w < rows.word_count(); ++w) {
    for (std::uint64_t word = rows.word(w); word != 0; word &= word - 1) {
      const auto row = static_cast<RowIndex>(64 * w + static_cast<std::size_t>(std::countr_zero(word)));
      bool found = false;
      for (std::size_t f = 0; f < fields.size() && !found; ++f) found = numbers[f] && has_phrase(*fields[f], row, *numbers[f]);
      if (!found) rows.reset(row);
    }
  }
}

// Of `allowed` those rows that meet the clause, or for an excluded one those that do not.
void apply(const FieldSegments& fields, const Clause& clause, Bitset& allowed) {
  Bitset met = allowed;
  for (const std::string& term : clause.terms) met.intersect(rows_with_term(fields, term));
  if (clause.phrase && clause.terms.size() > 1) keep_phrases(fields, clause, met);
  if (!clause.excluded) {
    allowed = std::move(met);
    return;
  }
  for (std::size_t w = 0; w < allowed.word_count(); ++w) allowed.set_word(w, allowed.word(w) & ~met.word(w));
}

}  // namespace

RowFilter filter_from_clauses(std::span<const Snapshot* const> fields, std::span<const Clause> clauses, const RowFilter* within) {
  RowFilter result;
  const std::vector<SegmentView>& views = fields.front()->segments();
  for (std::size_t s = 0; s < views.size(); ++s) {
    FieldSegments segments;
    for (const Snapshot* field : fields) segments.push_back(field->segments()[s].segment.get());
    Bitset allowed = within != nullptr     ? within->allowed[s]
                     : views[s].tombstones ? views[s].tombstones->live()
                                           : Bitset(views[s].segment->row_count(), true);
    for (const Clause& clause : clauses) apply(segments, clause, allowed);
    result.allowed_counts.push_back(allowed.count());
    result.allowed.push_back(std::move(allowed));
  }
  return result;
}

}  // namespace sightline::lexical
