#include "bench/reference.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace sightline::bench {
namespace {

constexpr std::size_t kCount = 4096;

double sum_products(const std::array<float, kCount>& values) {
  double sums[4] = {};
  for (std::size_t i = 0; i < kCount; i += 4) {
    for (std::size_t j = 0; j < 4; ++j) sums[j] += static_cast<double>(values[i + j]) * static_cast<double>(values[kCount - 1 - i - j]);
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

std::uint64_t hash_bytes(const std::array<std::uint8_t, kCount>& bytes) {
  constexpr std::uint64_t kPrime = 0x100000001B3;
  std::uint64_t hashes[4] = {1, 2, 3, 4};
  for (std::size_t i = 0; i < kCount; i += 4) {
    for (std::size_t j = 0; j < 4; ++j) hashes[j] = (hashes[j] ^ bytes[i + j]) * kPrime;
  }
  return hashes[0] ^ hashes[1] ^ hashes[2] ^ hashes[3];
}

}  // namespace

void run_reference(Reference reference) {
  if (reference == Reference::kFloats) {
    static const auto values = [] {
      std::array<float, kCount> made{};
      for (std::size_t i = 0; i < kCount; ++i) made[i] = 1.0F / static_cast<float>(i + 1);
      return made;
    }();
    keep(sum_products(values));
  } else {
    static const auto bytes = [] {
      std::array<std::uint8_t, kCount> made{};
      for (std::size_t i = 0; i < kCount; ++i) made[i] = static_cast<std::uint8_t>(i * 151);
      return made;
    }();
    keep(hash_bytes(bytes));
  }
}

const char* name_of(Reference reference) noexcept { return reference == Reference::kFloats ? "floats" : "bytes"; }

}  // namespace sightline::bench
