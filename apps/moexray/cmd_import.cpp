#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <memory>

#include "commands.h"
#include "console.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/runtime/modules.h"
#include "moexray/text/chat_template.h"
#include "moexray/text/tokenizer.h"
#include "moexray/trace/import.h"
#include "progress.h"

namespace moexray::app {
namespace {

std::vector<std::string> kind_names() {
  std::vector<std::string> names;
  for (const ImportKind& kind : import_kinds()) names.push_back(kind.name);
  return names;
}

// "all", or a number of tokens.
void read_prompt_tokens(const std::string& text, ImportOptions& options) {
  if (text == "all") {
    options.all_prompt_tokens = true;
    return;
  }
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), options.n_prompt_tokens);
  if (error != std::errc() || end != text.data() + text.size() || options.n_prompt_tokens < 0) {
    throw Error(ErrorKind::usage,
                {"wrong value", "--prompt-tokens", "a number from 0, or \"all\"", printable(text)});
  }
}

// "token,layer,slot" in the order of the array.
std::array<int, 3> parse_axes(const std::string& text) {
  constexpr std::array<std::string_view, 3> names{"token", "layer", "slot"};
  std::array<int, 3> axes{-1, -1, -1};
  std::string_view rest = text;
  int at = 0;
  for (; at < 3 && !rest.empty(); ++at) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const auto name = std::find(names.begin(), names.end(), rest.substr(0, comma));
    if (name == names.end()) break;
    axes[static_cast<std::size_t>(name - names.begin())] = at;
    rest.remove_prefix(std::min(rest.size(), comma + 1));
  }
  if (!rest.empty() || std::find(axes.begin(), axes.end(), -1) != axes.end()) {
    throw Error(ErrorKind::usage,
                {"wrong value", "--axes",
                 "token, layer and slot in the order of the array, with commas", printable(text)});
  }
  return axes;
}

// The token ids of prompts: texts as they are, messages by the chat template beside the tokenizer.
std::function<std::vector<TokenId>(const Prompt&)> tokeniser(const std::filesystem::path& directory,
                                                             const ImportOptions& options) {
  if (options.prompts.empty()) throw Error(ErrorKind::usage, "--tokenizer needs --prompts");
  const std::shared_ptr<Tokenizer> tokenizer = open_tokenizer(directory, module_directory());
  return [tokenizer, directory](const Prompt& prompt) {
    const bool is_chat = !prompt.messages.empty();
    const auto chat_template = is_chat ? recognise_chat_template(directory, *tokenizer)
                                       : make_chat_template("none", *tokenizer);
    std::vector<ChatMessage> messages;
    for (const PromptMessage& message : prompt.messages) {
      messages.push_back({message.role, message.content});
    }
    if (!is_chat) messages.push_back({"user", prompt.text});
    return tokenize_chat(*chat_template, *tokenizer, messages).ids;
  };
}

ImportOptions options_of(const Arguments& arguments) {
  ImportOptions options;
  for (const std::string& file : arguments.positionals()) options.files.emplace_back(file);
  if (arguments.has("from")) options.kind = arguments.text("from");
  if (arguments.has("prompts")) options.prompts = arguments.text("prompts");
  options.prompt_keys = {.prompt_key = arguments.text("prompt-key"),
                         .id_key = arguments.text("id-key"),
                         .category_key = arguments.text("category-key")};
  if (arguments.has("config")) options.config = arguments.text("config");
  const auto number = [&](const char* key) {
    return arguments.has(key) ? static_cast<int>(arguments.integer(key)) : 0;
  };
  options.n_experts = number("experts");
  options.top_k = number("top-k");
  options.n_layers = number("layers");
  if (arguments.has("moe-layers")) {
    options.moe_layers = parse_layers(arguments.text("moe-layers"), "--moe-layers");
  }
  if (arguments.has("drop-layers")) {
    options.drop_layers = parse_layers(arguments.text("drop-layers"), "--drop-layers");
  }
  options.join_by_order = arguments.text("join") == "order";
  options.prompt_start = arguments.integer("prompt-start");
  if (arguments.has("prompt-tokens")) read_prompt_tokens(arguments.text("prompt-tokens"), options);
  options.drop_prompts_with_holes = arguments.on("drop-prompts-with-holes");
  if (arguments.has("layout")) options.layout = arguments.text("layout");
  if (arguments.has("member")) options.member = arguments.text("member");
  if (arguments.has("axes")) options.axes = parse_axes(arguments.text("axes"));
  options.category_from_name = arguments.on("category-from-name");
  options.check_prefixes = arguments.on("check-prefixes");
  if (arguments.has("tokenizer"))
    options.tokenise = tokeniser(arguments.text("tokenizer"), options);
  options.check_only = arguments.on("check");
  options.force = arguments.on("force");
  options.compress = arguments.on("compress");
  if (arguments.has("output")) options.output = arguments.text("output");
  if (options.output.empty() && !options.check_only) {
    throw Error(ErrorKind::usage, "missing flag -o DIR, or --check to write nothing");
  }
  return options;
}

