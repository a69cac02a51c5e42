// broken_packed (packed_segment.h).
#include <algorithm>
#include <atomic>
#include <functional>

#include "lexical/packed_segment.h"
#include "lexical/word_table.h"
#include "parallel/thread_pool.h"
#include "simd/kernels.h"

namespace sightline::lexical {
namespace {

constexpr std::size_t kTermsPerTask = 1024;

// What all lists of a segment are checked against.
struct Checked {
  const SegmentArrays& a;
  PackedNumbers lengths;
  PackedNumbers hash_heads;
  PackedNumbers term_offsets;
  PackedNumbers list_offsets;
  RowCodes row_codes;

  std::string_view term(std::size_t t) const {
    return {a.term_bytes.data() + term_offsets[t], term_offsets[t + 1] - term_offsets[t]};
  }
};

// What is unpacked for one term at a time.
struct Scratch {
  std::vector<RowIndex> rows;
  std::vector<std::uint16_t> offsets;
  std::vector<std::uint16_t> tfs;
  std::size_t large_count = 0;
};

// Offsets from 0 to `size` that never fall.
bool partitions(const PackedNumbers& offsets, std::uint64_t size) {
  for (std::size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i - 1] > offsets[i]) return false;
  }
  return offsets[0] == 0 && offsets[offsets.size() - 1] == size;
}

const char* broken_documents(const SegmentArrays& a) {
  const PackedArrays& p = a.packed;
  if (p.row_count == 0 || p.row_count > kMaxSegmentRows) return "its number of documents is impossible";
  if (!PackedNumbers::valid(p.ids, p.row_count) || !PackedNumbers::valid(p.lengths, p.row_count)) {
    return "the numbers of its documents are not whole";
  }
  if (!valid_code_map(a.code_map)) return "its codes are not in order";
  const PackedNumbers ids(p.ids, p.row_count, 1);
  for (std::size_t row = 0; row < p.row_count; ++row) {
    if (static_cast<DocId>(ids[row]) < 0 || (row != 0 && ids[row - 1] >= ids[row])) return "its ids are not in order";
  }
  const PackedNumbers lengths(p.lengths, p.row_count, 0);
  const std::span<const std::uint32_t> begins = a.code_map.class_begins;
  for (std::size_t row = 0; row < p.row_count; ++row) {
    if (lengths[row] == 0) continue;
    if (begins.empty() || lengths[row] < begins.front() || lengths[row] >= begins.back()) {
      return "the length of a document is in no class";
    }
  }
  return nullptr;
}

const char* broken_large(const SegmentArrays& a) {
  if (a.large_positions.size() != a.large_tfs.size()) return "a large frequency belongs to no posting";
  if (std::adjacent_find(a.large_positions.begin(), a.large_positions.end(), std::greater_equal<>()) != a.large_positions.end()) {
    return "its large frequencies are not in order";
  }
  const auto small = [](std::uint32_t tf) { return tf <= kMaxCodedTf; };
  if (std::any_of(a.large_tfs.begin(), a.large_tfs.end(), small)) return "a large frequency belongs to no posting";
  return nullptr;
}

// A posting whose row is below row_count. max_tf and min_length: of its window.
const char* broken_posting(const Checked& c, RowIndex row, std::uint16_t stored_tf, std::uint64_t position, std::uint32_t max_tf,
                           std::uint32_t min_length, std::size_t& large_count) {
  std::uint32_t tf = stored_tf + 1U;
  if (stored_tf >= kLargeTf) {
    const auto at = std::lower_bound(c.a.large_positions.begin(), c.a.large_positions.end(), position);
    if (stored_tf > kLargeTf || at == c.a.large_positions.end() || *at != position) return "a large frequency is missing";
    tf = c.a.large_tfs[static_cast<std::size_t>(at - c.a.large_positions.begin())];
    ++large_count;
  }
  const std::uint64_t length = c.lengths[row];
  if (tf > length) return "a frequency is greater than its document's length";
  if (stored_tf < kLargeTf && c.row_codes(row, stored_tf) == kLargeTfCode) return "a posting contradicts its document's length";
  if ((max_tf != kUnboundedTf && tf > max_tf) || min_length > length) return "a posting exceeds the bounds of its window";
  return nullptr;
}

const char* broken_plain(const Checked& c, const ListHeader& list, std::uint64_t position, Scratch& s) {
  const std::size_t room = (list.count + kListBlock - 1) / kListBlock * kListBlock;
  s.rows.resize(std::max(s.rows.size(), room));
  s.tfs.resize(std::max(s.tfs.size(), room));
  unpack_plain(list, s.rows.data(), s.tfs.data());
  for (std::size_t i = 0; i < list.count; ++i) {
    // Gaps are below 2^30, so that a sum past 2^32 is seen as a row that is not greater than the one before.
    if (s.rows[i] >= c.a.packed.row_count || (i != 0 && s.rows[i - 1] >= s.rows[i])) return "the rows of a term are not in order";
    if (const char* broken = broken_posting(c, s.rows[i], s.tfs[i], position + i, kUnboundedTf, 0, s.large_count)) return broken;
  }
  return nullptr;
}

