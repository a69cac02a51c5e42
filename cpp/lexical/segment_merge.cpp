#include <algorithm>
#include <bit>
#include <limits>

#include "lexical/segment_builder.h"
#include "lexical/window_bounds.h"

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
    result.lengths.push_back(inputs[at.segment].segment->length(at.row));
  }
  return new_row;
}

// Calls visit(segment, new row, posting) for every live posting, input after input.
template <typename Visit>
void for_each_live(const std::vector<SegmentView>& inputs, const std::vector<std::vector<RowIndex>>& new_row, Visit visit) {
  for (std::size_t s = 0; s < inputs.size(); ++s) {
    const Segment& segment = *inputs[s].segment;
    for (std::uint32_t t = 0; t < segment.term_count(); ++t) {
      segment.postings(t).for_each([&](RowIndex row, const FoundPosting& posting) {
        if (new_row[s][row] != kRemoved) visit(segment, new_row[s][row], posting);
      });
    }
  }
}

struct Posting {
  RowIndex row;
  std::uint32_t tf;  // or the bits of a weight
};

// Chooses the codes of the result and appends postings with them.
class Recoder {
 public:
  Recoder(const std::vector<SegmentView>& inputs, const std::vector<std::vector<RowIndex>>& new_row, SegmentData& result)
      : result_(result) {
    for (const SegmentView& input : inputs) weighted_ = weighted_ || input.segment->arrays().weighted();
    if (weighted_) {
      std::vector<float> weights;
      for_each_live(inputs, new_row, [&](const Segment& segment, RowIndex, const FoundPosting& posting) {
        weights.push_back(segment.arrays().values[posting.position]);
      });
      result.value_bounds = choose_value_bounds(weights);
      return;
    }
    result.code_map.class_begins = choose_classes(result.lengths);
    classes_ = length_classes(result.code_map.class_begins, result.lengths);
    const std::size_t class_count = result.code_map.view().class_count();
    std::vector<std::uint64_t> counts(class_count * kMaxCodedTf);
    for_each_live(inputs, new_row, [&](const Segment& segment, RowIndex row, const FoundPosting& posting) {
      const std::uint32_t tf = segment.tf(posting);
      if (tf <= kMaxCodedTf) ++counts[(tf - 1) * class_count + classes_[row]];
    });
    result.code_map.codes = choose_codes(counts, result.code_map.class_begins, average_length(result.lengths));
    map_ = result.code_map.view();
  }

  Posting take(const Segment& segment, RowIndex row, const FoundPosting& posting) const noexcept {
    return {row, weighted_ ? std::bit_cast<std::uint32_t>(segment.arrays().values[posting.position]) : segment.tf(posting)};
  }

  void append(const Posting& posting) {
    const std::uint64_t position = result_.offsets.size();
    result_.offsets.push_back(static_cast<std::uint16_t>(posting.row & (kWindowRows - 1)));
    if (weighted_) {
      result_.values.push_back(std::bit_cast<float>(posting.tf));
      result_.codes.push_back(value_code(result_.value_bounds, result_.values.back()));
      return;
    }
    if (posting.tf > kMaxCodedTf) {
      result_.large_positions.push_back(position);
      result_.large_tfs.push_back(posting.tf);
    }
    result_.codes.push_back(map_.code(posting.tf, classes_[posting.row]));
  }

 private:
  SegmentData& result_;
  bool weighted_ = false;
  std::vector<std::uint8_t> classes_;
  CodeMap map_;
};

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
    const std::uint64_t left_hash = left.term_hash(next_[a]);
    const std::uint64_t right_hash = right.term_hash(next_[b]);
    if (left_hash != right_hash) return left_hash < right_hash ? -1 : 1;
    return left.term(next_[a]).compare(right.term(next_[b]));
  }

  const std::vector<SegmentView>& inputs_;
  std::vector<std::size_t> next_;
};

// Appends the postings of one term, rows ascending, with their windows.
void append_postings(const std::vector<Posting>& postings, Recoder& recoder, SegmentData& result) {
  const std::uint64_t begin = result.posting_offsets.back();
  for (const Posting& posting : postings) {
    const auto window = static_cast<std::uint16_t>(posting.row >> kWindowBits);
    const bool first = result.offsets.size() == begin;
    if (first || result.windows.back().window != window) {
      result.windows.push_back({first ? 0 : result.windows.back().end, window, 0, 0});
    }
    ++result.windows.back().end;
    recoder.append(posting);
  }
  result.window_offsets.push_back(static_cast<std::uint32_t>(result.windows.size()));
  result.posting_offsets.push_back(result.offsets.size());
}

}  // namespace

SegmentData merge_segments(std::span<const SegmentView> views) {
  const std::vector<SegmentView> inputs(views.begin(), views.end());
  SegmentData result;
  const std::vector<std::vector<RowIndex>> new_row = place_rows(inputs, result);
  Recoder recoder(inputs, new_row, result);
  std::size_t posting_bound = 0;
  for (const SegmentView& input : inputs) posting_bound += input.segment->arrays().posting_count();
  result.offsets.reserve(posting_bound);
  result.codes.reserve(posting_bound);

  std::vector<Posting> postings;
  std::vector<std::size_t> holders;
  TermCursors cursors(inputs);
  while (cursors.next(holders)) {
    postings.clear();
    for (const std::size_t s : holders) {
      const Postings from = inputs[s].segment->postings(cursors.term_of(s));
      from.for_each([&](RowIndex old_row, const FoundPosting& posting) {
        const RowIndex row = new_row[s][old_row];
        if (row != kRemoved) postings.push_back(recoder.take(*inputs[s].segment, row, posting));
      });
    }
    if (postings.empty()) continue;
    const auto by_row = [](const Posting& a, const Posting& b) { return a.row < b.row; };
    // Inputs of consecutive ids, the usual case, leave the postings in order.
    if (!std::is_sorted(postings.begin(), postings.end(), by_row)) std::sort(postings.begin(), postings.end(), by_row);
    append_postings(postings, recoder, result);
    const Segment& first = *inputs[holders.front()].segment;
    const std::uint32_t term = cursors.term_of(holders.front());
    const std::string_view word = first.term(term);
    result.term_hashes.push_back(first.term_hash(term));
    result.term_bytes.insert(result.term_bytes.end(), word.begin(), word.end());
    result.term_offsets.push_back(result.term_bytes.size());
  }
  bound_windows(result);
  result.offsets.shrink_to_fit();
  result.codes.shrink_to_fit();
  result.values.shrink_to_fit();
  return result;
}

}  // namespace sightline::lexical
