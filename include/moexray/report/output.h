#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace moexray::report {

/// Refuses to write over something that is there.
///
/// A directory may be written if it does not exist or is empty; with `force` also if it holds a
/// `report.json` of moexray. `kept` (the input, say) is never replaced, nor a directory that holds
/// it.
/// @throws Error (data) naming the path and the way out.
void check_output_directory(const std::filesystem::path& directory, bool force,
                            std::span<const std::filesystem::path> kept = {});

/// The same for a single file: with `force` an older result of moexray, JSON or HTML, may be
/// replaced.
/// Devices and pipes may always be written.
void check_output_file(const std::filesystem::path& file, bool force);

/// Writes a result file through a temporary one; devices and pipes directly.
/// @throws Error (runtime) with the system's reason.
void write_output_file(const std::filesystem::path& file, std::string_view bytes);

/// A directory that becomes visible under its name only when it is complete.
class OutputDirectory {
 public:
  /// Makes a temporary directory beside `target`, after check_output_directory.
  /// @throws Error
  OutputDirectory(std::filesystem::path target, bool force,
                  std::span<const std::filesystem::path> kept = {});
  /// Removes the temporary directory if it was not committed.
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Where the files are to be written until commit().
  const std::filesystem::path& path() const { return temporary_; }
  /// Syncs the files to disk and puts the directory in its place, in exchange for what was there.
  /// @throws Error (runtime) with the system's reason.
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
};

}  // namespace moexray::report
