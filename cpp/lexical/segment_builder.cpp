#include "lexical/segment_builder.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "core/error.h"

namespace sightline::lexical {
namespace {

// Numbers (tf, length) pairs in the order of first use; finish() renumbers them by value.
class PairNumbers {
 public:
  void start_document(std::uint32_t length) {
    length_ = length;
    std::fill(std::begin(recent_), std::end(recent_), kUnknown);
  }
  std::uint32_t number(std::uint32_t tf) {
    if (tf >= kRecent) return lookup(tf);
    if (recent_[tf] == kUnknown) recent_[tf] = lookup(tf);
    return recent_[tf];
  }
  // Sorts the pairs; returns the final code of each number.
  std::vector<std::uint32_t> finish(std::vector<ImpactPair>& sorted) const {
    std::vector<std::uint32_t> order(pairs_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return pairs_[a] < pairs_[b]; });
    std::vector<std::uint32_t> code_of_number(pairs_.size());
    sorted.resize(pairs_.size());
    for (std::uint32_t code = 0; code < order.size(); ++code) {
      sorted[code] = pairs_[order[code]];
      code_of_number[order[code]] = code;
    }
    return code_of_number;
  }

 private:
  static constexpr std::uint32_t kRecent = 16;  // nearly all frequencies are below; spares a hash lookup per posting
  static constexpr std::uint32_t kUnknown = 0xFFFFFFFF;

  std::uint32_t lookup(std::uint32_t tf) {
    const std::uint64_t key = (std::uint64_t{tf} << 32) | length_;
    const auto [entry, inserted] = numbers_.try_emplace(key, static_cast<std::uint32_t>(pairs_.size()));
    if (inserted) pairs_.push_back({tf, length_});
    return entry->second;
  }

  std::uint32_t length_ = 0;
  std::uint32_t recent_[kRecent] = {};
  std::unordered_map<std::uint64_t, std::uint32_t> numbers_;
  std::vector<ImpactPair> pairs_;
};

struct Occurrence {
  std::uint32_t term;
  std::uint32_t pair;
};

struct Occurrences {
  std::vector<Occurrence> all;                // in document order
  std::vector<std::uint64_t> document_ends;
  std::vector<std::uint32_t> document_frequency;  // by term
  PairNumbers pairs;
};

Occurrences count_occurrences(const AnalyzedDocuments& documents) {
  Occurrences result;
  result.document_frequency.resize(documents.terms.size());
  result.document_ends.reserve(documents.document_count());
  result.all.reserve(documents.tokens.size() / 2);
  std::vector<std::uint32_t> frequency(documents.terms.size());
  std::vector<std::uint32_t> distinct;
  for (std::size_t d = 0; d < documents.document_count(); ++d) {
    const std::span<const std::uint32_t> tokens = documents.document(d);
    if (tokens.size() > std::numeric_limits<std::uint32_t>::max()) {
      throw Error(ErrorKind::kInvalidInput, "texts: a document has more than 2^32 - 1 tokens; split it");
    }
    distinct.clear();
    for (const std::uint32_t term : tokens) {
      if (frequency[term]++ == 0) distinct.push_back(term);
    }
    result.pairs.start_document(static_cast<std::uint32_t>(tokens.size()));
    for (const std::uint32_t term : distinct) {
      result.all.push_back({term, result.pairs.number(frequency[term])});
      ++result.document_frequency[term];
      frequency[term] = 0;
    }
    result.document_ends.push_back(result.all.size());
  }
  return result;
}

std::vector<std::uint32_t> sorted_terms(const AnalyzedDocuments& documents, const Occurrences& occurrences) {
  std::vector<std::uint32_t> order;
  order.reserve(documents.terms.size());
  for (std::uint32_t t = 0; t < documents.terms.size(); ++t) {
    if (occurrences.document_frequency[t] != 0) order.push_back(t);
  }
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const std::uint64_t hash_a = documents.terms.hash(a);
    const std::uint64_t hash_b = documents.terms.hash(b);
    return hash_a != hash_b ? hash_a < hash_b : documents.terms.word(a) < documents.terms.word(b);
  });
  return order;
}

template <typename Code>
void place_postings(const Occurrences& occurrences, const std::vector<std::uint32_t>& code_of_number,
                    std::vector<std::uint64_t>& next_of_term, std::vector<RowIndex>& rows, std::vector<Code>& codes) {
  rows.resize(occurrences.all.size());
  codes.resize(occurrences.all.size());
  std::uint64_t begin = 0;
  for (RowIndex row = 0; row < occurrences.document_ends.size(); ++row) {
    for (std::uint64_t i = begin; i < occurrences.document_ends[row]; ++i) {
      const Occurrence& o = occurrences.all[i];
      const std::uint64_t place = next_of_term[o.term]++;
      rows[place] = row;
      codes[place] = static_cast<Code>(code_of_number[o.pair]);
    }
    begin = occurrences.document_ends[row];
  }
}

}  // namespace

SegmentData build_segment(const AnalyzedDocuments& documents, std::span<const DocId> ids) {
  if (documents.document_count() > std::numeric_limits<RowIndex>::max()) {
    throw Error(ErrorKind::kInvalidInput, "texts: more than 2^32 - 1 documents in one call; add them in batches");
  }
  const Occurrences occurrences = count_occurrences(documents);
  SegmentData data;
  data.ids.assign(ids.begin(), ids.end());
  data.lengths.reserve(documents.document_count());
  for (std::size_t d = 0; d < documents.document_count(); ++d) {
    data.lengths.push_back(static_cast<std::uint32_t>(documents.document(d).size()));
  }
  const std::vector<std::uint32_t> order = sorted_terms(documents, occurrences);
  std::vector<std::uint64_t> next_of_term(documents.terms.size());
  data.term_hashes.reserve(order.size());
  data.term_offsets.reserve(order.size() + 1);
  data.posting_offsets.reserve(order.size() + 1);
  for (const std::uint32_t t : order) {
    const std::string_view word = documents.terms.word(t);
    data.term_hashes.push_back(documents.terms.hash(t));
    data.term_bytes.insert(data.term_bytes.end(), word.begin(), word.end());
    data.term_offsets.push_back(data.term_bytes.size());
    next_of_term[t] = data.posting_offsets.back();
    data.posting_offsets.push_back(data.posting_offsets.back() + occurrences.document_frequency[t]);
  }
  const std::vector<std::uint32_t> code_of_number = occurrences.pairs.finish(data.pairs);
  if (data.pairs.size() <= kMaxNarrowPairs) {
    place_postings(occurrences, code_of_number, next_of_term, data.rows, data.narrow_codes);
  } else {
    place_postings(occurrences, code_of_number, next_of_term, data.rows, data.wide_codes);
  }
  return data;
}

}  // namespace sightline::lexical
