// Runs the tests: all of them, or those that the arguments select. An argument that is the full name of a test selects that
// one, any other selects every test whose name contains it. --list prints the names instead.
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "simd/dispatch.h"
#include "tests/check.h"

namespace {

using sightline::testing::tests;

bool is_full_name(const char* argument) {
  for (const auto& test : tests()) {
    if (std::strcmp(test.name, argument) == 0) return true;
  }
  return false;
}

bool is_selected(const char* name, int argc, char** argv) {
  if (argc <= 1) return true;
  for (int i = 1; i < argc; ++i) {
    const bool match = is_full_name(argv[i]) ? std::strcmp(name, argv[i]) == 0 : std::strstr(name, argv[i]) != nullptr;
    if (match) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--list") {
    for (const auto& test : tests()) std::printf("%s\n", test.name);
    return 0;
  }
  int passed = 0;
  int failed = 0;
  for (const auto& test : tests()) {
    if (!is_selected(test.name, argc, argv)) continue;
    try {
      test.run();
      ++passed;
    } catch (const std::exception& error) {
      ++failed;
      std::printf("FAILED %s\n  %s\n", test.name, error.what());
    }
  }
  std::string tables;
  for (const std::string& name : sightline::simd::available_names()) tables += " " + name;
  std::printf("%d passed, %d failed (kernel tables:%s)\n", passed, failed, tables.c_str());
  return failed == 0 && passed > 0 ? 0 : 1;
}
