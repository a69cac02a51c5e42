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
