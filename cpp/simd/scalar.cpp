// The reference table: plain C++, right by inspection, what every other table is tested against.
#include "simd/kernels.h"

namespace sightline::simd {
namespace {

constexpr std::size_t kLanes = 16;

// The fixed tree: lane i and lane i + 8, then i + 4, i + 2, i + 1.
double sum_lanes(double* lanes) noexcept {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

std::uint32_t bits_of(float value) noexcept {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

float from_bits(std::uint32_t bits) noexcept {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

// How a stored value is read and, for the types of 16 bits, made.
struct F32 {
  using Word = float;
  static float decode(float value) noexcept { return value; }
};

struct F16 {  // 1 bit of sign, 5 of exponent (bias 15), 10 of mantissa; float32 has 1, 8 (bias 127), 23
  using Word = std::uint16_t;

  static float decode(std::uint16_t value) noexcept {
    const std::uint32_t sign = static_cast<std::uint32_t>(value & 0x8000u) << 16;
    const std::uint32_t magnitude = value & 0x7fffu;
    if (magnitude >= 0x7c00u) return from_bits(sign | 0x7f800000u | magnitude << 13);  // infinity or NaN
    if (magnitude >= 0x0400u) return from_bits(sign | ((magnitude << 13) + ((127u - 15u) << 23)));
    return from_bits(sign | bits_of(static_cast<float>(magnitude) * 0x1p-24f));  // denormal: multiples of 2^-24
  }

  static std::uint16_t encode(float value) noexcept {
    const std::uint32_t sign = bits_of(value) >> 16 & 0x8000u;
    const std::uint32_t magnitude = bits_of(value) & 0x7fffffffu;
    std::uint32_t rounded;
    if (magnitude > 0x7f800000u) {
      rounded = 0x7e00u;  // NaN
    } else if (magnitude >= bits_of(65520.0f)) {
      rounded = 0x7c00u;  // half-way from the greatest float16, 65504, to 2^16: even is infinity
    } else if (magnitude >= bits_of(0x1p-14f)) {
      const std::uint32_t rebiased = magnitude - ((127u - 15u) << 23);
      rounded = (rebiased + 0x0fffu + (rebiased >> 13 & 1u)) >> 13;
    } else {
      // Denormal. The last bit of a float32 from 1/2 to 1 is 2^-24, so the addition rounds as is wanted.
      rounded = bits_of(from_bits(magnitude) + 0.5f) - bits_of(0.5f);
    }
    return static_cast<std::uint16_t>(sign | rounded);
  }
};

struct BF16 {
  using Word = std::uint16_t;

  static float decode(std::uint16_t value) noexcept { return from_bits(static_cast<std::uint32_t>(value) << 16); }

  static std::uint16_t encode(float value) noexcept {
    const std::uint32_t bits = bits_of(value);
    // A NaN is cut, not rounded, which could make it infinite or zero; the bit set keeps it a NaN.
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
};

template <typename Stored>
double dot_f64_scalar(const float* a, const typename Stored::Word* b, std::size_t dim) noexcept {
  double lanes[kLanes] = {};
  for (std::size_t i = 0; i < dim; ++i) {
    lanes[i % kLanes] += static_cast<double>(a[i]) * static_cast<double>(Stored::decode(b[i]));
  }
  return sum_lanes(lanes);
}

template <typename Stored>
double squared_distance_f64_scalar(const float* a, const typename Stored::Word* b, std::size_t dim) noexcept {
  double lanes[kLanes] = {};
  for (std::size_t i = 0; i < dim; ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(Stored::decode(b[i]));
    lanes[i % kLanes] += difference * difference;
  }
  return sum_lanes(lanes);
}

template <typename Stored>
void encode_scalar(const float* values, std::size_t count, std::uint16_t* out) noexcept {
  for (std::size_t i = 0; i < count; ++i) out[i] = Stored::encode(values[i]);
}

template <typename Stored>
void decode_scalar(const std::uint16_t* values, std::size_t count, float* out) noexcept {
  for (std::size_t i = 0; i < count; ++i) out[i] = Stored::decode(values[i]);
}

float max_abs_f32_scalar(const float* row, std::size_t dim) noexcept {
  float greatest = 0;
  float not_finite = 0;  // x - x is 0 for a finite x, NaN otherwise
  for (std::size_t i = 0; i < dim; ++i) {
    const float magnitude = row[i] < 0 ? -row[i] : row[i];
    greatest = magnitude > greatest ? magnitude : greatest;
    not_finite += row[i] - row[i];
  }
  return greatest + not_finite;
}

void encode_row_scalar(const float* row, std::size_t dim, double norm_factor, float inverse_scale, float scale,
                       std::uint8_t* codes, double residual[2]) noexcept {
  double full = 0;
  double high = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    float t = row[i] * inverse_scale;
    t = t > 127.0f ? 127.0f : t;
    t = t < -127.0f ? -127.0f : t;
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even.
    const int c = static_cast<int>((t + 12582912.0f) - 12582912.0f);
    const int u = c + 128;
    codes[i] = static_cast<std::uint8_t>(u);
    const double x = static_cast<double>(row[i]) * norm_factor;
    const double d_full = x - static_cast<double>(scale) * c;
    const double d_high = x - static_cast<double>(scale) * (16 * (u >> 4) - 120.5);
    full += d_full * d_full;
    high += d_high * d_high;
  }
  residual[0] = full;
  residual[1] = high;
}

void unpack_block_scalar(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, std::uint8_t* out) noexcept {
  for (std::size_t octet = 0; octet < octets; ++octet, high += kOctetBytes, low += kOctetBytes, out += 2 * kOctetBytes) {
    for (std::size_t i = 0; i < kOctetBytes; ++i) {
      out[i] = static_cast<std::uint8_t>((high[i] << 4) | (low[i] & 15));
      out[i + kOctetBytes] = static_cast<std::uint8_t>((high[i] & 0xf0) | (low[i] >> 4));
    }
  }
}

void finish_bounds(const std::int32_t* dots, const CoarseRows& rows, const CoarseQuery& query, std::uint64_t* survivors,
                   float* upper) noexcept {
  std::uint64_t mask = 0;
  for (std::size_t r = 0; r < kBlockRows; ++r) {
    const float product = rows.scale[r] * static_cast<float>(dots[r] + query.offset);
    upper[r] = query.dot_factor * product + (query.residual_factor * rows.residual[r] + query.bias_factor * rows.bias[r]);
    if (!(upper[r] < query.threshold)) mask |= std::uint64_t{1} << r;
  }
  *survivors = mask;
}

void scan_block_scalar(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                       const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors, float* upper) noexcept {
  for (std::size_t q = 0; q < width; ++q) {
    std::int32_t dots[kBlockRows] = {};
    for (std::size_t quad = 0; quad < 2 * octets; ++quad) {
      const std::int8_t* e = queries + (quad * width + q) * 4;
      const std::uint8_t* u = block + quad * kOctetBytes;
      for (std::size_t r = 0; r < kBlockRows; ++r) {
        for (std::size_t j = 0; j < 4; ++j) dots[r] += u[4 * r + j] * e[j];
      }
    }
    finish_bounds(dots, rows, constants[q], survivors + q, upper + kBlockRows * q);
  }
}

void scan_block_high_scalar(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                            const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors,
                            float* upper) noexcept {
  for (std::size_t q = 0; q < width; ++q) {
    std::int32_t dots[kBlockRows] = {};
    for (std::size_t octet = 0; octet < octets; ++octet) {
      const std::int8_t* first = queries + (2 * octet * width + q) * 4;
      const std::int8_t* second = first + 4 * width;
      const std::uint8_t* u = high + octet * kOctetBytes;
      for (std::size_t r = 0; r < kBlockRows; ++r) {
        for (std::size_t j = 0; j < 4; ++j) dots[r] += (u[4 * r + j] & 15) * first[j] + (u[4 * r + j] >> 4) * second[j];
      }
    }
    for (std::int32_t& dot : dots) dot *= 32;
    finish_bounds(dots, rows, constants[q], survivors + q, upper + kBlockRows * q);
  }
}

void strided_maxima_u16_scalar(const std::uint16_t* values, std::size_t groups, std::uint16_t* maxima) noexcept {
  for (std::size_t g = 0; g < groups; ++g, values += kStrideGroup, maxima += kStride) {
    for (std::size_t j = 0; j < kStride; ++j) maxima[j] = values[j];
    for (std::size_t i = 1; i < kStrideGroup / kStride; ++i) {
      for (std::size_t j = 0; j < kStride; ++j) {
        const std::uint16_t value = values[kStride * i + j];
        maxima[j] = value > maxima[j] ? value : maxima[j];
      }
    }
  }
}

std::size_t take_at_least_u16_scalar(std::uint16_t* values, std::size_t count, std::uint16_t least, TakenValue* taken) noexcept {
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (values[i] >= least) taken[found++] = {values[i], static_cast<std::uint16_t>(i)};
    values[i] = 0;
  }
  return found;
}

void count_less_i32_scalar(const std::int32_t* keys, std::size_t count, std::int32_t* less) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    std::int32_t found = 0;
    for (std::size_t j = 0; j < count; ++j) found += keys[j] < keys[i] ? 1 : 0;
    less[i] = found;
  }
}

// Value i. It lies in at most three bytes: 7 bits before it and 14 of its own.
std::uint16_t packed_value(const std::uint8_t* bits, std::size_t i, std::uint32_t width) noexcept {
  const std::size_t begin = i * width;
  const std::uint8_t* p = bits + begin / 8;
  const std::uint32_t bytes = p[0] | static_cast<std::uint32_t>(p[1]) << 8 | static_cast<std::uint32_t>(p[2]) << 16;
  return static_cast<std::uint16_t>(bytes >> (begin % 8) & ((1U << width) - 1));
}

void unpack_u16_scalar(const std::uint8_t* bits, std::size_t count, std::uint32_t width, std::uint16_t* out) noexcept {
  for (std::size_t i = 0; i < count; ++i) out[i] = packed_value(bits, i, width);
}

void unpack_ascending_u16_scalar(const std::uint8_t* bits, std::size_t count, std::uint32_t width, std::uint16_t first,
                                 std::uint16_t* out) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    first = static_cast<std::uint16_t>(first + packed_value(bits, i, width) + 1);
    out[i] = first;
  }
}

