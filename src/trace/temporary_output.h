#pragma once

#include <filesystem>
#include <system_error>
#include <vector>

namespace moexray::trace {

/// A directory beside the output that is renamed to it, or goes away again.
class TemporaryOutput {
 public:
  /// @throws Error (usage) as check() does, (runtime) if it cannot be made.
  TemporaryOutput(const std::filesystem::path& output, bool force);
  ~TemporaryOutput();
  TemporaryOutput(const TemporaryOutput&) = delete;
  TemporaryOutput& operator=(const TemporaryOutput&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Puts what was written in the place of the output. Other files there stay.
  void publish();

  /// Refuses an output that is not to be replaced: everything but a new or empty directory, or,
  /// with `force`, one that holds a trace that moexray wrote. @throws Error (usage).
  static void check(const std::filesystem::path& output, bool force);

 private:
  [[noreturn]] void fail(const std::error_code& error) const;

  std::filesystem::path output_;
  bool force_;
  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;
};

}  // namespace moexray::trace
