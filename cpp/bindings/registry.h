// One function per file of this folder; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace sightline::bindings {

void register_errors();                          // errors.cpp: C++ exceptions to the classes of sightline.errors
void register_runtime(pybind11::module_& m);     // runtime.cpp: threads and kernels
void register_limits(pybind11::module_& m);      // limits.cpp: probes of what the machine can do, for benchmarks
void register_vector_index(pybind11::module_& m);
void register_analyzer(pybind11::module_& m);
void register_document_stream(pybind11::module_& m);
void register_bm25_index(pybind11::module_& m);
void register_field_index(pybind11::module_& m);
void register_hybrid(pybind11::module_& m);  // fused search of VectorIndex and BM25Index
void register_columns(pybind11::module_& m);  // metadata columns: of JSON, and in files
void register_metadata(pybind11::module_& m);  // metadata objects on their way in
void register_documents(pybind11::module_& m);  // documents on their way in
void register_contents(pybind11::module_& m);  // documents between database and hits
void register_document_file(pybind11::module_& m);  // documents of segments, in files
void register_sparse_index(pybind11::module_& m);

}  // namespace sightline::bindings
