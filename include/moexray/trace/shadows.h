#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "moexray/core/expert_sets.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/reader.h"

namespace moexray {

/// The first line of shadows.bin, which holds what shadow routers chose for the prompts of a trace
/// directory (docs/trace-format.md).
struct ShadowHeader {
  RoutingShape shape;
  std::vector<ManifestShadow> shadows;
  std::vector<std::vector<float>> biases;  ///< [shadows] [L, E], or empty: has none
};

/// The header of DIRECTORY/shadows.bin; nothing if there is no such file.
/// @throws Error (data) naming file and key for one that is damaged.
std::optional<ShadowHeader> read_shadow_header(const std::filesystem::path& directory);

/// Reads what shadow routers chose. Opening checks every file against its manifest, its prompts and
/// its checksums; a shadow's sets are checked when they are read.
class ShadowReader {
 public:
  /// @throws Error (data) where a directory has no shadows or others than the first (other biases
  ///   are others), or a file is cut off, damaged or does not fit its prompts: with file and byte.
  explicit ShadowReader(const TraceSet& traces);
  ~ShadowReader();
  ShadowReader(ShadowReader&& other) noexcept;
  ShadowReader& operator=(ShadowReader&& other) noexcept;

  const std::vector<ManifestShadow>& shadows() const;

  /// What a shadow chose for a prompt of the set. Several threads may read at once.
  /// @throws Error (data) with file and byte.
  ExpertSets read(std::size_t prompt_index, std::size_t shadow) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moexray
