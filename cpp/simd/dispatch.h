// Chooses one kernel table for the process, once: the best that the CPU and the operating system support, or the one that
// SIGHTLINE_ISA names. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "simd/kernels.h"

namespace sightline::simd {

struct Selection {
  const Kernels* kernels;
  std::string reason;  // for people: why this table
  std::string forced;  // the value of SIGHTLINE_ISA, empty if there was none
};

// Throws InvalidInputError if SIGHTLINE_ISA names a table that does not exist in this build or cannot run here.
const Selection& selection();
inline const Kernels& kernels() { return *selection().kernels; }

// Tables that this machine can run, best first. Tests go through all of them.
std::vector<const Kernels*> available_kernels();
std::vector<std::string> available_names();
std::vector<std::string> compiled_names();
std::vector<std::string> cpu_features();

}  // namespace sightline::simd
