#include "lexical/packed_lists.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "lexical/packed_numbers.h"
#include "simd/dispatch.h"

namespace sightline::lexical {
namespace {

constexpr std::uint32_t kTfWidthBits = 3;  // of a byte of widths
constexpr std::uint32_t kTfWidthMask = (1U << kTfWidthBits) - 1;
constexpr std::size_t kDirectoryBytes = 3;  // for each block of a window
constexpr std::uint32_t kBeyondAll = std::uint32_t{1} << 16;  // greater than any offset

constexpr std::size_t bytes_of(std::size_t count, std::size_t width) noexcept { return (count * width + 7) / 8; }
constexpr std::size_t blocks_of(std::size_t count) noexcept { return (count + kListBlock - 1) / kListBlock; }

void append_varint(std::vector<std::uint8_t>& out, std::uint64_t value) {
  for (; value >= 128; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 128));
  out.push_back(static_cast<std::uint8_t>(value));
}

std::uint32_t read_varint(const std::uint8_t*& at) noexcept {
  std::uint32_t value = 0;
  for (int shift = 0;; shift += 7) {
    value |= static_cast<std::uint32_t>(*at & 127) << shift;
    if (*at++ < 128) return value;
  }
}

// Of bytes that may be anything.
class Checked {
 public:
  explicit Checked(std::span<const std::uint8_t> bytes) noexcept : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  bool skip(std::uint64_t bytes) noexcept {
    if (bytes > left()) return false;
    at_ += bytes;
    return true;
  }
  bool byte(std::uint8_t& value) noexcept {
    if (left() == 0) return false;
    value = *at_++;
    return true;
  }
  bool varint(std::uint32_t& value) noexcept {
    std::uint64_t wide = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      std::uint8_t next = 0;
      if (!byte(next)) return false;
      wide |= static_cast<std::uint64_t>(next & 127) << shift;
      if (next < 128) {
        value = static_cast<std::uint32_t>(wide);
        return wide <= std::numeric_limits<std::uint32_t>::max();
      }
    }
    return false;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

std::uint8_t pack_widths(std::uint64_t all_gaps, std::uint32_t all_tfs) noexcept {
  return static_cast<std::uint8_t>(static_cast<std::uint32_t>(std::bit_width(all_gaps)) << kTfWidthBits |
                                   static_cast<std::uint32_t>(std::bit_width(all_tfs)));
}

template <typename Values>
void append_bits(const Values& values, std::uint32_t width, std::vector<std::uint8_t>& out) {
  BitWriter writer(out);
  for (const auto value : values) writer.put(value, width);
  writer.flush();
}

std::uint32_t all_bits(std::span<const std::uint8_t> tfs) noexcept {
  std::uint32_t all = 0;
  for (const std::uint8_t tf : tfs) all |= tf;
  return all;
}

void append_plain(std::span<const PostingWindow> windows, std::span<const std::uint16_t> offsets,
                  std::span<const std::uint8_t> tfs, std::vector<std::uint8_t>& out) {
  std::vector<std::uint32_t> gaps;
  std::uint32_t next_row = 0;
  std::size_t window = 0;
  for (std::size_t begin = 0; begin < offsets.size(); begin += kListBlock) {
    const std::size_t count = std::min(kListBlock, offsets.size() - begin);
    gaps.clear();
    std::uint32_t all_gaps = 0;
    for (std::size_t i = begin; i < begin + count; ++i) {
      while (i >= windows[window].end) ++window;
      const std::uint32_t row = (std::uint32_t{windows[window].window} << kWindowBits) + offsets[i];
      gaps.push_back(row - next_row);
      all_gaps |= gaps.back();
      next_row = row + 1;
    }
    const std::span<const std::uint8_t> block_tfs = tfs.subspan(begin, count);
    out.push_back(pack_widths(all_gaps, all_bits(block_tfs)));
    append_bits(gaps, static_cast<std::uint32_t>(std::bit_width(all_gaps)), out);
    append_bits(block_tfs, static_cast<std::uint32_t>(std::bit_width(all_bits(block_tfs))), out);
  }
}

std::vector<std::uint8_t> window_data(std::span<const std::uint16_t> offsets, std::span<const std::uint8_t> tfs) {
  std::vector<std::uint8_t> firsts;
  std::vector<std::uint8_t> widths;
  std::vector<std::uint8_t> blocks;
  std::vector<std::uint32_t> gaps;
  for (std::size_t begin = 0; begin < offsets.size(); begin += kListBlock) {
    const std::size_t count = std::min(kListBlock, offsets.size() - begin);
    gaps.clear();
    std::uint32_t all_gaps = 0;
    for (std::size_t i = begin + 1; i < begin + count; ++i) {
      gaps.push_back(static_cast<std::uint32_t>(offsets[i] - offsets[i - 1] - 1));
      all_gaps |= gaps.back();
    }
    const std::span<const std::uint8_t> block_tfs = tfs.subspan(begin, count);
    firsts.push_back(static_cast<std::uint8_t>(offsets[begin]));
    firsts.push_back(static_cast<std::uint8_t>(offsets[begin] >> 8));
    widths.push_back(pack_widths(all_gaps, all_bits(block_tfs)));
    append_bits(gaps, static_cast<std::uint32_t>(std::bit_width(all_gaps)), blocks);
    append_bits(block_tfs, static_cast<std::uint32_t>(std::bit_width(all_bits(block_tfs))), blocks);
  }
  firsts.insert(firsts.end(), widths.begin(), widths.end());
  firsts.insert(firsts.end(), blocks.begin(), blocks.end());
  return firsts;
}

void append_windowed(std::span<const PostingWindow> windows, std::span<const std::uint16_t> offsets,
                     std::span<const std::uint8_t> tfs, std::vector<std::uint8_t>& out) {
  std::vector<std::uint8_t> data;
  append_varint(out, windows.size() - 1);
  std::uint32_t begin = 0;
  std::uint32_t next_window = 0;
  for (const PostingWindow& window : windows) {
    const std::uint32_t count = window.end - begin;
    const std::vector<std::uint8_t> packed = window_data(offsets.subspan(begin, count), tfs.subspan(begin, count));
    append_varint(out, window.window - next_window);
    append_varint(out, count - 1);
    append_varint(out, packed.size());
    out.push_back(window.max_tf);
    out.push_back(window.min_length);
    data.insert(data.end(), packed.begin(), packed.end());
    begin = window.end;
    next_window = window.window + 1U;
  }
  out.insert(out.end(), data.begin(), data.end());
}

std::uint16_t first_offset(const std::uint8_t* data, std::size_t block) noexcept {
  return static_cast<std::uint16_t>(data[2 * block] | data[2 * block + 1] << 8);
}

// Of a block of a window, its first offset aside.
std::size_t block_bytes(std::size_t count, std::uint8_t widths) noexcept {
  return bytes_of(count - 1, widths >> kTfWidthBits) + bytes_of(count, widths & kTfWidthMask);
}

bool whole_window(std::span<const std::uint8_t> data, std::size_t count) noexcept {
  const std::size_t blocks = blocks_of(count);
  if (data.size() < blocks * kDirectoryBytes) return false;
  std::size_t size = blocks * kDirectoryBytes;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint8_t widths = data[2 * blocks + b];
    if (widths >> kTfWidthBits > simd::kMaxPackedWidth || (widths & kTfWidthMask) > kMaxTfWidth) return false;
    size += block_bytes(std::min(kListBlock, count - b * kListBlock), widths);
  }
  return size == data.size();
}

bool whole_plain(Checked at, std::size_t count) noexcept {
  for (std::size_t begin = 0; begin < count; begin += kListBlock) {
    const std::size_t here = std::min(kListBlock, count - begin);
    std::uint8_t widths = 0;
    if (!at.byte(widths) || widths >> kTfWidthBits > kMaxGapWidth || (widths & kTfWidthMask) > kMaxTfWidth) return false;
    if (!at.skip(bytes_of(here, widths >> kTfWidthBits) + bytes_of(here, widths & kTfWidthMask))) return false;
  }
  return at.left() == 0;
}

// Reads the directory of the windows twice, rather than keep it: nothing here may allocate.
bool whole_windowed(Checked at, std::span<const std::uint8_t> list, std::size_t count, std::size_t row_count) noexcept {
  std::uint32_t last = 0;  // window, numbered from 0
  const std::size_t most = (row_count + kWindowRows - 1) / kWindowRows;
  if (!at.varint(last) || last >= most) return false;
  Checked again = at;
  std::uint32_t passed = 0;
  std::uint32_t last_posting = 0;  // of a window, numbered from 0
  std::uint32_t size_bytes = 0;
  const auto read_window = [&](Checked& from) {
    return from.varint(passed) && from.varint(last_posting) && from.varint(size_bytes) && from.skip(2);
  };
  std::uint64_t postings = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t next = 0;
  for (std::size_t w = 0; w <= last; ++w) {
    if (!read_window(at)) return false;
    next += std::uint64_t{passed} + 1;
    if (next > most || last_posting >= kWindowRows) return false;
    postings += std::uint64_t{last_posting} + 1;
    data_bytes += size_bytes;
  }
  if (postings != count || data_bytes != at.left()) return false;
  std::size_t begin = list.size() - at.left();
  for (std::size_t w = 0; w <= last; ++w) {
    if (!read_window(again) || !whole_window(list.subspan(begin, size_bytes), last_posting + 1)) return false;
    begin += size_bytes;
  }
  return true;
}

}  // namespace

