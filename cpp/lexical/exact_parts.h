// Parts that add up to a rounded whole. A pure function, safe from any thread.
#pragma once

#include <cmath>
#include <span>

namespace sightline::lexical {

// Changes the parts in the last digit of the whole, so that added up in any order they give exactly `whole`; leaves them as
// they are if they do so in this order. What rounding the whole lost goes to the last positive part.
// Rounded down to multiples of the unit in the last place of the whole, parts and their sums up to the whole are numbers of
// at most 53 bits, so no addition rounds.
// Preconditions: whole and parts are not negative and add up to it but for rounding.
inline void settle_parts(std::span<double* const> parts, double whole) noexcept {
  double sum = 0.0;
  double* last = nullptr;
  for (double* part : parts) {
    sum += *part;
    if (*part > 0.0) last = part;
  }
  if (sum == whole || last == nullptr || !(whole > 0.0)) return;
  const int unit = std::ilogb(whole) - 52;
  double others = 0.0;
  for (double* part : parts) {
    *part = std::ldexp(std::floor(std::ldexp(*part, -unit)), unit);
    if (part != last) others += *part;
  }
  *last = whole - others;
}

}  // namespace sightline::lexical
