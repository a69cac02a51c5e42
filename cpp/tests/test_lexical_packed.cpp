// The packed form of postings: numbers, lists and segments against what they were made of, and what is refused of damaged ones.
#include <algorithm>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "lexical/bm25_index.h"
#include "lexical/packed_lists.h"
#include "lexical/packed_numbers.h"
#include "lexical/packed_segment.h"
#include "lexical/search.h"
#include "lexical/segment_builder.h"
#include "simd/kernels.h"
#include "tests/check.h"
#include "tests/guarded.h"

namespace sightline::lexical {
namespace {

using Bytes = std::vector<std::uint8_t>;
using testing::Guarded;

// At the inaccessible page, so that reading past the end fails.
struct GuardedBytes : Guarded<std::uint8_t> {
  explicit GuardedBytes(const Bytes& bytes) : Guarded(bytes.size()) { std::copy(bytes.begin(), bytes.end(), data()); }
};

std::vector<std::uint64_t> random_numbers(std::mt19937_64& random, std::size_t count, int bits) {
  std::vector<std::uint64_t> numbers(count);
  for (std::uint64_t& number : numbers) number = bits == 0 ? 7 : random() >> (64 - bits);
  return numbers;
}

// One term's postings, in the scan form's arrays.
struct List {
  std::vector<PostingWindow> windows;
  std::vector<std::uint16_t> offsets;
  std::vector<std::uint8_t> tfs;
  std::vector<RowIndex> rows;
};

List random_list(std::mt19937_64& random, std::size_t row_count, double share, std::uint32_t greatest_tf) {
  List list;
  for (std::size_t row = 0; row < row_count; ++row) {
    if (std::uniform_real_distribution<double>(0, 1)(random) >= share) continue;
    const auto window = static_cast<std::uint16_t>(row >> kWindowBits);
    if (list.windows.empty() || list.windows.back().window != window) {
      list.windows.push_back({static_cast<std::uint32_t>(list.rows.size()), window, kUnboundedTf, 1});
    }
    ++list.windows.back().end;
    list.rows.push_back(static_cast<RowIndex>(row));
    list.offsets.push_back(static_cast<std::uint16_t>(row % kWindowRows));
    list.tfs.push_back(static_cast<std::uint8_t>(random() % (greatest_tf + 1)));
  }
  return list;
}

Bytes packed(const List& list, bool windowed) {
  Bytes bytes;
  append_list(list.windows, list.offsets, list.tfs, windowed, bytes);
  return bytes;
}

// Calls visit(row, stored tf) for each posting of bytes that may be damaged but are whole.
template <typename Visit>
void unpack(const GuardedBytes& bytes, Visit visit) {
  const ListHeader header = read_header(bytes.data());
  if (!header.windowed) {
    const std::size_t room = (header.count + kListBlock - 1) / kListBlock * kListBlock;
    Guarded<RowIndex> rows(room);
    Guarded<std::uint16_t> tfs(room);
    unpack_plain(header, rows.data(), tfs.data());
    for (std::size_t i = 0; i < header.count; ++i) visit(rows[i], tfs[i]);
    return;
  }
  std::vector<PostingWindow> windows;
  std::vector<const std::uint8_t*> data;
  read_windows(header, windows, data);
  std::uint32_t begin = 0;
  for (std::size_t w = 0; w < windows.size(); ++w) {
    const PackedWindow window{data[w], windows[w].end - begin};
    Guarded<std::uint16_t> offsets(window_room(window.count));
    Guarded<std::uint16_t> tfs(window_room(window.count));
    unpack_window(window, offsets.data(), tfs.data());
    for (std::size_t i = 0; i < window.count; ++i) {
      visit(static_cast<RowIndex>((std::size_t{windows[w].window} << kWindowBits) + offsets[i]), tfs[i]);
    }
    begin = windows[w].end;
  }
}

SegmentData random_segment(std::mt19937_64& random, std::size_t document_count, std::size_t max_length, DocId id_step) {
  AnalyzedDocuments documents;
  std::vector<DocId> ids;
  std::vector<std::uint32_t> numbers;
  for (int w = 0; w < 40; ++w) numbers.push_back(documents.terms.insert(std::string("w").append(std::to_string(w))));
  std::uniform_real_distribution<double> uniform(0, 1);
  DocId id = 5;
  for (std::size_t d = 0; d < document_count; ++d) {
    const double u = uniform(random);
    const auto length = static_cast<std::size_t>(u * u * static_cast<double>(max_length + 1));
    const bool repeats = random() % 20 == 0;
    for (std::size_t i = 0; i < length; ++i) {
      const double v = uniform(random);
      documents.tokens.push_back(numbers[repeats ? d % 40 : static_cast<std::size_t>(v * v * v * 40)]);
    }
    documents.document_ends.push_back(documents.tokens.size());
    ids.push_back(id);
    id += 1 + static_cast<DocId>(random() % static_cast<std::uint64_t>(id_step));
  }
  return build_segment(documents, ids);
}

void check_same(const Segment& scan, const Segment& packed) {
  CHECK(packed.form() == PostingForm::kPacked && scan.form() == PostingForm::kScan);
  CHECK_EQ(packed.row_count(), scan.row_count());
  CHECK_EQ(packed.term_count(), scan.term_count());
  CHECK_EQ(packed.arrays().posting_count(), scan.arrays().posting_count());
  CHECK_EQ(packed.total_length(), scan.total_length());
  CHECK_EQ(packed.max_length(), scan.max_length());
  CHECK_EQ(packed.max_tf(), scan.max_tf());
  for (RowIndex row = 0; row < scan.row_count(); ++row) {
    CHECK_EQ(scan.id(row), scan.arrays().ids[row]);  // ids that follow each other are computed
    CHECK_EQ(packed.id(row), scan.id(row));
    CHECK_EQ(packed.length(row), scan.length(row));
    for (const Segment* each : {&scan, &packed}) {
      CHECK(each->find_row(scan.id(row)) == row);
      const bool is_next = row + 1 < scan.row_count() && scan.id(row + 1) == scan.id(row) + 1;
      CHECK(each->find_row(scan.id(row) + 1) == (is_next ? std::optional<RowIndex>(row + 1) : std::nullopt));
    }
  }
  using Limits = std::numeric_limits<DocId>;
  for (const DocId outside : {scan.id(0) - 1, scan.last_id() + 1, DocId{-1}, Limits::min(), Limits::max()}) {
    CHECK(!scan.find_row(outside) && !packed.find_row(outside));
  }
  for (std::uint32_t t = 0; t < scan.term_count(); ++t) {
    CHECK(packed.term(t) == scan.term(t));
    CHECK_EQ(packed.term_hash(t), scan.term_hash(t));
    CHECK(packed.find_term(scan.term(t), scan.term_hash(t)) == t);
    CHECK_EQ(packed.posting_count(t), scan.posting_count(t));
    const Postings expected = scan.postings(t);
    const Postings postings = packed.postings(t);
    struct Seen {
      RowIndex row;
      std::uint8_t code;
      std::uint32_t tf;
      bool operator==(const Seen&) const = default;
    };
    std::vector<Seen> a;
    std::vector<Seen> b;
    expected.for_each([&](RowIndex row, const FoundPosting& p) { a.push_back({row, p.code, scan.tf(p)}); });
    postings.for_each([&](RowIndex row, const FoundPosting& p) { b.push_back({row, p.code, packed.tf(p)}); });
    CHECK(a == b);
    for (RowIndex row = 0; row < scan.row_count(); row += 1 + row / 64) {
      const auto wanted = expected.find(row);
      const auto found = postings.find(row);
      CHECK_EQ(found.has_value(), wanted.has_value());
      if (found) CHECK(found->code == wanted->code && packed.tf(*found) == scan.tf(*wanted));
    }
  }
  CHECK(!packed.find_term("absent", word_hash("absent")));
}

}  // namespace

TEST(packed_numbers_come_back) {
  std::mt19937_64 random(1);
  for (const std::size_t count : {0UL, 1UL, 2UL, 127UL, 128UL, 129UL, 1000UL}) {
    for (const int bits : {0, 1, 7, 8, 31, 32, 55, 56, 57, 63}) {
      std::vector<std::uint64_t> numbers = random_numbers(random, count, bits);
      const Bytes bytes = PackedNumbers::pack(numbers, 0);
      CHECK(PackedNumbers::valid(bytes, count));
      const GuardedBytes view(bytes);
      const PackedNumbers packed({view.data(), view.size()}, count, 0);
      for (std::size_t i = 0; i < count; ++i) CHECK_EQ(packed[i], numbers[i]);

      std::sort(numbers.begin(), numbers.end());
      const Bytes rising = PackedNumbers::pack(numbers, 1);
      const PackedNumbers steps(rising, count, 1);
      for (std::size_t i = 0; i < count; ++i) CHECK_EQ(steps[i], numbers[i]);
    }
  }
  std::vector<std::uint64_t> consecutive(1280);
  for (std::size_t i = 0; i < consecutive.size(); ++i) consecutive[i] = (std::uint64_t{1} << 62) + i;
  CHECK_EQ(PackedNumbers::pack(consecutive, 1).size(), 10 * 16 + 8U);
}

TEST(packed_numbers_that_are_damaged_are_refused_or_stay_within_their_bytes) {
  std::mt19937_64 random(2);
  const std::vector<std::uint64_t> numbers = random_numbers(random, 300, 20);
  const Bytes good = PackedNumbers::pack(numbers, 0);
  CHECK(!PackedNumbers::valid(good, 290));
  CHECK(!PackedNumbers::valid(good, 600));
  CHECK(!PackedNumbers::valid(good, std::numeric_limits<std::size_t>::max()));
  CHECK(!PackedNumbers::valid({}, 0));
  for (std::size_t size = 0; size < good.size(); ++size) CHECK(!PackedNumbers::valid({good.data(), size}, 300));
  std::size_t refused = 0;
  for (int round = 0; round < 3000; ++round) {
    Bytes bytes = good;
    bytes[random() % (round % 2 == 0 ? 48 : bytes.size())] ^= static_cast<std::uint8_t>(1 + random() % 255);
    const GuardedBytes view(bytes);
    if (!PackedNumbers::valid({view.data(), view.size()}, 300)) {
      ++refused;
      continue;
    }
    const PackedNumbers packed({view.data(), view.size()}, 300, 0);
    for (std::size_t i = 0; i < 300; ++i) static_cast<void>(packed[i]);  // the guard would notice
  }
  CHECK(refused > 500);
}

TEST(packed_lists_come_back) {
  std::mt19937_64 random(3);
  for (const std::size_t row_count : {1UL, 200UL, 16384UL, 16385UL, 70000UL}) {
    for (const double share : {0.0005, 0.01, 0.3, 1.0}) {
      for (const std::uint32_t greatest_tf : {0U, 1U, 6U, 24U}) {
        const List list = random_list(random, row_count, share, greatest_tf);
        if (list.rows.empty()) continue;
        for (const bool windowed : {false, true}) {
          Bytes bytes = packed(list, windowed);
          CHECK(whole_list(bytes, row_count));
          CHECK(!whole_list(bytes, list.rows.size() - 1));
          bytes.insert(bytes.end(), simd::kPackedSlack, 0xFF);
          std::size_t i = 0;
          unpack(GuardedBytes(bytes), [&](RowIndex row, std::uint16_t tf) {
            CHECK_EQ(row, list.rows[i]);
            CHECK_EQ(tf, list.tfs[i]);
            ++i;
          });
          CHECK_EQ(i, list.rows.size());
        }
      }
    }
  }
}

TEST(packed_windows_find_what_they_have) {
  std::mt19937_64 random(4);
  for (const double share : {0.001, 0.05, 0.6, 1.0}) {
    const List list = random_list(random, kWindowRows, share, 24);
    if (list.rows.empty()) continue;
    Bytes bytes = packed(list, true);
    bytes.insert(bytes.end(), simd::kPackedSlack, 0xFF);
    const GuardedBytes view(bytes);
    std::vector<PostingWindow> windows;
    std::vector<const std::uint8_t*> data;
    read_windows(read_header(view.data()), windows, data);
    WindowFinder ascending({data[0], windows[0].end});
    std::size_t next = 0;
    for (std::size_t offset = 0; offset < kWindowRows; ++offset) {
      const auto found = ascending(static_cast<std::uint16_t>(offset));
      const bool there = next < list.offsets.size() && list.offsets[next] == offset;
      CHECK_EQ(found.has_value(), there);
      if (!there) continue;
      CHECK_EQ(found->index, next);
      CHECK_EQ(found->stored_tf, list.tfs[next]);
      ++next;
    }
    // In any order, near and far, again and again: as a look-up that knows nothing of those before it.
    WindowFinder any({data[0], windows[0].end});
    for (int i = 0; i < 3000; ++i) {
      const std::size_t at = random() % list.offsets.size();
      const std::size_t offset = i % 2 == 0 ? list.offsets[at] : random() % kWindowRows;
      const auto found = any(static_cast<std::uint16_t>(offset));
      const auto place = std::lower_bound(list.offsets.begin(), list.offsets.end(), offset);
      const bool there = place != list.offsets.end() && *place == offset;
      CHECK_EQ(found.has_value(), there);
      if (!there) continue;
      CHECK_EQ(found->index, static_cast<std::size_t>(place - list.offsets.begin()));
      CHECK_EQ(found->stored_tf, list.tfs[found->index]);
    }
  }
}

TEST(packed_lists_that_are_damaged_are_refused_or_stay_within_their_bytes) {
  std::mt19937_64 random(5);
  std::size_t refused = 0;
  std::size_t taken = 0;
  for (int round = 0; round < 6000; ++round) {
    const std::size_t row_count = round % 2 == 0 ? 40000 : 500;
    const List list = random_list(random, row_count, round % 100 == 0 ? 0.05 : 0.003, 24);
    Bytes bytes;
    if (round % 5 == 0 || list.rows.empty()) {
      bytes.resize(random() % 40);
      for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random() % (round % 3 == 0 ? 256 : 12));
    } else {
      bytes = packed(list, random() % 2 == 0);
      const std::size_t early = std::min<std::size_t>(bytes.size(), 12);
      bytes[random() % (round % 3 == 0 ? bytes.size() : early)] = static_cast<std::uint8_t>(random());
      if (random() % 8 == 0) bytes.pop_back();
    }
    const GuardedBytes exact(bytes);
    if (!whole_list({exact.data(), exact.size()}, row_count)) {
      ++refused;
      continue;
    }
    ++taken;
    bytes.insert(bytes.end(), simd::kPackedSlack, 0xFF);
    unpack(GuardedBytes(bytes), [](RowIndex, std::uint16_t) {});  // the guards would notice
  }
  CHECK(refused > 300);
  CHECK(taken > 300);
}

