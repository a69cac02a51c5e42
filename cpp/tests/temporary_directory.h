// A directory that lives as long as the object.
#pragma once

#include <filesystem>
#include <random>
#include <stdexcept>
#include <string>

namespace sightline::testing {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::random_device random;
    path_ = std::filesystem::temp_directory_path() / ("sightline-test-" + std::to_string(random()) + std::to_string(random()));
    if (!std::filesystem::create_directory(path_)) throw std::runtime_error("the name of a temporary directory is taken");
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::filesystem::path operator/(const char* name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace sightline::testing
