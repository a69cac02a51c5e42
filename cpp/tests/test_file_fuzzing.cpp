// Damaged files whose checksums fit: opening one is refused with an error of ours, or gives an index that can be searched,
// changed and saved without touching memory that is not its own. That is for the sanitizers to see; what such an index
// finds means nothing. A few hundred files of each kind by default; SIGHTLINE_FUZZ_FILES sets another number and
// SIGHTLINE_FUZZ_SEED another sequence of them.
#include <array>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <new>
#include <string>

#include "core/error.h"
#include "dense/index.h"
#include "dense/search.h"
#include "documents/document_file.h"
#include "lexical/clauses.h"
#include "lexical/explain.h"
#include "lexical/field_search.h"
#include "lexical/lexical_file.h"
#include "lexical/search.h"
#include "tests/check.h"
#include "tests/lexical_documents.h"
#include "tests/mutation.h"
#include "tests/temporary_directory.h"

using namespace sightline;
using namespace sightline::testing;

namespace {

constexpr std::size_t kDefaultFiles = 250;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

Bytes content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> raw((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto* begin = reinterpret_cast<const std::byte*>(raw.data());
  return {begin, begin + raw.size()};
}

struct How {
  bool map;
  bool save;  // again; not always, as each waits for the disk
};

// Opens a file and does with the index what users do.
using Use = std::function<void(const std::filesystem::path&, How)>;

void fuzz(const char* name, const std::function<void(const std::filesystem::path&)>& save, const Use& use) {
  TemporaryDirectory directory;
  const std::filesystem::path path = directory / "index";
  save(path);
  const Bytes original = content_of(path);
  use(path, {true, true});  // which must not throw
  const std::size_t files = setting("SIGHTLINE_FUZZ_FILES", kDefaultFiles);
  const std::uint64_t seed = setting("SIGHTLINE_FUZZ_SEED", 1);
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for (std::size_t number = 0; number < files; ++number) {
    // A sequence of its own, so that one file can be made again without those before it.
    std::mt19937_64 random(seed * 1'000'003 + number);
    const Bytes damaged = mutated(original, random);
    {
      std::ofstream file(path, std::ios::binary | std::ios::trunc);
      file.write(reinterpret_cast<const char*>(damaged.data()), static_cast<std::streamsize>(damaged.size()));
    }
    const std::string which = std::string(name) + ", file " + std::to_string(number) + " of seed " + std::to_string(seed);
    try {
      use(path, {number % 2 == 0, number % 16 < 2});
      ++accepted;
    } catch (const Error& error) {
      // kInvalidInput: stored values with checksums that hold are not looked at before rows are rewritten, and then refused
      // as those that a user gives.
      const bool known = error.kind() == ErrorKind::kCorruptIndex || error.kind() == ErrorKind::kIncompatibleIndex ||
                         error.kind() == ErrorKind::kInvalidInput;
      if (!known) throw Failure(which + ": " + error.what());
      ++refused;
    } catch (const std::exception& error) {
      throw Failure(which + ": " + error.what());
    }
  }
  if (files >= kDefaultFiles) {  // else the damage did not reach what it was meant for
    CHECK(accepted > 0);
    CHECK(refused > files / 4);
  }
}

// --- dense ---------------------------------------------------------------------------------------------------------------

constexpr std::size_t kDim = 9;
constexpr std::size_t kRows = 150;

void save_dense(const std::filesystem::path& path, dense::Metric metric, dense::StoredType type) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> rows(kRows * kDim);
  for (float& value : rows) value = normal(random);
  dense::VectorIndex index(metric, kDim, type);
  index.add_next(rows.data(), kRows - 20);
  index.add_next(rows.data(), 20);
  const std::vector<DocId> removed{3, 64, 140};
  index.remove(removed);
  index.save(path);
}

void use_dense(const std::filesystem::path& path, How how) {
  const auto index = dense::VectorIndex::load(path, how.map);
  const auto snapshot = index->snapshot();
  const std::vector<float> queries(2 * index->dim(), 0.5F);
  std::vector<float> scores(20);
  std::vector<DocId> found(20);
  dense::SearchStats stats;
  dense::search(*snapshot, queries.data(), 2, 10, {}, scores.data(), found.data(), stats);
  (void)dense::range_search(*snapshot, queries.data(), 0.1F, {}, stats);
  const std::vector<DocId> ids = snapshot->ids();
  std::vector<float> all(ids.size());
  dense::score(*snapshot, queries.data(), ids, all.data());
  if (!ids.empty()) index->remove(std::span(ids).first(1));
  index->compact();
  if (!how.save) return;
  TemporaryDirectory directory;
  index->save(directory / "again");
}

// --- lexical -------------------------------------------------------------------------------------------------------------

void save_lexical(const std::filesystem::path& path, std::size_t field_count, DocumentKind kind, lexical::PostingForm form) {
  std::mt19937 random(9);
  lexical::FieldIndex index(std::max<std::size_t>(field_count, 1), form);
  for (DocId part = 0; part < 2; ++part) {
    std::vector<std::vector<lexical::SegmentData>> fields;
    for (std::size_t f = 0; f < index.snapshot()->field_count(); ++f) {
      fields.emplace_back();
      fields.back().push_back(random_segment(random, 1000 * part, 60, kind));
    }
    index.add(std::move(fields), lexical::OnExisting::kFail);
  }
  const std::vector<DocId> removed{4, 1006};
  index.remove(removed);
  lexical::save_index(path, {index.snapshot()->fields(), field_count > 0, kind.positions, index.next_id(), {}, "{}", form,
                             kind.weighted});
}

void use_lexical(const std::filesystem::path& path, How how, DocumentKind kind) {
  lexical::SavedIndex saved = lexical::load_index(path, how.map, kind.weighted);
  const lexical::Query query = query_of({"w0", "w1", "w150", "absent"}, kind);
  std::vector<lexical::Clause> clauses;
  if (!kind.weighted) clauses = {{{"w1"}, false, false}, {{"w3"}, false, true}};
  if (saved.positions) clauses.push_back({{"w0", "w1"}, true, false});
  std::vector<const lexical::Snapshot*> pointers;
  for (const auto& field : saved.fields) pointers.push_back(field.get());
  const std::vector<lexical::RowFilter> filter{lexical::filter_from_clauses(pointers, clauses, nullptr)};
  const std::vector<DocId> ids = saved.fields.front()->ids();
  for (const auto& field : saved.fields) {
    for (const lexical::Plan plan : {lexical::Plan::kAutomatic, lexical::Plan::kExhaustive, lexical::Plan::kCoarse}) {
      (void)lexical::search_batch(*field, saved.parameters, {&query, 1}, 5, {}, plan);
      (void)lexical::search_batch(*field, saved.parameters, {&query, 1}, 5, filter, plan);
    }
    if (!ids.empty() && !kind.weighted) {
      (void)lexical::explain(*field, saved.parameters, query, field->find(ids.back()).value());
    }
  }
  const bool named = saved.named_fields;
  const std::vector<lexical::FieldParameters> weights(saved.fields.size());
  lexical::FieldIndex index(std::move(saved.fields), saved.next_id, saved.form);
  if (named) (void)lexical::search_fields_batch(*index.snapshot(), saved.parameters, weights, {&query, 1}, 5, filter);
  if (!ids.empty()) index.remove(std::span(ids).first(1));
  index.compact();
  if (!how.save) return;
  TemporaryDirectory directory;
  lexical::save_index(directory / "again", {index.snapshot()->fields(), named, saved.positions, index.next_id(), saved.parameters,
                                            saved.settings, saved.form, kind.weighted});
}

void fuzz_lexical(const char* name, std::size_t field_count, DocumentKind kind,
                  lexical::PostingForm form = lexical::PostingForm::kScan) {
  fuzz(name, [=](const std::filesystem::path& path) { save_lexical(path, field_count, kind, form); },
       [=](const std::filesystem::path& path, How how) { use_lexical(path, how, kind); });
}

// --- documents -----------------------------------------------------------------------------------------------------------

void save_documents(const std::filesystem::path& path) {
  documents::DocumentFileWriter writer(path);
  for (DocId row = 0; row < 200; ++row) {
    const std::string text(static_cast<std::size_t>(row) * 7 % 90, 'x');
    writer.add(row + row / 50, {1, "name", row % 2 == 0 ? std::optional<std::string_view>("{}") : std::nullopt, std::nullopt, text});
  }
  writer.commit();
}

void use_documents(const std::filesystem::path& path, How how) {
  const auto file = documents::DocumentFile::open(path);
  TemporaryDirectory directory;
  documents::DocumentFileWriter writer(directory / "again");
  std::string buffer;
  for (const DocId row : file->rows()) {
    const std::size_t place = file->find(row).value();
    (void)file->read(place, buffer);
    file->expect_reads(place / 2, place);
    writer.copy(*file, std::array{place});
  }
  if (how.save) writer.commit();
}

}  // namespace

TEST(fuzz_document_files) { fuzz("documents", save_documents, use_documents); }

TEST(fuzz_dense_files) {
  for (const auto metric : {dense::Metric::kCosine, dense::Metric::kSquaredL2}) {
    for (const auto type : {dense::StoredType::kFloat32, dense::StoredType::kFloat16, dense::StoredType::kBFloat16}) {
      fuzz("dense", [=](const std::filesystem::path& path) { save_dense(path, metric, type); }, use_dense);
    }
  }
}

TEST(fuzz_lexical_files) { fuzz_lexical("lexical", 0, {}); }
TEST(fuzz_lexical_files_with_positions) { fuzz_lexical("lexical with positions", 0, {.positions = true}); }
TEST(fuzz_lexical_files_with_fields) { fuzz_lexical("lexical with fields", 2, {.positions = true}); }
TEST(fuzz_packed_lexical_files) {
  fuzz_lexical("packed lexical", 2, {.positions = true}, lexical::PostingForm::kPacked);
}
TEST(fuzz_sparse_files) { fuzz_lexical("sparse", 0, {.weighted = true}); }
