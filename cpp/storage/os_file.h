// The calls to the operating system behind section files: os_file_posix.cpp, os_file_windows.cpp.
//
// Whatever fails throws StorageError, which names the file and the system's reason. Each object has one owner; the bytes of
// a mapping may be read, and advice given, by any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace sightline::storage {

// A path as messages show it, UTF-8.
std::string shown(const std::filesystem::path& path);

// A regular file that is open for reading. Others may replace or, where the system lets them, remove it meanwhile.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::size_t size_bytes() const noexcept { return size_bytes_; }
  // Maps the whole file, which must not be empty, to be given back by unmap; the mapping outlives this object.
  const std::byte* map() const;
  // Reads the next bytes, at most `size_bytes` and less only at the end of the file. Returns how many.
  std::size_t read(std::byte* buffer, std::size_t size_bytes) const;
  // Reads at a position, from any thread. False, and nothing is promised of `buffer`, if not all could be read.
  bool read_at(std::uint64_t position, std::byte* buffer, std::size_t size_bytes) const noexcept;
  // Advice that reads will be here and there; and that these bytes will all be read soon.
  void expect_random_reads() const noexcept;
  void expect_reads(std::uint64_t position, std::size_t size_bytes) const noexcept;

 private:
  const std::filesystem::path& path_;  // must outlive this object
  std::intptr_t handle_;
  std::size_t size_bytes_ = 0;
};

void unmap(const std::byte* data, std::size_t size_bytes) noexcept;

// Where reads of a mapping are expected here and there; and that its pages may leave this process until they are read again.
// For the whole pages between two offsets. A refusal changes nothing but what is resident.
enum class Advice { kRandomReads, kNotNeeded };
void advise(const std::byte* mapping, std::size_t begin, std::size_t end, Advice advice) noexcept;

// A new file under a temporary name beside `path`, which commit() turns into `path`.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();  // removes the temporary file unless commit() renamed it
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Writes at a position instead of after the last write: a call that failed half-way can be tried again.
  void write_at(std::uint64_t position, const void* data, std::size_t size_bytes) const;
  // Has all that was written on the disk, then renames over `path` durably. If it throws, `path` is as before, unless only
  // the last step failed: then it holds the new file, which may not survive a loss of power.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_path_;
  std::intptr_t handle_;
  bool renamed_ = false;
};

}  // namespace sightline::storage
