// Section files: what is written comes back, every kind of damage is noticed, a failed write changes nothing.
#include "storage/section_file.h"

#if !defined(_WIN32)
#include <sys/resource.h>

#include <csignal>
#endif

#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>

#include "storage/xxh64.h"
#include "tests/check.h"
#include "tests/temporary_directory.h"

using namespace sightline;
using namespace sightline::testing;
using storage::ContentKind;
using storage::SectionEntry;
using storage::SectionFile;
using storage::SectionFileWriter;

namespace {

using Bytes = std::vector<char>;

// Where the header's fields lie: the format description of section_file.h, on purpose not shared with the code.
constexpr std::size_t kFormatVersionAt = 8;
constexpr std::size_t kFileSizeAt = 16;
constexpr std::size_t kSectionCountAt = 24;
constexpr std::size_t kTableOffsetAt = 32;
constexpr std::size_t kTableChecksumAt = 40;
constexpr std::size_t kHeaderChecksumAt = 56;
constexpr std::size_t kEntryBytes = 32;

const std::vector<std::uint32_t> kNumbers = [] {
  std::vector<std::uint32_t> numbers(37);
  std::iota(numbers.begin(), numbers.end(), 1000U);
  return numbers;
}();
const std::string kText = "sections are raw bytes";

void write_example(const std::filesystem::path& path) {
  SectionFileWriter writer(path, ContentKind::kDense);
  writer.add_array<std::uint32_t>(7, 0, kNumbers);
  writer.add_array<char>(8, 3, std::span(kText));
  writer.add(9, 0, {});
  writer.commit();
}

Bytes read_all(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_all(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// The kind of the error that opening raises, both ways of opening agreeing; none if it opens with the right content.
std::optional<ErrorKind> open_error(const std::filesystem::path& path, ContentKind kind = ContentKind::kDense) {
  std::optional<ErrorKind> errors[2];
  for (const bool use_mmap : {false, true}) {
    try {
      const auto file = SectionFile::open(path, kind, use_mmap);
      const auto numbers = file->array<std::uint32_t>(7, 0, kNumbers.size());
      CHECK(std::equal(numbers.begin(), numbers.end(), kNumbers.begin(), kNumbers.end()));
      const auto text = file->array<char>(8, 3);
      CHECK_EQ(std::string(text.begin(), text.end()), kText);
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find(path.string()) != std::string::npos);
      errors[use_mmap ? 1 : 0] = error.kind();
    }
  }
  CHECK(errors[0] == errors[1]);
  return errors[0];
}

template <typename T>
void put(Bytes& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

std::uint64_t get_u64(const Bytes& bytes, std::size_t at) {
  std::uint64_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// Makes the checksums of header and table fit what they cover, so that a test reaches the checks behind them.
void reseal(Bytes& bytes) {
  const std::uint64_t offset = get_u64(bytes, kTableOffsetAt);
  const std::uint64_t count = get_u64(bytes, kSectionCountAt);
  if (offset <= bytes.size() && count <= (bytes.size() - offset) / kEntryBytes) {
    put(bytes, kTableChecksumAt, storage::xxh64(bytes.data() + offset, count * kEntryBytes));
  }
  put(bytes, kHeaderChecksumAt, storage::xxh64(bytes.data(), kHeaderChecksumAt));
}

std::size_t count_files(const TemporaryDirectory& directory) {
  const std::filesystem::directory_iterator files(directory.path());
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

}  // namespace

TEST(section_file_round_trip) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write_example(path);
  CHECK_EQ(count_files(directory), std::size_t{1});
  CHECK(!open_error(path).has_value());
  for (const bool use_mmap : {false, true}) {
    const auto file = SectionFile::open(path, ContentKind::kDense, use_mmap);
    CHECK_EQ(file->sections().size(), std::size_t{3});
    CHECK(file->path() == path);
    CHECK(file->has(9, 0) && !file->has(9, 1) && !file->has(10, 0));
    CHECK(file->bytes(9, 0).empty());
    for (const SectionEntry& entry : file->sections()) {
      CHECK_EQ(reinterpret_cast<std::uintptr_t>(file->bytes(entry.kind, entry.index).data()) % 64, std::uintptr_t{0});
    }
  }
}

TEST(section_file_without_sections) {
  const TemporaryDirectory directory;
  SectionFileWriter(directory / "file", ContentKind::kLexical).commit();
  CHECK(SectionFile::open(directory / "file", ContentKind::kLexical, true)->sections().empty());
}

TEST(section_file_missing_section_and_wrong_length) {
  const TemporaryDirectory directory;
  write_example(directory / "file");
  const auto file = SectionFile::open(directory / "file", ContentKind::kDense, true);
  const auto kind_of = [](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind();
    }
    throw Failure("no error");
  };
  CHECK(kind_of([&] { file->bytes(7, 1); }) == ErrorKind::kCorruptIndex);
  CHECK(kind_of([&] { file->array<std::uint32_t>(7, 0, kNumbers.size() + 1); }) == ErrorKind::kCorruptIndex);
  CHECK(kind_of([&] { file->array<std::uint32_t>(8, 3); }) == ErrorKind::kCorruptIndex);  // 22 bytes are no whole number
}

TEST(section_file_wrong_kind_and_version) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write_example(path);
  CHECK(open_error(path, ContentKind::kLexical) == ErrorKind::kIncompatibleIndex);
  Bytes bytes = read_all(path);
  put(bytes, kFormatVersionAt, std::uint32_t{2});
  write_all(path, bytes);  // a later format may compute its checksum in another way: the version alone decides
  CHECK(open_error(path) == ErrorKind::kIncompatibleIndex);
}

TEST(section_file_absent_or_not_a_file) {
  const TemporaryDirectory directory;
  CHECK(open_error(directory / "absent") == ErrorKind::kStorage);
  CHECK(open_error(directory.path()) == ErrorKind::kStorage);
  write_all(directory / "empty", {});
  CHECK(open_error(directory / "empty") == ErrorKind::kCorruptIndex);
  write_all(directory / "text", Bytes(1000, 'x'));
  CHECK(open_error(directory / "text") == ErrorKind::kCorruptIndex);
}

TEST(section_file_every_truncation_is_noticed) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write_example(path);
  const Bytes whole = read_all(path);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_all(path, Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    CHECK(open_error(path) == ErrorKind::kCorruptIndex);
  }
  Bytes longer = whole;
  longer.push_back(0);
  write_all(path, longer);
  CHECK(open_error(path) == ErrorKind::kCorruptIndex);
}

