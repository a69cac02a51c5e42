#include <algorithm>
#include <limits>

#include "lexical/segment_builder.h"

namespace sightline::lexical {
namespace {

constexpr RowIndex kRemoved = std::numeric_limits<RowIndex>::max();

// Where the rows of each input go; ids and lengths of the result.
std::vector<std::vector<RowIndex>> place_rows(const std::vector<SegmentView>& inputs, SegmentData& result) {
  std::vector<std::vector<RowIndex>> new_row(inputs.size());
  for (std::size_t s = 0; s < inputs.size(); ++s) new_row[s].assign(inputs[s].segment->row_count(), kRemoved);
  const std::vector<RowLocation> order = live_rows_by_id(inputs);
  result.ids.reserve(order.size());
  result.lengths.reserve(order.size());
  for (const RowLocation& at : order) {
    new_row[at.segment][at.row] = static_cast<RowIndex>(result.ids.size());
    result.ids.push_back(inputs[at.segment].segment->id(at.row));
    result.lengths.push_back(inputs[at.segment].segment->arrays().lengths[at.row]);
  }
  return new_row;
}

std::vector<bool> pairs_in_use(const SegmentView& input) {
  const SegmentArrays& arrays = input.segment->arrays();
  if (!input.tombstones) return std::vector<bool>(arrays.pairs.size(), true);
  std::vector<bool> used(arrays.pairs.size(), false);
  for (std::size_t i = 0; i < arrays.rows.size(); ++i) {
    if (input.is_live(arrays.rows[i])) used[arrays.codes[i]] = true;
  }
  return used;
}

// The pairs of the result, and the new code of each old one.
std::vector<std::vector<std::uint32_t>> place_pairs(const std::vector<SegmentView>& inputs, SegmentData& result) {
  std::vector<std::vector<bool>> used;
  used.reserve(inputs.size());
  for (const SegmentView& input : inputs) {
    used.push_back(pairs_in_use(input));
    const std::span<const ImpactPair> pairs = input.segment->arrays().pairs;
    for (std::size_t code = 0; code < pairs.size(); ++code) {
      if (used.back()[code]) result.pairs.push_back(pairs[code]);
    }
  }
  std::sort(result.pairs.begin(), result.pairs.end());
  result.pairs.erase(std::unique(result.pairs.begin(), result.pairs.end()), result.pairs.end());
  std::vector<std::vector<std::uint32_t>> new_code(inputs.size());
  for (std::size_t s = 0; s < inputs.size(); ++s) {
    const std::span<const ImpactPair> pairs = inputs[s].segment->arrays().pairs;
    new_code[s].resize(pairs.size());
    for (std::size_t code = 0; code < pairs.size(); ++code) {
      if (!used[s][code]) continue;
      const auto at = std::lower_bound(result.pairs.begin(), result.pairs.end(), pairs[code]);
      new_code[s][code] = static_cast<std::uint32_t>(at - result.pairs.begin());
    }
  }
  return new_code;
}

// Walks the terms of all inputs in their common order.
class TermCursors {
 public:
  explicit TermCursors(const std::vector<SegmentView>& inputs) : inputs_(inputs), next_(inputs.size(), 0) {}

  // Collects the inputs that have the next term, and steps over it; false at the end.
  bool next(std::vector<std::size_t>& holders) {
    holders.clear();
    for (std::size_t s = 0; s < inputs_.size(); ++s) {
      if (next_[s] == inputs_[s].segment->term_count()) continue;
      const int order = holders.empty() ? -1 : compare(s, holders.front());
      if (order < 0) holders.clear();
      if (order <= 0) holders.push_back(s);
    }
    for (const std::size_t s : holders) ++next_[s];
    return !holders.empty();
  }
  // The number that the term just returned has in input s, one of the holders.
  std::uint32_t term_of(std::size_t s) const noexcept { return static_cast<std::uint32_t>(next_[s] - 1); }

 private:
  int compare(std::size_t a, std::size_t b) const noexcept {
    const Segment& left = *inputs_[a].segment;
    const Segment& right = *inputs_[b].segment;
    const std::uint64_t left_hash = left.arrays().term_hashes[next_[a]];
    const std::uint64_t right_hash = right.arrays().term_hashes[next_[b]];
    if (left_hash != right_hash) return left_hash < right_hash ? -1 : 1;
    return left.term(next_[a]).compare(right.term(next_[b]));
  }

  const std::vector<SegmentView>& inputs_;
  std::vector<std::size_t> next_;
};

struct Posting {
  RowIndex row;
  std::uint32_t code;
};

}  // namespace

SegmentData merge_segments(std::span<const SegmentView> views) {
  const std::vector<SegmentView> inputs(views.begin(), views.end());
  SegmentData result;
  const std::vector<std::vector<RowIndex>> new_row = place_rows(inputs, result);
  const std::vector<std::vector<std::uint32_t>> new_code = place_pairs(inputs, result);
  const bool narrow = result.pairs.size() <= kMaxNarrowPairs;
  std::size_t posting_bound = 0;
  for (const SegmentView& input : inputs) posting_bound += input.segment->arrays().rows.size();
  result.rows.reserve(posting_bound);
  if (narrow) {
    result.narrow_codes.reserve(posting_bound);
  } else {
    result.wide_codes.reserve(posting_bound);
  }

  std::vector<Posting> postings;
  std::vector<std::size_t> holders;
  TermCursors cursors(inputs);
  while (cursors.next(holders)) {
    postings.clear();
    for (const std::size_t s : holders) {
      const Postings from = inputs[s].segment->postings(cursors.term_of(s));
      for (std::size_t i = 0; i < from.size(); ++i) {
        const RowIndex row = new_row[s][from.rows[i]];
        if (row != kRemoved) postings.push_back({row, new_code[s][from.codes[i]]});
      }
    }
    if (postings.empty()) continue;
    const auto by_row = [](const Posting& a, const Posting& b) { return a.row < b.row; };
    // Inputs of consecutive ids, the usual case, leave the postings in order.
    if (!std::is_sorted(postings.begin(), postings.end(), by_row)) std::sort(postings.begin(), postings.end(), by_row);
    for (const Posting& posting : postings) {
      result.rows.push_back(posting.row);
      if (narrow) {
        result.narrow_codes.push_back(static_cast<std::uint16_t>(posting.code));
      } else {
        result.wide_codes.push_back(posting.code);
      }
    }
    const Segment& first = *inputs[holders.front()].segment;
    const std::uint32_t term = cursors.term_of(holders.front());
    const std::string_view word = first.term(term);
    result.term_hashes.push_back(first.arrays().term_hashes[term]);
    result.term_bytes.insert(result.term_bytes.end(), word.begin(), word.end());
    result.term_offsets.push_back(result.term_bytes.size());
    result.posting_offsets.push_back(result.rows.size());
  }
  result.rows.shrink_to_fit();
  result.narrow_codes.shrink_to_fit();
  result.wide_codes.shrink_to_fit();
  return result;
}

}  // namespace sightline::lexical
