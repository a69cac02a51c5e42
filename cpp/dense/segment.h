// An immutable run of rows: the stored vectors, and the coarse image from which their scores are bounded.
//
// Thread safety: a Segment never changes after build() or read(); any number of threads may use it.
// Invariants: ids ascend strictly, so within a segment the order of rows is the order of ids and ties need no look-up.
// The arrays either belong to the segment or lie in a mapped file that the segment keeps alive. The vectors of a mapped file
// are left to the disk: their pages are given back after the checksums were verified, and again when searches have brought
// them in; see note_vectors_read().
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "core/aligned.h"
#include "core/types.h"
#include "dense/metric.h"
#include "dense/stored_type.h"
#include "simd/kernels.h"
#include "storage/section_file.h"

namespace sightline::dense {

inline constexpr std::size_t kMaxSegmentRows = std::size_t{1} << 24;
// The interface promises 8,192 dimensions; the kernels could take four times as many.
inline constexpr std::size_t kMaxDimension = 8192;
inline constexpr std::size_t kMaxRowBytes = kMaxDimension * sizeof(float);

class Segment {
 public:
  // Where build() takes row i from: float32, or the type that the segment stores, which is copied bit for bit. Must be safe
  // to call from several threads.
  using RowSource = std::function<StoredRow(std::size_t)>;

  // Stores and encodes rows in parallel, O(rows * dim). float32 is rounded to the stored type once, to nearest even;
  // everything else is computed from the stored values.
  // Preconditions: 1 <= ids.size() <= kMaxSegmentRows, ids ascend strictly, 1 <= dim <= kMaxDimension.
  // Throws InvalidInputError if a value is not finite or not once it is stored or, under cosine, a stored row is zero;
  // `describe_row(i)` names the row.
  static std::shared_ptr<const Segment> build(Metric metric, StoredType type, std::size_t dim, std::span<const DocId> ids,
                                              const RowSource& row,
                                              const std::function<std::string(std::size_t)>& describe_row);

  std::size_t row_count() const noexcept { return ids_.size(); }
  std::size_t block_count() const noexcept { return (row_count() + simd::kBlockRows - 1) / simd::kBlockRows; }
  std::size_t dim() const noexcept { return dim_; }
  std::size_t octets() const noexcept { return (dim_ + 7) / 8; }

  std::span<const DocId> ids() const noexcept { return ids_; }
  std::optional<RowIndex> find(DocId id) const noexcept;  // O(1) if the ids are contiguous, else O(log n)
  std::size_t row_bytes() const noexcept { return dim_ * stored_bytes(type_); }
  StoredRow stored_row(std::size_t row) const noexcept { return {type_, vectors_.data() + row * row_bytes()}; }

  // A row that is read here and there: copied to `room`, kMaxRowBytes, where it would else bring in pages of a mapped file that are
  // to be given back (see note_vectors_read()).
  StoredRow stray_row(std::size_t row, std::byte* room) const noexcept {
    const StoredRow mapped = stored_row(row);
    if (!copies_stray_rows_ || !file_->copy({mapped.data, row_bytes()}, room)) return mapped;
    return {type_, room};
  }

  // Asks for a row that is about to be scored, as much of it as the hardware prefetcher needs to follow. Rows to be scored lie
  // here and there, and most of the time of scoring one is waiting for it.
  void prefetch(std::size_t row) const noexcept {
    constexpr std::size_t kMostBytes = 1536;
    const std::byte* const data = stored_row(row).data;
    for (std::size_t byte = 0; byte < std::min(row_bytes(), kMostBytes); byte += 64) __builtin_prefetch(data + byte);
    if (norms_.size() != 0) __builtin_prefetch(norms_.data() + row);
  }
  // The same of a row that will be read as stray_row().
  void prefetch_stray(std::size_t row) const noexcept {
    if (!copies_stray_rows_) {
      prefetch(row);
    } else if (norms_.size() != 0) {
      __builtin_prefetch(norms_.data() + row);
    }
  }
  // Asks for the id of a row that will be a hit, probably.
  void prefetch_id(std::size_t row) const noexcept { __builtin_prefetch(ids_.data() + row); }

  // Cosine only: |x| in float64.
  double norm(std::size_t row) const noexcept { return norms_[row]; }

  // The coarse image lives in a space where no row is longer than about 1: x~ = x / |x| under cosine, else x / unit().
  double unit() const noexcept { return unit_; }
  // No x~ and no decoded row is longer than this.
  double max_decoded_norm() const noexcept { return max_decoded_norm_; }

