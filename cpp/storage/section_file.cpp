#include "storage/section_file.h"

#include <algorithm>
#include <cstring>

#include "core/aligned.h"
#include "parallel/thread_pool.h"
#include "storage/os_file.h"
#include "storage/xxh64.h"

namespace sightline::storage {
namespace {

constexpr char kMagic[8] = {'S', 'I', 'G', 'H', 'T', 'L', 'I', 'N'};
constexpr std::uint32_t kFormatVersion = 1;
constexpr std::uint64_t kSectionAlignment = 64;
constexpr std::uint64_t kMaxSections = 1 << 24;

struct Header {
  char magic[8];
  std::uint32_t format_version;
  std::uint32_t content_kind;
  std::uint64_t file_size;
  std::uint64_t section_count;
  std::uint64_t table_offset;
  std::uint64_t table_checksum;
  std::uint64_t reserved;
  std::uint64_t header_checksum;
};
static_assert(sizeof(Header) == 64);

std::uint64_t header_checksum(const Header& header) { return xxh64(&header, offsetof(Header, header_checksum)); }

}  // namespace

SectionFile::~SectionFile() {
  if (mapped_) {
    unmap(data_, size_bytes_);
  } else {
    free_aligned(const_cast<std::byte*>(data_));
  }
}

std::shared_ptr<const SectionFile> SectionFile::open(const std::filesystem::path& path, ContentKind kind, bool use_mmap,
                                                     bool verify_sections) {
  const std::shared_ptr<SectionFile> file = opened(path, kind, use_mmap, false);
  if (verify_sections) file->verify_checksums();
  return file;
}

std::shared_ptr<const SectionFile> SectionFile::open_for_copies(const std::filesystem::path& path, ContentKind kind, bool use_mmap,
                                                                std::optional<std::uint32_t> unverified) {
  const std::shared_ptr<SectionFile> file = opened(path, kind, use_mmap, true);
  file->verify_checksums(file->mapped_ ? unverified : std::nullopt);
  return file;
}

std::shared_ptr<SectionFile> SectionFile::opened(const std::filesystem::path& path, ContentKind kind, bool use_mmap, bool for_copies) {
  std::shared_ptr<SectionFile> file(new SectionFile);
  file->path_ = path;
  file->map_or_read(use_mmap, for_copies);
  file->parse(kind);
  return file;
}

void SectionFile::map_or_read(bool use_mmap, bool for_copies) {
  auto opened = std::make_unique<const InputFile>(path_);
  const InputFile& file = *opened;
  const std::size_t size = file.size_bytes();
  if (size < sizeof(Header)) fail_corrupt("it is shorter than a header");
  if (use_mmap) {
    data_ = file.map();
    mapped_ = true;
    size_bytes_ = size;
    if (for_copies) file_ = std::move(opened);
    return;
  }
  auto* buffer = static_cast<std::byte*>(allocate_aligned(kAlignmentBytes, size));
  data_ = buffer;
  size_bytes_ = size;
  if (file.read(buffer, size) != size) fail_corrupt("it became shorter while it was read");
}

void SectionFile::parse(ContentKind kind) {
  Header header;
  std::memcpy(&header, data_, sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) fail_corrupt("it does not start with the magic bytes of a Sightline file");
  // The version is read before the checksum: a later format may lay out its header differently.
  if (header.format_version != kFormatVersion) {
    throw Error(ErrorKind::kIncompatibleIndex,
                "'" + shown(path_) + "' has format version " + std::to_string(header.format_version) +
                    ", this version of Sightline reads " + std::to_string(kFormatVersion) +
                    ": open it with the version that wrote it, or build it again");
  }
  if (header.header_checksum != header_checksum(header)) fail_corrupt("the checksum of its header does not match");
  if (header.content_kind != static_cast<std::uint32_t>(kind)) {
    throw Error(ErrorKind::kIncompatibleIndex,
                "'" + shown(path_) + "' holds another kind of index (content kind " + std::to_string(header.content_kind) +
                    ", expected " + std::to_string(static_cast<std::uint32_t>(kind)) + "): load it with the class that saved it");
  }
  if (header.file_size != size_bytes_) {
    fail_corrupt("it has " + std::to_string(size_bytes_) + " bytes, its header says " + std::to_string(header.file_size));
  }
  if (header.section_count > kMaxSections || header.table_offset % kSectionAlignment != 0 ||
      header.table_offset > size_bytes_ ||
      header.section_count * sizeof(SectionEntry) > size_bytes_ - header.table_offset) {
    fail_corrupt("its section table lies outside the file");
  }
  const std::size_t table_bytes = header.section_count * sizeof(SectionEntry);
  if (xxh64(data_ + header.table_offset, table_bytes) != header.table_checksum) {
    fail_corrupt("the checksum of its section table does not match");
  }
  entries_.resize(header.section_count);
  if (table_bytes != 0) std::memcpy(entries_.data(), data_ + header.table_offset, table_bytes);
  for (const SectionEntry& entry : entries_) {
    if (entry.offset % kSectionAlignment != 0 || entry.offset > size_bytes_ ||
        entry.size_bytes > size_bytes_ - entry.offset) {
      fail_corrupt("section " + std::to_string(entry.kind) + "/" + std::to_string(entry.index) + " lies outside the file");
    }
  }
}

void SectionFile::verify_checksums(std::optional<std::uint32_t> except) const {
  parallel::parallel_for(entries_.size(), [this, except](std::size_t i, std::size_t) {
    const SectionEntry& entry = entries_[i];
    if (entry.kind != except && xxh64(data_ + entry.offset, entry.size_bytes) != entry.checksum) {
      fail_corrupt("the checksum of section " + std::to_string(entry.kind) + "/" + std::to_string(entry.index) +
                   " does not match");
    }
  });
}

const SectionEntry* SectionFile::find(std::uint32_t kind, std::uint32_t index) const noexcept {
  for (const SectionEntry& entry : entries_) {
    if (entry.kind == kind && entry.index == index) return &entry;
  }
  return nullptr;
}

std::span<const std::byte> SectionFile::bytes(std::uint32_t kind, std::uint32_t index) const {
  const SectionEntry* entry = find(kind, index);
  if (entry == nullptr) fail_corrupt("section " + std::to_string(kind) + "/" + std::to_string(index) + " is missing");
  return {data_ + entry->offset, entry->size_bytes};
}

void SectionFile::expect_random_reads(std::uint32_t kind, std::uint32_t index) const noexcept {
  advise_about(kind, index, Advice::kRandomReads);
  if (file_ != nullptr) file_->expect_random_reads();
}

void SectionFile::release_pages(std::uint32_t kind, std::uint32_t index) const noexcept {
  advise_about(kind, index, Advice::kNotNeeded);
}

void SectionFile::advise_about(std::uint32_t kind, std::uint32_t index, Advice advice) const noexcept {
  const SectionEntry* entry = mapped_ ? find(kind, index) : nullptr;
  if (entry != nullptr) advise(data_, entry->offset, entry->offset + entry->size_bytes, advice);
}

void SectionFile::expect_copies(std::span<const std::byte> part) const noexcept {
  if (file_ != nullptr) file_->expect_reads(static_cast<std::uint64_t>(part.data() - data_), part.size());
}

bool SectionFile::copy(std::span<const std::byte> part, std::byte* out) const noexcept {
  return file_ != nullptr && file_->read_at(static_cast<std::uint64_t>(part.data() - data_), out, part.size());
}

void SectionFile::fail_size(std::uint32_t kind, std::uint32_t index, std::size_t size_bytes) const {
  fail_corrupt("section " + std::to_string(kind) + "/" + std::to_string(index) + " has an impossible size of " +
               std::to_string(size_bytes) + " bytes");
}

void SectionFile::fail_corrupt(const std::string& what) const {
  throw Error(ErrorKind::kCorruptIndex,
              "'" + shown(path_) + "' is damaged: " + what + "; restore it from a backup or build it again");
}

SectionFileWriter::SectionFileWriter(std::filesystem::path path, ContentKind kind)
    : file_(std::move(path)), kind_(kind) {}

void SectionFileWriter::append(const void* data, std::size_t size_bytes) {
  file_.write_at(position_, data, size_bytes);
  position_ += size_bytes;
}

void SectionFileWriter::pad() {
  constexpr char kZeros[kSectionAlignment] = {};
  const std::uint64_t excess = position_ % kSectionAlignment;
  if (excess != 0) append(kZeros, kSectionAlignment - excess);
}

void SectionFileWriter::add(std::uint32_t kind, std::uint32_t index, std::span<const std::byte> content) {
  pad();
  const SectionEntry entry{kind, index, position_, content.size(), xxh64(content.data(), content.size())};
  append(content.data(), content.size());
  entries_.push_back(entry);
}

void SectionFileWriter::commit() {
  pad();
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.format_version = kFormatVersion;
  header.content_kind = static_cast<std::uint32_t>(kind_);
  header.section_count = entries_.size();
  header.table_offset = position_;
  const std::size_t table_bytes = entries_.size() * sizeof(SectionEntry);
  header.table_checksum = xxh64(entries_.data(), table_bytes);
  append(entries_.data(), table_bytes);
  header.file_size = position_;
  header.header_checksum = header_checksum(header);
  file_.write_at(0, &header, sizeof header);
  file_.commit();
}

}  // namespace sightline::storage