TEST(section_file_every_flipped_byte_is_noticed_or_padding) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write_example(path);
  const Bytes whole = read_all(path);
  std::vector<bool> is_padding(whole.size(), true);
  const auto mark = [&](std::uint64_t offset, std::uint64_t size) {
    for (std::uint64_t i = offset; i < offset + size; ++i) is_padding[i] = false;
  };
  mark(0, 64);
  {
    const auto file = SectionFile::open(path, ContentKind::kDense, false);
    for (const SectionEntry& entry : file->sections()) mark(entry.offset, entry.size_bytes);
    mark(get_u64(whole, kTableOffsetAt), file->sections().size_bytes());
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      Bytes damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      write_all(path, damaged);
      const auto error = open_error(path);
      const bool is_version = i >= kFormatVersionAt && i < kFormatVersionAt + 4;
      CHECK(error.has_value() == !is_padding[i]);
      CHECK(!error || *error == (is_version ? ErrorKind::kIncompatibleIndex : ErrorKind::kCorruptIndex));
    }
  }
}

TEST(section_file_sizes_outside_the_file_are_refused_even_with_fitting_checksums) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write_example(path);
  const Bytes whole = read_all(path);
  const std::size_t table = get_u64(whole, kTableOffsetAt);
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  const struct {
    std::size_t at;
    std::uint64_t value;
  } damages[] = {
      {kFileSizeAt, whole.size() + 64}, {kFileSizeAt, 0},
      {kSectionCountAt, 4},             {kSectionCountAt, kHuge},         {kSectionCountAt, kHuge / kEntryBytes + 2},
      {kTableOffsetAt, table + 8},      {kTableOffsetAt, table + 64},     {kTableOffsetAt, whole.size() / 64 * 64 + 64},
      {kTableOffsetAt, kHuge - 63},     {table + 8, whole.size() + 64},   {table + 8, kHuge - 63},
      {table + 8, 65},                  {table + 16, whole.size()},       {table + 16, kHuge},
  };
  for (const auto& damage : damages) {
    Bytes bytes = whole;
    put(bytes, damage.at, damage.value);
    reseal(bytes);
    write_all(path, bytes);
    CHECK(open_error(path) == ErrorKind::kCorruptIndex);
  }
  Bytes untouched = whole;
  reseal(untouched);
  write_all(path, untouched);
  CHECK(!open_error(path).has_value());  // the damage, not the resealing, made the difference
}

TEST(section_file_abandoned_writer_leaves_the_old_file) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write_example(path);
  {
    SectionFileWriter writer(path, ContentKind::kDense);
    writer.add_array<char>(1, 0, std::span(kText));
  }
  CHECK_EQ(count_files(directory), std::size_t{1});
  CHECK(!open_error(path).has_value());
}

