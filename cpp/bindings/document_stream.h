// Documents on their way into an index: a stream of any length becomes segments, a batch at a time, before the index sees
// any of them. Beyond the segments, memory is bounded by one batch.
//
// One owner. Call with the GIL held: it is released while a batch is analyzed and inverted, and shortly again and again
// while Python objects are converted.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "bindings/texts.h"
#include "core/types.h"
#include "lexical/analyzer.h"
#include "lexical/segment.h"

namespace sightline::bindings {

class DocumentStream {
 public:
  // analyzer: null if there are only tokens; must outlive the stream. labels: what errors call the items of each field.
  // ids: distinct and >= 0, one for each document to come; none: numbered from 0. positions: keep tokens for phrases.
  // Several fields may lack (None) in a document; the only field may not.
  DocumentStream(const lexical::Analyzer* analyzer, std::vector<std::string> labels, const std::optional<py::array>& ids,
                 bool positions);

  // More documents: for each field a list of as many str, or lists of str, or None.
  void append(const std::vector<py::list>& columns);

  // Ends the stream. The segments of all fields have the same documents. Throws if there are more ids than documents.
  std::vector<std::vector<lexical::SegmentData>> finish();

  bool has_given_ids() const noexcept { return given_; }
  // Of the documents, in the order in which they came.
  const std::vector<DocId>& ids() const noexcept { return ids_; }

 private:
  // The documents of the current batch in one field; exactly one of texts and tokens is used.
  struct Column {
    std::string label;
    std::optional<ItemKind> kind;  // of the whole stream, once one item came
    std::string first_type;
    std::size_t missing = 0;       // documents of the batch that came before the kind was known
    Texts texts;
    lexical::AnalyzedDocuments tokens;
  };
  void append_item(Column& column, const py::object& item, std::size_t position);
  void set_kind(Column& column, const py::object& item, std::size_t position);
  void add_missing(Column& column);
  bool batch_is_full() const noexcept;
  void flush();
  void build();
  std::vector<lexical::AnalyzedDocuments> analyzed(Column& column, const std::vector<std::size_t>& order,
                                                   const std::vector<std::size_t>& ends) const;

  const lexical::Analyzer* analyzer_;
  std::vector<Column> columns_;
  bool given_;
  bool positions_;
  std::vector<DocId> ids_;
  std::size_t document_count_ = 0;
  std::size_t batch_begin_ = 0;  // the first document of the current batch
  GilSlices gil_;
  std::vector<std::vector<lexical::SegmentData>> segments_;  // by field
};

}  // namespace sightline::bindings
