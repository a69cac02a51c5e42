// Postings (segment.h): one term's, of either form.
#include <algorithm>
#include <array>
#include <limits>

#include "lexical/segment.h"

namespace sightline::lexical {

struct UnpackedPostings {
  std::vector<PostingWindow> windows;
  std::vector<const std::uint8_t*> data;  // of each window, if the list is windowed; else the postings are in `all`
  PostingBuffer all;
};

Postings::Postings(Postings&&) noexcept = default;
Postings& Postings::operator=(Postings&&) noexcept = default;
Postings::~Postings() = default;

Postings::Postings(const Segment& segment, std::uint32_t term) : segment_(&segment) {
  const SegmentArrays& a = segment.arrays();
  if (a.packed.present()) {
    begin_ = std::uint64_t{term} << 32;
    unpack(segment.list(term));
    return;
  }
  begin_ = a.posting_offsets[term];
  size_ = segment.posting_count(term);
  windows_ = a.windows.subspan(a.window_offsets[term], a.window_offsets[term + 1] - a.window_offsets[term]);
  offsets_ = a.offsets.subspan(begin_, size_);
  codes_ = a.codes.subspan(begin_, size_);
}

void Postings::unpack(const std::uint8_t* list) {
  const ListHeader header = read_header(list);
  size_ = header.count;
  unpacked_ = std::make_unique<UnpackedPostings>();
  UnpackedPostings& u = *unpacked_;
  if (header.windowed) {
    read_windows(header, u.windows, u.data);
    windows_ = u.windows;
    return;
  }
  thread_local std::vector<RowIndex> rows;
  const std::size_t room = (size_ + kListBlock - 1) / kListBlock * kListBlock;
  if (rows.size() < room) rows.resize(room);
  u.all.offsets.resize(size_);
  u.all.tfs.resize(room);
  u.all.codes.resize(size_);
  unpack_rows(header, rows.data());
}

// Apart from unpack(), for compilers that look up the address of a thread_local again at every use of it.
void Postings::unpack_rows(const ListHeader& header, RowIndex* rows) {
  UnpackedPostings& u = *unpacked_;
  unpack_plain(header, rows, u.all.tfs.data());
  const RowCodes& row_codes = segment_->packed_.row_codes;
  const std::uint8_t* const classes = row_codes.classes.data();
  const std::uint8_t* const table = row_codes.codes.data();
  const std::uint16_t* const tfs = u.all.tfs.data();
  std::uint16_t* const offsets = u.all.offsets.data();
  std::uint8_t* const codes = u.all.codes.data();
  const std::span<const std::uint32_t> class_begins = segment_->arrays().code_map.class_begins;
  const std::size_t size = size_;
  u.windows.reserve(std::min(size, (segment_->row_count() >> kWindowBits) + 1));
  for (std::size_t i = 0; i < size;) {
    const RowIndex window = rows[i] >> kWindowBits;
    std::uint32_t max_tf = 0;
    std::uint32_t min_class = std::numeric_limits<std::uint8_t>::max();
    for (; i < size && rows[i] >> kWindowBits == window; ++i) {
      const std::uint32_t row_class = classes[rows[i]];
      offsets[i] = static_cast<std::uint16_t>(rows[i] & (kWindowRows - 1));
      codes[i] = table[std::size_t{tfs[i]} << 8 | row_class];
      max_tf = std::max<std::uint32_t>(max_tf, tfs[i]);
      min_class = std::min(min_class, row_class);
    }
    u.windows.push_back({static_cast<std::uint32_t>(i), static_cast<std::uint16_t>(window),
                         max_tf == kLargeTf ? kUnboundedTf : static_cast<std::uint8_t>(max_tf + 1),
                         pack_length(class_begins[min_class])});
  }
  windows_ = u.windows;
  offsets_ = u.all.offsets;
  codes_ = u.all.codes;
}

PackedWindow Postings::packed_window(std::size_t i) const noexcept {
  if (!offsets_.empty()) return {nullptr, 0};
  return {unpacked_->data[i], static_cast<std::uint32_t>(window_size(i))};
}

PostingBlock Postings::block(std::size_t i, PostingBuffer& buffer) const {
  const std::uint32_t first = window_begin(i);
  const std::size_t count = window_size(i);
  const auto first_row = static_cast<RowIndex>(std::size_t{windows_[i].window} << kWindowBits);
  if (!offsets_.empty()) return {first_row, begin_ + first, offsets_.subspan(first, count), codes_.subspan(first, count)};
  if (buffer.offsets.size() < window_room(count)) {
    buffer.offsets.resize(window_room(count));
    buffer.tfs.resize(window_room(count));
    buffer.codes.resize(window_room(count));
  }
  std::uint16_t* const tfs = buffer.tfs.data();
  unpack_window(packed_window(i), buffer.offsets.data(), tfs);
  const RowCodes& row_codes = segment_->packed_.row_codes;
  const std::uint8_t* classes = row_codes.classes.data() + first_row;
  const std::uint16_t* offsets = buffer.offsets.data();
  const std::uint8_t* table = row_codes.codes.data();
  std::uint8_t* codes = buffer.codes.data();
  for (std::size_t p = 0; p < count; ++p) codes[p] = table[std::size_t{tfs[p]} << 8 | classes[offsets[p]]];
  return {first_row, begin_ + first, {offsets, count}, {codes, count}};
}

std::optional<FoundPosting> Postings::find_in_window(std::size_t i, std::uint16_t offset) const noexcept {
  FoundPosting found;
  find_in_window(i, {&offset, 1}, &found);
  if (found.position == kNoPosition) return std::nullopt;
  return found;
}

void Postings::find_in_window(std::size_t i, std::span<const std::uint16_t> wanted, FoundPosting* out) const noexcept {
  const std::uint32_t first = window_begin(i);
  if (offsets_.empty()) {
    const std::size_t first_row = std::size_t{windows_[i].window} << kWindowBits;
    WindowFinder find(packed_window(i));
    for (const std::uint16_t offset : wanted) {
      const auto found = find(offset);
      if (found) {
        *out++ = {begin_ + first + found->index, segment_->packed_.row_codes(first_row + offset, found->stored_tf)};
      } else {
        *out++ = {kNoPosition, 0};
      }
    }
    return;
  }
  constexpr std::size_t kAtOnce = 64;
  const std::span<const std::uint16_t> offsets = offsets_.subspan(first, window_size(i));
  const std::uint8_t* const codes = codes_.data() + first;
  for (std::size_t begin = 0; begin < wanted.size(); begin += kAtOnce) {
    std::array<std::uint32_t, kAtOnce> found;
    const std::size_t count = std::min(kAtOnce, wanted.size() - begin);
    find_offsets(offsets, wanted.subspan(begin, count), found.data());
    for (std::size_t w = 0; w < count; ++w) {
      const bool there = found[w] != kNotThere;
      const std::size_t at = there ? found[w] : 0;
      out[begin + w] = {there ? begin_ + first + at : kNoPosition, codes[at]};
    }
  }
}

std::optional<std::size_t> Postings::find_window(std::size_t window) const noexcept {
  const std::size_t i = std::min(window, windows_.size() - 1);  // where it is if the term occurs in every window
  if (windows_[i].window == window) return i;
  const auto end = windows_.begin() + static_cast<std::ptrdiff_t>(i);
  const auto at = std::lower_bound(windows_.begin(), end, window, [](const PostingWindow& w, std::size_t wanted) { return w.window < wanted; });
  if (at->window != window) return std::nullopt;
  return static_cast<std::size_t>(at - windows_.begin());
}

std::optional<FoundPosting> Postings::find(RowIndex row) const noexcept {
  const std::optional<std::size_t> i = find_window(row >> kWindowBits);
  if (!i) return std::nullopt;
  return find_in_window(*i, static_cast<std::uint16_t>(row & (kWindowRows - 1)));
}

}  // namespace sightline::lexical
