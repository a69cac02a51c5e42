// Buffers that each thread lends to one object after another, so that searches rarely allocate. An object that finds them lent
// begins with empty ones. What was in them before is still there: the owner clears what it reads.
#pragma once

#include <cstddef>
#include <utility>

namespace sightline::lexical {

// Buffers: movable; size_bytes() says about what they take, and those that have grown large are freed.
template <typename Buffers>
class Recycled : protected Buffers {
 public:
  Recycled(const Recycled&) = delete;
  Recycled& operator=(const Recycled&) = delete;

 protected:
  Recycled() noexcept : Buffers(std::exchange(spare(), Buffers{})) {}
  ~Recycled() {
    if (Buffers::size_bytes() <= kMostBytes) spare() = std::move(static_cast<Buffers&>(*this));
  }

 private:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 18;
  static Buffers& spare() noexcept {
    thread_local Buffers buffers;
    return buffers;
  }
};

}  // namespace sightline::lexical
