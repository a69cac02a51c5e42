// The container of every index file: named sections of raw bytes, each with a checksum.
//
//   offset 0    header, 64 bytes: magic "SIGHTLIN", u32 format version, u32 content kind, u64 file size,
//               u64 section count, u64 section table offset, u64 section table checksum, u64 reserved 0,
//               u64 checksum of the 56 bytes before it
//   64-aligned  the sections, zero-padded to 64 bytes
//   64-aligned  the section table: per section u32 kind, u32 index, u64 offset, u64 size, u64 checksum
//
// All integers little-endian; all checksums XXH64 with seed 0. Files are written under a temporary name, fsync'ed and
// renamed, so a reader sees a whole file or none.
//
// SectionFile is immutable and safe for concurrent const calls; the spans it hands out live as long as it does.
// SectionFileWriter has one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "storage/os_file.h"

namespace sightline::storage {

enum class ContentKind : std::uint32_t { kDense = 1, kLexical = 2, kSparse = 3, kColumns = 4, kDocuments = 5 };

struct SectionEntry {
  // The meaning is the owner's: dense/segment.cpp, dense/index_file.cpp, lexical/lexical_file.cpp, documents/document_file.cpp,
  // bindings/columns.cpp
  std::uint32_t kind;
  std::uint32_t index;  // which of several, e.g. the number of the segment
  std::uint64_t offset;
  std::uint64_t size_bytes;
  std::uint64_t checksum;
};
static_assert(sizeof(SectionEntry) == 32);

class SectionFile {
 public:
  // Opens and validates. use_mmap: map the file (pages come in as they are read) or read it all into memory.
  // Every checksum is verified, at memory speed, unless verify_sections is false.
  // Throws StorageError (cannot be opened), CorruptIndexError (damaged or not such a file), IncompatibleIndexError
  // (another format version or kind).
  static std::shared_ptr<const SectionFile> open(const std::filesystem::path& path, ContentKind kind, bool use_mmap,
                                                 bool verify_sections = true);
  // The same, and a mapped file is kept open for copy(). Every checksum is verified, but for sections of kind `unverified` of a
  // mapped file: their owner has a checksum of each part, and opening need not read them.
  static std::shared_ptr<const SectionFile> open_for_copies(const std::filesystem::path& path, ContentKind kind, bool use_mmap,
                                                            std::optional<std::uint32_t> unverified = std::nullopt);

  const std::filesystem::path& path() const noexcept { return path_; }
  std::span<const SectionEntry> sections() const noexcept { return entries_; }
  bool has(std::uint32_t kind, std::uint32_t index) const noexcept { return find(kind, index) != nullptr; }

  // The bytes of a section. Throws CorruptIndexError if there is none.
  std::span<const std::byte> bytes(std::uint32_t kind, std::uint32_t index) const;

  // The same as an array of T. Throws CorruptIndexError unless it holds exactly `count` values.
  template <typename T>
  std::span<const T> array(std::uint32_t kind, std::uint32_t index, std::size_t count) const {
    const std::span<const std::byte> raw = bytes(kind, index);
    if (raw.size() / sizeof(T) != count || raw.size() % sizeof(T) != 0) fail_size(kind, index, raw.size());
    return {reinterpret_cast<const T*>(raw.data()), count};
  }
  // An array whose length the section itself determines.
  template <typename T>
  std::span<const T> array(std::uint32_t kind, std::uint32_t index) const {
    return array<T>(kind, index, bytes(kind, index).size() / sizeof(T));
  }

  bool is_mapped() const noexcept { return mapped_; }
  // Advice to the operating system about the whole pages within a section; without effect unless the file is mapped, and
  // never on what the bytes are. release_pages: this process needs them no longer, they come back from the page cache or
  // the disk when they are read. Safe while other threads read the section. No effect if there is no such section.
  void expect_random_reads(std::uint32_t kind, std::uint32_t index) const noexcept;
  void release_pages(std::uint32_t kind, std::uint32_t index) const noexcept;
  // That all these bytes, of one section or of several, will soon be copied, wherever else reads are expected.
  void expect_copies(std::span<const std::byte> part) const noexcept;
  // Copies a part of a mapped section by a system call, which maps no page, so that nothing is to be given back. For a part here
  // and there that is a fifth of the time: 1.7 us for 1.5 KB, where the page fault and giving the pages back take 8 to 10.
  // False, and nothing is promised of `out`, if the file was not opened for it or cannot be read: the section itself can.
  bool copy(std::span<const std::byte> part, std::byte* out) const noexcept;

  ~SectionFile();
  SectionFile(const SectionFile&) = delete;
  SectionFile& operator=(const SectionFile&) = delete;

 private:
  SectionFile() = default;
  const SectionEntry* find(std::uint32_t kind, std::uint32_t index) const noexcept;
  [[noreturn]] void fail_size(std::uint32_t kind, std::uint32_t index, std::size_t size_bytes) const;
  [[noreturn]] void fail_corrupt(const std::string& what) const;
  static std::shared_ptr<SectionFile> opened(const std::filesystem::path& path, ContentKind kind, bool use_mmap, bool for_copies);
  void map_or_read(bool use_mmap, bool for_copies);
  void parse(ContentKind kind);
  void verify_checksums(std::optional<std::uint32_t> except = std::nullopt) const;
  void advise_about(std::uint32_t kind, std::uint32_t index, Advice advice) const noexcept;

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
  bool mapped_ = false;
  std::unique_ptr<const InputFile> file_;  // only for copy()
  std::vector<SectionEntry> entries_;
};

class SectionFileWriter {
 public:
  // Creates `path`'s temporary neighbour, which goes with this object unless commit() succeeded. Throws StorageError.
  SectionFileWriter(std::filesystem::path path, ContentKind kind);

  // Appends a section. Throws StorageError (disk full, ...); the writer is then as before the call.
  void add(std::uint32_t kind, std::uint32_t index, std::span<const std::byte> content);
  template <typename T>
  void add_array(std::uint32_t kind, std::uint32_t index, std::span<const T> values) {
    add(kind, index, std::as_bytes(values));
  }

  // Writes table and header, then as OutputFile::commit. Throws StorageError.
  void commit();

 private:
  void append(const void* data, std::size_t size_bytes);
  void pad();

  OutputFile file_;
  ContentKind kind_;
  std::uint64_t position_ = 64;  // end of what is written; starts after the header, which commit() writes last
  std::vector<SectionEntry> entries_;
};

}  // namespace sightline::storage
