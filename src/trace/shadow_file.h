#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "disk_file.h"
#include "moexray/core/expert_sets.h"
#include "moexray/trace/shadows.h"
#include "zstd_frames.h"

namespace moexray::trace {

/// The header as the line it is, with its newline.
std::string shadow_header_line(const ShadowHeader& header);

/// @throws Error (data) naming the key.
ShadowHeader parse_shadow_header(std::string_view line, const std::string& where);

/// Where the sets of one prompt stand in a file.
struct ShadowRecord {
  std::string prompt_id;
  std::int64_t n_tokens = 0;           ///< T
  std::vector<std::uint64_t> n_bytes;  ///< [shadows] of each one's zstd frame
  std::string checksum;                ///< of the frames together
  std::size_t first = 0;               ///< byte of the first frame
  std::size_t end = 0;                 ///< behind the last one
};

/// Reads the record that begins at byte `begin`, and checks its sizes and checksum.
/// @throws Error (data) with file and byte.
ShadowRecord read_shadow_record(std::span<const std::byte> file, std::size_t begin,
                                std::size_t n_shadows, const std::string& path);

/// shadows.bin of a trace directory while it is written.
class ShadowFile {
 public:
  ShadowFile() = default;
  /// Starts the file anew.
  static ShadowFile create(const std::filesystem::path& directory, const ShadowHeader& header);
  /// Continues it behind the first `n_prompts` records. @throws Error (data) if it has another
  /// header or not as many whole records.
  static ShadowFile resume(const std::filesystem::path& directory, const ShadowHeader& header,
                           std::size_t n_prompts);

  bool is_open() const { return file_.is_open(); }
  void append(const std::string& prompt_id, std::span<const ExpertSets> shadows);
  void sync() { file_.sync(); }
  /// cut() no longer takes away what was appended.
  void keep() { kept_ = file_.size(); }
  void cut();

 private:
  DiskFile file_;
  std::uint64_t kept_ = 0;
  FrameCompressor compressor_;
};

}  // namespace moexray::trace
