// Measures cases, each beside a reference loop of this same program, and prints one JSON object a line.
//
//   sightline_native_bench [--samples=N] [--calls=N] [--slow=NAME] [NAME...]     see kUsage
//
// Samples of case and reference alternate, each some 30 microseconds long: short beside the time slices of the
// operating system, so that on a loaded machine many samples of either are undisturbed, and the least of them tells how
// fast it is.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/case.h"
#include "bench/reference.h"
#include "parallel/thread_pool.h"
#include "simd/dispatch.h"

// The calls of a case, under a name that callgrind can be told to collect in.
extern "C" [[gnu::noinline]] void sightline_bench_measured(const sightline::bench::Case& measured, std::size_t calls) {
  for (std::size_t i = 0; i < calls; ++i) measured.call();
}

namespace {

using namespace sightline;
using bench::Case;
using bench::Definition;

constexpr const char* kUsage =
    "usage: sightline_native_bench [options] [NAME...]   measures the cases of these names, or all\n"
    "  --list        prints the names of the cases and measures nothing\n"
    "  --about       prints the compiler and the kernel tables that this machine has, the one in use first\n"
    "  --samples=N   alternating samples of case and reference loop (default 40)\n"
    "  --calls=N     makes N calls of each case and takes no time: for counting instructions\n"
    "  --slow=NAME   makes three times the calls of this case that it reports: a regression, to try alarms with\n";

constexpr double kSampleNanoseconds = 30e3;

struct Options {
  bool list = false;
  bool about = false;
  std::size_t samples = 40;
  std::size_t calls = 0;
  std::string slow;
  std::vector<std::string> names;
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "%s\n%s", message.c_str(), kUsage);
  std::exit(2);
}

std::size_t positive(std::string_view text) {
  std::size_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9' || value > 1000000) {
      fail("expected a number up to 1000000, got " + std::string(text));
    }
    value = 10 * value + static_cast<std::size_t>(digit - '0');
  }
  if (value == 0) fail("expected a positive number, got '" + std::string(text) + "'");
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto value = [&](std::string_view name) { return argument.substr(name.size()); };
    if (argument == "--list") {
      options.list = true;
    } else if (argument == "--about") {
      options.about = true;
    } else if (argument.starts_with("--samples=")) {
      options.samples = positive(value("--samples="));
    } else if (argument.starts_with("--calls=")) {
      options.calls = positive(value("--calls="));
    } else if (argument.starts_with("--slow=")) {
      options.slow = value("--slow=");
    } else if (argument.starts_with("--")) {
      fail("unknown option " + std::string(argument));
    } else {
      options.names.emplace_back(argument);
    }
  }
  return options;
}

double nanoseconds(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

// How many calls take about one sample's time; also warms up.
std::size_t calls_a_sample(auto&& run) {
  for (std::size_t calls = 1;; calls *= 2) {
    run(calls);
    double least = nanoseconds([&] { run(calls); });
    for (int i = 0; i < 2; ++i) least = std::min(least, nanoseconds([&] { run(calls); }));
    if (least >= kSampleNanoseconds / 2) return calls;
  }
}

// The calls that are made where so many are reported.
std::size_t really(std::size_t calls, bool slow) { return slow ? 3 * calls : calls; }

void print_list(const char* name, const std::vector<double>& values) {
  std::printf("\"%s\": [", name);
  for (std::size_t i = 0; i < values.size(); ++i) std::printf("%s%.3f", i == 0 ? "" : ", ", values[i]);
  std::printf("]");
}

void print(const Definition& definition, const Case& measured, const std::vector<double>& ns,
           const std::vector<double>& reference_ns) {
  std::printf("{\"name\": \"%s\", \"reference\": \"%s\", ", definition.name.c_str(),
              bench::name_of(measured.reference));
  std::printf("\"bytes\": %.0f, \"operations\": %.0f, \"unit\": \"%s\", ", measured.bytes, measured.operations,
              measured.unit);
  print_list("ns", ns);
  std::printf(", ");
  print_list("reference_ns", reference_ns);
  std::printf("}\n");
}

void count(const std::vector<Definition>& list, const Options& options) {
  for (const Definition& definition : list) {
    const Case measured = definition.make();
    measured.call();  // what is made on first use
    sightline_bench_measured(measured, really(options.calls, definition.name == options.slow));
    print(definition, measured, {}, {});
  }
}

// A case with what its samples need and gave.
struct Sampled {
  const Definition* definition;
  Case measured;
  bool slow;
  std::size_t calls = 0;
  std::size_t reference_calls = 0;
  std::vector<double> ns;
  std::vector<double> reference_ns;

  void run(std::size_t count) const { sightline_bench_measured(measured, really(count, slow)); }
  void run_reference(std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) bench::run_reference(measured.reference);
  }
  void sample() {
    reference_ns.push_back(nanoseconds([&] { run_reference(reference_calls); }) / static_cast<double>(reference_calls));
    ns.push_back(nanoseconds([&] { run(calls); }) / static_cast<double>(calls));
  }
};

