// Arrays that catch accesses outside them: reads or writes past the end fault (the next page is inaccessible), and writes
// before the beginning change a canary that is_intact() checks.
#pragma once

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace sightline::testing {

// Pages of which the last one cannot be touched.
class GuardedPages {
 public:
  explicit GuardedPages(std::size_t bytes) {
#if defined(_WIN32)
    SYSTEM_INFO system{};
    ::GetSystemInfo(&system);
    const std::size_t page = system.dwPageSize;
#else
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
#endif
    const std::size_t usable = (bytes + page - 1) / page * page;
    total_bytes_ = usable + page;
#if defined(_WIN32)
    void* memory = ::VirtualAlloc(nullptr, total_bytes_, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (memory == nullptr) throw std::bad_alloc();
    begin_ = static_cast<std::uint8_t*>(memory);
    DWORD before = 0;
    ::VirtualProtect(begin_ + usable, page, PAGE_NOACCESS, &before);
#else
    void* memory = ::mmap(nullptr, total_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    begin_ = static_cast<std::uint8_t*>(memory);
    ::mprotect(begin_ + usable, page, PROT_NONE);
#endif
    end_ = begin_ + usable;
  }
  ~GuardedPages() {
#if defined(_WIN32)
    ::VirtualFree(begin_, 0, MEM_RELEASE);
#else
    ::munmap(begin_, total_bytes_);
#endif
  }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;

  std::uint8_t* begin() const noexcept { return begin_; }
  std::uint8_t* end() const noexcept { return end_; }  // the inaccessible page

 private:
  std::size_t total_bytes_;
  std::uint8_t* begin_ = nullptr;
  std::uint8_t* end_ = nullptr;
};

template <typename T>
class Guarded {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  // `misalignment` values at the end are left unused, which moves the array towards the beginning: then the guard page is
  // that much farther, and the values between are canaries too. Zero-initialised.
  explicit Guarded(std::size_t count, std::size_t misalignment = 0)
      : count_(count), unused_(misalignment), pages_((count + misalignment) * sizeof(T) + kCanaryBytes) {
    for (std::uint8_t* p = pages_.begin(); p < pages_.end(); ++p) *p = kCanary;
    for (std::size_t i = 0; i < count; ++i) data()[i] = T{};
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() noexcept { return reinterpret_cast<T*>(pages_.end() - (count_ + unused_) * sizeof(T)); }
  const T* data() const noexcept { return const_cast<Guarded*>(this)->data(); }
  std::size_t size() const noexcept { return count_; }
  T& operator[](std::size_t i) noexcept { return data()[i]; }
  const T& operator[](std::size_t i) const noexcept { return data()[i]; }

  bool is_intact() const noexcept {
    for (const std::uint8_t* p = pages_.begin(); p < reinterpret_cast<const std::uint8_t*>(data()); ++p) {
      if (*p != kCanary) return false;
    }
    for (const std::uint8_t* p = pages_.end() - unused_ * sizeof(T); p < pages_.end(); ++p) {
      if (*p != kCanary) return false;
    }
    return true;
  }

 private:
  static constexpr std::uint8_t kCanary = 0xa5;
  static constexpr std::size_t kCanaryBytes = 256;

  std::size_t count_;
  std::size_t unused_;
  GuardedPages pages_;
};

}  // namespace sightline::testing
