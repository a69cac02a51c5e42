// A hash of a set of rows: the sum, modulo 2^64, of a hash of each, so that rows can be added to it and subtracted from it.
#pragma once

#include <cstdint>
#include <span>

#include "core/mix64.h"

namespace sightline {

inline std::uint64_t digest_of_rows(std::span<const std::int64_t> rows) noexcept {
  std::uint64_t sum = 0;
  for (const std::int64_t row : rows) sum += mix64(static_cast<std::uint64_t>(row) + 0x9E3779B97F4A7C15ULL);
  return sum;
}

}  // namespace sightline