std::int64_t total_bytes(const std::vector<std::filesystem::path>& files) {
  std::uint64_t n = 0;
  for (const std::filesystem::path& file : files) {
    std::error_code error;
    const std::uint64_t size = std::filesystem::file_size(file, error);
    if (!error) n += size;
  }
  return static_cast<std::int64_t>(n);
}

// "layers 1 to 26", or a list.
std::string layers_text(const std::vector<int>& layers) {
  if (layers.size() > 1 && layers.back() - layers.front() + 1 == std::ssize(layers)) {
    return fmt::format("{} to {}", layers.front(), layers.back());
  }
  std::string text;
  for (const int layer : layers) text += (text.empty() ? "" : ", ") + std::to_string(layer);
  return text;
}

void run(const Arguments& arguments, Console& console) {
  ImportOptions options = options_of(arguments);
  constexpr std::uint64_t megabyte = 1'000'000;
  Progress progress(console, "import",
                    total_bytes(options.files) / static_cast<std::int64_t>(megabyte), "MB");
  options.stop = &console.stop_requested();
  options.progress = [&](std::uint64_t n_bytes) {
    progress.update(static_cast<std::int64_t>(n_bytes / megabyte));
  };
  const ImportResult result = import_traces(options);
  for (const std::string& notice : result.notices) console.notice(notice);
  for (const std::string& warning : result.warnings) console.warn("warning: " + warning);
  const RoutingShape& shape = result.shape;
  std::string text =
      fmt::format("{}: {}, {}; {} × {}{}", result.kind,
                  counted(static_cast<std::int64_t>(result.n_prompts), "prompt"),
                  shape.top_k > 0 ? counted(result.n_tokens, "routed token") : "counts",
                  counted(shape.n_layers, "layer"), counted(shape.n_experts, "expert"),
                  shape.top_k > 0 ? fmt::format(", top-{}", shape.top_k) : "");
  if (!result.moe_layers.empty()) {
    text += fmt::format("; transformer {} {}", result.moe_layers.size() == 1 ? "layer" : "layers",
                        layers_text(result.moe_layers));
  }
  console.print(text + "\n");
  console.print(options.check_only ? "checked, nothing written\n"
                                   : "wrote " + options.output.string() + "\n");
}

Flag number_flag(std::string name, std::string help, double max) {
  return {.name = std::move(name),
          .type = FlagType::integer,
          .value_name = "N",
          .help = std::move(help),
          .min = 1,
          .max = max};
}

