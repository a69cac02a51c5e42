// A minimal test harness: TEST(name) { CHECK(condition); CHECK_EQ(a, b); }. Every failure is printed with its values; the
// first one in a test ends it. main.cpp runs all tests, or those whose name contains one of the arguments.
#pragma once

#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace sightline::testing {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> list;
  return list;
}

struct Registration {
  Registration(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename A, typename B>
void check_eq(const A& a, const B& b, const char* text, const char* file, int line) {
  if (a == b) return;
  std::ostringstream message;
  message.precision(17);
  message << file << ":" << line << ": " << text << ": " << a << " != " << b;
  throw Failure(message.str());
}

inline void check(bool condition, const char* text, const char* file, int line) {
  if (condition) return;
  throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + text);
}

}  // namespace sightline::testing

#define TEST(name)                                                                       \
  static void test_##name();                                                             \
  static const sightline::testing::Registration registration_##name(#name, test_##name); \
  static void test_##name()
#define CHECK(condition) sightline::testing::check((condition), #condition, __FILE__, __LINE__)
#define CHECK_EQ(a, b) sightline::testing::check_eq((a), (b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_THROWS(expression, Exception)                                                      \
  do {                                                                                           \
    bool caught = false;                                                                         \
    try {                                                                                        \
      (void)(expression);                                                                        \
    } catch (const Exception&) {                                                                 \
      caught = true;                                                                             \
    }                                                                                            \
    sightline::testing::check(caught, #expression " throws " #Exception, __FILE__, __LINE__);    \
  } while (false)
