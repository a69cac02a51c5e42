// Makes segments: from analyzed documents, and from other segments. Functions without state.
#pragma once

#include <memory>
#include <span>

#include "core/types.h"
#include "lexical/analyzer.h"
#include "lexical/segment.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {

// Inverts documents whose ids, aligned with them, are strictly ascending. O(tokens + t log t) for t distinct terms.
// Throws InvalidInputError beyond 2^32 - 1 documents or tokens in a document.
SegmentData build_segment(const AnalyzedDocuments& documents, std::span<const DocId> ids);

// Inverts documents of distinct terms with given weights, aligned with the tokens, in (0, kMaxWeight]. O(terms * log codes).
SegmentData build_weighted_segment(const AnalyzedDocuments& documents, std::span<const float> weights,
                                   std::span<const DocId> ids);

// Merges the live documents of segments that share no live id. O(live postings + terms * segments); the result is what
// build_segment would give for those documents.
SegmentData merge_segments(std::span<const SegmentView> inputs);

}  // namespace sightline::lexical
