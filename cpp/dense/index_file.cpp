// VectorIndex::save and load: one file, a header section, then every segment and its tombstones.
#include "dense/index.h"

namespace sightline::dense {
namespace {

enum Section : std::uint32_t { kIndexHeader = 1, kLive = 2 };  // 16 and up belong to segment.cpp

struct IndexHeader {
  std::uint32_t metric;
  std::uint32_t stored_type;
  std::uint64_t dim;
  std::int64_t next_id;
  std::uint64_t segment_count;
};

[[noreturn]] void fail_corrupt(const storage::SectionFile& file, const std::string& what) {
  throw Error(ErrorKind::kCorruptIndex,
              "'" + file.path().string() + "' is damaged: " + what + "; restore it from a backup or build it again");
}

SegmentView read_view(const std::shared_ptr<const storage::SectionFile>& file, std::uint32_t index, Metric metric,
                      StoredType type, std::size_t dim) {
  SegmentView view;
  view.segment = Segment::read(file, index, metric, type, dim);
  view.live_count = view.segment->row_count();
  if (!file->has(kLive, index)) return view;
  const auto words = file->array<std::uint64_t>(kLive, index, view.segment->block_count());
  auto live = std::make_shared<Bitset>(view.segment->row_count());
  for (std::size_t w = 0; w < words.size(); ++w) live->set_word(w, words[w]);
  view.live_count = live->count();
  view.live = std::move(live);
  if (view.live_count == 0) fail_corrupt(*file, "segment " + std::to_string(index) + " has no live row");
  return view;
}

}  // namespace

void VectorIndex::save(const std::filesystem::path& path) const {
  const std::shared_ptr<const Snapshot> current = snapshot();
  storage::SectionFileWriter writer(path, storage::ContentKind::kDense);
  const IndexHeader header{static_cast<std::uint32_t>(metric_), static_cast<std::uint32_t>(type_), dim_, current->next_id(), current->segments().size()};
  writer.add_array<IndexHeader>(kIndexHeader, 0, {&header, 1});
  for (std::uint32_t s = 0; s < current->segments().size(); ++s) {
    const SegmentView& view = current->segments()[s];
    view.segment->write(writer, s);
    if (view.live) writer.add_array<std::uint64_t>(kLive, s, {view.live->words(), view.live->word_count()});
  }
  writer.commit();
}

std::unique_ptr<VectorIndex> VectorIndex::load(const std::filesystem::path& path, bool use_mmap) {
  const auto file = storage::SectionFile::open_for_copies(path, storage::ContentKind::kDense, use_mmap);
  const IndexHeader header = file->array<IndexHeader>(kIndexHeader, 0, 1)[0];
  if (header.metric > static_cast<std::uint32_t>(Metric::kSquaredL2)) fail_corrupt(*file, "its metric is unknown");
  if (header.stored_type > static_cast<std::uint32_t>(StoredType::kBFloat16)) fail_corrupt(*file, "its dtype is unknown");
  if (header.dim < 1 || header.dim > kMaxDimension) fail_corrupt(*file, "its dimension is impossible");
  if (header.next_id < 0 || header.segment_count > file->sections().size()) fail_corrupt(*file, "its header is impossible");
  const Metric metric = static_cast<Metric>(header.metric);
  const StoredType type = static_cast<StoredType>(header.stored_type);
  std::vector<SegmentView> views;
  for (std::uint32_t s = 0; s < header.segment_count; ++s) {
    views.push_back(read_view(file, s, metric, type, header.dim));
    if (views.back().segment->ids().back() >= header.next_id) fail_corrupt(*file, "an id is past the greatest one recorded");
  }
  auto index = std::make_unique<VectorIndex>(metric, header.dim, type);
  index->publish(std::move(views), header.next_id);
  const std::vector<DocId> ids = index->snapshot()->ids();
  for (std::size_t i = 1; i < ids.size(); ++i) {
    if (ids[i - 1] >= ids[i]) fail_corrupt(*file, "an id is alive in two segments");
  }
  return index;
}

}  // namespace sightline::dense
