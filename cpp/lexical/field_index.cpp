#include "lexical/field_index.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/bitset.h"
#include "core/error.h"
#include "lexical/posting_reader.h"
#include "lexical/word_table.h"

namespace sightline::lexical {
namespace {

FieldSnapshots empty_fields(std::size_t count) {
  FieldSnapshots fields;
  for (std::size_t f = 0; f < count; ++f) fields.push_back(std::make_shared<const Snapshot>(std::vector<SegmentView>{}));
  return fields;
}

bool same_rows(const SegmentView& a, const SegmentView& b) {
  if (a.segment->row_count() != b.segment->row_count() || a.live_count() != b.live_count()) return false;
  for (RowIndex row = 0; row < a.segment->row_count(); ++row) {
    if (a.segment->id(row) != b.segment->id(row)) return false;
  }
  if (!a.tombstones || !b.tombstones) return !a.tombstones && !b.tombstones;
  const Bitset& live = a.tombstones->live();
  for (std::size_t w = 0; w < live.word_count(); ++w) {
    if (live.word(w) != b.tombstones->live().word(w)) return false;
  }
  return true;
}

bool same_view(const SegmentView& a, const SegmentView& b) { return a.segment == b.segment && a.tombstones == b.tombstones; }

// Whether the i-th segments of all fields are also some one segment of all fields of `known`.
bool is_known(const FieldSnapshots& fields, std::size_t i, const FieldSnapshots& known) {
  if (known.size() != fields.size()) return false;
  for (std::size_t j = 0; j < known.front()->segments().size(); ++j) {
    std::size_t same = 0;
    while (same < fields.size() && same_view(fields[same]->segments()[i], known[same]->segments()[j])) ++same;
    if (same == fields.size()) return true;
  }
  return false;
}

std::uint64_t count_documents(const FieldSnapshots& fields, std::size_t s, const std::string& term) {
  const std::uint64_t hash = word_hash(term);
  std::vector<std::pair<const SegmentView*, std::uint32_t>> holders;
  for (const auto& field : fields) {
    const SegmentView& view = field->segments()[s];
    if (const auto number = view.segment->find_term(term, hash)) holders.emplace_back(&view, *number);
  }
  if (holders.empty()) return 0;
  if (holders.size() == 1) return holders.front().first->document_frequency(holders.front().second);
  Bitset rows(holders.front().first->segment->row_count());
  for (const auto& [view, number] : holders) {
    for_each_posting(*view->segment, number, [&](RowIndex row, std::uint32_t) { rows.set(row); });
  }
  if (const auto& tombstones = holders.front().first->tombstones) rows.intersect(tombstones->live());
  return rows.count();
}

}  // namespace

bool same_documents(const FieldSnapshots& fields, const FieldSnapshots& known) {
  const std::size_t count = fields.front()->segments().size();
  for (const auto& field : fields) {
    if (field->segments().size() != count) return false;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (is_known(fields, i, known)) continue;
    for (const auto& field : fields) {
      if (!same_rows(fields.front()->segments()[i], field->segments()[i])) return false;
    }
  }
  return true;
}

std::vector<const Snapshot*> FieldSnapshot::pointers() const {
  std::vector<const Snapshot*> result;
  for (const auto& field : fields_) result.push_back(field.get());
  return result;
}

std::uint64_t FieldSnapshot::document_frequency(const std::string& term) const {
  {
    std::lock_guard lock(mutex_);
    if (const auto known = frequencies_.find(term); known != frequencies_.end()) return known->second;
  }
  std::uint64_t count = 0;
  for (std::size_t s = 0; s < fields_.front()->segments().size(); ++s) count += count_documents(fields_, s, term);
  if (count == 0) return 0;  // cheap to find again; words of queries that no document has would push out the others
  std::lock_guard lock(mutex_);
  if (frequencies_.size() >= kMaxRemembered) frequencies_.clear();
  frequencies_.emplace(term, count);
  return count;
}

FieldIndex::FieldIndex(std::size_t field_count, PostingForm form) : FieldIndex(empty_fields(field_count), 0, form) {}

FieldIndex::FieldIndex(FieldSnapshots fields, std::uint64_t next_id, PostingForm form)
    : form_(form), snapshot_(std::make_shared<const FieldSnapshot>(std::move(fields))), next_id_(next_id) {}

std::shared_ptr<const FieldSnapshot> FieldIndex::snapshot() const {
  std::lock_guard lock(state_mutex_);
  return snapshot_;
}

std::uint64_t FieldIndex::next_id() const {
  std::lock_guard lock(state_mutex_);
  return next_id_;
}

// Changes a copy of each field, which shares its segments, and publishes all copies together. Call with writer_mutex_ held.
template <typename Change>
void FieldIndex::change(const Change& change_field) {
  FieldSnapshots changed;
  std::uint64_t new_next_id = 0;
  for (std::size_t f = 0; f < snapshot_->field_count(); ++f) {
    Bm25Index field(snapshot_->fields()[f], next_id_, form_);
    change_field(f, field);
    changed.push_back(field.snapshot());
    new_next_id = field.next_id();
  }
  if (!same_documents(changed, snapshot_->fields())) throw std::logic_error("the fields of an index came to have different documents");
  auto fresh = std::make_shared<const FieldSnapshot>(std::move(changed));
  std::shared_ptr<const FieldSnapshot> old;  // released after the lock, for it may be the last owner of large arrays
  std::lock_guard lock(state_mutex_);
  old = std::exchange(snapshot_, std::move(fresh));
  next_id_ = new_next_id;
}

void FieldIndex::check_absent(std::span<const DocId> ids) const {
  const std::shared_ptr<const FieldSnapshot> now = snapshot();
  Bm25Index(now->fields().front(), 0).check_absent(ids);
}

void FieldIndex::add(std::vector<std::vector<SegmentData>> segments, OnExisting on_existing) {
  std::lock_guard writer(writer_mutex_);
  change([&](std::size_t f, Bm25Index& field) { field.add(std::move(segments[f]), on_existing); });
}

DocId FieldIndex::add_with_next_ids(std::vector<std::vector<SegmentData>> segments) {
  std::lock_guard writer(writer_mutex_);
  DocId first = 0;
  change([&](std::size_t f, Bm25Index& field) { first = field.add_with_next_ids(std::move(segments[f])); });
  return first;
}

std::size_t FieldIndex::remove(std::span<const DocId> ids) {
  std::lock_guard writer(writer_mutex_);
  std::size_t removed = 0;
  change([&](std::size_t, Bm25Index& field) { removed = field.remove(ids); });
  return removed;
}

void FieldIndex::attach(const FieldIndex& other) {
  const std::shared_ptr<const FieldSnapshot> theirs = other.snapshot();  // first: a later next id is greater than its ids, too
  const std::uint64_t their_next_id = other.next_id();
  std::lock_guard writer(writer_mutex_);
  if (theirs->field_count() != snapshot_->field_count()) {
    throw Error(ErrorKind::kInvalidInput, "other: expected an index with " + std::to_string(snapshot_->field_count()) +
                                              " fields, got one with " + std::to_string(theirs->field_count()));
  }
  change([&](std::size_t f, Bm25Index& field) { field.attach(Bm25Index(theirs->fields()[f], their_next_id)); });
}

void FieldIndex::compact() {
  std::lock_guard writer(writer_mutex_);
  change([](std::size_t, Bm25Index& field) { field.compact(); });
}

}  // namespace sightline::lexical
