#include "dense/segment.h"

#include <algorithm>
#include <cmath>

namespace sightline::dense {
namespace {

// Section kinds of a dense file; the index of a section is that of the segment.
enum Section : std::uint32_t {
  kHeader = 16,
  kIds,
  kVectors,
  kHighPlane,
  kLowPlane,
  kScale,
  kResidualFull,
  kResidualHigh,
  kBias,
  kNorms,
};

// What a page fault in a mapped file may bring in: the page cache keeps files in folios of up to this size, and a fault
// maps whole ones.
constexpr std::size_t kBytesAFault = std::size_t{2} << 20;
// Pages of vectors are given back when they may have grown past this part of the codes, and past this many bytes.
constexpr std::size_t kResidentShare = 4;
constexpr std::size_t kLeastResidentBytes = std::size_t{32} << 20;
// Queries that read more than one in this many rows keep them.
constexpr std::size_t kScanShare = 4;

struct SegmentHeader {
  std::uint64_t row_count;
  double unit;
  double max_decoded_norm;
};

}  // namespace

std::optional<RowIndex> Segment::find(DocId id) const noexcept {
  const DocId first = ids_[0];
  const DocId last = ids_[ids_.size() - 1];
  if (id < first || id > last) return std::nullopt;
  if (static_cast<std::size_t>(last - first) == ids_.size() - 1) return static_cast<RowIndex>(id - first);
  const DocId* end = ids_.data() + ids_.size();
  const DocId* found = std::lower_bound(ids_.data(), end, id);
  if (*found != id) return std::nullopt;  // id <= last, so found is not the end
  return static_cast<RowIndex>(found - ids_.data());
}

std::size_t Segment::resident_vector_bytes() const noexcept {
  return std::max((high_.size_bytes() + low_.size_bytes()) / kResidentShare, kLeastResidentBytes);
}

void Segment::note_vectors_read(std::size_t count, std::size_t query_count) const noexcept {
  if (count == 0 || !copies_stray_rows_ || count / std::max<std::size_t>(1, query_count) > row_count() / kScanShare) return;
  const std::size_t allowed = resident_vector_bytes();
  if (rows_read_.fetch_add(count, std::memory_order_relaxed) + count <= allowed / kBytesAFault) return;
  rows_read_.store(0, std::memory_order_relaxed);
  file_->release_pages(kVectors, file_index_);
}

Segment::Memory Segment::memory() const noexcept {
  Memory memory{
      .vectors = vectors_.size_bytes(),
      .codes = high_.size_bytes() + low_.size_bytes(),
      .bounds = scale_.size_bytes() + residual_full_.size_bytes() + residual_high_.size_bytes() + bias_.size_bytes() +
                norms_.size_bytes(),
      .ids = ids_.size_bytes(),
  };
  if (file_ && file_->is_mapped()) memory.mapped = memory.vectors + memory.codes + memory.bounds + memory.ids;
  return memory;
}

void Segment::write(storage::SectionFileWriter& writer, std::uint32_t index) const {
  const SegmentHeader header{row_count(), unit_, max_decoded_norm_};
  writer.add_array<SegmentHeader>(kHeader, index, {&header, 1});
  writer.add_array<DocId>(kIds, index, ids_);
  writer.add_array<std::byte>(kVectors, index, vectors_);
  writer.add_array<std::uint8_t>(kHighPlane, index, high_);
  writer.add_array<std::uint8_t>(kLowPlane, index, low_);
  writer.add_array<float>(kScale, index, scale_);
  writer.add_array<float>(kResidualFull, index, residual_full_);
  writer.add_array<float>(kResidualHigh, index, residual_high_);
  writer.add_array<float>(kBias, index, bias_);
  writer.add_array<double>(kNorms, index, norms_);
}

std::shared_ptr<const Segment> Segment::read(std::shared_ptr<const storage::SectionFile> file, std::uint32_t index,
                                             Metric metric, StoredType type, std::size_t dim) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kCorruptIndex, "'" + file->path().string() + "' is damaged: segment " + std::to_string(index) +
                                              " " + what + "; restore it from a backup or build it again");
  };
  const SegmentHeader header = file->array<SegmentHeader>(kHeader, index, 1)[0];
  if (header.row_count < 1 || header.row_count > kMaxSegmentRows) fail("has an impossible number of rows");
  if (!(header.unit > 0 && std::isfinite(header.unit) && header.max_decoded_norm >= 0 && std::isfinite(header.max_decoded_norm))) {
    fail("has impossible bounds");
  }
  std::shared_ptr<Segment> segment(new Segment);
  segment->type_ = type;
  segment->dim_ = dim;
  segment->unit_ = header.unit;
  segment->max_decoded_norm_ = header.max_decoded_norm;
  segment->ids_.borrow(file->array<DocId>(kIds, index, header.row_count));
  if (segment->ids_[0] < 0) fail("has a negative id");
  for (std::size_t i = 1; i < header.row_count; ++i) {
    if (segment->ids_[i - 1] >= segment->ids_[i]) fail("has ids out of order");
  }
  const std::size_t blocks = segment->block_count();
  const std::size_t padded_rows = blocks * simd::kBlockRows;
  const std::size_t plane_bytes = checked_mul(blocks, segment->plane_bytes_per_block());
  segment->vectors_.borrow(file->array<std::byte>(kVectors, index, checked_mul(header.row_count, segment->row_bytes())));
  segment->high_.borrow(file->array<std::uint8_t>(kHighPlane, index, plane_bytes));
  segment->low_.borrow(file->array<std::uint8_t>(kLowPlane, index, plane_bytes));
  segment->scale_.borrow(file->array<float>(kScale, index, padded_rows));
  segment->residual_full_.borrow(file->array<float>(kResidualFull, index, padded_rows));
  segment->residual_high_.borrow(file->array<float>(kResidualHigh, index, padded_rows));
  segment->bias_.borrow(file->array<float>(kBias, index, metric == Metric::kSquaredL2 ? padded_rows : 0));
  segment->norms_.borrow(file->array<double>(kNorms, index, metric == Metric::kCosine ? header.row_count : 0));
  // Rows are read here and there, and the checksum has just brought in all of them.
  file->expect_random_reads(kVectors, index);
  file->release_pages(kVectors, index);
  segment->copies_stray_rows_ = file->is_mapped() && segment->vectors_.size_bytes() > segment->resident_vector_bytes();
  segment->file_ = std::move(file);
  segment->file_index_ = index;
  return segment;
}

}  // namespace sightline::dense
