#include "bindings/document_stream.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "bindings/lexical_common.h"
#include "bindings/registry.h"
#include "core/error.h"
#include "lexical/segment_builder.h"
#include "lexical/tokens.h"
#include "parallel/thread_pool.h"

namespace sightline::bindings {
namespace {

using lexical::AnalyzedDocuments;
using lexical::Analyzer;
using lexical::SegmentData;

// Text or tokens converted before they are analyzed together.
constexpr std::size_t kBatchBytes = std::size_t{16} << 20;
constexpr std::size_t kBatchTokens = std::size_t{1} << 21;
constexpr std::size_t kBytesPerToken = 16;   // about what converting one costs
constexpr std::size_t kBytesPerItem = 32;

[[noreturn]] void fail_count(std::size_t id_count, const std::string& documents) {
  throw Error(ErrorKind::kInvalidInput, "ids: expected one id for each of " + documents + " texts, got " +
                                            std::to_string(id_count) + " ids; pass as many ids as texts, or None");
}

}  // namespace

DocumentStream::DocumentStream(const Analyzer* analyzer, std::vector<std::string> labels, const std::optional<py::array>& ids,
                               bool positions)
    : analyzer_(analyzer), given_(ids.has_value()), positions_(positions), segments_(labels.size()) {
  if (labels.empty()) throw Error(ErrorKind::kInvalidInput, "labels: expected one for each field, got none");
  if (ids) ids_ = checked_ids(*ids);
  columns_.resize(labels.size());
  for (std::size_t f = 0; f < labels.size(); ++f) columns_[f].label = std::move(labels[f]);
}

void DocumentStream::append(const std::vector<py::list>& columns) {
  if (columns.size() != columns_.size()) throw Error(ErrorKind::kInvalidInput, "columns: expected one list for each field");
  const std::size_t count = columns.front().size();
  for (const py::list& column : columns) {
    if (column.size() != count) throw Error(ErrorKind::kInvalidInput, "columns: expected lists of one length");
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (given_ && document_count_ == ids_.size()) fail_count(ids_.size(), "the");
    for (std::size_t f = 0; f < columns_.size(); ++f) append_item(columns_[f], columns[f][i], document_count_);
    ++document_count_;
    if (batch_is_full()) flush();
  }
}

void DocumentStream::append_item(Column& column, const py::object& item, std::size_t position) {
  if (item.is_none() && columns_.size() > 1) {
    add_missing(column);
    return;
  }
  set_kind(column, item, position);
  if (*column.kind == ItemKind::kText) {
    const std::size_t before = column.texts.size_bytes();
    column.texts.add(item);
    gil_.worked(column.texts.size_bytes() - before + kBytesPerItem);
  } else {
    const std::size_t before = column.tokens.tokens.size();
    append_tokens(column.tokens, item, column.label.c_str(), position);
    gil_.worked((column.tokens.tokens.size() - before) * kBytesPerToken + kBytesPerItem);
  }
}

void DocumentStream::set_kind(Column& column, const py::object& item, std::size_t position) {
  const bool tokens = is_tokens(item);
  if (!tokens && PyUnicode_Check(item.ptr()) == 0) {
    throw Error(ErrorKind::kInvalidInput, column.label + ": expected str (or a list of tokens) at position " +
                                              std::to_string(position) + ", got " + type_name(item) + "; convert it first");
  }
  const ItemKind kind = tokens ? ItemKind::kTokens : ItemKind::kText;
  if (column.kind && *column.kind != kind) {
    throw Error(ErrorKind::kInvalidInput, column.label + ": expected only str or only lists of tokens, got " +
                                              column.first_type + " first and " + type_name(item) + " at position " +
                                              std::to_string(position) + "; pass them in separate calls");
  }
  if (column.kind) return;
  if (kind == ItemKind::kText && analyzer_ == nullptr) {
    throw Error(ErrorKind::kInvalidInput, column.label + ": expected lists of tokens, because the index has no analyzer");
  }
  column.kind = kind;
  column.first_type = type_name(item);
  for (std::size_t missing = std::exchange(column.missing, 0); missing != 0; --missing) add_missing(column);
}

void DocumentStream::add_missing(Column& column) {
  if (!column.kind) {
    ++column.missing;
  } else if (*column.kind == ItemKind::kText) {
    column.texts.add_empty();
  } else {
    column.tokens.document_ends.push_back(column.tokens.tokens.size());
  }
}

bool DocumentStream::batch_is_full() const noexcept {
  std::size_t bytes = 0;
  std::size_t tokens = 0;
  for (const Column& column : columns_) {
    bytes += column.texts.size_bytes();
    tokens += column.tokens.tokens.size();
  }
  // An empty document costs memory too.
  return bytes + (document_count_ - batch_begin_) * kBytesPerItem >= kBatchBytes || tokens >= kBatchTokens;
}

std::vector<std::vector<SegmentData>> DocumentStream::finish() {
  if (given_ && document_count_ != ids_.size()) fail_count(ids_.size(), std::to_string(document_count_));
  flush();
  return std::move(segments_);
}

void DocumentStream::flush() {
  if (document_count_ == batch_begin_) return;
  const py::gil_scoped_release release;
  if (!given_) {
    ids_.resize(document_count_);
    std::iota(ids_.begin() + static_cast<std::ptrdiff_t>(batch_begin_), ids_.end(), static_cast<DocId>(batch_begin_));
  }
  build();
  for (Column& column : columns_) {
    column.missing = 0;
    column.texts.clear();
    column.tokens = {};
  }
  batch_begin_ = document_count_;
}

// GIL released.
void DocumentStream::build() {
  const std::size_t count = document_count_ - batch_begin_;
  const std::span<const DocId> ids(ids_.data() + batch_begin_, count);
  const std::vector<std::size_t> order = order_by_id(ids);
  std::vector<DocId> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());

