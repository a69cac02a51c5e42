// What a dense index stores: the bits of the originals through merges and files, and files that claim the impossible.
#include <cstring>

#include "dense/index.h"
#include "tests/check.h"
#include "tests/kernel_cases.h"
#include "tests/temporary_directory.h"

using namespace sightline;
using namespace sightline::testing;
using dense::Metric;
using dense::StoredType;
using dense::VectorIndex;

namespace {

constexpr std::size_t kDim = 19;
constexpr StoredType kTypes[] = {StoredType::kFloat32, StoredType::kFloat16, StoredType::kBFloat16};

std::vector<std::byte> stored_bytes_of(const VectorIndex& index, DocId id) {
  const auto snapshot = index.snapshot();
  const auto address = snapshot->find(id);
  CHECK(address.has_value());
  const dense::Segment& segment = *snapshot->segments()[address->segment].segment;
  const std::byte* data = segment.stored_row(address->row).data;
  return {data, data + segment.row_bytes()};
}

// The row that a table of conversions alone would store.
std::vector<std::byte> expected_bytes(StoredType type, const float* row) {
  std::vector<std::byte> bytes(kDim * dense::stored_bytes(type));
  auto* words = reinterpret_cast<std::uint16_t*>(bytes.data());
  if (type == StoredType::kFloat16) simd::kScalarKernels.f32_to_f16(row, kDim, words);
  if (type == StoredType::kBFloat16) simd::kScalarKernels.f32_to_bf16(row, kDim, words);
  if (type == StoredType::kFloat32) std::memcpy(bytes.data(), row, bytes.size());
  return bytes;
}

void check_rows(const VectorIndex& index, const std::vector<float>& rows) {
  for (std::size_t i = 0; i < rows.size() / kDim; ++i) {
    const auto expected = expected_bytes(index.stored_type(), rows.data() + i * kDim);
    CHECK(stored_bytes_of(index, static_cast<DocId>(i)) == expected);
  }
}

// The first section of a dense file, laid out as index_file.cpp does.
struct IndexHeader {
  std::uint32_t metric;
  std::uint32_t stored_type;
  std::uint64_t dim;
  std::int64_t next_id;
  std::uint64_t segment_count;
};

}  // namespace

TEST(dense_storage_merges_and_files_keep_the_stored_bits) {
  TemporaryDirectory directory;
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kSquaredL2}) {
    for (const StoredType type : kTypes) {
      Random random(1);
      std::vector<float> rows(700 * kDim);
      for (float& value : rows) value = std::ldexp(random.normal(), random.integer(-26, 10));
      VectorIndex index(metric, type, kDim);
      for (std::size_t first = 0; first < 700; first += 7) index.add_next(rows.data() + first * kDim, 7);  // merges often
      check_rows(index, rows);
      for (std::size_t i = 0; i < kDim; ++i) rows[5 * kDim + i] = random.normal();
      const DocId five[] = {5};
      index.upsert(rows.data() + 5 * kDim, five);
      index.save(directory.path() / "index");
      for (const bool use_mmap : {false, true}) {
        const auto loaded = VectorIndex::load(directory.path() / "index", use_mmap);
        CHECK(loaded->stored_type() == type);
        check_rows(*loaded, rows);
        loaded->compact();
        check_rows(*loaded, rows);
      }
      index.compact();
      CHECK_EQ(index.snapshot()->segments().size(), std::size_t{1});
      check_rows(index, rows);
    }
  }
}

TEST(dense_storage_pages_given_back_come_back_the_same) {
  TemporaryDirectory directory;
  constexpr std::size_t kRows = 20000;
  Random random(2);
  std::vector<float> rows(kRows * kDim);
  for (float& value : rows) value = random.normal();
  VectorIndex index(Metric::kCosine, StoredType::kFloat32, kDim);
  index.add_next(rows.data(), kRows);
  index.save(directory.path() / "index");
  const auto file = storage::SectionFile::open(directory.path() / "index", storage::ContentKind::kDense, true);
  CHECK(file->is_mapped());
  for (const storage::SectionEntry& entry : file->sections()) {
    const auto before = file->bytes(entry.kind, entry.index);
    const std::vector<std::byte> copy(before.begin(), before.end());
    file->expect_random_reads(entry.kind, entry.index);
    file->release_pages(entry.kind, entry.index);
    CHECK(std::equal(copy.begin(), copy.end(), before.begin()));
  }
  file->release_pages(999, 999);  // there is none
  const auto read = storage::SectionFile::open(directory.path() / "index", storage::ContentKind::kDense, false);
  CHECK(!read->is_mapped());
  for (const storage::SectionEntry& entry : read->sections()) {
    const auto before = read->bytes(entry.kind, entry.index);
    const std::vector<std::byte> copy(before.begin(), before.end());
    read->release_pages(entry.kind, entry.index);  // memory of its own would come back as zeros
    CHECK(std::equal(copy.begin(), copy.end(), before.begin()));
  }
}

TEST(dense_storage_an_unknown_dtype_or_size_is_corruption) {
  TemporaryDirectory directory;
  const auto path = directory.path() / "index";
  const auto write = [&](std::uint32_t stored_type) {
    storage::SectionFileWriter writer(path, storage::ContentKind::kDense);
    const IndexHeader header{0, stored_type, kDim, 0, 0};
    writer.add_array<IndexHeader>(1, 0, {&header, 1});
    writer.commit();
  };
  write(2);
  CHECK(VectorIndex::load(path, true)->stored_type() == StoredType::kBFloat16);
  for (const std::uint32_t unknown : {3u, 0xffffffffu}) {
    write(unknown);
    CHECK_THROWS(VectorIndex::load(path, true), Error);
  }

  // Rows of float32 under a header that says float16: the section of vectors has an impossible size.
  VectorIndex index(Metric::kCosine, StoredType::kFloat32, kDim);
  const std::vector<float> rows(3 * kDim, 1.0f);
  index.add_next(rows.data(), 3);
  index.save(path);
  const auto file = storage::SectionFile::open(path, storage::ContentKind::kDense, false);
  storage::SectionFileWriter writer(path, storage::ContentKind::kDense);
  for (const storage::SectionEntry& entry : file->sections()) {
    if (entry.kind == 1) {
      IndexHeader header = file->array<IndexHeader>(1, 0, 1)[0];
      header.stored_type = 1;
      writer.add_array<IndexHeader>(1, 0, {&header, 1});
    } else {
      writer.add(entry.kind, entry.index, file->bytes(entry.kind, entry.index));
    }
  }
  writer.commit();
  CHECK_THROWS(VectorIndex::load(path, false), Error);
}
