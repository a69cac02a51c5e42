// Arrays that catch accesses outside them: reads or writes past the end fault (the next page is inaccessible), and writes
// before the beginning change a canary that is_intact() checks.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace sightline::testing {

template <typename T>
class Guarded {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  // `misalignment` values at the end are left unused, which moves the array towards the beginning: then the guard page is
  // that much farther, and the values between are canaries too. Zero-initialised.
  explicit Guarded(std::size_t count, std::size_t misalignment = 0) : count_(count), unused_(misalignment) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = (count + misalignment) * sizeof(T) + kCanaryBytes;
    const std::size_t usable = (bytes + page - 1) / page * page;
    mapped_bytes_ = usable + page;
    void* memory = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::uint8_t*>(memory);
    ::mprotect(base_ + usable, page, PROT_NONE);
    end_ = base_ + usable;
    for (std::uint8_t* p = base_; p < end_; ++p) *p = kCanary;
    for (std::size_t i = 0; i < count; ++i) data()[i] = T{};
  }
  ~Guarded() { ::munmap(base_, mapped_bytes_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() noexcept { return reinterpret_cast<T*>(end_ - (count_ + unused_) * sizeof(T)); }
  const T* data() const noexcept { return const_cast<Guarded*>(this)->data(); }
  std::size_t size() const noexcept { return count_; }
  T& operator[](std::size_t i) noexcept { return data()[i]; }
  const T& operator[](std::size_t i) const noexcept { return data()[i]; }

  bool is_intact() const noexcept {
    for (const std::uint8_t* p = base_; p < reinterpret_cast<const std::uint8_t*>(data()); ++p) {
      if (*p != kCanary) return false;
    }
    for (const std::uint8_t* p = end_ - unused_ * sizeof(T); p < end_; ++p) {
      if (*p != kCanary) return false;
    }
    return true;
  }

 private:
  static constexpr std::uint8_t kCanary = 0xa5;
  static constexpr std::size_t kCanaryBytes = 256;

  std::size_t count_;
  std::size_t unused_;
  std::size_t mapped_bytes_ = 0;
  std::uint8_t* base_ = nullptr;
  std::uint8_t* end_ = nullptr;
};

}  // namespace sightline::testing