RowCodes::RowCodes(const CodeMap& map, std::vector<std::uint8_t> row_classes) : classes(std::move(row_classes)) {
  for (std::size_t tf = 1; tf <= kMaxCodedTf; ++tf) {
    for (std::size_t c = 0; c < map.class_count(); ++c) {
      codes[(tf - 1) * 256 + c] = map.code(static_cast<std::uint32_t>(tf), c);
    }
  }  // all of kLargeTf are kLargeTfCode, 0
}

void append_list(std::span<const PostingWindow> windows, std::span<const std::uint16_t> offsets,
                 std::span<const std::uint8_t> tfs, bool windowed, std::vector<std::uint8_t>& out) {
  append_varint(out, offsets.size() * 2 + (windowed ? 1 : 0));
  if (windowed) {
    append_windowed(windows, offsets, tfs, out);
  } else {
    append_plain(windows, offsets, tfs, out);
  }
}

ListHeader read_header(const std::uint8_t* list) noexcept {
  const std::uint32_t number = read_varint(list);
  return {number >> 1, (number & 1) != 0, list};
}

bool whole_list(std::span<const std::uint8_t> list, std::size_t row_count) noexcept {
  Checked at(list);
  std::uint32_t number = 0;
  if (!at.varint(number)) return false;
  const std::size_t count = number >> 1;
  if (count == 0 || count > row_count) return false;
  return (number & 1) != 0 ? whole_windowed(at, list, count, row_count) : whole_plain(at, count);
}

