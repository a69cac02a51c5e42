// What the original vectors of an index are stored as. All three are exact in float32, so codes, bounds, norms and scores
// are computed from the stored values, and everything is exact with respect to them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/kernels.h"

namespace sightline::dense {

enum class StoredType : std::uint32_t {
  kFloat32 = 0,
  kFloat16 = 1,   // IEEE 754 binary16: 11 bits, greatest value 65504
  kBFloat16 = 2,  // the upper half of a float32: 8 bits, the range of float32
};

inline const char* stored_type_name(StoredType type) noexcept {
  switch (type) {
    case StoredType::kFloat32: return "float32";
    case StoredType::kFloat16: return "float16";
    case StoredType::kBFloat16: return "bfloat16";
  }
  return "";
}

inline std::size_t stored_bytes(StoredType type) noexcept { return type == StoredType::kFloat32 ? 4 : 2; }

// One stored row. The row must outlive the view; it is aligned for its type.
struct StoredRow {
  StoredType type;
  const std::byte* data;

  const float* f32() const noexcept { return reinterpret_cast<const float*>(data); }
  const std::uint16_t* words() const noexcept { return reinterpret_cast<const std::uint16_t*>(data); }

  // simd/kernels.h: the same bits as over the decoded row, under every table.
  double dot(const simd::Kernels& kernels, const float* query, std::size_t dim) const noexcept {
    switch (type) {
      case StoredType::kFloat16: return kernels.dot_f64_f16(query, words(), dim);
      case StoredType::kBFloat16: return kernels.dot_f64_bf16(query, words(), dim);
      case StoredType::kFloat32: break;
    }
    return kernels.dot_f64(query, f32(), dim);
  }
  double squared_distance(const simd::Kernels& kernels, const float* query, std::size_t dim) const noexcept {
    switch (type) {
      case StoredType::kFloat16: return kernels.squared_distance_f64_f16(query, words(), dim);
      case StoredType::kBFloat16: return kernels.squared_distance_f64_bf16(query, words(), dim);
      case StoredType::kFloat32: break;
    }
    return kernels.squared_distance_f64(query, f32(), dim);
  }

  // The values as float32: the row itself if that is what it holds, else `scratch` (dim floats), filled.
  const float* decode(const simd::Kernels& kernels, std::size_t dim, float* scratch) const noexcept {
    switch (type) {
      case StoredType::kFloat16: kernels.f16_to_f32(words(), dim, scratch); return scratch;
      case StoredType::kBFloat16: kernels.bf16_to_f32(words(), dim, scratch); return scratch;
      case StoredType::kFloat32: break;
    }
    return f32();
  }
};

}  // namespace sightline::dense
