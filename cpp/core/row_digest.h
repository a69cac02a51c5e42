// A hash of a set of rows: the sum, modulo 2^64, of a hash of each, so that rows can be added to it and subtracted from it.
//
// Source: S. Vigna, splitmix64, the finaliser.
#pragma once

#include <cstdint>
#include <span>

namespace sightline {

inline std::uint64_t digest_of_rows(std::span<const std::int64_t> rows) noexcept {
  std::uint64_t sum = 0;
  for (const std::int64_t row : rows) {
    std::uint64_t mixed = static_cast<std::uint64_t>(row) + 0x9E3779B97F4A7C15ULL;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
    sum += mixed ^ (mixed >> 31);
  }
  return sum;
}

}  // namespace sightline
