#include "lexical/segment_builder.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "core/error.h"
#include "lexical/window_bounds.h"

namespace sightline::lexical {
namespace {

struct Occurrence {
  std::uint32_t term;
  std::uint32_t tf;  // or the bits of a weight
};

struct Occurrences {
  std::vector<Occurrence> all;                // in document order
  std::vector<std::uint64_t> document_ends;
  std::vector<std::uint32_t> document_frequency;  // by term
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
    if (tokens.size() >= std::numeric_limits<std::uint32_t>::max()) {
      throw Error(ErrorKind::kInvalidInput, "texts: a document has more than 2^32 - 2 tokens; split it");
    }
    distinct.clear();
    for (const std::uint32_t term : tokens) {
      if (frequency[term]++ == 0) distinct.push_back(term);
    }
    for (const std::uint32_t term : distinct) {
      result.all.push_back({term, frequency[term]});
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

// The windows of all terms. They become complete one after the other, but are stored term by term.
class WindowPlacer {
 public:
  explicit WindowPlacer(const std::vector<std::uint64_t>& posting_offsets)
      : posting_offsets_(posting_offsets), counts_(posting_offsets.size() - 1) {}

  // All postings of rows in `window` are placed: next[p] is where the next posting of the p-th term goes.
  void close_window(std::uint16_t window, const std::vector<std::uint64_t>& next) {
    for (std::uint32_t p = 0; p < counts_.size(); ++p) {
      const auto end = static_cast<std::uint32_t>(next[p] - posting_offsets_[p]);
      if (end == 0 || (counts_[p].count != 0 && counts_[p].end == end)) continue;
      counts_[p] = {counts_[p].count + 1, end};
      entries_.push_back({p, {end, window, 0, 0}});
    }
  }

  void finish(SegmentData& data) const {
    for (const Count& c : counts_) data.window_offsets.push_back(data.window_offsets.back() + c.count);
    data.windows.resize(entries_.size());
    std::vector<std::uint32_t> place(data.window_offsets.begin(), data.window_offsets.end() - 1);
    for (const Entry& entry : entries_) data.windows[place[entry.term]++] = entry.window;
  }

 private:
  struct Count {
    std::uint32_t count = 0;
    std::uint32_t end = 0;
  };
  struct Entry {
    std::uint32_t term;
    PostingWindow window;
  };
  const std::vector<std::uint64_t>& posting_offsets_;
  std::vector<Count> counts_;
  std::vector<Entry> entries_;
};

// place_of_term: the number in the segment of each of the documents' terms; place(occurrence, row, position) stores the code
// of a posting and what else there is.
template <typename Place>
void place_postings(const Occurrences& occurrences, const std::vector<std::uint32_t>& place_of_term, SegmentData& data,
                    Place place) {
  data.offsets.resize(occurrences.all.size());
  data.codes.resize(occurrences.all.size());
  std::vector<std::uint64_t> next(data.posting_offsets.begin(), data.posting_offsets.end() - 1);
  WindowPlacer windows(data.posting_offsets);
  std::uint64_t begin = 0;
  const std::size_t row_count = occurrences.document_ends.size();
  for (std::size_t row = 0; row < row_count; ++row) {
    for (std::uint64_t i = begin; i < occurrences.document_ends[row]; ++i) {
      const Occurrence& o = occurrences.all[i];
      const std::uint64_t position = next[place_of_term[o.term]]++;
      data.offsets[position] = static_cast<std::uint16_t>(row % kWindowRows);
      place(o, row, position);
    }
    begin = occurrences.document_ends[row];
    if ((row + 1) % kWindowRows == 0 || row + 1 == row_count) {
      windows.close_window(static_cast<std::uint16_t>(row >> kWindowBits), next);
    }
  }
  windows.finish(data);
}

void place_frequencies(const Occurrences& occurrences, const std::vector<std::uint8_t>& classes,
                       const std::vector<std::uint32_t>& place_of_term, SegmentData& data) {
  const CodeMap map = data.code_map.view();
  std::vector<std::pair<std::uint64_t, std::uint32_t>> large;
  place_postings(occurrences, place_of_term, data, [&](const Occurrence& o, std::size_t row, std::uint64_t position) {
    data.codes[position] = map.code(o.tf, classes[row]);
    if (o.tf > kMaxCodedTf) large.emplace_back(position, o.tf);
  });
  std::sort(large.begin(), large.end());
  for (const auto& [position, tf] : large) {
    data.large_positions.push_back(position);
    data.large_tfs.push_back(tf);
  }
}

// counts[(tf - 1) * classes + c]: the postings with each frequency and class of length.
std::vector<std::uint64_t> count_cells(const Occurrences& occurrences, const std::vector<std::uint8_t>& classes,
                                       std::size_t class_count) {
  std::vector<std::uint64_t> counts(class_count * kMaxCodedTf);
  std::uint64_t begin = 0;
  for (std::size_t row = 0; row < occurrences.document_ends.size(); ++row) {
    for (std::uint64_t i = begin; i < occurrences.document_ends[row]; ++i) {
      const std::uint32_t tf = occurrences.all[i].tf;
      if (tf <= kMaxCodedTf) ++counts[(tf - 1) * class_count + classes[row]];
    }
    begin = occurrences.document_ends[row];
  }
  return counts;
}

// Ids and terms of the result, with room for the postings; returns the number of each term.
std::vector<std::uint32_t> place_terms(const AnalyzedDocuments& documents, const Occurrences& occurrences,
                                       std::span<const DocId> ids, SegmentData& data) {
  data.ids.assign(ids.begin(), ids.end());
  const std::vector<std::uint32_t> order = sorted_terms(documents, occurrences);
  std::vector<std::uint32_t> place_of_term(documents.terms.size());
  data.term_hashes.reserve(order.size());
  data.term_offsets.reserve(order.size() + 1);
  data.posting_offsets.reserve(order.size() + 1);
  for (const std::uint32_t t : order) {
    const std::string_view word = documents.terms.word(t);
    place_of_term[t] = static_cast<std::uint32_t>(data.term_hashes.size());
    data.term_hashes.push_back(documents.terms.hash(t));
    data.term_bytes.insert(data.term_bytes.end(), word.begin(), word.end());
    data.term_offsets.push_back(data.term_bytes.size());
    data.posting_offsets.push_back(data.posting_offsets.back() + occurrences.document_frequency[t]);
  }
  return place_of_term;
}

void check_count(const AnalyzedDocuments& documents) {
  if (documents.document_count() > kMaxSegmentRows) {
    throw Error(ErrorKind::kInvalidInput, "texts: more than 2^30 documents in one call; add them in batches");
  }
}

}  // namespace

SegmentData build_segment(const AnalyzedDocuments& documents, std::span<const DocId> ids) {
  check_count(documents);
  const Occurrences occurrences = count_occurrences(documents);
  SegmentData data;
  const std::vector<std::uint32_t> place_of_term = place_terms(documents, occurrences, ids, data);
  data.lengths.reserve(documents.document_count());
  for (std::size_t d = 0; d < documents.document_count(); ++d) {
    data.lengths.push_back(static_cast<std::uint32_t>(documents.document(d).size()));
  }
  data.code_map.class_begins = choose_classes(data.lengths);
  const std::vector<std::uint8_t> classes = length_classes(data.code_map.class_begins, data.lengths);
  data.code_map.codes = choose_codes(count_cells(occurrences, classes, data.code_map.view().class_count()),
                                     data.code_map.class_begins, average_length(data.lengths));
  place_frequencies(occurrences, classes, place_of_term, data);
  bound_windows(data);
  return data;
}

SegmentData build_weighted_segment(const AnalyzedDocuments& documents, std::span<const float> weights,
                                   std::span<const DocId> ids) {
  check_count(documents);
  Occurrences occurrences;
  occurrences.document_frequency.resize(documents.terms.size());
  occurrences.document_ends = documents.document_ends;
  occurrences.all.reserve(documents.tokens.size());
  for (std::size_t i = 0; i < documents.tokens.size(); ++i) {
    occurrences.all.push_back({documents.tokens[i], std::bit_cast<std::uint32_t>(weights[i])});
    ++occurrences.document_frequency[documents.tokens[i]];
  }
  SegmentData data;
  const std::vector<std::uint32_t> place_of_term = place_terms(documents, occurrences, ids, data);
  data.lengths.resize(ids.size());
  data.value_bounds = choose_value_bounds(weights);
  data.values.resize(weights.size());
  place_postings(occurrences, place_of_term, data, [&](const Occurrence& o, std::size_t, std::uint64_t position) {
    data.values[position] = std::bit_cast<float>(o.tf);
    data.codes[position] = value_code(data.value_bounds, data.values[position]);
  });
  bound_windows(data);
  return data;
}

}  // namespace sightline::lexical