// All cases in turn, a few samples at each visit, and a pause after each turn: so the samples of a case are spread over
// the whole run, and not all of them fall into the moment in which somebody else has the core.
void measure(const std::vector<Definition>& list, const Options& options) {
  constexpr std::size_t kSamplesAVisit = 4;
  constexpr std::chrono::milliseconds kPause{3};
  std::vector<Sampled> sampled;
  for (const Definition& definition : list) {
    const bool slow = definition.name == options.slow;
    Sampled& s = sampled.emplace_back(Sampled{&definition, definition.make(), slow, 0, 0, {}, {}});
    s.calls = calls_a_sample([&](std::size_t calls) { s.run(calls); });
    s.reference_calls = calls_a_sample([&](std::size_t calls) { s.run_reference(calls); });
  }
  for (std::size_t done = 0; done < options.samples; done += kSamplesAVisit) {
    for (Sampled& s : sampled) {
      s.run_reference(1);
      s.run(1);  // brings its data into the cache
      for (std::size_t i = done; i < std::min(options.samples, done + kSamplesAVisit); ++i) s.sample();
    }
    std::this_thread::sleep_for(kPause);
  }
  for (const Sampled& s : sampled) print(*s.definition, s.measured, s.ns, s.reference_ns);
}

std::vector<Definition> all_cases() {
  std::vector<Definition> list = bench::kernel_cases();
  for (const auto more : {bench::dense_cases, bench::lexical_cases}) {
    std::vector<Definition> others = more();
    std::move(others.begin(), others.end(), std::back_inserter(list));
  }
  return list;
}

void print_about() {
#if defined(__clang__)
  std::printf("{\"compiler\": \"clang++ %d.%d\"", __clang_major__, __clang_minor__);
#else
  std::printf("{\"compiler\": \"g++ %d.%d\"", __GNUC__, __GNUC_MINOR__);
#endif
  std::printf(", \"tables\": [\"%s\"", simd::kernels().name);
  for (const std::string& name : simd::available_names()) {
    if (name != simd::kernels().name) std::printf(", \"%s\"", name.c_str());
  }
  std::printf("]}\n");
}

void run(const Options& options) {
  parallel::set_num_threads(1);
  if (options.about) {
    print_about();
    return;
  }
  std::vector<Definition> list = all_cases();
  const auto known = [&](const std::string& name) {
    return std::any_of(list.begin(), list.end(), [&](const Definition& d) { return d.name == name; });
  };
  for (const std::string& name : options.names) {
    if (!known(name)) fail("no case is called " + name);
  }
  if (!options.slow.empty() && !known(options.slow)) fail("no case is called " + options.slow);
  if (!options.names.empty()) {
    std::erase_if(list, [&](const Definition& d) {
      return std::find(options.names.begin(), options.names.end(), d.name) == options.names.end();
    });
  }
  if (options.list) {
    for (const Definition& definition : list) std::printf("%s\n", definition.name.c_str());
  } else if (options.calls > 0) {
    count(list, options);
  } else {
    measure(list, options);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
  } catch (const std::exception& error) {  // a kernel table that does not exist, say
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
