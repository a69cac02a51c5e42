// Loops that never change, so that what is compared with them shows its own changes only. Compiled without vectorisation,
// for the baseline CPU: plain scalar work in the first-level cache, several independent chains.
#pragma once

#include "bench/case.h"

namespace sightline::bench {

// kFloats: 4,096 multiply-adds of float32 in float64; kBytes: FNV-1a hashes of 4,096 bytes, four side by side.
void run_reference(Reference reference);

const char* name_of(Reference reference) noexcept;

}  // namespace sightline::bench
