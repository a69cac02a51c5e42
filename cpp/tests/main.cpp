// Runs the tests: all of them, or those that the arguments select. An argument that is the full name of a test selects that
// one, any other selects every test whose name contains it; --skip=WORD leaves out those whose name contains the word.
// --list prints the names instead.
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

constexpr std::string_view kSkip = "--skip=";

bool is_skipped(const char* name, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with(kSkip) && std::string_view(name).find(argument.substr(kSkip.size())) != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

bool is_selected(const char* name, int argc, char** argv) {
  bool has_selection = false;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).starts_with(kSkip)) continue;
    has_selection = true;
    const bool match = is_full_name(argv[i]) ? std::strcmp(name, argv[i]) == 0 : std::strstr(name, argv[i]) != nullptr;
    if (match) return true;
  }
  return !has_selection;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--list") {
    for (const auto& test : tests()) std::printf("%s\n", test.name);
    return 0;
  }
  int passed = 0;
  int failed = 0;
  int skipped = 0;
  for (const auto& test : tests()) {
    if (!is_selected(test.name, argc, argv)) continue;
    if (is_skipped(test.name, argc, argv)) {
      ++skipped;
      continue;
    }
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
  std::printf("%d passed, %d failed, %d skipped (kernel tables:%s)\n", passed, failed, skipped, tables.c_str());
  return failed == 0 && passed > 0 ? 0 : 1;
}
