#include "lexical/packed_segment.h"

#include <algorithm>

#include "simd/kernels.h"

namespace sightline::lexical {
namespace {

// A list of so many postings for each window of the segment has a directory of windows. Shorter ones are unpacked whole, faster
// than a window could be looked for.
constexpr std::size_t kPlainPerWindow = 128;
constexpr std::size_t kMaxPlain = 16384;

template <typename Values>
std::vector<std::uint8_t> packed_numbers(const Values& values, std::uint64_t step, int shift = 0) {
  std::vector<std::uint64_t> wide;
  wide.reserve(values.size());
  for (const auto value : values) wide.push_back(static_cast<std::uint64_t>(value) >> shift);
  return PackedNumbers::pack(wide, step);
}

// Where the large frequencies of the scan form are found in the packed form.
std::vector<std::uint64_t> packed_positions(const SegmentData& data) {
  std::vector<std::uint64_t> result;
  for (const std::uint64_t position : data.large_positions) {
    const auto next = std::upper_bound(data.posting_offsets.begin(), data.posting_offsets.end(), position);
    const auto term = static_cast<std::uint64_t>(next - data.posting_offsets.begin()) - 1;
    result.push_back(term << 32 | (position - data.posting_offsets[term]));
  }
  return result;
}

}  // namespace

SegmentData pack_segment(SegmentData data) {
  SegmentData result;
  PackedData& packed = result.packed;
  packed.row_count = data.ids.size();
  packed.term_count = data.term_hashes.size();
  packed.posting_count = data.offsets.size();
  packed.ids = packed_numbers(data.ids, 1);
  packed.lengths = packed_numbers(data.lengths, 0);
  packed.hash_heads = packed_numbers(data.term_hashes, 0, 32);
  packed.term_offsets = packed_numbers(data.term_offsets, 0);

  const CodeRanges ranges = code_ranges(data.code_map.view(), kMaxCodedTf);
  const std::size_t window_count = (data.ids.size() + kWindowRows - 1) / kWindowRows;
  const std::size_t most_plain = std::min(kMaxPlain, kPlainPerWindow * window_count);
  std::vector<std::uint64_t> list_offsets{0};
  list_offsets.reserve(data.posting_offsets.size());
  std::vector<std::uint8_t> tfs;
  for (std::size_t t = 0; t < data.term_hashes.size(); ++t) {
    const std::size_t begin = data.posting_offsets[t];
    const std::size_t count = data.posting_offsets[t + 1] - begin;
    tfs.clear();
    for (std::size_t i = begin; i < begin + count; ++i) {
      const std::uint8_t code = data.codes[i];
      tfs.push_back(code == kLargeTfCode ? kLargeTf : static_cast<std::uint8_t>(ranges[code].tf_low - 1));
    }
    const std::span<const PostingWindow> windows(data.windows.data() + data.window_offsets[t],
                                                 data.window_offsets[t + 1] - data.window_offsets[t]);
    append_list(windows, std::span<const std::uint16_t>(data.offsets).subspan(begin, count), tfs, count > most_plain, packed.lists);
    list_offsets.push_back(packed.lists.size());
  }
  packed.lists.insert(packed.lists.end(), simd::kPackedSlack, 0);
  packed.lists.shrink_to_fit();
  packed.list_offsets = PackedNumbers::pack(list_offsets, 0);
  result.large_positions = packed_positions(data);
  result.large_tfs = std::move(data.large_tfs);
  result.term_bytes = std::move(data.term_bytes);
  result.code_map = std::move(data.code_map);
  result.tokens = std::move(data.tokens);
  result.term_offsets.clear();
  result.posting_offsets.clear();
  result.window_offsets.clear();
  return result;
}

std::shared_ptr<const Segment> make_segment(SegmentData data, PostingForm form) {
  if (form == PostingForm::kPacked) data = pack_segment(std::move(data));
  return std::make_shared<const Segment>(std::move(data));
}

}  // namespace sightline::lexical
