#include "bench/reference.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sightline::bench {
namespace {

constexpr std::size_t kCount = 4096;

// Eight sums in variables of their own, so that additions do not wait for each other.
float sum_products(const std::array<float, kCount>& x) {
  float a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
  for (std::size_t i = 0; i < kCount; i += 8) {
    a += x[i] * x[i];
    b += x[i + 1] * x[i + 1];
    c += x[i + 2] * x[i + 2];
    d += x[i + 3] * x[i + 3];
    e += x[i + 4] * x[i + 4];
    f += x[i + 5] * x[i + 5];
    g += x[i + 6] * x[i + 6];
    h += x[i + 7] * x[i + 7];
  }
  return ((a + b) + (c + d)) + ((e + f) + (g + h));
}

std::uint32_t mixed(std::uint32_t hash, std::uint8_t byte) { return std::rotl(hash, 5) ^ byte; }

std::uint32_t hash_bytes(const std::array<std::uint8_t, kCount>& x) {
  std::uint32_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
  for (std::size_t i = 0; i + 6 <= kCount; i += 6) {
    a = mixed(a, x[i]);
    b = mixed(b, x[i + 1]);
    c = mixed(c, x[i + 2]);
    d = mixed(d, x[i + 3]);
    e = mixed(e, x[i + 4]);
    f = mixed(f, x[i + 5]);
  }
  return a ^ b ^ c ^ d ^ e ^ f;
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
