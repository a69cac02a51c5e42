#include "topk/sort_hits.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "simd/dispatch.h"

namespace sightline {
namespace {

constexpr std::size_t kRun = 4;
// Of more hits comparing all pairs would take longer than merging them, with the scalar kernel; with AVX2, of more than 512.
constexpr std::size_t kMostRanked = 256;
static_assert(kMostRanked <= 256 && kMostRanked % simd::kRankStep == 0);  // a byte counts hits of one score

// Ascends as scores fall; equal for equal scores, of which 0 has two.
std::uint32_t descending(float score) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0F);
  return (bits >> 31) != 0 ? bits : ~bits & 0x7FFFFFFF;
}

void order(std::uint64_t& a, std::uint64_t& b) noexcept {
  const std::uint64_t least = std::min(a, b);
  b = std::max(a, b);
  a = least;
}

void sort_run(std::uint64_t* keys, std::size_t count) noexcept {
  if (count == kRun) {
    order(keys[0], keys[1]);
    order(keys[2], keys[3]);
    order(keys[0], keys[2]);
    order(keys[1], keys[3]);
    order(keys[1], keys[2]);
  } else {
    std::sort(keys, keys + count);
  }
}

// Which of two keys is less is a matter of chance: the next of both are read, and one of the places moves on.
void merge(const std::uint64_t* a, const std::uint64_t* a_end, const std::uint64_t* b, const std::uint64_t* b_end,
           std::uint64_t* out) noexcept {
  while (a != a_end && b != b_end) {
    const std::uint64_t of_a = *a;
    const std::uint64_t of_b = *b;
    const auto from_b = static_cast<std::ptrdiff_t>(of_b < of_a);
    *out++ = std::min(of_a, of_b);
    b += from_b;
    a += 1 - from_b;
  }
  out = std::copy(a, a_end, out);
  std::copy(b, b_end, out);
}

// Few hits: each is compared with every other. Those of equal scores go to their places one after another, mostly in order.
void sort_by_ranks(std::vector<Hit>& hits) {
  const std::size_t count = hits.size();
  const std::size_t padded = (count + simd::kRankStep - 1) / simd::kRankStep * simd::kRankStep;
  alignas(64) std::array<std::int32_t, kMostRanked> keys;
  alignas(64) std::array<std::int32_t, kMostRanked> ranks;
  std::array<std::uint8_t, kMostRanked> placed;  // of each rank, how many
  for (std::size_t i = 0; i < count; ++i) keys[i] = static_cast<std::int32_t>(descending(hits[i].score) ^ 0x80000000U);
  std::fill_n(keys.data() + count, padded - count, std::numeric_limits<std::int32_t>::max());
  simd::kernels().count_less_i32(keys.data(), padded, ranks.data());
  std::fill_n(placed.data(), count, std::uint8_t{0});
  std::vector<Hit> sorted(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto rank = static_cast<std::size_t>(ranks[i]);
    std::size_t at = rank + placed[rank]++;
    for (; at != rank && sorted[at - 1].id > hits[i].id; --at) sorted[at] = sorted[at - 1];
    sorted[at] = hits[i];
  }
  hits = std::move(sorted);
}

void sort_by_merges(std::vector<Hit>& hits) {
  const std::size_t count = hits.size();
  // Scores in the upper half; where a hit stands, in the lower one.
  std::vector<std::uint64_t> keys(2 * count);
  std::uint64_t* from = keys.data();
  std::uint64_t* to = from + count;
  for (std::size_t i = 0; i < count; ++i) from[i] = std::uint64_t{descending(hits[i].score)} << 32 | i;
  for (std::size_t i = 0; i < count; i += kRun) sort_run(from + i, std::min(kRun, count - i));
  for (std::size_t width = kRun; width < count; width *= 2) {
    for (std::size_t i = 0; i < count; i += 2 * width) {
      const std::size_t middle = std::min(count, i + width);
      merge(from + i, from + middle, from + middle, from + std::min(count, i + 2 * width), to + i);
    }
    std::swap(from, to);
  }
  std::vector<Hit> sorted(count);
  for (std::size_t i = 0; i < count; ++i) sorted[i] = hits[from[i] & 0xFFFFFFFF];
  hits = std::move(sorted);
}

}  // namespace

void sort_hits(std::vector<Hit>& hits) {
  const std::size_t count = hits.size();
  if (count < 2) return;
  if (count <= kMostRanked) return sort_by_ranks(hits);
  sort_by_merges(hits);
  for (std::size_t begin = 0, end = 0; begin < count; begin = end) {
    while (end < count && hits[end].score == hits[begin].score) ++end;
    if (end - begin == 1) continue;
    std::sort(hits.begin() + static_cast<std::ptrdiff_t>(begin), hits.begin() + static_cast<std::ptrdiff_t>(end),
              [](const Hit& a, const Hit& b) { return a.id < b.id; });
  }
}

}  // namespace sightline