void unpack_plain(const ListHeader& list, RowIndex* rows, std::uint16_t* tfs) noexcept {
  const simd::Kernels& kernels = simd::kernels();
  const std::uint8_t* at = list.body;
  std::uint32_t next_row = 0;
  for (std::size_t begin = 0; begin < list.count; begin += kListBlock) {
    const std::size_t count = std::min(kListBlock, list.count - begin);
    const std::uint32_t gap_width = *at >> kTfWidthBits;
    const std::uint32_t tf_width = *at++ & kTfWidthMask;
    if (gap_width <= simd::kMaxPackedWidth) {
      std::array<std::uint16_t, kListBlock> gaps;
      kernels.unpack_u16(at, count, gap_width, gaps.data());
      for (std::size_t i = 0; i < count; ++i) {
        rows[begin + i] = next_row + gaps[i];
        next_row = rows[begin + i] + 1;
      }
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t bit = i * gap_width;
        const auto gap = static_cast<std::uint32_t>(load_u64(at + bit / 8) >> (bit % 8)) & ((1U << gap_width) - 1);
        rows[begin + i] = next_row + gap;
        next_row = rows[begin + i] + 1;
      }
    }
    at += bytes_of(count, gap_width);
    kernels.unpack_u16(at, count, tf_width, tfs + begin);
    at += bytes_of(count, tf_width);
  }
}

