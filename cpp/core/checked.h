// Arithmetic on sizes that come from a caller or a file.
#pragma once

#include <cstddef>

#include "core/error.h"

namespace sightline {

inline std::size_t checked_mul(std::size_t a, std::size_t b) {
  std::size_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) {
    throw Error(ErrorKind::kInvalidInput, "a size overflows 64 bits: " + std::to_string(a) + " * " + std::to_string(b));
  }
  return result;
}

inline std::size_t checked_add(std::size_t a, std::size_t b) {
  std::size_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) {
    throw Error(ErrorKind::kInvalidInput, "a size overflows 64 bits: " + std::to_string(a) + " + " + std::to_string(b));
  }
  return result;
}

}  // namespace sightline
