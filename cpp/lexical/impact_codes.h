// A posting's (term frequency, document length) as one byte. The byte names the exact frequency and a class of lengths, so
// that it yields the frequency for exact scores and bounds of the gain, from both sides, for any parameters of BM25.
//
// A segment divides its lengths into classes; each (frequency, class) has a code, and neighbouring classes of one frequency
// share one where few postings are. Code 0 means a frequency above kMaxCodedTf, kept beside the postings.
// Pure functions and immutable values, safe from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sightline::lexical {

inline constexpr std::uint32_t kMaxCodedTf = 24;
inline constexpr std::size_t kMaxLengthClasses = 200;
inline constexpr std::uint8_t kLargeTfCode = 0;
inline constexpr std::size_t kCodeCount = 256;

// As stored. Invariants: class_begins strictly ascending, at most kMaxLengthClasses + 1 of them, one more than the classes
// (none if no document has a token); class c holds the lengths from class_begins[c] to class_begins[c + 1] - 1.
// codes[(tf - 1) * classes + c] is kLargeTfCode if no posting has this tf and class; the other codes never fall along the
// array, rise by one at a time, and belong to one tf each.
struct CodeMap {
  std::span<const std::uint32_t> class_begins;
  std::span<const std::uint8_t> codes;

  std::size_t class_count() const noexcept { return class_begins.empty() ? 0 : class_begins.size() - 1; }
  std::uint8_t code(std::uint32_t tf, std::size_t length_class) const noexcept {
    return tf > kMaxCodedTf ? kLargeTfCode : codes[(tf - 1) * class_count() + length_class];
  }
};

struct OwnedCodeMap {
  std::vector<std::uint32_t> class_begins;
  std::vector<std::uint8_t> codes;
  CodeMap view() const noexcept { return {class_begins, codes}; }
};

// What every posting with a code has in common. tf_high = 0 for a code that is not in use.
struct CodeRange {
  std::uint32_t tf_low = 0;
  std::uint32_t tf_high = 0;
  std::uint32_t min_length = 0;
  std::uint32_t max_length = 0;
};
using CodeRanges = std::array<CodeRange, kCodeCount>;

// The class of each length. Precondition: every length above 0 lies in a class. Lengths of 0 get class 0.
std::vector<std::uint8_t> length_classes(std::span<const std::uint32_t> class_begins, std::span<const std::uint32_t> lengths);

// Classes of about equal share of the square roots of their numbers of documents and of the gain that they span under the
// default parameters: so that bounds are tight on average, and none is loose.
std::vector<std::uint32_t> choose_classes(std::span<const std::uint32_t> lengths);

double average_length(std::span<const std::uint32_t> lengths) noexcept;

// Codes by the same rule, of postings.
// posting_counts[(tf - 1) * classes + c]: how many postings have this frequency, at most kMaxCodedTf, and class.
std::vector<std::uint8_t> choose_codes(std::span<const std::uint64_t> posting_counts,
                                       std::span<const std::uint32_t> class_begins, double average_length);

// Given weights instead of frequencies: bounds of codes, strictly ascending, the last the greatest weight. Half of them divide
// the range evenly, half the weights. O(n log n) in at most kCodeSample weights.
std::vector<float> choose_value_bounds(std::span<const float> weights);
inline constexpr std::size_t kCodeSample = 65536;
// The first bound that is not less. Precondition: there is one.
std::uint8_t value_code(std::span<const float> bounds, float weight) noexcept;

// The ranges of all codes. max_tf: the greatest frequency of the segment.
CodeRanges code_ranges(const CodeMap& map, std::uint32_t max_tf);

// Whether the invariants above hold, as far as the map alone can tell.
bool valid_code_map(const CodeMap& map);

}  // namespace sightline::lexical
