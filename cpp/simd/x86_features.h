// What an x86-64 CPU can execute, asked of CPUID and XGETBV.
//
// Not by __builtin_cpu_supports: which names it knows differs by compiler, and with clang-cl it needs a library that is not
// linked there. Stateless; any thread.
#pragma once

namespace sightline::simd {

// A feature that the CPU has but whose registers the operating system does not save on a context switch counts as absent.
struct X86Features {
  bool sse42 = false;
  bool avx = false;
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  bool bmi2 = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512dq = false;
  bool avx512vl = false;
  bool avx512vnni = false;
};

X86Features x86_features();

}  // namespace sightline::simd
