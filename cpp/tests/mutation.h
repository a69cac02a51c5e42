// Damages section files so that damage reaches their readers: structure and content change, the checksums are made to fit.
#pragma once

#include <cstddef>
#include <random>
#include <vector>

namespace sightline::testing {

using Bytes = std::vector<std::byte>;

// A copy of a section file with one to four changes: values of 1 to 8 bytes set to what breaks arithmetic, copied, added to
// or flipped, within sections and in the table of them; sections cut, grown, swapped, renamed, dropped; the file cut. All
// checksums are then right again, but for one file in eight.
Bytes mutated(const Bytes& file, std::mt19937_64& random);

}  // namespace sightline::testing