TEST(packed_segments_say_what_they_were_made_of) {
  std::mt19937_64 random(6);
  struct Case {
    std::size_t documents;
    std::size_t max_length;
    DocId id_step;
  };
  for (const Case& c : {Case{1, 0, 1}, Case{1, 5, 1}, Case{300, 40, 1}, Case{500, 3000, 1000}, Case{20000, 30, 3},
                        Case{300, 40, DocId{1} << 53}}) {
    SegmentData data = random_segment(random, c.documents, c.max_length, c.id_step);
    const Segment scan(data);
    const Segment packed(pack_segment(std::move(data)));
    CHECK(broken_packed(packed.arrays()) == nullptr);
    check_same(scan, packed);
  }
}

TEST(packed_segments_merge_as_others_do) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 10; ++round) {
    std::vector<SegmentView> scan;
    std::vector<SegmentView> mixed;
    for (DocId part = 0; part < 3; ++part) {
      SegmentData data = random_segment(random, 400, 200, 1);
      for (DocId& id : data.ids) id = id * 3 + part;
      auto segment = std::make_shared<const Segment>(data);
      Bitset live(segment->row_count(), true);
      for (std::size_t row = 1; row < segment->row_count(); row += 1 + random() % 9) live.reset(row);
      auto other = part == 1 ? segment : make_segment(std::move(data), PostingForm::kPacked);
      mixed.push_back({other, std::make_shared<const Tombstones>(*other, live)});
      scan.push_back({segment, std::make_shared<const Tombstones>(*segment, std::move(live))});
    }
    const Segment expected(merge_segments(scan));
    const SegmentData merged = merge_segments(mixed);
    const Segment packed(pack_segment(merged));
    CHECK(broken_packed(packed.arrays()) == nullptr);
    check_same(expected, packed);
  }
}