std::vector<Flag> flags() {
  const PromptReadOptions keys;
  return {
      {.name = "--from",
       .type = FlagType::choice,
       .value_name = "KIND",
       .help = "what the files are (default: recognised)",
       .choices = kind_names()},
      {.name = "--prompts",
       .value_name = "FILE",
       .help = "the prompts, with ids and categories: JSON Lines, or the input of a batch"},
      {.name = "--join",
       .type = FlagType::choice,
       .value_name = "HOW",
       .default_value = "id",
       .help = "records belong to prompts by their ids (custom_id, request_id, sample_id, id), or "
               "in their order: servers may answer in another one",
       .choices = {"id", "order"}},
      {.name = "--config",
       .value_name = "FILE",
       .help = "the model's config.json: layers, which of them have experts, how many, and k"},
      number_flag("--experts", "experts a layer, where no config says it", max_experts),
      number_flag("--top-k", "experts a token, likewise", max_experts),
      number_flag("--layers", "layers of the transformer, likewise", 4096),
      {.name = "--moe-layers",
       .value_name = "LIST",
       .help = "the layers with experts, likewise: 1-26"},
      {.name = "--prompt-start",
       .type = FlagType::integer,
       .value_name = "N",
       .default_value = "0",
       .help = "the first N positions of every prompt were not sent (vLLM's "
               "routed_experts_prompt_start, SGLang's routed_experts_start_len)",
       .min = 0,
       .max = 2e9},
      {.name = "--prompt-tokens",
       .value_name = "N",
       .help = "tokens of every prompt, where neither records nor prompts say it; all: nothing was "
               "generated"},
      {.name = "--drop-layers",
       .value_name = "LIST",
       .help = "leave these layers of the transformer out: 29"},
      {.name = "--drop-prompts-with-holes",
       .type = FlagType::on_off,
       .help = "leave prompts out of which positions are missing, in place of refusing the file"},
      {.name = "--layout",
       .type = FlagType::choice,
       .value_name = "NAME",
       .help = "of the records of jsonl (default: recognised)",
       .choices = {"ep-predict", "moe-atlas", "olmoe"}},
      {.name = "--member",
       .value_name = "NAME",
       .help = "the array of an archive that holds the ids (default: routed_experts, else every "
               "one is a prompt)"},
      {.name = "--axes",
       .value_name = "NAMES",
       .help = "of arrays, in their order (default: token,layer,slot)"},
      {.name = "--prompt-key",
       .value_name = "KEY",
       .default_value = keys.prompt_key,
       .help = "of the prompts file"},
      {.name = "--id-key", .value_name = "KEY", .default_value = keys.id_key, .help = "likewise"},
      {.name = "--category-key",
       .value_name = "KEY",
       .default_value = keys.category_key,
       .help = "likewise"},
      {.name = "--category-from-name",
       .type = FlagType::on_off,
       .help = "of files of counts, a prompt each: code_03.txt has the category code"},
      {.name = "--tokenizer",
       .value_name = "DIR",
       .help =
           "the model's tokenizer: the token ids of every record have to be those of its prompt"},
      {.name = "--check-prefixes",
       .type = FlagType::on_off,
       .help =
           "warn where prompts that begin with the same tokens are routed differently there (in "
           "more than 5% of the rows, a line that is not measured yet)"},
      {.name = "-o,--output", .value_name = "DIR", .help = "the trace directory to write"},
      {.name = "--check",
       .type = FlagType::on_off,
       .help = "read and check everything, write nothing"},
      {.name = "--compress", .type = FlagType::on_off, .help = "compress the events with zstd"},
      {.name = "--force",
       .type = FlagType::on_off,
       .help = "replace a trace that is there, never other files"},
  };
}

std::string kinds_text() {
  std::string text;
  for (const ImportKind& kind : import_kinds()) {
    text += (text.empty() ? "" : "; ") + kind.name + ": " + kind.summary;
  }
  return text;
}

}  // namespace

Command import_command() {
  return {
      .name = "import",
      .group = CommandGroup::trace,
      .summary = "Make a trace of routing that another program recorded",
      .description =
          "Reads what serving engines, trainers and scripts saved of their routers' choices, "
          "checks it, and writes a trace directory that every other command reads. Kinds of "
          "files: " +
          kinds_text() +
          ". Files may be compressed with gzip or zstd. Nothing is filled in: weights, token "
          "ids and texts that the files do not have stay absent, and analyses say so.",
      .positionals = {{"FILES", "files or directories to import", true, true}},
      .flags = flags(),
      .examples = {{"moexray import --from vllm responses.jsonl --prompts prompts.jsonl --config "
                    "config.json -o traces",
                    "responses of a vLLM server, joined with the prompts by id"},
                   {"moexray import --from numpy run/*.npz --experts 64 --prompts prompts.jsonl -o "
                    "traces",
                    "arrays that a script saved"},
                   {"moexray import --from esft law/ intent/ -o traces", "a directory a category"}},
      .run = run};
}

}  // namespace moexray::app
