// Random documents and segments of them, for tests of the lexical engine.
#pragma once

#include <initializer_list>
#include <random>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "lexical/search.h"
#include "lexical/segment.h"

namespace sightline::testing {

struct DocumentKind {
  bool positions = false;
  bool weighted = false;  // terms with given weights, as in SparseIndex
};

// A segment of `count` documents with the ids first, first + 2 ...: words w0 to w4 in many of them, w5 to w199 in few, and
// unless weighted a frequency of 300 now and then, for which there is no code.
lexical::SegmentData random_segment(std::mt19937& random, DocId first, std::size_t count, DocumentKind kind);

// Borrows the words, which are literals.
lexical::Query query_of(std::initializer_list<std::string_view> words, DocumentKind kind);

}  // namespace sightline::testing