TEST(packed_validation_sees_every_broken_invariant) {
  std::mt19937_64 random(8);
  const SegmentData good = pack_segment(random_segment(random, 40000, 40, 2));
  const SegmentData long_documents = pack_segment(random_segment(random, 200, 5000, 2));
  CHECK(!long_documents.large_positions.empty());
  const auto broken = [](SegmentData data, auto change) {
    change(data);
    return broken_packed(data.arrays()) != nullptr;
  };
  CHECK(!broken(good, [](SegmentData&) {}));
  CHECK(!broken(long_documents, [](SegmentData&) {}));
  CHECK(broken(good, [](SegmentData& d) { d.packed.row_count += 1; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.row_count = ~0ULL; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.row_count -= 200; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.term_count += 1; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.term_count = ~0ULL; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.posting_count += 1; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.ids[0] ^= 0x80; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.ids[7] ^= 0x80; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.lengths[0] += 1; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.lengths.pop_back(); }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.hash_heads[0] ^= 1; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.term_offsets[0] ^= 1; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.list_offsets[0] ^= 1; }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.lists.pop_back(); }));
  CHECK(broken(good, [](SegmentData& d) { d.packed.lists.resize(10); }));
  CHECK(broken(good, [](SegmentData& d) { d.term_bytes[0] ^= 1; }));
  CHECK(broken(good, [](SegmentData& d) { d.code_map.codes.pop_back(); }));
  CHECK(broken(good, [](SegmentData& d) { std::fill(d.code_map.codes.begin(), d.code_map.codes.end(), kLargeTfCode); }));
  CHECK(broken(long_documents, [](SegmentData& d) { d.large_positions[0] += 1; }));
  CHECK(broken(long_documents, [](SegmentData& d) { d.large_tfs[0] = kMaxCodedTf; }));
  CHECK(broken(long_documents, [](SegmentData& d) { d.large_tfs[0] = ~0U; }));
  CHECK(broken(long_documents, [](SegmentData& d) {
    d.large_positions.pop_back();
    d.large_tfs.pop_back();
  }));
  CHECK(broken(long_documents, [](SegmentData& d) {
    d.large_positions.push_back(~0ULL);
    d.large_tfs.push_back(100);
  }));
}

TEST(packed_segments_that_are_damaged_are_refused_or_harmless) {
  std::mt19937_64 random(9);
  const SegmentData good = pack_segment(random_segment(random, 2000, 60, 3));
  std::size_t refused = 0;
  for (int round = 0; round < 1500; ++round) {
    SegmentData data = good;
    Bytes* const arrays[] = {&data.packed.ids,          &data.packed.lengths,      &data.packed.hash_heads,
                             &data.packed.term_offsets, &data.packed.list_offsets, &data.packed.lists};
    Bytes& array = *arrays[random() % 6];
    array[random() % array.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
    if (broken_packed(data.arrays()) != nullptr) {
      ++refused;
      continue;
    }
    // Something else, but a segment: every posting can be read and found.
    const Segment segment(std::move(data));
    for (std::uint32_t t = 0; t < segment.term_count(); ++t) {
      const Postings postings = segment.postings(t);
      postings.for_each([&](RowIndex row, const FoundPosting& p) {
        CHECK(row < segment.row_count());
        CHECK(segment.tf(p) <= segment.length(row));
      });
    }
  }
  CHECK(refused > 300);
}

}  // namespace sightline::lexical
