#pragma once

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/report/output.h"
#include "output_list.h"

namespace moexray::report {

/// Throws Error (runtime) with the reason in errno.
[[noreturn]] inline void fail_with_errno(const std::filesystem::path& path, std::string_view what) {
  const int code = errno;
  throw Error(ErrorKind::runtime,
              {std::string(what) + ": " + std::strerror(code), path.string(), {}, {}});
}

/// Runs a look at the file system; its exceptions become Error.
template <typename Action>
auto looking_at(const std::filesystem::path& path, Action&& action) {
  try {
    return action();
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(ErrorKind::runtime,
                {"cannot use: " + error.code().message(), path.string(), {}, {}});
  }
}

/// The canonical form without a trailing slash; what does not exist yet is taken as written.
std::filesystem::path real_path(const std::filesystem::path& path);

/// True for what a killed run leaves beside its files.
bool is_left_over(const std::filesystem::path& entry);

/// The folder inside an output directory that new files are made in; mkdtemp() fills in the end.
inline constexpr std::string_view staging_prefix = ".moexray-tmp-";

/// Files that are in the way, collected to be named together.
class Obstacles {
 public:
  explicit Obstacles(const std::filesystem::path& directory) : directory_(directory) {}
  void add(const std::string& path, std::string_view why);
  /// @throws Error (data) if there are any.
  void refuse_if_any() const;

 private:
  const std::filesystem::path& directory_;
  std::size_t n_ = 0;
  std::string text_;
};

/// What `entry` counts as when it is in the way.
std::string_view why_kept(OnDisk state);

/// The list of what may be replaced in a directory, without what is input.
std::optional<OutputList> list_of_place(const OutputPlace& place);

}  // namespace moexray::report
