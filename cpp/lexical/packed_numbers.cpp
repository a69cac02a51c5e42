#include "lexical/packed_numbers.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace sightline::lexical {
namespace {

void append_u64(std::vector<std::uint8_t>& out, std::uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

}  // namespace

void BitWriter::put(std::uint64_t value, std::uint32_t width) {
  while (width != 0) {
    const std::uint32_t taken = std::min(width, 8 - pending_bits_);
    pending_ |= (value & ((1U << taken) - 1)) << pending_bits_;
    pending_bits_ += taken;
    value >>= taken;
    width -= taken;
    if (pending_bits_ == 8) flush();
  }
}

void BitWriter::flush() {
  if (pending_bits_ != 0) out_.push_back(static_cast<std::uint8_t>(pending_));
  pending_ = 0;
  pending_bits_ = 0;
}

std::vector<std::uint8_t> PackedNumbers::pack(std::span<const std::uint64_t> values, std::uint64_t step) {
  std::vector<std::uint8_t> headers;
  std::vector<std::uint8_t> residuals;
  BitWriter writer(residuals);
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const std::span<const std::uint64_t> block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    // Differences modulo 2^64, as they are added again: the least of them, seen from the first value, is the base.
    std::int64_t least = 0;
    for (std::size_t i = 0; i < block.size(); ++i) {
      least = std::min(least, static_cast<std::int64_t>(block[i] - step * i - block[0]));
    }
    const std::uint64_t base = block[0] + static_cast<std::uint64_t>(least);
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < block.size(); ++i) all |= block[i] - step * i - base;
    auto width = static_cast<std::uint32_t>(std::bit_width(all));
    if (width > kMaxWidth) width = 64;
    append_u64(headers, base);
    append_u64(headers, static_cast<std::uint64_t>(residuals.size()) << kWidthBits | width);
    for (std::size_t i = 0; i < block.size(); ++i) writer.put(block[i] - step * i - base, width);
    writer.flush();
  }
  headers.insert(headers.end(), residuals.begin(), residuals.end());
  headers.insert(headers.end(), kSlackBytes, 0);
  return headers;
}

bool PackedNumbers::valid(std::span<const std::uint8_t> bytes, std::size_t size) noexcept {
  const std::size_t blocks = block_count(size);
  if (bytes.size() < kSlackBytes || (bytes.size() - kSlackBytes) / kHeaderBytes < blocks) return false;
  std::uint64_t expected = 0;  // below 2^53: a block adds at most 1 KB
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint64_t place = load_u64(bytes.data() + b * kHeaderBytes + 8);
    const std::uint64_t width = place & kWidthMask;
    if (width > kMaxWidth && width != 64) return false;
    if (place >> kWidthBits != expected) return false;
    const std::size_t count = std::min(kBlock, size - b * kBlock);
    expected += (count * width + 7) / 8;
  }
  return bytes.size() - blocks * kHeaderBytes - kSlackBytes == expected;
}

}  // namespace sightline::lexical
