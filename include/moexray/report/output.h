#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace moexray::report {

/// Where a command is to write its files, and what it must not touch there.
struct OutputPlace {
  std::filesystem::path directory;
  std::string command;  ///< whose results they are; `force` replaces those of the same one only
  bool force = false;
  /// Input: no output directory itself, and nothing in it is ever replaced.
  std::span<const std::filesystem::path> kept = {};
};

/// Refuses to write over something that is there, as early as it can be known.
///
/// A directory may be written if it does not exist or is empty. With `force` it may hold anything,
/// but only files that its outputs.json lists as those of the same command, and that nobody has
/// changed since, are replaced (of version 0.1.0, which listed nothing, those it gave names to).
/// @throws Error (data) naming what is in the way, and the way out; (runtime) if the directory
/// cannot be written.
void check_output_directory(const OutputPlace& place);

/// The same for a single file: with `force` an older result of moexray, JSON or HTML, may be
/// replaced unless it was changed since or belongs to an output directory.
/// Devices and pipes may always be written.
void check_output_file(const std::filesystem::path& file, bool force);

/// Writes a result file through a temporary one; devices and pipes directly. JSON results and pages
/// get a checksum at their end, by which a later one with --force sees whether they were changed.
/// @throws Error (runtime) with the system's reason.
void write_output_file(const std::filesystem::path& file, std::string_view bytes);

/// The files of one run, which go into a directory together.
///
/// They are written into a folder inside the directory (where else may be written is not known) and
/// moved one by one by commit(), each in one step. The directory's outputs.json lists them with
/// size and checksum; until all is done it says `"complete": false`, and also what stood there
/// before. A run that is killed leaves a directory that the next one with `force` mends.
class OutputDirectory {
 public:
  /// Makes the directory, after check_output_directory, and keeps other programs from writing it.
  /// @throws Error
  explicit OutputDirectory(const OutputPlace& place);
  /// Without commit(), leaves everything as it was found.
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Where the files are to be written until commit(), also in folders of their own.
  const std::filesystem::path& path() const;
  /// Syncs the files to disk and moves them into their places; removes those of an earlier run that
  /// were not written again, unless they were changed.
  /// @throws Error (data), before anything is touched, naming the files in the way that moexray did
  /// not write or somebody changed; (runtime) with the system's reason.
  void commit();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moexray::report
