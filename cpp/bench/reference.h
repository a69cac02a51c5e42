// Loops that never change, so that what is compared with them shows its own changes only. Compiled without
// vectorisation, for the baseline CPU: plain scalar work in the first-level cache.
//
// Both have so many independent chains that they wait for execution units, not for results. Then a neighbour on the same
// core (another hardware thread) slows them down about as much as it does the kernels; a chain of dependent steps would
// not notice.
#pragma once

#include "bench/case.h"

namespace sightline::bench {

// kFloats: 4,096 multiply-adds of float32 in eight sums; kBytes: six hashes side by side, of 4,096 bytes in all.
void run_reference(Reference reference);

const char* name_of(Reference reference) noexcept;

}  // namespace sightline::bench
