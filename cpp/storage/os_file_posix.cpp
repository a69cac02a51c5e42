#if !defined(_WIN32)

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "core/error.h"
#include "storage/os_file.h"

namespace sightline::storage {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* action) {
  throw Error(ErrorKind::kStorage, std::string("cannot ") + action + " '" + shown(path) + "': " + std::strerror(errno));
}

int descriptor(std::intptr_t handle) { return static_cast<int>(handle); }

void sync_directory(std::filesystem::path directory) {
  if (directory.empty()) directory = ".";
  const int handle = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = handle >= 0 && ::fsync(handle) == 0;
  const int reason = errno;
  if (handle >= 0) ::close(handle);
  errno = reason;
  if (!synced) fail(directory, "fsync");
}

}  // namespace

std::string shown(const std::filesystem::path& path) { return path.string(); }

InputFile::InputFile(const std::filesystem::path& path)
    // O_NONBLOCK: opening a named pipe would wait for a writer for ever; of a regular file it changes nothing.
    : path_(path), handle_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (handle_ < 0) fail(path, "open");
  struct stat status {};
  const bool known = ::fstat(descriptor(handle_), &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    size_bytes_ = static_cast<std::size_t>(status.st_size);
    return;
  }
  const int reason = errno;
  ::close(descriptor(handle_));
  errno = reason;
  if (!known) fail(path, "read the size of");
  throw Error(ErrorKind::kStorage, "cannot open '" + shown(path) + "': it is not a regular file");
}

InputFile::~InputFile() { ::close(descriptor(handle_)); }

const std::byte* InputFile::map() const {
  void* mapped = ::mmap(nullptr, size_bytes_, PROT_READ, MAP_SHARED, descriptor(handle_), 0);
  if (mapped == MAP_FAILED) fail(path_, "map");
  return static_cast<const std::byte*>(mapped);
}

std::size_t InputFile::read(std::byte* buffer, std::size_t size_bytes) const {
  std::size_t done = 0;
  while (done < size_bytes) {
    const ssize_t got = ::read(descriptor(handle_), buffer + done, size_bytes - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, "read");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

bool InputFile::read_at(std::uint64_t position, std::byte* buffer, std::size_t size_bytes) const noexcept {
  for (std::size_t done = 0; done < size_bytes;) {
    const ssize_t got = ::pread(descriptor(handle_), buffer + done, size_bytes - done, static_cast<off_t>(position + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

void InputFile::expect_random_reads() const noexcept {
#if defined(POSIX_FADV_RANDOM)
  (void)::posix_fadvise(descriptor(handle_), 0, 0, POSIX_FADV_RANDOM);
#endif
}

void InputFile::expect_reads(std::uint64_t position, std::size_t size_bytes) const noexcept {
#if defined(POSIX_FADV_WILLNEED)
  (void)::posix_fadvise(descriptor(handle_), static_cast<off_t>(position), static_cast<off_t>(size_bytes), POSIX_FADV_WILLNEED);
#endif
}

void unmap(const std::byte* data, std::size_t size_bytes) noexcept {
  ::munmap(const_cast<std::byte*>(data), size_bytes);
}

void advise(const std::byte* mapping, std::size_t begin, std::size_t end, Advice advice) noexcept {
  // The mapping starts on a page, so offsets decide.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  begin = (begin + page - 1) / page * page;
  end = end / page * page;
  if (begin >= end) return;
  const int flag = advice == Advice::kRandomReads ? MADV_RANDOM : MADV_DONTNEED;
  (void)::madvise(const_cast<std::byte*>(mapping) + begin, end - begin, flag);
}

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)), temporary_path_(path_) {
  std::random_device random;
  temporary_path_ += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(random());
  handle_ = ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (handle_ < 0) fail(temporary_path_, "create");
}

OutputFile::~OutputFile() {
  ::close(descriptor(handle_));
  if (!renamed_) ::unlink(temporary_path_.c_str());
}

void OutputFile::write_at(std::uint64_t position, const void* data, std::size_t size_bytes) const {
  const char* p = static_cast<const char*>(data);
  for (std::size_t left = size_bytes; left > 0;) {
    // One call writes at most 2 GB on Linux; smaller pieces keep the loop the same everywhere.
    const std::size_t piece = std::min<std::size_t>(left, std::size_t{1} << 30);
    const ssize_t written = ::pwrite(descriptor(handle_), p, piece, static_cast<off_t>(position));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(temporary_path_, "write");
    p += written;
    position += static_cast<std::uint64_t>(written);
    left -= static_cast<std::size_t>(written);
  }
}

void OutputFile::commit() {
  if (::fsync(descriptor(handle_)) != 0) fail(temporary_path_, "fsync");
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) fail(temporary_path_, "rename");
  renamed_ = true;
  sync_directory(path_.parent_path());  // the rename is durable once the directory is
}

}  // namespace sightline::storage

#endif
