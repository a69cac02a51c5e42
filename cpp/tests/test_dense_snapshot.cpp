// Snapshots and the segments behind them: find and select for ids that interleave and for dead rows; merging.
#include <set>

#include "dense/index.h"
#include "dense/search.h"
#include "tests/check.h"

using namespace sightline;
using dense::Metric;
using dense::Snapshot;
using dense::VectorIndex;

namespace {

void add(VectorIndex& index, const std::vector<DocId>& ids, float value = 1) {
  std::vector<float> vectors(ids.size() * index.dim(), value);
  index.add(vectors.data(), ids);
}

std::vector<DocId> range(DocId begin, DocId end, DocId step = 1) {
  std::vector<DocId> ids;
  for (DocId id = begin; id < end; id += step) ids.push_back(id);
  return ids;
}

// Every way to ask a snapshot which ids it has gives `expected`.
void check_ids(const Snapshot& snapshot, const std::set<DocId>& expected, DocId past_all) {
  CHECK_EQ(snapshot.live_count(), expected.size());
  const std::vector<DocId> ids = snapshot.ids();
  CHECK(std::equal(ids.begin(), ids.end(), expected.begin(), expected.end()));
  for (DocId id = -2; id < past_all; ++id) {
    const auto address = snapshot.find(id);
    CHECK_EQ(address.has_value(), expected.contains(id));
    if (address) CHECK_EQ(snapshot.segments()[address->segment].segment->ids()[address->row], id);
  }
  // Every third row, by bits and by ids, with ids in between that are dead or were never there.
  std::vector<std::uint8_t> bits(ids.size());
  std::vector<DocId> wanted = range(-2, past_all, 7);
  std::set<DocId> by_bits;
  for (std::size_t i = 0; i < ids.size(); i += 3) {
    bits[i] = 1;
    by_bits.insert(ids[i]);
  }
  std::set<DocId> by_ids = by_bits;
  for (const DocId id : wanted) {
    if (expected.contains(id)) by_ids.insert(id);
  }
  wanted.insert(wanted.end(), by_bits.begin(), by_bits.end());
  const auto named = [&](const std::vector<Bitset>& selected) {
    std::set<DocId> found;
    CHECK_EQ(selected.size(), snapshot.segments().size());
    for (std::size_t s = 0; s < selected.size(); ++s) {
      const auto& segment = *snapshot.segments()[s].segment;
      CHECK_EQ(selected[s].size(), segment.row_count());
      for (std::size_t row = 0; row < segment.row_count(); ++row) {
        if (selected[s].test(row)) CHECK(found.insert(segment.ids()[row]).second);
      }
    }
    return found;
  };
  CHECK(named(snapshot.select(bits)) == by_bits);
  CHECK(named(snapshot.select_ids(wanted)) == by_ids);
}

}  // namespace

TEST(dense_snapshot_finds_and_selects) {
  for (const bool interleaved : {false, true}) {
    VectorIndex index(Metric::kInnerProduct, 3);
    std::set<DocId> expected;
    for (DocId part = 0; part < 3; ++part) {
      const std::vector<DocId> ids = interleaved ? range(part, 600, 3) : range(200 * part, 200 * part + 200);
      add(index, ids);
      expected.insert(ids.begin(), ids.end());
      check_ids(*index.snapshot(), expected, 610);
    }
    const std::vector<DocId> gone = range(0, 600, 5);
    CHECK_EQ(index.remove(gone), gone.size());
    CHECK_EQ(index.remove(gone), std::size_t{0});
    for (const DocId id : gone) expected.erase(id);
    const auto before = index.snapshot();
    check_ids(*before, expected, 610);
    // A dead row stays in its segment while its id comes back in another: only the live one may be found.
    add(index, range(0, 600, 10), 2);
    const std::set<DocId> old = expected;
    for (const DocId id : range(0, 600, 10)) expected.insert(id);
    check_ids(*index.snapshot(), expected, 610);
    check_ids(*before, old, 610);  // a snapshot never changes
    index.compact();
    CHECK_EQ(index.snapshot()->segments().size(), std::size_t{1});
    check_ids(*index.snapshot(), expected, 610);
  }
}

TEST(dense_segments_merge_like_a_counter) {
  VectorIndex index(Metric::kInnerProduct, 2);
  std::size_t most = 0;
  std::set<DocId> expected;
  for (DocId id = 0; id < 3000; ++id) {
    add(index, {id});
    expected.insert(id);
    most = std::max(most, index.snapshot()->segments().size());
  }
  CHECK(most <= 3 * 5);  // three in each tier: to 64, 256, 1024, 4096 rows and one more while merging
  check_ids(*index.snapshot(), expected, 3010);
}

TEST(dense_segments_mostly_dead_are_rewritten) {
  VectorIndex index(Metric::kInnerProduct, 2);
  add(index, range(0, 5000));
  for (DocId id = 0; id < 4990; ++id) index.remove(std::vector<DocId>{id});
  std::size_t rows = 0;
  for (const auto& view : index.snapshot()->segments()) rows += view.segment->row_count();
  CHECK(rows <= 64);
  check_ids(*index.snapshot(), {4990, 4991, 4992, 4993, 4994, 4995, 4996, 4997, 4998, 4999}, 5010);
  CHECK_EQ(index.remove(range(4990, 5000)), std::size_t{10});
  CHECK(index.snapshot()->segments().empty());
  CHECK_EQ(index.snapshot()->next_id(), DocId{5000});
}
