// How two vectors are compared. In every metric greater is better.
#pragma once

#include <cstdint>

namespace sightline::dense {

enum class Metric : std::uint32_t {
  kCosine = 0,        // q.x / (|q| |x|), in [-1, 1]
  kInnerProduct = 1,  // q.x
  kSquaredL2 = 2,     // -|q - x|^2
};

}  // namespace sightline::dense
