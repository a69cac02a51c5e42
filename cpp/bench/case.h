// What sightline_native_bench measures: one piece of work after another, each on data that fits the first or second
// cache, so that neither the memory of the machine nor its other users decide the result.
//
// Case names are `table/what` for what depends on the kernel table in use, `common/what` for the rest.
// Not synchronised.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace sightline::bench {

// The loop that a case is compared with: what it is like, so that a noisy machine disturbs both alike.
enum class Reference { kFloats, kBytes };

struct Case {
  Reference reference;
  double bytes;               // that one call reads and writes
  double operations;          // of one call
  const char* unit;           // what an operation is
  std::function<void()> call;
};

// The data of a case is made when it is measured.
struct Definition {
  std::string name;
  std::function<Case()> make;
};

std::vector<Definition> kernel_cases();   // every entry of simd::kernels()
std::vector<Definition> dense_cases();
std::vector<Definition> lexical_cases();  // with the selection of the k best and checksums

// Keeps the compiler from dropping the computation of a value that nobody uses.
template <typename T>
inline void keep(const T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

}  // namespace sightline::bench
