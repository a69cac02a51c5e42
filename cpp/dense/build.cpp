// Segment::build: store, validate, quantise, pack.
#include <algorithm>
#include <array>
#include <cfloat>
#include <charconv>
#include <cmath>
#include <limits>
#include <mutex>

#include "dense/segment.h"
#include "parallel/thread_pool.h"
#include "simd/dispatch.h"

namespace sightline::dense {
namespace {

// One task is this many blocks: small enough to balance, large enough that the scratch buffers are reused.
constexpr std::size_t kBlocksPerTask = 16;

// The float64 sums behind a bound are off by a relative 2^-39 at the most (kernels.h: (dim + 8) * 2^-53), which the factor of
// 1 + 2^-30 and the step to the next float32 cover. What cancellation adds, at most 2^-52 |x~| to the length of a residual,
// is covered by the spare half of the slack E1 in bound.h.
float round_up(double value) {
  const double raised = value * (1 + 0x1p-30);
  const float nearest = static_cast<float>(raised);
  return static_cast<double>(nearest) >= raised ? nearest : std::nextafter(nearest, std::numeric_limits<float>::infinity());
}

// The same for a value that is never positive.
float round_up_negative(double value) {
  const double raised = value * (1 - 0x1p-30);
  const float nearest = static_cast<float>(raised);
  return static_cast<double>(nearest) >= raised ? nearest : std::nextafter(nearest, 0.0f);
}

std::uint32_t load_u32(const std::uint8_t* p) {
  std::uint32_t value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

std::string to_text(float value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

void store_u32(std::uint8_t* p, std::uint32_t value) { __builtin_memcpy(p, &value, sizeof value); }

}  // namespace

class SegmentBuilder {
 public:
  SegmentBuilder(Metric metric, StoredType type, std::size_t dim, std::span<const DocId> ids, const Segment::RowSource& row,
                 const std::function<std::string(std::size_t)>& describe_row)
      : metric_(metric), row_(row), describe_row_(describe_row), kernels_(simd::kernels()), segment_(new Segment) {
    segment_->type_ = type;
    segment_->dim_ = dim;
    segment_->ids_.allocate(ids.size());
    std::copy(ids.begin(), ids.end(), segment_->ids_.mutable_data());
    const std::size_t padded_rows = segment_->block_count() * simd::kBlockRows;
    const std::size_t plane_bytes = checked_mul(segment_->block_count(), segment_->plane_bytes_per_block());
    segment_->vectors_.allocate(checked_mul(ids.size(), segment_->row_bytes()));
    segment_->high_.allocate(plane_bytes);
    segment_->low_.allocate(plane_bytes);
    segment_->scale_.allocate(padded_rows);
    segment_->residual_full_.allocate(padded_rows);
    segment_->residual_high_.allocate(padded_rows);
    if (metric == Metric::kSquaredL2) segment_->bias_.allocate(padded_rows);
    if (metric == Metric::kCosine) segment_->norms_.allocate(ids.size());
  }

  std::shared_ptr<const Segment> build() {
    if (metric_ != Metric::kCosine) choose_unit();
    const std::size_t blocks = segment_->block_count();
    const std::size_t tasks = (blocks + kBlocksPerTask - 1) / kBlocksPerTask;
    parallel::parallel_for(tasks, [&](std::size_t task, std::size_t) {
      // One padded code row for each row of a block; a code of 128 stands for 0, in rows and dimensions that do not exist.
      std::vector<std::uint8_t> codes(simd::kBlockRows * padded_dim());
      std::vector<float> scratch(segment_->dim_);
      double longest = 0;
      const std::size_t end = std::min(blocks, (task + 1) * kBlocksPerTask);
      for (std::size_t block = task * kBlocksPerTask; block < end; ++block) {
        std::fill(codes.begin(), codes.end(), std::uint8_t{128});
        longest = std::max(longest, encode_block(block, codes.data(), scratch.data()));
        pack_block(block, codes.data());
      }
      std::lock_guard lock(mutex_);
      segment_->max_decoded_norm_ = std::max(segment_->max_decoded_norm_, longest);
    });
    return segment_;
  }

 private:
  std::size_t padded_dim() const { return segment_->octets() * 8; }

  // Stores row i and returns what is stored as float32, in `scratch` if it was converted.
  const float* store_row(std::size_t i, float* scratch) {
    const std::size_t dim = segment_->dim_;
    const StoredType type = segment_->type_;
    const StoredRow source = row_(i);
    std::byte* const stored = segment_->vectors_.mutable_data() + i * segment_->row_bytes();
    auto* const words = reinterpret_cast<std::uint16_t*>(stored);
    if (source.type == type) {
      std::copy_n(source.data, segment_->row_bytes(), stored);
    } else if (type == StoredType::kFloat16) {
      kernels_.f32_to_f16(source.f32(), dim, words);
    } else {
      kernels_.f32_to_bf16(source.f32(), dim, words);
    }
    const float* const x = segment_->stored_row(i).decode(kernels_, dim, scratch);
    if (!(kernels_.max_abs_f32(x, dim) <= FLT_MAX)) fail_not_finite(i, source);
    return x;
  }

  [[noreturn]] void fail_not_finite(std::size_t i, const StoredRow& source) const {
    std::string what = ": expected finite float32 values, got NaN or infinity; remove or replace that vector";
    if (source.type == StoredType::kFloat32) {
      const float greatest = kernels_.max_abs_f32(source.f32(), segment_->dim_);
      if (greatest <= FLT_MAX) {
        const bool is_f16 = segment_->type_ == StoredType::kFloat16;
        what = ": its greatest absolute value, " + to_text(greatest) + ", is past the range of " +
               stored_type_name(segment_->type_) + (is_f16 ? ", 65504" : ", 3.3895e38") + "; scale all vectors down, or use dtype=" +
               (is_f16 ? "\"bfloat16\" or \"float32\"" : "\"float32\"");
      }
    }
    throw Error(ErrorKind::kInvalidInput, describe_row_(i) + what);
  }

  // Under cosine.
  [[noreturn]] void fail_zero(std::size_t i) const {
    std::string what = ": expected a vector with a direction, got a zero vector, for which cosine is undefined; drop it, or use metric=\"ip\" or \"l2\"";
    const StoredRow source = row_(i);
    const float greatest = source.type == StoredType::kFloat32 ? kernels_.max_abs_f32(source.f32(), segment_->dim_) : 0;
    if (greatest > 0) {
      what = ": it is a zero vector once it is rounded to " + std::string(stored_type_name(segment_->type_)) +
             " (its greatest absolute value is " + to_text(greatest) +
             "), for which cosine is undefined; scale all vectors up, or use dtype=\"float32\"";
    }
    throw Error(ErrorKind::kInvalidInput, describe_row_(i) + what);
  }

  // Stores all rows, and finds a power of two no smaller than the longest, so that dividing by it is exact.
  void choose_unit() {
    double longest_squared = 0;
    const std::size_t rows = segment_->row_count();
    const std::size_t rows_per_task = kBlocksPerTask * simd::kBlockRows;
    parallel::parallel_for((rows + rows_per_task - 1) / rows_per_task, [&](std::size_t task, std::size_t) {
      double longest = 0;
      std::vector<float> scratch(segment_->dim_);
      for (std::size_t i = task * rows_per_task; i < std::min(rows, (task + 1) * rows_per_task); ++i) {
        const float* x = store_row(i, scratch.data());
        longest = std::max(longest, kernels_.dot_f64(x, x, segment_->dim_));
      }
      std::lock_guard lock(mutex_);
      longest_squared = std::max(longest_squared, longest);
    });
    if (longest_squared == 0) return;
    int exponent = 0;
    std::frexp(std::sqrt(longest_squared) * (1 + 0x1p-30), &exponent);  // value in [2^(e-1), 2^e)
    segment_->unit_ = std::ldexp(1.0, exponent);
  }

  // Encodes the rows of one block. Returns a bound on the length of x~ and of the decoded rows.
  double encode_block(std::size_t block, std::uint8_t* codes, float* scratch) {
    const std::size_t dim = segment_->dim_;
    const std::size_t first = block * simd::kBlockRows;
    double longest = 0;
    for (std::size_t r = 0; r < simd::kBlockRows; ++r) {
      const std::size_t row = first + r;
      float* const scale = segment_->scale_.mutable_data() + row;
      float* const residual_full = segment_->residual_full_.mutable_data() + row;
      float* const residual_high = segment_->residual_high_.mutable_data() + row;
      *scale = *residual_full = *residual_high = 0;
      if (metric_ == Metric::kSquaredL2) segment_->bias_.mutable_data()[row] = 0;
      if (row >= segment_->row_count()) continue;
      // Under the other metrics choose_unit() has stored the row.
      const float* const x = metric_ == Metric::kCosine ? store_row(row, scratch)
                                                        : segment_->stored_row(row).decode(kernels_, dim, scratch);
      const float greatest = kernels_.max_abs_f32(x, dim);
      const double squared = kernels_.dot_f64(x, x, dim);
      double norm_factor = 1 / segment_->unit_;
      if (metric_ == Metric::kCosine) {
        if (greatest == 0) fail_zero(row);
        const double norm = std::sqrt(squared);
        segment_->norms_.mutable_data()[row] = norm;
        norm_factor = 1 / norm;
      } else if (metric_ == Metric::kSquaredL2) {
        segment_->bias_.mutable_data()[row] = round_up_negative(-squared * norm_factor * norm_factor);
      }
      // Scale and its inverse need only fit each other: the residual below is that of the codes as they are.
      // A row whose inverse scale would not be finite (all zeros, or all denormal) is coded as zeros; its residual says so.
      const double ideal = 127.0 / static_cast<double>(greatest);
      const float inverse_scale = ideal <= FLT_MAX ? static_cast<float>(ideal) : 0.0f;
      *scale = inverse_scale == 0 ? 0.0f : static_cast<float>(norm_factor / static_cast<double>(inverse_scale));
      double residual[2];
      kernels_.encode_row(x, dim, norm_factor, inverse_scale, *scale, codes + r * padded_dim(), residual);
      *residual_full = round_up(std::sqrt(residual[0]));
      *residual_high = round_up(std::sqrt(residual[1]));
      // The unit is a power of two, so x~ may be only half as long as it could be; bounds should not pay for that.
      const double length = std::sqrt(squared) * norm_factor;
      longest = std::max(longest, length + static_cast<double>(std::max(*residual_full, *residual_high)));
    }
    return longest * (1 + 0x1p-30);
  }

  // 64 rows of codes to the two planes of nibbles; four dimensions at a time in one 32-bit word.
  void pack_block(std::size_t block, const std::uint8_t* codes) {
    const std::size_t stride = padded_dim();
    std::uint8_t* high = segment_->high_.mutable_data() + block * segment_->plane_bytes_per_block();
    std::uint8_t* low = segment_->low_.mutable_data() + block * segment_->plane_bytes_per_block();
    for (std::size_t octet = 0; octet < segment_->octets(); ++octet) {
      const std::uint8_t* source = codes + 8 * octet;
      for (std::size_t r = 0; r < simd::kBlockRows; ++r, source += stride, high += 4, low += 4) {
        const std::uint32_t first = load_u32(source);
        const std::uint32_t second = load_u32(source + 4);
        store_u32(high, ((first >> 4) & 0x0f0f0f0fu) | (second & 0xf0f0f0f0u));
        store_u32(low, (first & 0x0f0f0f0fu) | ((second & 0x0f0f0f0fu) << 4));
      }
    }
  }

  const Metric metric_;
  const Segment::RowSource& row_;
  const std::function<std::string(std::size_t)>& describe_row_;
  const simd::Kernels& kernels_;
  std::shared_ptr<Segment> segment_;
  std::mutex mutex_;
};

std::shared_ptr<const Segment> Segment::build(Metric metric, StoredType type, std::size_t dim, std::span<const DocId> ids,
                                              const RowSource& row,
                                              const std::function<std::string(std::size_t)>& describe_row) {
  return SegmentBuilder(metric, type, dim, ids, row, describe_row).build();
}

}  // namespace sightline::dense
