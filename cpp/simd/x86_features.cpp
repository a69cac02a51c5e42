#include "simd/x86_features.h"

#include <cpuid.h>

namespace sightline::simd {
namespace {

bool has(unsigned flags, int bit) { return (flags >> bit & 1) != 0; }

// Which registers the operating system saves. Only where CPUID says that it uses XSAVE.
unsigned saved_registers() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

}  // namespace

// The bits are those of Intel's manual, volume 2A, CPUID, and volume 1, 13.3 (XCR0).
X86Features x86_features() {
  X86Features found;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return found;
  found.sse42 = has(ecx, 20);
  const unsigned saved = has(ecx, 27) ? saved_registers() : 0;
  constexpr unsigned kYmm = 0x06;           // XMM and the upper halves of YMM
  constexpr unsigned kZmm = kYmm | 0xe0;    // besides: masks, the upper halves of ZMM, ZMM 16 to 31
  if ((saved & kYmm) != kYmm) return found;
  found.avx = has(ecx, 28);
  found.fma = has(ecx, 12);
  found.f16c = has(ecx, 29);
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return found;
  found.avx2 = has(ebx, 5);
  found.bmi2 = has(ebx, 8);
  if ((saved & kZmm) != kZmm) return found;
  found.avx512f = has(ebx, 16);
  found.avx512dq = has(ebx, 17);
  found.avx512bw = has(ebx, 30);
  found.avx512vl = has(ebx, 31);
  found.avx512vnni = has(ecx, 11);
  return found;
}

}  // namespace sightline::simd
