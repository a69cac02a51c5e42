#include <pybind11/pybind11.h>

#include "bindings/registry.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The native core of sightline. Private: use the classes of the sightline package.";
  m.attr("__version__") = SIGHTLINE_VERSION;
  sightline::bindings::register_errors();
  sightline::bindings::register_runtime(m);
  sightline::bindings::register_limits(m);
  sightline::bindings::register_vector_index(m);
  sightline::bindings::register_analyzer(m);
  sightline::bindings::register_document_stream(m);
  sightline::bindings::register_bm25_index(m);
  sightline::bindings::register_field_index(m);
  sightline::bindings::register_sparse_index(m);
  sightline::bindings::register_hybrid(m);
  sightline::bindings::register_columns(m);
  sightline::bindings::register_metadata(m);
  sightline::bindings::register_documents(m);
  sightline::bindings::register_contents(m);
  sightline::bindings::register_document_file(m);
}
