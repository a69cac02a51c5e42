#include "simd/dispatch.h"

#include <cstdlib>
#include <utility>

#include "core/error.h"

#if defined(__x86_64__)
#include "simd/x86_features.h"
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace sightline::simd {
namespace {

struct Candidate {
  const Kernels* kernels;
  const char* forced_by;  // the value of SIGHTLINE_ISA that may select it
  const char* needs;
  bool supported;
};

// In order of preference.
std::vector<Candidate> candidates() {
  std::vector<Candidate> list;
#if defined(__x86_64__)
  const X86Features cpu = x86_features();
  const bool avx2 = cpu.avx2 && cpu.fma && cpu.bmi2 && cpu.f16c;
  const bool avx512 = avx2 && cpu.avx512f && cpu.avx512bw && cpu.avx512dq && cpu.avx512vl;
  const bool vnni = avx512 && cpu.avx512vnni;
  list.push_back({&kAvx512VnniKernels, "avx512", "AVX-512 F, BW, DQ, VL and VNNI", vnni});
  list.push_back({&kAvx512Kernels, "avx512", "AVX-512 F, BW, DQ and VL", avx512});
  list.push_back({&kAvx2Kernels, "avx2", "AVX2, FMA, F16C and BMI2", avx2});
#elif defined(__aarch64__)
#if defined(__linux__)
  const bool dotprod = (::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  const bool dotprod = true;  // every Apple CPU that runs this
#endif
  list.push_back({&kNeonDotprodKernels, "neon", "NEON with dot products", dotprod});
  list.push_back({&kNeonKernels, "neon", "NEON", true});
#endif
  list.push_back({&kScalarKernels, "scalar", "any CPU", true});
  return list;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Selection select() {
  const char* forced = std::getenv("SIGHTLINE_ISA");
  const bool is_forced = forced != nullptr && *forced != '\0';
  bool known = false;
  for (const Candidate& candidate : candidates()) {
    const bool named = is_forced && (std::string(forced) == candidate.forced_by || std::string(forced) == candidate.kernels->name);
    known = known || named;
    if (!candidate.supported || (is_forced && !named)) continue;
    if (is_forced) return {candidate.kernels, "SIGHTLINE_ISA=" + std::string(forced), forced};
    return {candidate.kernels, "the best table for this CPU (needs " + std::string(candidate.needs) + ")", ""};
  }
  throw Error(ErrorKind::kInvalidInput,
              "SIGHTLINE_ISA: " + std::string(known ? "this CPU cannot run '" : "there is no kernel table '") + forced +
                  "'; expected one of " + join(available_names()) + " on this machine; unset it to choose automatically");
}

}  // namespace

const Selection& selection() {
  static const Selection chosen = select();
  return chosen;
}

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> tables;
  for (const Candidate& candidate : candidates()) {
    if (candidate.supported) tables.push_back(candidate.kernels);
  }
  return tables;
}

std::vector<std::string> available_names() {
  std::vector<std::string> names;
  for (const Kernels* table : available_kernels()) names.emplace_back(table->name);
  return names;
}

std::vector<std::string> compiled_names() {
  std::vector<std::string> names;
  for (const Candidate& candidate : candidates()) names.emplace_back(candidate.kernels->name);
  return names;
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> features;
#if defined(__x86_64__)
  const X86Features cpu = x86_features();
  const std::pair<const char*, bool> known[] = {
      {"sse4.2", cpu.sse42},     {"avx", cpu.avx},           {"avx2", cpu.avx2},         {"fma", cpu.fma},
      {"f16c", cpu.f16c},        {"bmi2", cpu.bmi2},         {"avx512f", cpu.avx512f},   {"avx512bw", cpu.avx512bw},
      {"avx512dq", cpu.avx512dq}, {"avx512vl", cpu.avx512vl}, {"avx512vnni", cpu.avx512vnni},
  };
  for (const auto& [name, present] : known) {
    if (present) features.emplace_back(name);
  }
#elif defined(__aarch64__)
  features.emplace_back("neon");
#if defined(__linux__)
  if ((::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) features.emplace_back("asimddp");
#endif
#endif
  return features;
}

}  // namespace sightline::simd
