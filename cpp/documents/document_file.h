// The documents of some rows in a file: what hits show of them, each found by its row and read without touching the others.
//
// A section file of kind kDocuments. Sections:
//   1/0  i64[n]    the rows, ascending
//   2/0  u64[n+1]  where each record begins in all texts, one section after the other, and where the last ends
//   3/i  bytes     the texts: records, none of which lies in two sections
// A record: u64 checksum, XXH64 of the rest with the row as its seed; u32 flags; u32 sizes in bytes of name, metadata, title and
// text, 2^32 - 1 for one that is missing; u32 reserved 0; then these one after the other, UTF-8. All integers little-endian.
//
// The file is mapped. Opening verifies rows and places but reads no text, of which there may be many times the memory: a record
// is verified whenever it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "storage/section_file.h"

namespace sightline::documents {

// A document, in memory of somebody else's. What the flags mean is the caller's.
struct DocumentView {
  std::uint32_t flags = 0;
  std::string_view name;
  std::optional<std::string_view> metadata;
  std::optional<std::string_view> title;
  std::string_view text;
};

// Immutable; safe for concurrent const calls.
class DocumentFile {
 public:
  // Throws as SectionFile::open; CorruptIndexError if rows or places contradict each other.
  static std::shared_ptr<const DocumentFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const noexcept { return file_->path(); }
  std::span<const DocId> rows() const noexcept { return rows_; }
  // The place of a row. O(1) where rows follow each other, else O(log n).
  std::optional<std::size_t> find(DocId row) const noexcept;
  // The document at a place, copied into `buffer`, which then ends in a zero.
  // Throws CorruptIndexError if it does not have its checksum, StorageError if the file cannot be read.
  DocumentView read(std::size_t place, std::string& buffer) const;
  // Advice that most documents from one place to another, both included, are about to be read: the disk then gives them at once
  // and not page by page.
  void expect_reads(std::size_t first, std::size_t last) const noexcept;
  [[noreturn]] void fail_corrupt(const std::string& what) const;

 private:
  friend class DocumentFileWriter;

  DocumentFile() = default;
  void read_record(std::size_t place, std::string& buffer) const;
  std::size_t section_of(std::uint64_t begin) const noexcept;

  std::shared_ptr<const storage::SectionFile> file_;
  std::span<const DocId> rows_;
  std::span<const std::uint64_t> begins_;
  std::vector<std::span<const std::byte>> sections_;
  std::vector<std::uint64_t> section_begins_;
};

// One owner.
class DocumentFileWriter {
 public:
  // As SectionFileWriter.
  explicit DocumentFileWriter(std::filesystem::path path) : writer_(std::move(path), storage::ContentKind::kDocuments) {}

  // Appends a document; rows ascend. Texts are written a section at a time: by write_texts(), which may be called once add has
  // returned true, or else by the next add. Throws InvalidInputError for a row that does not ascend, or 4 GiB or more of
  // anything; StorageError.
  bool add(DocId row, const DocumentView& document);
  void write_texts();
  // Appends what another file has at ascending places, verified. Throws as add and DocumentFile::read.
  void copy(const DocumentFile& from, std::span<const std::size_t> places);
  // As SectionFileWriter::commit.
  void commit();

 private:
  void begin_record(DocId row, std::size_t size_bytes);

  storage::SectionFileWriter writer_;
  std::vector<DocId> rows_;
  std::vector<std::uint64_t> begins_{0};
  std::vector<std::byte> texts_;  // of the section that is not full yet
  std::uint32_t section_count_ = 0;
  std::string copied_;
};

}  // namespace sightline::documents
