#include "tests/mutation.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "storage/section_file.h"
#include "storage/xxh64.h"

namespace sightline::testing {
namespace {

using Random = std::mt19937_64;
using storage::SectionEntry;

// Offsets in the header of a section file, see section_file.h.
constexpr std::size_t kFileSize = 16;
constexpr std::size_t kSectionCount = 24;
constexpr std::size_t kTableOffset = 32;
constexpr std::size_t kTableChecksum = 40;
constexpr std::size_t kHeaderChecksum = 56;
constexpr std::size_t kHeaderBytes = 64;

std::uint64_t read(const Bytes& file, std::size_t at) {
  std::uint64_t value = 0;
  std::memcpy(&value, file.data() + at, sizeof value);
  return value;
}

void write(Bytes& file, std::size_t at, std::uint64_t value, std::size_t width = 8) {
  if (at + width <= file.size()) std::memcpy(file.data() + at, &value, width);
}

std::uint64_t interesting(Random& random) {
  constexpr std::uint64_t kValues[] = {0, 1, 2, 63, 64, 65, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7F800000,
                                       0x7FC00000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF,
                                       0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFE, 1ULL << 24, 1ULL << 40};
  return kValues[random() % std::size(kValues)];
}

// Changes one value in [begin, end).
void change_value(Bytes& file, std::size_t begin, std::size_t end, Random& random) {
  if (begin >= end) return;
  const std::size_t width = std::min(std::size_t{1} << random() % 4, std::bit_floor(end - begin));
  const std::size_t at = begin + random() % ((end - begin) / width) * width;  // as values of that width lie
  std::uint64_t old = 0;
  std::memcpy(&old, file.data() + at, width);
  switch (random() % 4) {
    case 0: return write(file, at, interesting(random), width);
    case 1: return write(file, at, old ^ 1ULL << random() % (8 * width), width);
    case 2: return write(file, at, old + (random() % 2 == 0 ? 1 : ~std::uint64_t{0}), width);
    default: {  // a value from elsewhere in the same place
      const std::size_t from = begin + random() % ((end - begin) / width) * width;
      std::memcpy(&old, file.data() + from, width);
      return write(file, at, old, width);
    }
  }
}

class Table {
 public:
  // Precondition: the file is whole.
  explicit Table(const Bytes& file) : entries_(read(file, kSectionCount)) {
    std::memcpy(entries_.data(), file.data() + read(file, kTableOffset), entries_.size() * sizeof(SectionEntry));
  }
  std::vector<SectionEntry>& entries() { return entries_; }
  SectionEntry& any(Random& random) { return entries_[random() % entries_.size()]; }

  void change(std::size_t file_size, Random& random) {
    SectionEntry& entry = any(random);
    switch (random() % 8) {
      case 0: entry.size_bytes -= std::min<std::uint64_t>(entry.size_bytes, std::uint64_t{1} << random() % 8); break;
      case 1: entry.size_bytes += std::uint64_t{1} << random() % 8; break;
      case 2: std::swap(entry.offset, any(random).offset); break;
      case 3: entry.kind = any(random).kind; break;
      case 4: entry.index = static_cast<std::uint32_t>(random() % 4); break;
      case 5: entry.size_bytes = interesting(random); break;
      case 6: entry.offset = random() % 2 == 0 ? interesting(random) : random() % (file_size / 64) * 64; break;
      default: {  // of another place and length, as a whole
        const SectionEntry& other = any(random);
        entry.offset = other.offset;
        entry.size_bytes = other.size_bytes;
      }
    }
  }

 private:
  std::vector<SectionEntry> entries_;
};

void finish(Bytes& file, Table& table, std::uint64_t table_offset, bool fix_checksums) {
  auto& entries = table.entries();
  for (SectionEntry& entry : entries) {
    const bool inside = entry.offset <= file.size() && entry.size_bytes <= file.size() - entry.offset;
    if (fix_checksums && inside) entry.checksum = storage::xxh64(file.data() + entry.offset, entry.size_bytes);
  }
  const std::size_t table_bytes = entries.size() * sizeof(SectionEntry);
  if (table_offset <= file.size() && table_bytes <= file.size() - table_offset) {
    std::memcpy(file.data() + table_offset, entries.data(), table_bytes);
    if (fix_checksums) write(file, kTableChecksum, storage::xxh64(file.data() + table_offset, table_bytes));
  }
  if (fix_checksums && file.size() >= kHeaderBytes) {
    write(file, kHeaderChecksum, storage::xxh64(file.data(), kHeaderChecksum));
  }
}

}  // namespace

Bytes mutated(const Bytes& original, Random& random) {
  Bytes file = original;
  Table table(file);
  const std::uint64_t table_offset = read(file, kTableOffset);
  for (std::size_t left = 1 + random() % 4; left > 0; --left) {
    const SectionEntry entry = table.any(random);
    const bool inside = entry.offset <= table_offset && entry.size_bytes <= table_offset - entry.offset;
    switch (random() % 16) {
      default:  // mostly: that is where most of a reader's checks are
        if (inside) change_value(file, entry.offset, entry.offset + entry.size_bytes, random);
        break;
      case 0:
      case 1:
      case 2: table.change(file.size(), random); break;
      case 3:
        if (table.entries().size() > 1) table.entries().erase(table.entries().begin() + static_cast<std::ptrdiff_t>(random() % table.entries().size()));
        write(file, kSectionCount, table.entries().size());
        break;
      case 4: change_value(file, 8, kHeaderChecksum, random); break;
    }
  }
  finish(file, table, table_offset, random() % 8 != 0);
  if (random() % 32 == 0) file.resize(random() % file.size());
  if (random() % 16 == 0 && file.size() >= kHeaderBytes) {
    write(file, kFileSize, file.size());
    write(file, kHeaderChecksum, storage::xxh64(file.data(), kHeaderChecksum));
  }
  return file;
}

}  // namespace sightline::testing
