// A hash of 64 bits whose every bit depends on all of them. Pure functions, safe from any thread.
//
// Source: S. Vigna, splitmix64, the finaliser.
#pragma once

#include <cstdint>

namespace sightline {

inline std::uint64_t mix64(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

}  // namespace sightline
