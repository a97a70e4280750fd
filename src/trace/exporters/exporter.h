#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/trace/export.h"

namespace moexray::exports {

/// The routing of one prompt as arrays.
struct PromptArrays {
  std::vector<PositionRange> positions;  ///< of the rows
  std::int64_t n_rows = 0;
  std::vector<std::uint16_t> ids;         ///< [rows, L, k]
  std::vector<float> weights;             ///< likewise, or empty
  std::vector<std::uint8_t> is_template;  ///< [rows]

  bool begins_at_0() const { return positions.size() == 1 && positions[0].first == 0; }
};

/// What an exporter reads: traces of events, or counts.
class ExportSource {
 public:
  ExportSource(const TraceSet& traces, const ExportOptions& options)
      : traces_(traces), options_(options) {}

  const TraceSet& traces() const { return traces_; }
  const ExportOptions& options() const { return options_; }
  const RoutingShape& shape() const { return traces_.shape; }

  /// Reads and verifies the events of a prompt. @throws Error (data).
  PromptArrays arrays(std::size_t prompt) const;

  /// Calls `take` with each prompt and its counts, [L, E], in order.
  void for_counts(
      const std::function<void(std::size_t prompt, std::span<const std::int64_t>)>& take) const;

  /// Tells progress, and ends the work if the user wants that. @throws Error (interrupted).
  void finished_prompts(std::size_t n) const;

  /// The transformer layer of each layer: `moe_layers`, or 0, 1, … where it is not known.
  std::vector<int> transformer_layers() const;
  /// How many the transformer has: the option, or as many as the last with experts needs.
  /// @throws Error (usage) if the option says fewer.
  int n_transformer_layers() const;

  /// manifest.json of all traces together, and their lines of prompts.jsonl as they stand.
  std::string manifest_json() const;
  std::string prompt_lines() const;

  void notice(std::string text) const { notices_.push_back(std::move(text)); }
  std::vector<std::string> take_notices() { return std::move(notices_); }

 private:
  const TraceSet& traces_;
  const ExportOptions& options_;
  mutable std::vector<std::string> notices_;
};

/// One row of the table of exporters.
struct Exporter {
  std::string_view name;
  std::string_view summary;
  bool takes_counts = false;  ///< it needs no single tokens
  bool is_directory = false;
  /// Writes all of it. A file is to appear when it is complete; of a directory `path` is there
  /// and empty, and renamed later.
  void (*write)(const ExportSource& source, const std::filesystem::path& path);
};

/// The exporters, in the order of the help. Each is defined in a file of its own.
std::span<const Exporter> exporters();

Exporter npz_exporter();
Exporter safetensors_exporter();
Exporter counts_exporter();
Exporter eplb_json_exporter();
Exporter vllm_exporter();
Exporter replay_exporter();
Exporter csv_exporter();

/// The ids of all layers as bytes, uint8 where all experts have room in it, else uint16.
std::string id_bytes(const RoutingShape& shape, const PromptArrays& arrays);
/// "|u1" or "<u2", the type of id_bytes().
std::string_view id_type(const RoutingShape& shape);

/// A whole `.npy` file.
std::string npy_file(std::string_view type, std::span<const std::int64_t> sizes,
                     std::string_view bytes);

/// The bytes of numbers as they lie in memory.
template <typename T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// The names of arrays in archives, without ".npy".
inline constexpr std::string_view ids_prefix = "ids/";
inline constexpr std::string_view weights_prefix = "weights/";
inline constexpr std::string_view template_prefix = "template/";

}  // namespace moexray::exports