  // All fields are cut at the same documents, so that their segments agree. Tokens are numbered together already.
  std::vector<std::size_t> ends{count};
  if (std::all_of(columns_.begin(), columns_.end(), [](const Column& c) { return c.kind == ItemKind::kText; })) {
    std::vector<std::size_t> sizes(count);
    for (std::size_t i = 0; i < count; ++i) {
      for (const Column& column : columns_) sizes[i] += column.texts[order.empty() ? i : order[i]].size();
    }
    ends = lexical::shard_ends(sizes);
  }
  std::vector<std::vector<AnalyzedDocuments>> shards;
  for (Column& column : columns_) shards.push_back(analyzed(column, order, ends));

  const std::size_t offset = segments_.front().size();
  for (std::vector<SegmentData>& field : segments_) field.resize(offset + ends.size());
  parallel::parallel_for(ends.size() * columns_.size(), [&](std::size_t task, std::size_t) {
    const std::size_t s = task / columns_.size();
    const std::size_t f = task % columns_.size();
    const std::size_t begin = s == 0 ? 0 : ends[s - 1];
    const std::span<const DocId> shard_ids(sorted.data() + begin, ends[s] - begin);
    SegmentData& data = segments_[f][offset + s];
    data = lexical::build_segment(shards[f][s], shard_ids);
    if (positions_) data.tokens = lexical::build_tokens(shards[f][s], data.arrays());
    shards[f][s] = {};
  });
}

std::vector<AnalyzedDocuments> DocumentStream::analyzed(Column& column, const std::vector<std::size_t>& order,
                                                        const std::vector<std::size_t>& ends) const {
  if (column.kind == ItemKind::kText) {
    std::vector<std::string_view> texts = column.texts.views();
    if (!order.empty()) {
      std::vector<std::string_view> sorted(texts.size());
      for (std::size_t i = 0; i < texts.size(); ++i) sorted[i] = texts[order[i]];
      texts = std::move(sorted);
    }
    return analyzer_->analyze(texts, ends);
  }
  // A field that no document of the stream has yet is empty in all of them.
  if (!column.kind) column.tokens.document_ends.assign(column.missing, 0);
  std::vector<AnalyzedDocuments> shards;
  shards.push_back(order.empty() ? std::move(column.tokens) : lexical::reordered(std::move(column.tokens), order));
  return shards;
}

void register_document_stream(py::module_& m) {
  py::class_<DocumentStream>(m, "DocumentStream")
      .def(py::init<const Analyzer*, std::vector<std::string>, const std::optional<py::array>&, bool>(),
           py::arg("analyzer").none(true), py::arg("labels"), py::arg("ids").none(true), py::arg("positions"),
           py::keep_alive<1, 2>())
      .def("append", &DocumentStream::append, py::arg("columns"));
}

}  // namespace sightline::bindings
