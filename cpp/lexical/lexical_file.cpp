#include "lexical/lexical_file.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "core/bitset.h"
#include "lexical/field_index.h"
#include "lexical/packed_segment.h"
#include "lexical/segment_validation.h"
#include "lexical/tokens.h"
#include "storage/section_file.h"

namespace sightline::lexical {
namespace {

using storage::ContentKind;
using storage::SectionFile;
using storage::SectionFileWriter;

// The numbers are part of the file format: never reuse one.
enum Section : std::uint32_t {
  kMeta = 1,
  kSettings = 2,
  kIds = 10,  // from here on one for each segment
  kLengths = 11,
  kTermHashes = 12,
  kTermOffsets = 13,
  kTermBytes = 14,
  kPostingOffsets = 15,
  kLive = 20,  // only if rows were removed
  kWindowOffsets = 21,  // 16 to 19 were the arrays of layout version 1
  kWindows = 22,
  kOffsets = 23,
  kCodes = 24,
  kLargePositions = 25,
  kLargeTfs = 26,
  kClassBegins = 27,
  kCodeMap = 28,
  kValues = 29,  // of given weights only
  kValueBounds = 30,
  kPackedCounts = 31,  // of a packed segment, in place of kIds to kPostingOffsets, kTermBytes apart, and kWindowOffsets to kCodes
  kPackedIds = 32,
  kPackedLengths = 33,
  kPackedHashHeads = 34,
  kPackedTermOffsets = 35,
  kPackedListOffsets = 36,
  kPackedLists = 37,
  kTokenBegins = 40,  // only if the index keeps positions
  kTokens = 41,
};

// Version 4 has flags and packed segments. What is without either is written as version 3, which it does not differ from.
constexpr std::uint32_t kLayoutVersion = 4;
constexpr std::uint32_t kUnpackedLayoutVersion = 3;
constexpr std::uint32_t kPositionsFlag = 1;
constexpr std::uint32_t kPackedFlag = 2;
constexpr std::uint64_t kMaxSegments = 1 << 20;  // of all fields together

struct Meta {
  std::uint32_t layout_version;
  std::uint32_t variant;
  double k1;
  double b;
  double delta;
  std::uint64_t next_id;
  std::uint64_t segment_count;  // of each field
  std::uint32_t field_count;    // 0: an index without named fields
  std::uint32_t flags;
};
static_assert(sizeof(Meta) == 56);

[[noreturn]] void fail_corrupt(const SectionFile& file, const std::string& what) {
  throw Error(ErrorKind::kCorruptIndex,
              "'" + file.path().string() + "' is damaged: " + what + "; restore it from a backup or build it again");
}

void save_scan_form(SectionFileWriter& writer, std::uint32_t s, const SegmentArrays& a) {
  writer.add_array(kIds, s, a.ids);
  writer.add_array(kLengths, s, a.lengths);
  writer.add_array(kTermHashes, s, a.term_hashes);
  writer.add_array(kTermOffsets, s, a.term_offsets);
  writer.add_array(kPostingOffsets, s, a.posting_offsets);
  writer.add_array(kWindowOffsets, s, a.window_offsets);
  writer.add_array(kWindows, s, a.windows);
  writer.add_array(kOffsets, s, a.offsets);
  writer.add_array(kCodes, s, a.codes);
  if (a.weighted()) {
    writer.add_array(kValues, s, a.values);
    writer.add_array(kValueBounds, s, a.value_bounds);
  }
}

void save_packed_form(SectionFileWriter& writer, std::uint32_t s, const PackedArrays& p) {
  const std::uint64_t counts[] = {p.row_count, p.term_count, p.posting_count};
  writer.add_array(kPackedCounts, s, std::span<const std::uint64_t>(counts));
  writer.add_array(kPackedIds, s, p.ids);
  writer.add_array(kPackedLengths, s, p.lengths);
  writer.add_array(kPackedHashHeads, s, p.hash_heads);
  writer.add_array(kPackedTermOffsets, s, p.term_offsets);
  writer.add_array(kPackedListOffsets, s, p.list_offsets);
  writer.add_array(kPackedLists, s, p.lists);
}

void save_segment(SectionFileWriter& writer, std::uint32_t s, const SegmentView& view) {
  const SegmentArrays& a = view.segment->arrays();
  if (a.packed.present()) {
    save_packed_form(writer, s, a.packed);
  } else {
    save_scan_form(writer, s, a);
  }
  writer.add_array(kTermBytes, s, a.term_bytes);
  writer.add_array(kLargePositions, s, a.large_positions);
  writer.add_array(kLargeTfs, s, a.large_tfs);
  writer.add_array(kClassBegins, s, a.code_map.class_begins);
  writer.add_array(kCodeMap, s, a.code_map.codes);
  if (a.tokens.present()) {
    writer.add_array(kTokenBegins, s, a.tokens.begins);
    writer.add_array(kTokens, s, a.tokens.bytes);
  }
  if (view.tombstones) {
    const Bitset& live = view.tombstones->live();
    writer.add_array(kLive, s, std::span<const std::uint64_t>(live.words(), live.word_count()));
  }
}

std::shared_ptr<const Tombstones> load_tombstones(const SectionFile& file, std::uint32_t s, const Segment& segment) {
  if (!file.has(kLive, s)) return nullptr;
  Bitset live(segment.row_count());
  const std::span<const std::uint64_t> words = file.array<std::uint64_t>(kLive, s, live.word_count());
  for (std::size_t w = 0; w < words.size(); ++w) live.set_word(w, words[w]);
  return std::make_shared<const Tombstones>(segment, std::move(live));
}

void load_scan_form(const SectionFile& file, std::uint32_t s, bool weighted, SegmentArrays& a) {
  a.ids = file.array<DocId>(kIds, s);
  a.lengths = file.array<std::uint32_t>(kLengths, s, a.ids.size());
  a.term_hashes = file.array<std::uint64_t>(kTermHashes, s);
  a.term_offsets = file.array<std::uint64_t>(kTermOffsets, s, a.term_hashes.size() + 1);
  a.posting_offsets = file.array<std::uint64_t>(kPostingOffsets, s, a.term_hashes.size() + 1);
  a.window_offsets = file.array<std::uint32_t>(kWindowOffsets, s, a.term_hashes.size() + 1);
  a.windows = file.array<PostingWindow>(kWindows, s);
  a.offsets = file.array<std::uint16_t>(kOffsets, s);
  a.codes = file.array<std::uint8_t>(kCodes, s, a.offsets.size());
  if (weighted && !a.offsets.empty()) {
    a.values = file.array<float>(kValues, s, a.offsets.size());
    a.value_bounds = file.array<float>(kValueBounds, s);
  }
}

PackedArrays load_packed_form(const SectionFile& file, std::uint32_t s) {
  const std::span<const std::uint64_t> counts = file.array<std::uint64_t>(kPackedCounts, s, 3);
  PackedArrays p;
  p.row_count = counts[0];
  p.term_count = counts[1];
  p.posting_count = counts[2];
  p.ids = file.array<std::uint8_t>(kPackedIds, s);
  p.lengths = file.array<std::uint8_t>(kPackedLengths, s);
  p.hash_heads = file.array<std::uint8_t>(kPackedHashHeads, s);
  p.term_offsets = file.array<std::uint8_t>(kPackedTermOffsets, s);
  p.list_offsets = file.array<std::uint8_t>(kPackedListOffsets, s);
  p.lists = file.array<std::uint8_t>(kPackedLists, s);
  return p;
}

SegmentView load_segment(const std::shared_ptr<const SectionFile>& file, std::uint32_t s, bool weighted, const Meta& meta) {
  SegmentArrays a;
  const bool packed = meta.layout_version != kUnpackedLayoutVersion && !weighted && file->has(kPackedCounts, s);
  if (packed) {
    a.packed = load_packed_form(*file, s);
  } else {
    load_scan_form(*file, s, weighted, a);
  }
  a.term_bytes = file->array<char>(kTermBytes, s);
  a.large_positions = file->array<std::uint64_t>(kLargePositions, s);
  a.large_tfs = file->array<std::uint32_t>(kLargeTfs, s, a.large_positions.size());
  a.code_map.class_begins = file->array<std::uint32_t>(kClassBegins, s);
  a.code_map.codes = file->array<std::uint8_t>(kCodeMap, s);
  if ((meta.flags & kPositionsFlag) != 0) {
    a.tokens.begins = file->array<std::uint64_t>(kTokenBegins, s);
    a.tokens.bytes = file->array<std::uint8_t>(kTokens, s);
    if (!a.tokens.present()) fail_corrupt(*file, "segment " + std::to_string(s) + ": the places of its tokens are wrong");
  }
  if (const char* broken = packed ? broken_packed(a) : broken_invariant(a)) {
    fail_corrupt(*file, "segment " + std::to_string(s) + ": " + broken);
  }
  SegmentView view{std::make_shared<const Segment>(a, file), nullptr};
  if (const char* broken = broken_tokens(*view.segment)) fail_corrupt(*file, "segment " + std::to_string(s) + ": " + broken);
  view.tombstones = load_tombstones(*file, s, *view.segment);
  if (view.live_count() == 0) fail_corrupt(*file, "segment " + std::to_string(s) + ": it has no live document");
  return view;
}

Meta load_meta(const SectionFile& file) {
  Meta meta;
  const std::span<const std::byte> bytes = file.bytes(kMeta, 0);
  if (bytes.size() < sizeof meta.layout_version) fail_corrupt(file, "its description is too short");
  std::memcpy(&meta.layout_version, bytes.data(), sizeof meta.layout_version);
  if (meta.layout_version != kLayoutVersion && meta.layout_version != kUnpackedLayoutVersion) {
    throw Error(ErrorKind::kIncompatibleIndex,
                "'" + file.path().string() + "' has layout version " + std::to_string(meta.layout_version) +
                    " of a BM25 index, this version of Sightline reads " + std::to_string(kUnpackedLayoutVersion) + " and " +
                    std::to_string(kLayoutVersion) +
                    ": open it with the version that wrote it, or build it again");
  }
  if (bytes.size() != sizeof meta) fail_corrupt(file, "its description has the wrong size");
  std::memcpy(&meta, bytes.data(), sizeof meta);
  return meta;
}

std::shared_ptr<const Snapshot> load_field(const std::shared_ptr<const SectionFile>& file, const Meta& meta, std::size_t field,
                                           bool weighted) {
  std::vector<SegmentView> views;
  for (std::uint64_t s = 0; s < meta.segment_count; ++s) {
    views.push_back(load_segment(file, static_cast<std::uint32_t>(field * meta.segment_count + s), weighted, meta));
  }
  return std::make_shared<const Snapshot>(std::move(views));
}

bool any_packed(const SavedIndex& index) {
  bool any = index.form == PostingForm::kPacked;
  for (const auto& field : index.fields) {
    for (const SegmentView& view : field->segments()) any = any || view.segment->form() == PostingForm::kPacked;
  }
  return any;
}

}  // namespace

void save_index(const std::filesystem::path& path, const SavedIndex& index) {
  SectionFileWriter writer(path, index.weighted ? ContentKind::kSparse : ContentKind::kLexical);
  const std::size_t segment_count = index.fields.front()->segments().size();
  const Parameters& p = index.parameters;
  const auto field_count = static_cast<std::uint32_t>(index.named_fields ? index.fields.size() : 0);
  const std::uint32_t flags = (index.positions ? kPositionsFlag : 0) | (index.form == PostingForm::kPacked ? kPackedFlag : 0);
  const std::uint32_t version = any_packed(index) ? kLayoutVersion : kUnpackedLayoutVersion;
  const Meta meta{version, static_cast<std::uint32_t>(p.variant), p.k1, p.b, p.delta, index.next_id, segment_count,
                  field_count, flags};
  writer.add_array(kMeta, 0, std::span<const Meta>(&meta, 1));
  writer.add_array(kSettings, 0, std::span<const char>(index.settings));
  std::uint32_t number = 0;
  for (const auto& field : index.fields) {
    for (const SegmentView& view : field->segments()) save_segment(writer, number++, view);
  }
  writer.commit();
}

SavedIndex load_index(const std::filesystem::path& path, bool use_mmap, bool weighted) {
  const std::shared_ptr<const SectionFile> file = SectionFile::open(path, weighted ? ContentKind::kSparse : ContentKind::kLexical, use_mmap);
  const Meta meta = load_meta(*file);
  SavedIndex index;
  index.weighted = weighted;
  index.parameters = {static_cast<Variant>(meta.variant), meta.k1, meta.b, meta.delta};
  if (!index.parameters.valid()) fail_corrupt(*file, "its parameters are out of range");
  const std::uint64_t field_count = std::max(meta.field_count, 1U);
  if (meta.segment_count > kMaxSegments || field_count > kMaxSegments || meta.segment_count * field_count > kMaxSegments) {
    fail_corrupt(*file, "its number of segments is impossible");
  }
  const std::uint32_t known_flags = kPositionsFlag | (meta.layout_version == kUnpackedLayoutVersion ? 0 : kPackedFlag);
  if ((meta.flags & ~known_flags) != 0 || (weighted && (meta.flags != 0 || meta.field_count != 0))) {
    fail_corrupt(*file, "its description is contradictory");
  }
  index.named_fields = meta.field_count != 0;
  index.positions = (meta.flags & kPositionsFlag) != 0;
  index.form = (meta.flags & kPackedFlag) != 0 ? PostingForm::kPacked : PostingForm::kScan;
  index.next_id = meta.next_id;
  const std::span<const char> settings = file->array<char>(kSettings, 0);
  index.settings.assign(settings.begin(), settings.end());

  for (std::size_t f = 0; f < field_count; ++f) index.fields.push_back(load_field(file, meta, f, weighted));
  if (!same_documents(index.fields)) fail_corrupt(*file, "its fields have different documents");
  const std::vector<DocId> ids = index.fields.front()->ids();
  if (std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) != ids.end()) {
    fail_corrupt(*file, "an id is live in two segments");
  }
  constexpr std::uint64_t kMaxNextId = static_cast<std::uint64_t>(std::numeric_limits<DocId>::max());
  const std::uint64_t smallest_next_id = ids.empty() ? 0 : static_cast<std::uint64_t>(ids.back()) + 1;
  if (index.next_id < smallest_next_id || index.next_id > kMaxNextId) fail_corrupt(*file, "its next id is impossible");
  return index;
}

}  // namespace sightline::lexical
