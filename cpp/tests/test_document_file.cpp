// Files of documents: what is written comes back by row, damage is noticed when it is read if not before.
#include "documents/document_file.h"

#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>

#include "core/error.h"
#include "storage/xxh64.h"
#include "tests/check.h"
#include "tests/temporary_directory.h"

using namespace sightline;
using namespace sightline::testing;
using documents::DocumentFile;
using documents::DocumentFileWriter;
using documents::DocumentView;

namespace {

// The layout that document_file.h describes, on purpose not shared with the code.
constexpr std::size_t kRecordHeader = 32;
constexpr std::size_t kSizesAt = 12;

struct Document {
  DocId row = 0;
  std::uint32_t flags = 0;
  std::string name;
  std::optional<std::string> metadata;
  std::optional<std::string> title;
  std::string text;

  DocumentView view() const { return {flags, name, metadata, title, text}; }
};

bool operator==(const DocumentView& a, const DocumentView& b) {
  return a.flags == b.flags && a.name == b.name && a.metadata == b.metadata && a.title == b.title && a.text == b.text;
}

std::string random_text(std::mt19937& random, std::size_t most) {
  std::string text(random() % (most + 1), '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

std::vector<Document> random_documents(std::size_t count, std::uint32_t most_gap, std::size_t most_text) {
  std::mt19937 random(static_cast<std::uint32_t>(count));
  std::vector<Document> made;
  DocId row = 5;
  for (std::size_t i = 0; i < count; ++i) {
    Document document{row, static_cast<std::uint32_t>(random()), random_text(random, 9), std::nullopt, std::nullopt,
                      random_text(random, most_text)};
    if (random() % 3 != 0) document.metadata = random_text(random, 20);
    if (random() % 3 != 0) document.title = random_text(random, 20);
    made.push_back(std::move(document));
    row += 1 + static_cast<DocId>(random() % (most_gap + 1));
  }
  return made;
}

void write(const std::filesystem::path& path, const std::vector<Document>& documents) {
  DocumentFileWriter writer(path);
  for (const Document& each : documents) writer.add(each.row, each.view());
  writer.commit();
}

void check_holds(const std::filesystem::path& path, const std::vector<Document>& documents) {
  const auto file = DocumentFile::open(path);
  CHECK_EQ(file->rows().size(), documents.size());
  std::string buffer;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    CHECK_EQ(file->rows()[i], documents[i].row);
    CHECK_EQ(file->find(documents[i].row).value(), i);
    const bool next_is_there = i + 1 < documents.size() && documents[i + 1].row == documents[i].row + 1;
    CHECK(file->find(documents[i].row + 1).has_value() == next_is_there);
    CHECK(file->read(i, buffer) == documents[i].view());
  }
  for (const DocId outside : {DocId{-1}, DocId{0}, DocId{4}, std::numeric_limits<DocId>::max()}) CHECK(!file->find(outside));
}

std::vector<char> read_all(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_all(const std::filesystem::path& path, const std::vector<char>& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

template <typename Call>
std::optional<ErrorKind> error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  return std::nullopt;
}

}  // namespace

TEST(document_file_round_trip) {
  const TemporaryDirectory directory;
  for (const std::size_t count : {0U, 1U, 2U, 500U}) {
    for (const std::uint32_t most_gap : {0U, 3U, 1000U}) {
      const std::vector<Document> documents = random_documents(count, most_gap, 60);
      write(directory / "file", documents);
      check_holds(directory / "file", documents);
    }
  }
}

// Texts beyond what one section holds, among them one that is larger than a section.
TEST(document_file_of_many_sections) {
  const TemporaryDirectory directory;
  std::vector<Document> documents = random_documents(30, 2, 3U << 20);
  documents[7].text.assign(std::size_t{20} << 20, 'x');
  documents[8].text.clear();
  write(directory / "file", documents);
  CHECK(storage::SectionFile::open(directory / "file", storage::ContentKind::kDocuments, true)->sections().size() > 4);
  check_holds(directory / "file", documents);
  const auto file = DocumentFile::open(directory / "file");
  file->expect_reads(0, documents.size() - 1);
  file->expect_reads(3, 3);
  std::vector<std::size_t> places(documents.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  DocumentFileWriter writer(directory / "copy");
  writer.copy(*file, places);
  writer.commit();
  check_holds(directory / "copy", documents);
}

TEST(document_file_copies_of_others) {
  const TemporaryDirectory directory;
  const std::vector<Document> documents = random_documents(300, 2, 60);
  write(directory / "first", {documents.begin(), documents.begin() + 100});
  write(directory / "second", {documents.begin() + 100, documents.end()});
  const auto first = DocumentFile::open(directory / "first");
  const auto second = DocumentFile::open(directory / "second");
  DocumentFileWriter writer(directory / "both");
  std::vector<Document> kept;
  std::vector<std::size_t> places[2];
  for (std::size_t i = 0; i < documents.size(); i += 2) {
    places[i < 100 ? 0 : 1].push_back(i < 100 ? i : i - 100);
    kept.push_back(documents[i]);
  }
  writer.copy(*first, places[0]);
  writer.copy(*second, places[1]);
  kept.push_back({documents.back().row + 1, 3, "new", "{}", std::nullopt, "text"});
  writer.add(kept.back().row, kept.back().view());
  writer.commit();
  check_holds(directory / "both", kept);
}

TEST(document_file_rows_must_ascend) {
  const TemporaryDirectory directory;
  const DocumentView document{0, "name", std::nullopt, std::nullopt, "text"};
  DocumentFileWriter writer(directory / "file");
  CHECK(error_of([&] { writer.add(-1, document); }) == ErrorKind::kInvalidInput);
  writer.add(3, document);
  for (const DocId row : {3, 2}) CHECK(error_of([&] { writer.add(row, document); }) == ErrorKind::kInvalidInput);
  writer.add(4, document);
  writer.commit();
  CHECK_EQ(DocumentFile::open(directory / "file")->rows().size(), std::size_t{2});
}

// A file is opened without its texts; each flipped byte of them is noticed by the read of its record, and by no other.
TEST(document_file_damaged_texts) {
  const TemporaryDirectory directory;
  const std::vector<Document> documents = random_documents(40, 0, 30);
  const auto path = directory / "file";
  write(path, documents);
  const std::vector<char> whole = read_all(path);
  std::size_t at = 64;  // the texts are the first section
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const Document& each = documents[i];
    const std::size_t size = kRecordHeader + each.name.size() + each.metadata.value_or("").size() + each.title.value_or("").size() +
                             each.text.size();
    for (std::size_t byte = 0; byte < size; ++byte) {
      std::vector<char> damaged = whole;
      damaged[at + byte] = static_cast<char>(damaged[at + byte] ^ (1 << (byte % 8)));
      write_all(path, damaged);
      const auto file = DocumentFile::open(path);
      std::string buffer;
      CHECK(error_of([&] { file->read(i, buffer); }) == ErrorKind::kCorruptIndex);
      const std::size_t other = (i + 1) % documents.size();
      CHECK(file->read(other, buffer) == documents[other].view());
      DocumentFileWriter writer(directory / "copy");
      CHECK(error_of([&] { writer.copy(*file, std::array{i}); }) == ErrorKind::kCorruptIndex);
    }
    at += size;
  }
}

// Sizes that lie, in a record whose checksum fits.
TEST(document_file_impossible_sizes) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  const Document document{9, 1, "name", "{}", "title", "text"};
  write(path, {document});
  const std::vector<char> whole = read_all(path);
  const std::size_t size = kRecordHeader + 4 + 2 + 5 + 4;
  for (std::size_t part = 0; part < 4; ++part) {
    for (const std::uint32_t wrong : {0U, 1U, 3U, 16U, 1U << 31, 0xFFFFFFFEU, 0xFFFFFFFFU}) {
      std::vector<char> damaged = whole;
      std::memcpy(damaged.data() + 64 + kSizesAt + 4 * part, &wrong, sizeof wrong);
      const std::uint64_t checksum = storage::xxh64(damaged.data() + 64 + 8, size - 8, 9);
      std::memcpy(damaged.data() + 64, &checksum, sizeof checksum);
      write_all(path, damaged);
      const auto file = DocumentFile::open(path);
      std::string buffer;
      CHECK(error_of([&] { file->read(0, buffer); }) == ErrorKind::kCorruptIndex);
    }
  }
}

#if !defined(_WIN32)  // which does not shorten what is mapped
// The rest of the last page then reads as zeros.
TEST(document_file_shortened_behind_its_back) {
  const TemporaryDirectory directory;
  const auto path = directory / "file";
  write(path, random_documents(10, 0, 30));
  const auto file = DocumentFile::open(path);
  std::filesystem::resize_file(path, 64);
  std::string buffer;
  CHECK(error_of([&] { file->read(3, buffer); }) == ErrorKind::kCorruptIndex);
}
#endif
