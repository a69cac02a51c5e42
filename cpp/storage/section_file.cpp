#include "storage/section_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "core/aligned.h"
#include "parallel/thread_pool.h"
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

[[noreturn]] void fail_errno(const std::filesystem::path& path, const char* action) {
  throw Error(ErrorKind::kStorage, std::string("cannot ") + action + " '" + path.string() + "': " + std::strerror(errno));
}

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
  int release() noexcept { return std::exchange(value, -1); }
};

}  // namespace

SectionFile::~SectionFile() {
  if (mapped_) {
    ::munmap(const_cast<std::byte*>(data_), size_bytes_);
  } else {
    std::free(const_cast<std::byte*>(data_));
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::shared_ptr<const SectionFile> SectionFile::open(const std::filesystem::path& path, ContentKind kind, bool use_mmap,
                                                     bool verify_sections) {
  std::shared_ptr<SectionFile> file(new SectionFile);
  file->path_ = path;
  file->map_or_read(use_mmap, false);
  file->parse(kind);
  if (verify_sections) file->verify_checksums();
  return file;
}

std::shared_ptr<const SectionFile> SectionFile::open_for_copies(const std::filesystem::path& path, ContentKind kind, bool use_mmap) {
  std::shared_ptr<SectionFile> file(new SectionFile);
  file->path_ = path;
  file->map_or_read(use_mmap, true);
  file->parse(kind);
  file->verify_checksums();
  return file;
}

void SectionFile::map_or_read(bool use_mmap, bool keep_descriptor) {
  // O_NONBLOCK: opening a named pipe would wait for a writer for ever; of a regular file it changes nothing.
  Descriptor descriptor{::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (descriptor.value < 0) fail_errno(path_, "open");
  struct stat status {};
  if (::fstat(descriptor.value, &status) != 0) fail_errno(path_, "read the size of");
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kStorage, "cannot open '" + path_.string() + "': it is not a regular file");
  }
  const std::size_t size = static_cast<std::size_t>(status.st_size);
  if (size < sizeof(Header)) fail_corrupt("it is shorter than a header");
  if (use_mmap) {
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor.value, 0);
    if (mapped == MAP_FAILED) fail_errno(path_, "map");
    data_ = static_cast<const std::byte*>(mapped);
    mapped_ = true;
    size_bytes_ = size;
    if (keep_descriptor) descriptor_ = descriptor.release();
    return;
  }
  const std::size_t padded = (size + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
  auto* buffer = static_cast<std::byte*>(std::aligned_alloc(kAlignmentBytes, padded));
  if (buffer == nullptr) throw std::bad_alloc();
  data_ = buffer;
  size_bytes_ = size;
  for (std::size_t done = 0; done < size;) {
    const ssize_t got = ::read(descriptor.value, buffer + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(path_, "read");
    if (got == 0) fail_corrupt("it became shorter while it was read");
    done += static_cast<std::size_t>(got);
  }
}

void SectionFile::parse(ContentKind kind) {
  Header header;
  std::memcpy(&header, data_, sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) fail_corrupt("it does not start with the magic bytes of a Sightline file");
  // The version is read before the checksum: a later format may lay out its header differently.
  if (header.format_version != kFormatVersion) {
    throw Error(ErrorKind::kIncompatibleIndex,
                "'" + path_.string() + "' has format version " + std::to_string(header.format_version) +
                    ", this version of Sightline reads " + std::to_string(kFormatVersion) +
                    ": open it with the version that wrote it, or build it again");
  }
  if (header.header_checksum != header_checksum(header)) fail_corrupt("the checksum of its header does not match");
  if (header.content_kind != static_cast<std::uint32_t>(kind)) {
    throw Error(ErrorKind::kIncompatibleIndex,
                "'" + path_.string() + "' holds another kind of index (content kind " + std::to_string(header.content_kind) +
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

void SectionFile::verify_checksums() const {
  parallel::parallel_for(entries_.size(), [this](std::size_t i, std::size_t) {
    const SectionEntry& entry = entries_[i];
    if (xxh64(data_ + entry.offset, entry.size_bytes) != entry.checksum) {
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

void SectionFile::advise(std::uint32_t kind, std::uint32_t index, int advice) const noexcept {
  const SectionEntry* entry = mapped_ ? find(kind, index) : nullptr;
  if (entry == nullptr) return;
  // The mapping starts on a page, so offsets in the file decide.
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t begin = (entry->offset + page - 1) / page * page;
  const std::uint64_t end = (entry->offset + entry->size_bytes) / page * page;
  // A refusal changes nothing but what is resident.
  if (begin < end) (void)::madvise(const_cast<std::byte*>(data_) + begin, end - begin, advice);
}

void SectionFile::expect_random_reads(std::uint32_t kind, std::uint32_t index) const noexcept {
  advise(kind, index, MADV_RANDOM);
#if defined(POSIX_FADV_RANDOM)
  if (descriptor_ >= 0) (void)::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_RANDOM);
#endif
}

void SectionFile::release_pages(std::uint32_t kind, std::uint32_t index) const noexcept {
  advise(kind, index, MADV_DONTNEED);
}

bool SectionFile::copy(std::span<const std::byte> part, std::byte* out) const noexcept {
  if (descriptor_ < 0) return false;
  auto position = static_cast<off_t>(part.data() - data_);
  for (std::size_t done = 0; done < part.size();) {
    const ssize_t got = ::pread(descriptor_, out + done, part.size() - done, position);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
    position += got;
  }
  return true;
}

void SectionFile::fail_size(std::uint32_t kind, std::uint32_t index, std::size_t size_bytes) const {
  fail_corrupt("section " + std::to_string(kind) + "/" + std::to_string(index) + " has an impossible size of " +
               std::to_string(size_bytes) + " bytes");
}

void SectionFile::fail_corrupt(const std::string& what) const {
  throw Error(ErrorKind::kCorruptIndex,
              "'" + path_.string() + "' is damaged: " + what + "; restore it from a backup or build it again");
}

SectionFileWriter::SectionFileWriter(std::filesystem::path path, ContentKind kind) : path_(std::move(path)), kind_(kind) {
  std::random_device random;
  temporary_path_ = path_;
  temporary_path_ += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(random());
  descriptor_ = ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("create");
}

SectionFileWriter::~SectionFileWriter() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_path_.c_str());
  }
}

void SectionFileWriter::fail(const char* action) const {
  fail_errno(temporary_path_, action);
}

// Writes at a position instead of after the last write: a call that failed half-way can be tried again.
void SectionFileWriter::write_at(std::uint64_t position, const void* data, std::size_t size_bytes) const {
  const char* p = static_cast<const char*>(data);
  for (std::size_t left = size_bytes; left > 0;) {
    // One call writes at most 2 GB on Linux; smaller pieces keep the loop the same everywhere.
    const std::size_t piece = std::min<std::size_t>(left, std::size_t{1} << 30);
    const ssize_t written = ::pwrite(descriptor_, p, piece, static_cast<off_t>(position));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write");
    p += written;
    position += static_cast<std::uint64_t>(written);
    left -= static_cast<std::size_t>(written);
  }
}

void SectionFileWriter::append(const void* data, std::size_t size_bytes) {
  write_at(position_, data, size_bytes);
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
  write_at(0, &header, sizeof header);
  if (::fsync(descriptor_) != 0) fail("fsync");
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) fail("rename");
  ::close(descriptor_);
  descriptor_ = -1;
  // The rename is durable once the directory is.
  std::filesystem::path directory = path_.parent_path();
  if (directory.empty()) directory = ".";
  const Descriptor handle{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (handle.value < 0 || ::fsync(handle.value) != 0) fail_errno(directory, "fsync");
}

}  // namespace sightline::storage
