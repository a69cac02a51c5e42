// The parameters of BM25F as Python passes them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "bindings/queries.h"
#include "core/error.h"
#include "lexical/field_index.h"
#include "lexical/field_search.h"

namespace sightline::bindings {

// (weight, b) of each field.
using FieldSettings = std::vector<std::pair<double, double>>;

inline std::vector<lexical::FieldParameters> make_fields(const lexical::FieldIndex& index, const FieldSettings& settings) {
  std::vector<lexical::FieldParameters> fields;
  for (const auto& [weight, b] : settings) {
    fields.push_back({weight, b});
    if (!fields.back().valid()) throw Error(ErrorKind::kInvalidInput, "fields: a weight or b is out of range");
  }
  if (fields.size() != index.snapshot()->field_count()) {
    throw Error(ErrorKind::kInvalidInput, "fields: expected one entry for each field of the index");
  }
  return fields;
}

// b is of the fields; the one of Parameters is not used.
inline lexical::Parameters make_field_parameters(std::uint32_t variant, double k1, double delta) {
  return make_parameters(variant, k1, 0.0, delta);
}

}  // namespace sightline::bindings
