#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "input_file.h"
#include "model_layers.h"
#include "moexray/trace/import.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/positions.h"
#include "moexray/trace/prompts.h"
#include "trace/id_array.h"

namespace moexray::imports {

using trace::IdArray;
using trace::Item;

/// The routing of one prompt as a source gives it. What the source does not say is empty or −1.
struct RecordedPrompt {
  std::string where;               ///< file and line, for messages
  std::vector<std::string> names;  ///< ids that the record has, the best first
  std::string suffix;  ///< behind the prompt's id: "#1" for the second of several choices
  std::string category;
  std::string text;  ///< of the prompt
  std::optional<std::string> completion;
  std::string finish_reason;
  std::vector<TokenId> token_ids;  ///< [P + G], or of the rows alone
  std::int64_t n_prompt_tokens = -1;
  std::int64_t n_generated_tokens = -1;
  std::int64_t first_pos = 0;  ///< of the first row
  IdArray ids;                 ///< [rows, layers, k]
  std::vector<float> weights;  ///< likewise, or empty
  /// The transformer layer of each layer of `ids`; empty: an axis without names, which stands for
  /// the layers with experts or for all layers.
  std::vector<int> layers;
  /// Of an export of traces, which says more: `prompt` in place of category and text.
  std::optional<Prompt> prompt;
  std::vector<std::string> tokens;       ///< as many as token ids, or empty
  std::vector<bool> is_template;         ///< [P], or empty: not known
  std::vector<PositionRange> positions;  ///< of the rows; empty: from `first_pos` on
  /// Why the prompt cannot be imported as a whole; empty: it can. --drop-prompts-with-holes leaves
  /// it out.
  std::string hole;
  bool follows = false;  ///< another choice of the response before
};

/// How often one prompt, or a pool of tokens, selected each expert.
struct RecordedCounts {
  std::string where;               ///< file and line, for messages
  std::vector<std::string> names;  ///< ids, the best first
  std::string category;
  std::int64_t n_tokens = -1;        ///< that were routed, for a check
  std::vector<int> layers;           ///< as RecordedPrompt::layers
  std::int64_t n_layers = 0;         ///< of `counts`
  std::int64_t n_experts = 0;        ///< likewise
  std::vector<std::int64_t> counts;  ///< [n_layers, n_experts]
};

/// What files say of the model and of themselves, beside their prompts.
struct SourceFacts {
  std::optional<std::string> version;
  std::string interface;
  std::string model_name;
  int n_experts = 0;            ///< 0: not said
  int n_hidden_layers = 0;      ///< 0: not said
  bool has_order = false;       ///< the experts of a row stand by rank
  bool k_may_differ = false;    ///< from the model's own
  bool is_prompt_only = false;  ///< what was generated, if anything, is not recorded
  std::vector<std::string> notices;
  /// The manifest of an export of traces: its facts are kept, and its order of experts.
  std::optional<TraceManifest> exported;
};

/// What an importer hands its prompts to.
class ImportSink {
 public:
  virtual ~ImportSink() = default;
  /// Checks a prompt and writes it. @throws Error (data).
  virtual void take(RecordedPrompt prompt) = 0;
  /// The same of counts; those of a pool are the only ones.
  virtual void take_counts(RecordedCounts counts, bool is_pool) = 0;
  /// Facts that hold for all prompts; to be called before the first.
  virtual SourceFacts& facts() = 0;
  virtual const ImportOptions& options() const = 0;
  virtual const ModelLayers& model() const = 0;
  /// A file was read to its end.
  virtual void finished_file(std::string name, std::string sha256) = 0;
  /// Ends the work with an Error (interrupted) once the user wants that; tells progress.
  virtual void check_stop(std::uint64_t n_bytes_of_file) = 0;
};

/// One row of the table of importers.
struct Importer {
  std::string_view name;
  std::string_view summary;
  /// True if a file looks as if it were of this kind. @param head its first bytes, decompressed
  bool (*recognises)(const std::filesystem::path& path, std::string_view head);
  void (*read)(std::span<const std::filesystem::path> files, ImportSink& sink);
};

/// The importers, in the order of the help. Each is defined in a file of its own.
std::span<const Importer> importers();

Importer vllm_importer();
Importer sglang_importer();
Importer numpy_importer();
Importer jsonl_importer();
Importer bmoe_importer();
Importer esft_importer();
Importer counts_importer();
Importer imatrix_importer();

/// True if the files hold the counts of one pool of tokens: a single file, and nothing names a
/// prompt.
bool is_one_pool(std::span<const std::filesystem::path> files, const ImportOptions& options);

/// Hands on counts of a whole file, whose id is the file's name, with the category that the name
/// begins with ("code_03": "code") if the options ask for that.
void take_file_counts(const std::filesystem::path& path, RecordedCounts counts, bool is_pool,
                      ImportSink& sink);

/// "run/p1.npz" is called "p1".
std::string stem_of(const std::filesystem::path& path);

/// Arrays of ids, a prompt each, from .npy, .npz and .safetensors files.
/// @param default_member the member of an archive that holds the ids, where --member is not given
void read_id_arrays(std::span<const std::filesystem::path> files, std::string_view default_member,
                    ImportSink& sink);

/// True for the first bytes, or the name, of a file that read_id_arrays() reads.
bool is_array_file(const std::filesystem::path& path, std::string_view head);

/// Reads the objects of some files one by one. @param read is called with the reader at an object
void read_json_records(std::span<const std::filesystem::path> files, ImportSink& sink,
                       const std::function<void(JsonRecords& records)>& read);

/// The files of the list, those of directories in their place, sorted by name.
std::vector<std::filesystem::path> files_of(std::span<const std::filesystem::path> paths);

}  // namespace moexray::imports
