#include "lexical/tombstones.h"

#include <bit>

namespace sightline::lexical {
namespace {

// Calls visit(row) for each row whose bit is zero.
template <typename Visit>
void for_each_removed(const Bitset& live, Visit visit) {
  for (std::size_t w = 0; w < live.word_count(); ++w) {
    const std::size_t rows_here = std::min<std::size_t>(64, live.size() - 64 * w);
    const std::uint64_t all = rows_here == 64 ? ~0ULL : (1ULL << rows_here) - 1;
    for (std::uint64_t removed = ~live.word(w) & all; removed != 0; removed &= removed - 1) {
      visit(static_cast<RowIndex>(64 * w + static_cast<std::size_t>(std::countr_zero(removed))));
    }
  }
}

// A binary search of a posting list costs about as much as this many looks at consecutive postings.
constexpr std::size_t kPostingsPerSearch = 16;

}  // namespace

Tombstones::Tombstones(const Segment& segment, Bitset live) : live_(std::move(live)) {
  for_each_removed(live_, [&](RowIndex row) {
    ++removed_count_;
    removed_length_ += segment.length(row);
  });
}

std::size_t Tombstones::removed_with_term(const Segment& segment, std::uint32_t term) const {
  {
    std::lock_guard lock(mutex_);
    if (const auto found = counts_.find(term); found != counts_.end()) return found->second;
  }
  const std::size_t count = count_removed(segment.postings(term));
  std::lock_guard lock(mutex_);
  counts_.emplace(term, count);
  return count;
}

std::size_t Tombstones::count_removed(const Postings& postings) const {
  std::size_t count = 0;
  if (removed_count_ * kPostingsPerSearch < postings.size()) {
    for_each_removed(live_, [&](RowIndex row) { count += postings.find(row).has_value() ? 1 : 0; });
  } else {
    postings.for_each([&](RowIndex row, const FoundPosting&) { count += live_.test(row) ? 0 : 1; });
  }
  return count;
}

}  // namespace sightline::lexical
