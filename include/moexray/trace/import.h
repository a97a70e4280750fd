#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/trace/prompts.h"

namespace moexray {

/// What to import, and what is known that the files do not say.
struct ImportOptions {
  std::string kind;  ///< the name of an ImportKind; empty: recognised by the files
  std::vector<std::filesystem::path> files;
  std::filesystem::path prompts;  ///< a prompts file, or a batch's input; empty: none
  PromptReadOptions prompt_keys;
  std::filesystem::path config;  ///< the model's config.json; empty: none
  int n_experts = 0;             ///< 0: as the config or the files say; here and below
  int top_k = 0;
  int n_layers = 0;                   ///< of the transformer
  std::vector<int> moe_layers;        ///< those with experts
  bool join_by_order = false;         ///< records and prompts, where records have no id
  std::int64_t prompt_start = 0;      ///< prompt positions that were not sent
  std::int64_t n_prompt_tokens = -1;  ///< of every prompt; −1: as the records or the prompts say
  bool all_prompt_tokens = false;     ///< nothing was generated
  std::vector<int> drop_layers;       ///< transformer layers to leave out
  bool drop_prompts_with_holes = false;
  std::string layout;                ///< of `jsonl`; empty: recognised
  std::string member;                ///< of archives: the array with the ids; empty: the usual one
  std::array<int, 3> axes{0, 1, 2};  ///< of arrays: which is token, layer and slot
  bool category_from_name = false;   ///< of files of counts: "code_03.txt" has the category "code"
  bool check_prefixes = false;       ///< warn where shared prefixes are routed differently
  bool check_only = false;           ///< read and check everything, write nothing
  std::filesystem::path output;
  bool force = false;
  bool compress = false;
  /// The token ids of a prompt by the model's tokenizer; records have to have them. May be empty.
  std::function<std::vector<TokenId>(const Prompt&)> tokenise;
  const std::atomic<bool>* stop = nullptr;  ///< true once the work is to end
  /// Called often, with the bytes of the input that were read; may be empty.
  std::function<void(std::uint64_t)> progress;
};

struct ImportResult {
  std::string kind;
  std::size_t n_prompts = 0;
  std::int64_t n_tokens = 0;  ///< that are routed
  RoutingShape shape;
  std::vector<int> moe_layers;        ///< empty: not known
  std::vector<std::string> notices;   ///< what a user should know
  std::vector<std::string> warnings;  ///< what may be wrong
};

/// A kind of files that can be imported.
struct ImportKind {
  std::string name;
  std::string summary;
};
std::vector<ImportKind> import_kinds();

/// "0-3,5" as numbers, ascending. @throws Error (usage) naming `flag`.
std::vector<int> parse_layers(std::string_view text, std::string_view flag);

/// Imports routing that something else recorded: reads and checks all of it, and writes a trace
/// directory of version 2 under a temporary name, which is renamed after the last check. The same
/// files and options give the same bytes. Memory is bounded by the longest record.
/// @throws Error (usage) for options that do not go together, (data) naming file and record for
/// what is wrong with the files, (runtime) if the directory cannot be written.
ImportResult import_traces(const ImportOptions& options);

}  // namespace moexray
