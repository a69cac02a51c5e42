// A BM25 index as one file of sections (storage/section_file.h). Functions without state, safe from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lexical/scoring.h"
#include "lexical/snapshot.h"

namespace sightline::lexical {

struct SavedIndex {
  std::vector<std::shared_ptr<const Snapshot>> fields;  // with the same documents in the same segments; at least one
  bool named_fields = false;                            // false: an index without fields, kept as one
  bool positions = false;                               // whether segments have tokens
  std::uint64_t next_id = 0;
  Parameters parameters;
  std::string settings;   // of the analyzer, as its owner wrote them
  PostingForm form = PostingForm::kScan;  // of segments to come; those in the file may have either
  bool weighted = false;  // the postings have given weights: a file of another kind
};

// Throws StorageError; the file is then as it was.
void save_index(const std::filesystem::path& path, const SavedIndex& index);

// Validates every invariant of segment.h, snapshot.h and field_index.h, in one pass over the file, before anything is used.
// use_mmap: the postings stay in the mapped file. Throws StorageError, CorruptIndexError, IncompatibleIndexError.
SavedIndex load_index(const std::filesystem::path& path, bool use_mmap, bool weighted = false);

}  // namespace sightline::lexical
