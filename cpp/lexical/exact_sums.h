// Exact sums of gains of chosen rows, by look-ups: what makes a candidate's bound a score.
//
// Where a row's coarse sum is known, which is the sum of one integer for each of its terms, the integers of the terms found
// so far are taken off it: a row with nothing left has no other term, and what is left below the least integer of a term rules
// that term out. So most look-ups of terms that a row does not have are never made, and the result is the same.
//
// One owner, not synchronised; the query, and the tables if there are any, must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lexical/gain_tables.h"
#include "lexical/recycled.h"
#include "lexical/search.h"

namespace sightline::lexical {

// From gains of a term to the integers of coarse sums, rounded up.
class CoarseUnits {
 public:
  explicit CoarseUnits(double scale) noexcept : scale_(scale) {}
  float factor(double weight) const noexcept { return static_cast<float>(weight * scale_ * (1 + kSlack)); }
  static std::uint32_t of(float gain, float factor) noexcept {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(gain * factor)) + 1;
  }
  // Covers the roundings of an integer's float32 (each 2^-24).
  static constexpr double kSlack = 0x1p-20;

 private:
  double scale_;
};

struct ExactSumsBuffers {
  struct Lookup {
    std::uint32_t row;  // index into the rows of the part
    FoundPosting found;
  };
  // Rows of one window, and the postings of the current term there.
  struct WindowPart {
    const std::uint16_t* offsets;  // this and the next two: only of a list in scan form that has postings here
    const std::uint8_t* codes;
    std::uint64_t position;
    std::uint32_t size;  // 0: there are none
    std::uint32_t at;    // among the windows of the term
    std::size_t window;
  };

  PostingBuffer buffer_;
  // Of the rows of one part:
  std::vector<WindowPart> windows_;
  std::vector<std::uint32_t> window_of_;  // of each row, index into windows_
  std::vector<std::uint16_t> offsets_;
  std::vector<std::uint32_t> left_;  // of the coarse sum
  std::vector<std::uint32_t> open_;  // those that may have another term
  std::vector<std::uint32_t> asked_;  // those that are looked up
  std::vector<WantedOffset> wanted_;
  std::vector<std::uint32_t> places_;
  std::vector<std::uint16_t> asked_offsets_;  // this and the following: of a window of a packed list
  std::vector<FoundPosting> found_;
  std::vector<Lookup> hits_;
  std::vector<double> norms_;
  std::vector<double> gains_;  // term after term, in the order of the query

  std::size_t size_bytes() const noexcept { return gains_.capacity() * sizeof(double); }  // the rest has no more than a window
};

class ExactSums : Recycled<ExactSumsBuffers> {
 public:
  // Of rows about which nothing is known.
  explicit ExactSums(const BoundQuery& query);
  // Of rows whose coarse sums on this scale will be given.
  ExactSums(const BoundQuery& query, const GainTables& tables, CoarseUnits units);

  // sums[i]: the gains of rows[i] added in the order of the query's terms; kUntouched for a row with none of them.
  // coarse: aligned with rows, of the gains of all terms of each; empty if nothing is known. Fastest where rows of one window
  // follow each other. O(rows * terms * log postings).
  void compute(std::uint32_t segment, std::span<const RowIndex> rows, std::span<const std::uint32_t> coarse,
               std::span<double> sums);

 private:
  static constexpr std::size_t kRowsAtOnce = 256;  // bounds the memory of gains_

  void compute_part(std::uint32_t number, std::span<const RowIndex> rows, std::span<const std::uint32_t> coarse,
                    std::span<double> sums);
  void set_rows(std::span<const RowIndex> rows);
  void look_up(const Postings& postings, std::uint32_t least);
  void choose_asked(std::uint32_t least);
  void find_asked();
  void find_asked_packed(const Postings& postings);

  const BoundQuery& query_;
  const GainTables* tables_;  // null: coarse sums are not known
  std::vector<std::size_t> order_;  // terms, those of the greatest weights first: they are rare, and rule out most others
  std::vector<float> factors_;      // of each term
};

}  // namespace sightline::lexical