std::uint64_t probe_operations_scalar(std::size_t rounds) noexcept {
  std::int32_t sums[4] = {};
  for (std::size_t i = 0; i < rounds; ++i) {
    for (std::int32_t& sum : sums) {
      sum += static_cast<std::int32_t>(i & 255) * 3;
      asm volatile("" : "+r"(sum));  // keeps the loop from being solved in closed form
    }
  }
  return rounds * 4 * 2;
}

}  // namespace

const Kernels kScalarKernels = {
    .name = "scalar",
    .dot_f64 = dot_f64_scalar<F32>,
    .squared_distance_f64 = squared_distance_f64_scalar<F32>,
    .dot_f64_f16 = dot_f64_scalar<F16>,
    .dot_f64_bf16 = dot_f64_scalar<BF16>,
    .squared_distance_f64_f16 = squared_distance_f64_scalar<F16>,
    .squared_distance_f64_bf16 = squared_distance_f64_scalar<BF16>,
    .f32_to_f16 = encode_scalar<F16>,
    .f32_to_bf16 = encode_scalar<BF16>,
    .f16_to_f32 = decode_scalar<F16>,
    .bf16_to_f32 = decode_scalar<BF16>,
    .max_abs_f32 = max_abs_f32_scalar,
    .encode_row = encode_row_scalar,
    .max_query_code = 127,
    .tile_width = 4,
    .unpack_block = unpack_block_scalar,
    .scan_block = scan_block_scalar,
    .scan_block_planes = nullptr,
    .most_from_planes = 0,
    .scan_block_high = scan_block_high_scalar,
    .dot_row = nullptr,
    .strided_maxima_u16 = strided_maxima_u16_scalar,
    .take_at_least_u16 = take_at_least_u16_scalar,
    .count_less_i32 = count_less_i32_scalar,
    .unpack_u16 = unpack_u16_scalar,
    .unpack_ascending_u16 = unpack_ascending_u16_scalar,
    .probe_operations = probe_operations_scalar,
};

}  // namespace sightline::simd
