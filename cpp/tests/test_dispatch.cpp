#include "simd/dispatch.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "tests/check.h"

using namespace sightline;

TEST(dispatch_offers_scalar_everywhere_and_last) {
  const auto available = simd::available_names();
  const auto compiled = simd::compiled_names();
  CHECK_EQ(available.back(), std::string("scalar"));
  CHECK_EQ(std::set(compiled.begin(), compiled.end()).size(), compiled.size());
  // The same order of preference, so that the first available table is the best one.
  auto next = compiled.begin();
  for (const std::string& name : available) {
    next = std::find(next, compiled.end(), name);
    CHECK(next != compiled.end());
  }
}

TEST(dispatch_tables_are_complete) {
  for (const simd::Kernels* table : simd::available_kernels()) {
    CHECK(table->dot_f64 != nullptr && table->squared_distance_f64 != nullptr && table->max_abs_f32 != nullptr);
    CHECK(table->encode_row != nullptr && table->unpack_block != nullptr);
    CHECK(table->scan_block != nullptr && table->scan_block_high != nullptr && table->probe_operations != nullptr);
    CHECK_EQ(table->scan_block_planes != nullptr, table->most_from_planes != 0);
    CHECK_EQ(table->probe_operations(0), std::uint64_t{0});
    CHECK(table->probe_operations(3) > 0 && table->probe_operations(6) == 2 * table->probe_operations(3));
  }
}

// Under SIGHTLINE_ISA, which the caller may have set to any available name, that table is the active one.
TEST(dispatch_chooses_the_best_or_the_forced_table) {
  const char* variable = std::getenv("SIGHTLINE_ISA");
  const std::string forced = variable == nullptr ? "" : variable;
  const auto available = simd::available_names();
  if (forced.empty()) {
    CHECK_EQ(std::string(simd::kernels().name), available.front());
  } else if (std::find(available.begin(), available.end(), forced) != available.end()) {
    CHECK_EQ(std::string(simd::kernels().name), forced);
  }
  CHECK(!simd::selection().reason.empty());
  CHECK(&simd::kernels() == simd::selection().kernels);
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(_WIN32)
// The compiler's own way to ask, which knows these names everywhere but not all that we ask for.
TEST(dispatch_finds_the_features_that_the_compiler_finds) {
  __builtin_cpu_init();
  const auto found = simd::cpu_features();
  const auto has = [&](const char* name) { return std::find(found.begin(), found.end(), name) != found.end(); };
#define CHECK_FEATURE(name) CHECK_EQ(has(name), __builtin_cpu_supports(name) != 0)
  CHECK_FEATURE("sse4.2");
  CHECK_FEATURE("avx");
  CHECK_FEATURE("avx2");
  CHECK_FEATURE("fma");
  CHECK_FEATURE("bmi2");
  CHECK_FEATURE("avx512f");
  CHECK_FEATURE("avx512bw");
  CHECK_FEATURE("avx512dq");
  CHECK_FEATURE("avx512vl");
  CHECK_FEATURE("avx512vnni");
#undef CHECK_FEATURE
}
#endif
