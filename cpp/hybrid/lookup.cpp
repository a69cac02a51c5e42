#include "hybrid/lookup.h"

#include <algorithm>
#include <optional>
#include <tuple>

namespace sightline::hybrid {

std::span<const double> Lookup::sums(const WordQuery& query, std::span<const DocId> ids) {
  places_.clear();
  sums_.assign(ids.size(), lexical::kUntouched);
  if (query.empty()) return sums_;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (const std::optional<lexical::RowLocation> at = query.rows().find(ids[i])) places_.push_back({*at, i});
  }
  const auto by_place = [](const Place& a, const Place& b) {
    return std::tie(a.at.segment, a.at.row) < std::tie(b.at.segment, b.at.row);
  };
  // Sorted already, unless the ids of segments interleave.
  if (!std::is_sorted(places_.begin(), places_.end(), by_place)) std::sort(places_.begin(), places_.end(), by_place);
  for (std::size_t begin = 0; begin < places_.size();) {
    const std::uint32_t segment = places_[begin].at.segment;
    rows_.clear();
    std::size_t end = begin;
    for (; end < places_.size() && places_[end].at.segment == segment; ++end) rows_.push_back(places_[end].at.row);
    found_.resize(rows_.size());
    query.sum_gains(segment, rows_, found_);
    for (std::size_t i = begin; i < end; ++i) sums_[places_[i].position] = found_[i - begin];
    begin = end;
  }
  return sums_;
}

}  // namespace sightline::hybrid
