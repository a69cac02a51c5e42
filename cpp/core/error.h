// The exceptions of the engine. bindings/errors.cpp maps each kind to the Python class of the same name.
// A message names the argument, what was expected, what came, and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace sightline {

enum class ErrorKind {
  kInvalidInput,
  kNotFound,
  kDuplicateId,
  kCorruptIndex,
  kIncompatibleIndex,
  kIndexLocked,
  kStorage,
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace sightline
