#if defined(_WIN32)

#include <windows.h>

#include <algorithm>
#include <random>

#include "core/error.h"
#include "storage/os_file.h"

namespace sightline::storage {
namespace {

std::string utf8(const wchar_t* text, std::size_t size) {
  // Half of a surrogate pair, which file names may contain, becomes a replacement character.
  const int bytes = ::WideCharToMultiByte(CP_UTF8, 0, text, static_cast<int>(size), nullptr, 0, nullptr, nullptr);
  std::string out(static_cast<std::size_t>(std::max(bytes, 0)), '\0');
  ::WideCharToMultiByte(CP_UTF8, 0, text, static_cast<int>(size), out.data(), bytes, nullptr, nullptr);
  return out;
}

std::string reason(DWORD code) {
  wchar_t text[512];
  const DWORD flags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK;
  DWORD size = ::FormatMessageW(flags, nullptr, code, 0, text, static_cast<DWORD>(std::size(text)), nullptr);
  while (size > 0 && (text[size - 1] == L' ' || text[size - 1] == L'.')) --size;
  return (size == 0 ? "error" : utf8(text, size)) + " (" + std::to_string(code) + ")";
}

[[noreturn]] void fail(const std::filesystem::path& path, const char* action, DWORD code) {
  throw Error(ErrorKind::kStorage, std::string("cannot ") + action + " '" + shown(path) + "': " + reason(code));
}

HANDLE handle_of(std::intptr_t handle) { return reinterpret_cast<HANDLE>(handle); }

std::intptr_t open_file(const std::filesystem::path& path, DWORD access, DWORD sharing, DWORD disposition) {
  return reinterpret_cast<std::intptr_t>(
      ::CreateFileW(path.c_str(), access, sharing, nullptr, disposition, FILE_ATTRIBUTE_NORMAL, nullptr));
}

bool is_open(std::intptr_t handle) { return handle_of(handle) != INVALID_HANDLE_VALUE; }

// A call takes a size of 32 bits.
DWORD piece(std::size_t left) { return static_cast<DWORD>(std::min<std::size_t>(left, std::size_t{1} << 30)); }

OVERLAPPED at(std::uint64_t position) {
  OVERLAPPED where{};
  where.Offset = static_cast<DWORD>(position);
  where.OffsetHigh = static_cast<DWORD>(position >> 32);
  return where;
}

}  // namespace

std::string shown(const std::filesystem::path& path) { return utf8(path.c_str(), path.native().size()); }

InputFile::InputFile(const std::filesystem::path& path)
    : path_(path),
      handle_(open_file(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, OPEN_EXISTING)) {
  if (!is_open(handle_)) fail(path, "open", ::GetLastError());
  LARGE_INTEGER size{};
  const bool regular = ::GetFileType(handle_of(handle_)) == FILE_TYPE_DISK;  // directories were refused, pipes are no disk
  if (regular && ::GetFileSizeEx(handle_of(handle_), &size) != 0) {
    size_bytes_ = static_cast<std::size_t>(size.QuadPart);
    return;
  }
  const DWORD code = ::GetLastError();
  ::CloseHandle(handle_of(handle_));
  if (regular) fail(path, "read the size of", code);
  throw Error(ErrorKind::kStorage, "cannot open '" + shown(path) + "': it is not a regular file");
}

InputFile::~InputFile() { ::CloseHandle(handle_of(handle_)); }

const std::byte* InputFile::map() const {
  const HANDLE mapping = ::CreateFileMappingW(handle_of(handle_), nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (mapping == nullptr) fail(path_, "map", ::GetLastError());
  const void* view = ::MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, size_bytes_);
  const DWORD code = ::GetLastError();
  ::CloseHandle(mapping);  // the view keeps what it needs
  if (view == nullptr) fail(path_, "map", code);
  return static_cast<const std::byte*>(view);
}

std::size_t InputFile::read(std::byte* buffer, std::size_t size_bytes) const {
  std::size_t done = 0;
  while (done < size_bytes) {
    DWORD got = 0;
    if (::ReadFile(handle_of(handle_), buffer + done, piece(size_bytes - done), &got, nullptr) == 0) {
      fail(path_, "read", ::GetLastError());
    }
    if (got == 0) break;
    done += got;
  }
  return done;
}

bool InputFile::read_at(std::uint64_t position, std::byte* buffer, std::size_t size_bytes) const noexcept {
  for (std::size_t done = 0; done < size_bytes;) {
    OVERLAPPED where = at(position + done);
    DWORD got = 0;
    if (::ReadFile(handle_of(handle_), buffer + done, piece(size_bytes - done), &got, &where) == 0 || got == 0) return false;
    done += got;
  }
  return true;
}

void InputFile::expect_random_reads() const noexcept {}  // only opening a file can say so
void InputFile::expect_reads(std::uint64_t, std::size_t) const noexcept {}  // its cache reads ahead of what is read in order

void unmap(const std::byte* data, std::size_t) noexcept { ::UnmapViewOfFile(data); }

void advise(const std::byte* mapping, std::size_t begin, std::size_t end, Advice advice) noexcept {
  if (advice != Advice::kNotNeeded) return;  // there is no word for random reads of a mapping
  SYSTEM_INFO system{};
  ::GetSystemInfo(&system);
  const std::size_t page = system.dwPageSize;
  begin = (begin + page - 1) / page * page;
  end = end / page * page;
  // Of pages that were not locked this is documented to drop them from the working set, and to report that they were not.
  if (begin < end) (void)::VirtualUnlock(const_cast<std::byte*>(mapping) + begin, end - begin);
}

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)), temporary_path_(path_) {
  std::random_device random;
  temporary_path_ += ".tmp-" + std::to_string(::GetCurrentProcessId()) + "-" + std::to_string(random());
  handle_ = open_file(temporary_path_, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, CREATE_NEW);
  if (!is_open(handle_)) fail(temporary_path_, "create", ::GetLastError());
}

OutputFile::~OutputFile() {
  if (is_open(handle_)) ::CloseHandle(handle_of(handle_));
  if (!renamed_) ::DeleteFileW(temporary_path_.c_str());
}

void OutputFile::write_at(std::uint64_t position, const void* data, std::size_t size_bytes) const {
  const char* p = static_cast<const char*>(data);
  for (std::size_t left = size_bytes; left > 0;) {
    OVERLAPPED where = at(position);
    DWORD written = 0;
    if (::WriteFile(handle_of(handle_), p, piece(left), &written, &where) == 0) {
      fail(temporary_path_, "write", ::GetLastError());
    }
    p += written;
    position += written;
    left -= written;
  }
}

void OutputFile::commit() {
  if (::FlushFileBuffers(handle_of(handle_)) == 0) fail(temporary_path_, "flush", ::GetLastError());
  // Some file systems do not rename what is open.
  ::CloseHandle(handle_of(handle_));
  handle_ = reinterpret_cast<std::intptr_t>(INVALID_HANDLE_VALUE);
  // It returns once the change is on the disk, so there is no directory to flush.
  if (::MoveFileExW(temporary_path_.c_str(), path_.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) == 0) {
    fail(temporary_path_, "rename", ::GetLastError());
  }
  renamed_ = true;
}

}  // namespace sightline::storage

#endif
