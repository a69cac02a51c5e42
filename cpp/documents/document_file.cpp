#include "documents/document_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "core/error.h"
#include "storage/os_file.h"
#include "storage/xxh64.h"

namespace sightline::documents {
namespace {

constexpr std::uint32_t kRows = 1;
constexpr std::uint32_t kBegins = 2;
constexpr std::uint32_t kTexts = 3;
// Texts are written once so many wait, which is the memory that writing takes.
constexpr std::size_t kSectionBytes = std::size_t{16} << 20;
constexpr std::uint32_t kMissing = std::numeric_limits<std::uint32_t>::max();

struct RecordHeader {
  std::uint64_t checksum;
  std::uint32_t flags;
  std::array<std::uint32_t, 4> sizes;  // name, metadata, title, text
  std::uint32_t reserved;
};
static_assert(sizeof(RecordHeader) == 32);

std::uint64_t checksum_of(DocId row, const void* record, std::size_t size_bytes) noexcept {
  constexpr std::size_t kSkipped = sizeof(RecordHeader::checksum);
  return storage::xxh64(static_cast<const std::byte*>(record) + kSkipped, size_bytes - kSkipped, static_cast<std::uint64_t>(row));
}

std::uint32_t checked_size(std::string_view part, DocId row) {
  if (part.size() < kMissing) return static_cast<std::uint32_t>(part.size());
  throw Error(ErrorKind::kInvalidInput, "document of row " + std::to_string(row) + ": has " + std::to_string(part.size()) +
                                            " bytes in one of its texts, expected less than 4 GiB; split it");
}

}  // namespace

// --- reading -------------------------------------------------------------------------------------------------------------

std::shared_ptr<const DocumentFile> DocumentFile::open(const std::filesystem::path& path) {
  std::shared_ptr<DocumentFile> made(new DocumentFile);
  made->file_ = storage::SectionFile::open_for_copies(path, storage::ContentKind::kDocuments, true, kTexts);
  const storage::SectionFile& file = *made->file_;
  made->rows_ = file.array<DocId>(kRows, 0);
  made->begins_ = file.array<std::uint64_t>(kBegins, 0, made->rows_.size() + 1);
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i + 2 < file.sections().size(); ++i) {
    file.expect_random_reads(kTexts, i);
    made->sections_.push_back(file.bytes(kTexts, i));
    made->section_begins_.push_back(total);
    total += made->sections_.back().size();
  }
  const auto rises_less = [](const auto& values, std::uint64_t least) {
    for (std::size_t i = 1; i < values.size(); ++i) {
      if (values[i] < values[i - 1] || static_cast<std::uint64_t>(values[i]) - static_cast<std::uint64_t>(values[i - 1]) < least) return true;
    }
    return false;
  };
  if (!made->rows_.empty() && made->rows_.front() < 0) made->fail_corrupt("it has a negative row");
  if (rises_less(made->rows_, 1)) made->fail_corrupt("its rows are not in order");
  const auto& begins = made->begins_;
  if (begins.front() != 0 || begins.back() != total || rises_less(begins, sizeof(RecordHeader))) {
    made->fail_corrupt("its records do not lie where they should");
  }
  // Reading what lies beside them has mapped texts as well, up to a megabyte at a time, which are never read through the mapping.
  for (std::uint32_t i = 0; i < made->sections_.size(); ++i) file.release_pages(kTexts, i);
  return made;
}

std::optional<std::size_t> DocumentFile::find(DocId row) const noexcept {
  if (rows_.empty() || row < rows_.front() || row > rows_.back()) return std::nullopt;
  // Rows ascend one at a time at least, so none lies further on than this.
  const std::size_t last = std::min(static_cast<std::size_t>(row - rows_.front()), rows_.size() - 1);
  if (rows_[last] == row) return last;
  const auto found = std::lower_bound(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(last), row);
  if (*found != row) return std::nullopt;
  return static_cast<std::size_t>(found - rows_.begin());
}

std::size_t DocumentFile::section_of(std::uint64_t begin) const noexcept {
  const auto after = std::upper_bound(section_begins_.begin(), section_begins_.end(), begin);
  return static_cast<std::size_t>(after - section_begins_.begin()) - 1;
}

void DocumentFile::expect_reads(std::size_t first, std::size_t last) const noexcept {
  const std::uint64_t begin = begins_[first];
  const std::uint64_t end = begins_[last + 1];
  for (std::size_t s = section_of(begin); s < sections_.size() && section_begins_[s] < end; ++s) {
    const std::size_t size = sections_[s].size();
    const std::size_t from = std::min<std::uint64_t>(size, std::max(begin, section_begins_[s]) - section_begins_[s]);
    const std::size_t to = std::min<std::uint64_t>(size, end - section_begins_[s]);
    if (from < to) file_->expect_copies(sections_[s].subspan(from, to - from));
  }
}