const char* broken_windowed(const Checked& c, const ListHeader& list, std::uint64_t position, Scratch& s) {
  std::vector<PostingWindow> windows;
  std::vector<const std::uint8_t*> data;
  read_windows(list, windows, data);
  std::uint32_t begin = 0;
  for (std::size_t w = 0; w < windows.size(); ++w) {
    const std::uint32_t count = windows[w].end - begin;
    s.offsets.resize(std::max(s.offsets.size(), window_room(count)));
    s.tfs.resize(std::max(s.tfs.size(), window_room(count)));
    unpack_window({data[w], count}, s.offsets.data(), s.tfs.data());
    const std::size_t first_row = std::size_t{windows[w].window} << kWindowBits;
    for (std::size_t i = 0; i < count; ++i) {
      // Gaps are below 2^14, so that a sum past 2^16 is seen as an offset that is not greater than the one before.
      const std::size_t row = first_row + s.offsets[i];
      if (s.offsets[i] >= kWindowRows || row >= c.a.packed.row_count || (i != 0 && s.offsets[i - 1] >= s.offsets[i])) {
        return "the rows of a term are not in order";
      }
      if (const char* broken = broken_posting(c, static_cast<RowIndex>(row), s.tfs[i], position + begin + i, windows[w].max_tf,
                                              unpack_length(windows[w].min_length), s.large_count)) {
        return broken;
      }
    }
    begin = windows[w].end;
  }
  return nullptr;
}

// Precondition: the offsets partition their arrays.
const char* broken_term(const Checked& c, std::size_t t, Scratch& scratch, std::uint64_t& posting_count) {
  const std::string_view term = c.term(t);
  const std::uint64_t hash = word_hash(term);
  if (hash >> 32 != c.hash_heads[t]) return "the hash of a term is wrong";
  if (t != 0) {
    const std::uint64_t before = word_hash(c.term(t - 1));
    if (before > hash || (before == hash && c.term(t - 1) >= term)) return "its terms are not in order";
  }
  const std::uint64_t begin = c.list_offsets[t];
  const std::span<const std::uint8_t> bytes = c.a.packed.lists.subspan(begin, c.list_offsets[t + 1] - begin);
  if (!whole_list(bytes, c.a.packed.row_count)) return "a list of postings is not whole";
  const ListHeader list = read_header(bytes.data());
  posting_count += list.count;
  const std::uint64_t position = std::uint64_t{t} << 32;
  return list.windowed ? broken_windowed(c, list, position, scratch) : broken_plain(c, list, position, scratch);
}

const char* broken_lists(const Checked& c) {
  const std::size_t term_count = c.a.packed.term_count;
  std::atomic<const char*> first_broken{nullptr};
  std::atomic<std::uint64_t> posting_count{0};
  std::atomic<std::size_t> large_count{0};
  parallel::parallel_for((term_count + kTermsPerTask - 1) / kTermsPerTask, [&](std::size_t task, std::size_t) {
    const std::size_t end = std::min(term_count, (task + 1) * kTermsPerTask);
    Scratch scratch;
    std::uint64_t postings = 0;
    for (std::size_t t = task * kTermsPerTask; t < end && first_broken.load(std::memory_order_relaxed) == nullptr; ++t) {
      if (const char* broken = broken_term(c, t, scratch, postings)) first_broken.store(broken, std::memory_order_relaxed);
    }
    posting_count += postings;
    large_count += scratch.large_count;
  });
  if (first_broken.load() != nullptr) return first_broken.load();
  if (posting_count != c.a.packed.posting_count) return "its number of postings is wrong";
  // Each was found for one posting, and no two postings have one position.
  return large_count == c.a.large_positions.size() ? nullptr : "a large frequency belongs to no posting";
}

}  // namespace

const char* broken_packed(const SegmentArrays& a) {
  if (const char* broken = broken_documents(a)) return broken;
  if (const char* broken = broken_large(a)) return broken;
  const PackedArrays& p = a.packed;
  if (p.term_count >= kNoWord) return "its number of terms is impossible";
  if (!PackedNumbers::valid(p.hash_heads, p.term_count) || !PackedNumbers::valid(p.term_offsets, p.term_count + 1) ||
      !PackedNumbers::valid(p.list_offsets, p.term_count + 1)) {
    return "the numbers of its terms are not whole";
  }
  Checked checked{a,
                  {p.lengths, p.row_count, 0},
                  {p.hash_heads, p.term_count, 0},
                  {p.term_offsets, p.term_count + 1, 0},
                  {p.list_offsets, p.term_count + 1, 0},
                  {}};
  if (!partitions(checked.term_offsets, a.term_bytes.size())) return "the offsets of its terms are not in order";
  if (p.lists.size() < simd::kPackedSlack || !partitions(checked.list_offsets, p.lists.size() - simd::kPackedSlack)) {
    return "the offsets of its postings are not in order";
  }
  std::vector<std::uint32_t> lengths;
  lengths.reserve(p.row_count);
  for (std::size_t row = 0; row < p.row_count; ++row) lengths.push_back(static_cast<std::uint32_t>(checked.lengths[row]));
  checked.row_codes = RowCodes(a.code_map, length_classes(a.code_map.class_begins, lengths));
  return broken_lists(checked);
}

}  // namespace sightline::lexical