#if !defined(_WIN32)  // which has no such limit
namespace {

// While it lives, writes past `limit_bytes` of a file fail, as they do on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t limit_bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limited = before_;
    limited.rlim_cur = limit_bytes;
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST(section_file_failed_write_leaves_the_old_file) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write_example(path);
  const Bytes whole = read_all(path);
  for (rlim_t limit = 0; limit < whole.size(); limit += 24) {
    const FileSizeLimit full_disk(limit);
    bool failed = false;
    try {
      write_example(path);
    } catch (const Error& error) {
      failed = error.kind() == ErrorKind::kStorage;
    }
    CHECK(failed);
    CHECK_EQ(count_files(directory), std::size_t{1});
    CHECK(read_all(path) == whole);
  }
}

TEST(section_file_writer_continues_after_a_failed_section) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  SectionFileWriter writer(path, ContentKind::kDense);
  writer.add_array<std::uint32_t>(7, 0, kNumbers);
  {
    const FileSizeLimit full_disk(300);
    const Bytes too_much(500, 'x');
    CHECK_THROWS((writer.add_array<char>(1, 0, std::span(too_much)), 0), Error);
  }
  writer.add_array<char>(8, 3, std::span(kText));
  writer.commit();
  CHECK(!open_error(path).has_value());
  CHECK_EQ(SectionFile::open(path, ContentKind::kDense, true)->sections().size(), std::size_t{2});
}

#endif

// A mapped file is replaced and its readers keep what they have, or, on Windows, the writer is refused and nothing changes.
TEST(section_file_replaced_while_it_is_mapped) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write_example(path);
  const auto reader = SectionFile::open(path, ContentKind::kDense, true);
  bool replaced = false;
  try {
    SectionFileWriter writer(path, ContentKind::kDense);
    writer.add_array<char>(1, 0, std::span(kText));
    writer.commit();
    replaced = true;
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kStorage);
  }
#if !defined(_WIN32)
  CHECK(replaced);
#endif
  CHECK_EQ(count_files(directory), std::size_t{1});
  const auto numbers = reader->array<std::uint32_t>(7, 0, kNumbers.size());
  CHECK(std::equal(numbers.begin(), numbers.end(), kNumbers.begin(), kNumbers.end()));
  CHECK_EQ(SectionFile::open(path, ContentKind::kDense, true)->sections().size(), std::size_t{replaced ? 1U : 3U});
}

// Parts of a mapped file are copied past the mapping, also when the file was replaced; not if it was read, or opened without.
TEST(section_file_copies_parts) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write_example(path);
  const auto file = SectionFile::open_for_copies(path, ContentKind::kDense, true);
  CHECK(file->is_mapped());
  file->expect_random_reads(7, 0);
  const auto numbers = file->array<std::uint32_t>(7, 0, kNumbers.size());
  std::filesystem::rename(path, directory / "moved");
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, kNumbers.size() - 3}) {
    std::vector<std::uint32_t> copied(count);
    CHECK(file->copy(std::as_bytes(numbers.subspan(3, count)), reinterpret_cast<std::byte*>(copied.data())));
    CHECK(std::equal(copied.begin(), copied.end(), kNumbers.begin() + 3));
  }
  std::byte one{};
  for (const auto& other : {SectionFile::open(directory / "moved", ContentKind::kDense, true),
                            SectionFile::open_for_copies(directory / "moved", ContentKind::kDense, false)}) {
    CHECK(!other->copy(other->bytes(8, 3).first(1), &one));
  }
#if !defined(_WIN32)  // which does not shorten what is mapped
  const std::span<const std::byte> text = file->bytes(8, 3);
  std::filesystem::resize_file(directory / "moved", 64);  // behind its back: what cannot be read is said to be so
  CHECK(!file->copy(text.first(1), &one));
#endif
}

TEST(section_file_names_of_any_alphabet) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / std::filesystem::path(u8"f\u00fcr \u65e5\u672c \U0001F50D");
  write_example(path);
  CHECK(SectionFile::open(path, ContentKind::kDense, true)->path() == path);
  CHECK_EQ(count_files(directory), std::size_t{1});
  std::string message;
  try {
    SectionFile::open(path / "absent", ContentKind::kDense, true);
  } catch (const Error& error) {
    message = error.what();
  }
  const std::u8string name = u8"f\u00fcr \u65e5\u672c \U0001F50D";
  CHECK(message.find(std::string(name.begin(), name.end())) != std::string::npos);  // as UTF-8
}

TEST(section_file_writer_reports_where_it_cannot_write) {
  const TemporaryDirectory directory;
  const auto kind_of = [](const std::filesystem::path& path) -> std::optional<ErrorKind> {
    try {
      write_example(path);
    } catch (const Error& error) {
      return error.kind();
    }
    return std::nullopt;
  };
  CHECK(kind_of(directory / "absent" / "file") == ErrorKind::kStorage);
  std::filesystem::create_directory(directory / "occupied");
  write_all(directory / "occupied" / "child", {'x'});
  CHECK(kind_of(directory / "occupied") == ErrorKind::kStorage);
  CHECK_EQ(count_files(directory), std::size_t{1});
}