void DocumentFile::read_record(std::size_t place, std::string& buffer) const {
  const std::uint64_t begin = begins_[place];
  const std::uint64_t size = begins_[place + 1] - begin;
  const std::size_t section = section_of(begin);
  const std::uint64_t within = begin - section_begins_[section];
  const std::span<const std::byte> texts = sections_[section];
  // Looked at whenever it is read: another program may have written to the file since it was opened.
  if (size < sizeof(RecordHeader) || within > texts.size() || size > texts.size() - within) {
    fail_corrupt("the document of row " + std::to_string(rows_[place]) + " does not lie in one section");
  }
  buffer.resize(size);
  const std::span<const std::byte> record = texts.subspan(within, size);
  if (!file_->copy(record, reinterpret_cast<std::byte*>(buffer.data()))) {
    throw Error(ErrorKind::kStorage, "'" + storage::shown(path()) + "': the document of row " + std::to_string(rows_[place]) +
                                         " cannot be read; check the disk");
  }
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, buffer.data(), sizeof checksum);
  if (checksum != checksum_of(rows_[place], buffer.data(), size)) {
    fail_corrupt("the document of row " + std::to_string(rows_[place]) + " does not have its checksum");
  }
}

DocumentView DocumentFile::read(std::size_t place, std::string& buffer) const {
  read_record(place, buffer);
  RecordHeader header;
  std::memcpy(&header, buffer.data(), sizeof header);
  const std::string_view rest = std::string_view(buffer).substr(sizeof header);
  std::size_t at = 0;
  bool fits = true;
  const auto next = [&](std::uint32_t size) -> std::optional<std::string_view> {
    if (size == kMissing) return std::nullopt;
    fits = fits && size <= rest.size() - at;
    if (!fits) return std::nullopt;
    at += size;
    return rest.substr(at - size, size);
  };
  const std::optional<std::string_view> name = next(header.sizes[0]);
  DocumentView found;
  found.flags = header.flags;
  found.metadata = next(header.sizes[1]);
  found.title = next(header.sizes[2]);
  const std::optional<std::string_view> text = next(header.sizes[3]);
  if (!fits || at != rest.size() || !name || !text) {
    fail_corrupt("the document of row " + std::to_string(rows_[place]) + " has impossible sizes");
  }
  found.name = *name;
  found.text = *text;
  return found;
}

void DocumentFile::fail_corrupt(const std::string& what) const {
  throw Error(ErrorKind::kCorruptIndex,
              "'" + storage::shown(path()) + "' is damaged: " + what + "; restore it from a backup or build the index again");
}

// --- writing -------------------------------------------------------------------------------------------------------------

void DocumentFileWriter::begin_record(DocId row, std::size_t size_bytes) {
  if (row < 0 || (!rows_.empty() && row <= rows_.back())) {
    throw Error(ErrorKind::kInvalidInput, "rows: expected ascending ones from 0 on, got " + std::to_string(row) +
                                              (rows_.empty() ? "" : " after " + std::to_string(rows_.back())));
  }
  if (texts_.size() >= kSectionBytes) write_texts();
  rows_.push_back(row);
  begins_.push_back(begins_.back() + size_bytes);
}

bool DocumentFileWriter::add(DocId row, const DocumentView& document) {
  RecordHeader header{};
  header.flags = document.flags;
  const std::array<std::optional<std::string_view>, 4> parts{document.name, document.metadata, document.title, document.text};
  std::size_t size = sizeof header;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    header.sizes[i] = parts[i] ? checked_size(*parts[i], row) : kMissing;
    if (parts[i]) size += parts[i]->size();
  }
  begin_record(row, size);
  const std::size_t begin = texts_.size();
  texts_.resize(begin + size);
  std::byte* at = texts_.data() + begin + sizeof header;
  for (const auto& part : parts) {
    if (!part || part->empty()) continue;
    std::memcpy(at, part->data(), part->size());
    at += part->size();
  }
  std::memcpy(texts_.data() + begin, &header, sizeof header);
  header.checksum = checksum_of(row, texts_.data() + begin, size);
  std::memcpy(texts_.data() + begin, &header.checksum, sizeof header.checksum);
  return texts_.size() >= kSectionBytes;
}

void DocumentFileWriter::copy(const DocumentFile& from, std::span<const std::size_t> places) {
  // While some are copied the disk reads the next.
  constexpr std::size_t kAtOnce = 1024;
  const auto expect_from = [&](std::size_t first) {
    if (first < places.size()) from.expect_reads(places[first], places[std::min(first + kAtOnce, places.size()) - 1]);
  };
  expect_from(0);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i % kAtOnce == 0) expect_from(i + kAtOnce);
    from.read_record(places[i], copied_);
    begin_record(from.rows()[places[i]], copied_.size());
    const auto* bytes = reinterpret_cast<const std::byte*>(copied_.data());
    texts_.insert(texts_.end(), bytes, bytes + copied_.size());
  }
}

void DocumentFileWriter::write_texts() {
  if (texts_.empty()) return;
  writer_.add(kTexts, section_count_, texts_);
  ++section_count_;
  texts_.clear();
}

void DocumentFileWriter::commit() {
  write_texts();
  writer_.add_array<DocId>(kRows, 0, rows_);
  writer_.add_array<std::uint64_t>(kBegins, 0, begins_);
  writer_.commit();
}

}  // namespace sightline::documents