void read_windows(const ListHeader& list, std::vector<PostingWindow>& windows, std::vector<const std::uint8_t*>& data) {
  const std::uint8_t* at = list.body;
  const std::size_t count = std::size_t{read_varint(at)} + 1;
  windows.reserve(count);
  data.reserve(count);
  std::vector<std::uint32_t> sizes;
  sizes.reserve(count);
  std::uint32_t end = 0;
  std::uint32_t next_window = 0;
  for (std::size_t w = 0; w < count; ++w) {
    const std::uint32_t window = next_window + read_varint(at);
    end += read_varint(at) + 1;
    sizes.push_back(read_varint(at));
    windows.push_back({end, static_cast<std::uint16_t>(window), at[0], at[1]});
    at += 2;
    next_window = window + 1;
  }
  for (const std::uint32_t size : sizes) {
    data.push_back(at);
    at += size;
  }
}

WindowReader::WindowReader(const PackedWindow& window) noexcept
    : kernels_(simd::kernels()),
      firsts_(window.data),
      widths_(window.data + 2 * blocks_of(window.count)),
      at_(widths_ + blocks_of(window.count)),
      left_(window.count) {}

std::size_t WindowReader::next(std::uint16_t* offsets, std::uint16_t* tfs) noexcept {
  const std::size_t count = std::min(kListBlock, left_);
  if (count == 0) return 0;
  const std::uint32_t gap_width = *widths_ >> kTfWidthBits;
  const std::uint32_t tf_width = *widths_++ & kTfWidthMask;
  const std::uint16_t first = first_offset(firsts_, 0);
  firsts_ += 2;
  offsets[0] = first;
  kernels_.unpack_ascending_u16(at_, count - 1, gap_width, first, offsets + 1);
  at_ += bytes_of(count - 1, gap_width);
  kernels_.unpack_u16(at_, count, tf_width, tfs);
  at_ += bytes_of(count, tf_width);
  left_ -= count;
  return count;
}

void unpack_window(const PackedWindow& window, std::uint16_t* offsets, std::uint16_t* tfs) noexcept {
  WindowReader reader(window);
  while (const std::size_t count = reader.next(offsets, tfs)) {
    offsets += count;
    tfs += count;
  }
}

WindowFinder::WindowFinder(const PackedWindow& window) noexcept
    : kernels_(simd::kernels()), window_(window), blocks_(blocks_of(window.count)), widths_(window.data + 2 * blocks_) {
  rewind();
}

void WindowFinder::rewind() noexcept {
  block_ = 0;
  at_ = widths_ + blocks_;
  first_ = first_offset(window_.data, 0);
  next_first_ = blocks_ > 1 ? first_offset(window_.data, 1) : kBeyondAll;
  count_ = 0;
}

std::optional<FoundInWindow> WindowFinder::operator()(std::uint16_t offset) noexcept {
  if (offset < first_) {
    if (block_ == 0) return std::nullopt;
    rewind();
    if (offset < first_) return std::nullopt;
  }
  while (next_first_ <= offset) {
    at_ += block_bytes(kListBlock, widths_[block_++]);
    first_ = static_cast<std::uint16_t>(next_first_);
    next_first_ = block_ + 1 < blocks_ ? first_offset(window_.data, block_ + 1) : kBeyondAll;
    count_ = 0;
  }
  const std::uint32_t gap_width = widths_[block_] >> kTfWidthBits;
  if (count_ == 0) {
    count_ = std::min(kListBlock, window_.count - block_ * kListBlock);
    offsets_[0] = first_;
    kernels_.unpack_ascending_u16(at_, count_ - 1, gap_width, first_, offsets_.data() + 1);
  }
  // Comparing all takes no branch that is hard to predict; as int16, which they fit, the compiler does many at once.
  const auto wanted = static_cast<std::int16_t>(offset);
  std::int16_t sum = 0;
  for (std::size_t i = 0; i < count_; ++i) sum = static_cast<std::int16_t>(sum + (static_cast<std::int16_t>(offsets_[i]) < wanted));
  const auto less = static_cast<std::size_t>(sum);
  if (less == count_ || offsets_[less] != offset) return std::nullopt;
  const std::uint32_t tf_width = widths_[block_] & kTfWidthMask;
  const std::size_t bit = less * tf_width;
  const std::uint64_t tf = load_u64(at_ + bytes_of(count_ - 1, gap_width) + bit / 8) >> (bit % 8) & ((1U << tf_width) - 1);
  return FoundInWindow{static_cast<std::uint32_t>(block_ * kListBlock + less), static_cast<std::uint8_t>(tf)};
}

}  // namespace sightline::lexical