  std::size_t plane_bytes_per_block() const noexcept { return octets() * simd::kOctetBytes; }
  const std::uint8_t* high_plane(std::size_t block) const noexcept { return high_.data() + block * plane_bytes_per_block(); }
  const std::uint8_t* low_plane(std::size_t block) const noexcept { return low_.data() + block * plane_bytes_per_block(); }

  // Constants of the rows of a block for bounds over both planes, or over the high plane alone.
  simd::CoarseRows full_rows(std::size_t block) const noexcept { return rows_at(block, residual_full_); }
  simd::CoarseRows high_rows(std::size_t block) const noexcept { return rows_at(block, residual_high_); }

  // Bit r of the word: row 64 * block + r exists.
  std::uint64_t full_word(std::size_t block) const noexcept {
    const std::size_t left = row_count() - block * simd::kBlockRows;
    return left >= simd::kBlockRows ? ~0ULL : (1ULL << left) - 1;
  }

  struct Memory {
    std::size_t vectors = 0;
    std::size_t codes = 0;
    std::size_t bounds = 0;
    std::size_t ids = 0;
    std::size_t mapped = 0;  // how much of the sum lies in a mapped file
  };
  Memory memory() const noexcept;

  // A call says how many stored rows it read, but for stray ones, for how many queries. In a mapped file their pages are given back once they may
  // take more than a share of what is resident anyway, so that an index stays near 1 byte a dimension a row however long it
  // is searched. Not where a query read much of the rows: the data prunes so little that the next one will need them too.
  void note_vectors_read(std::size_t count, std::size_t query_count) const noexcept;

  void write(storage::SectionFileWriter& writer, std::uint32_t index) const;
  // Throws CorruptIndexError if sizes or invariants do not hold.
  static std::shared_ptr<const Segment> read(std::shared_ptr<const storage::SectionFile> file, std::uint32_t index,
                                             Metric metric, StoredType type, std::size_t dim);

 private:
  // An array that is owned, or borrowed from file_.
  template <typename T>
  class Array {
   public:
    void allocate(std::size_t count) {
      owned_ = AlignedBuffer<T>(count);
      view_ = {owned_.data(), count};
    }
    void borrow(std::span<const T> view) { view_ = view; }
    T* mutable_data() noexcept { return owned_.data(); }
    const T* data() const noexcept { return view_.data(); }
    std::size_t size() const noexcept { return view_.size(); }
    const T& operator[](std::size_t i) const noexcept { return view_[i]; }
    std::size_t size_bytes() const noexcept { return view_.size_bytes(); }
    operator std::span<const T>() const noexcept { return view_; }  // NOLINT: a view of itself

   private:
    AlignedBuffer<T> owned_;
    std::span<const T> view_;
  };

  Segment() = default;
  friend class SegmentBuilder;

  std::size_t resident_vector_bytes() const noexcept;  // of a mapped file, that need not be given back

  simd::CoarseRows rows_at(std::size_t block, const Array<float>& residual) const noexcept {
    const std::size_t first = block * simd::kBlockRows;
    return {scale_.data() + first, residual.data() + first, bias_.size() == 0 ? kNoBias : bias_.data() + first};
  }

  // One block of zeros for all: a scan that waits for memory should not read a zero for each row.
  alignas(64) static constexpr float kNoBias[simd::kBlockRows] = {};

  StoredType type_ = StoredType::kFloat32;
  std::size_t dim_ = 0;
  double unit_ = 1;
  double max_decoded_norm_ = 0;
  Array<DocId> ids_;
  Array<std::byte> vectors_;    // row-major, of type_
  Array<std::uint8_t> high_;    // planes of nibbles, see simd/kernels.h
  Array<std::uint8_t> low_;
  // The following have 64 values a block, the last block padded with zeros.
  Array<float> scale_;
  Array<float> residual_full_;  // >= |x~ - decoded|, both planes
  Array<float> residual_high_;  // the same for the high plane alone
  Array<float> bias_;           // l2 only: >= -|x~|^2
  Array<double> norms_;         // cosine only
  std::shared_ptr<const storage::SectionFile> file_;
  std::uint32_t file_index_ = 0;  // of this segment in file_
  bool copies_stray_rows_ = false;
  mutable std::atomic<std::size_t> rows_read_{0};  // since the pages of the vectors were given back
};

}  // namespace sightline::dense
