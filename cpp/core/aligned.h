// Owning array of trivial values, aligned for the widest vector loads. Movable, not copyable; one owner.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#elif defined(_WIN32)
#include <malloc.h>
#endif

#include "core/checked.h"

namespace sightline {

inline constexpr std::size_t kAlignmentBytes = 64;

// At least `bytes` bytes at a multiple of `alignment`, a power of two, for free_aligned. Throws std::bad_alloc.
inline void* allocate_aligned(std::size_t alignment, std::size_t bytes) {
  const std::size_t padded = checked_add(bytes, alignment - 1) / alignment * alignment;
#if defined(_WIN32)
  void* memory = ::_aligned_malloc(padded, alignment);
#else
  void* memory = std::aligned_alloc(alignment, padded);
#endif
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

inline void free_aligned(void* memory) noexcept {
#if defined(_WIN32)
  ::_aligned_free(memory);
#else
  std::free(memory);
#endif
}

template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  // Uninitialised storage for `count` values. Throws std::bad_alloc.
  explicit AlignedBuffer(std::size_t count) : count_(count) {
    if (count == 0) return;
    const std::size_t bytes = checked_mul(count, sizeof(T));
    // Large arrays start on a 2 MB boundary and ask for huge pages: a linear scan then needs 512 times fewer TLB entries.
    constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
    const std::size_t alignment = bytes >= 4 * kHugePageBytes ? kHugePageBytes : kAlignmentBytes;
    data_ = static_cast<T*>(allocate_aligned(alignment, bytes));
#if defined(__linux__)
    if (alignment == kHugePageBytes) ::madvise(data_, (bytes + alignment - 1) / alignment * alignment, MADV_HUGEPAGE);
#endif
  }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() { free_aligned(data_); }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return count_; }
  std::size_t size_bytes() const noexcept { return count_ * sizeof(T); }
  T& operator[](std::size_t i) noexcept { return data_[i]; }
  const T& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace sightline
