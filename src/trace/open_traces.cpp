#include <simdjson.h>

#include <fstream>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fail.h"
#include "json_text.h"
#include "line_reader.h"
#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/trace/reader.h"
#include "prompt_line.h"
#include "record_source.h"
#include "trace_directory.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;
using trace::Json;

std::string manifest_path(const fs::path& directory) {
  return (directory / trace::manifest_name).string();
}

// Keys that traces must share to be read as one. Empty values were not recorded and agree with all.
std::vector<std::pair<std::string, Json>> shared_keys(const TraceManifest& m) {
  const ManifestGeneration& generation = m.generation;
  std::vector<std::pair<std::string, Json>> keys{
      {"model.n_layers", m.model.shape.n_layers},
      {"model.n_experts", m.model.shape.n_experts},
      {"model.top_k", m.model.shape.top_k},
      {"model.router_sha256", m.model.router_sha256},
      {"model.dtype", m.model.dtype},
      {"tokenizer.sha256", m.tokenizer.sha256},
      {"generation.max_new_tokens", generation.max_new_tokens},
      {"generation.do_sample", generation.do_sample},
      {"generation.template", generation.template_name},
      {"generation.ignore_eos", generation.ignore_eos},
  };
  if (generation.do_sample) {
    keys.emplace_back("generation.temperature", generation.temperature);
    keys.emplace_back("generation.top_p", generation.top_p);
    keys.emplace_back("generation.seed", generation.seed);
  }
  return keys;
}

void check_agreement(const TraceManifest& first, const fs::path& first_directory,
                     const TraceManifest& other, const fs::path& other_directory) {
  const auto a = shared_keys(first);
  const auto b = shared_keys(other);
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i].second == b[i].second || a[i].second == Json("") || b[i].second == Json("")) continue;
    fail_at("traces that are read together must agree in \"" + a[i].first + "\"",
            manifest_path(other_directory),
            trace::json_text(a[i].second) + " (as in " + first_directory.string() + ")",
            trace::json_text(b[i].second));
  }
}

// Reads a name from "meta.KEY": a category, say.
class MetaKey {
 public:
  // @param what the name is for: "category"
  MetaKey(std::string what, const std::string& key) : what_(std::move(what)) {
    constexpr std::string_view prefix = "meta.";
    if (key.empty()) return;
    if (!key.starts_with(prefix) || key.size() == prefix.size()) {
      throw Error(ErrorKind::usage,
                  {"no such " + what_ + " key", {}, "\"meta.KEY\"", "\"" + key + "\""});
    }
    name_ = key.substr(prefix.size());
  }

  bool given() const { return !name_.empty(); }

  // Empty where the prompt has none.
  std::string read(const TracePrompt& prompt, const std::string& where) {
    simdjson::dom::element value;
    const auto error = parser_.parse(prompt.meta_json).at_key(name_).get(value);
    if (error != simdjson::SUCCESS || value.is_null()) return {};
    std::string_view text;
    std::string result;
    if (value.get(text) == simdjson::SUCCESS) {
      result = std::string(text);
    } else if (value.is_object() || value.is_array()) {
      fail_at("key \"meta." + name_ + "\" cannot be a " + what_, where, "a string or number");
    } else {
      result = simdjson::minify(value);
    }
    const std::string problem = trace::name_problem(result);
    if (!problem.empty()) fail_at(what_ + " in \"meta." + name_ + "\" " + problem, where);
    return result;
  }

 private:
  std::string what_;
  std::string name_;
  simdjson::dom::parser parser_;
};

// Reads the prompts of one directory after the other into a set.
class Opener {
 public:
  explicit Opener(const ReadOptions& options)
      : options_(options),
        category_key_("category", options.category_key == "category" ? "" : options.category_key),
        group_key_("group", options.group_key) {}

  void add(const fs::path& directory) {
    TraceManifest manifest = read_manifest(directory);
    if (set_.directories.empty()) {
      set_.shape = manifest.model.shape;
      set_.model_name = manifest.model.name;
      set_.tokenizer_sha256 = manifest.tokenizer.sha256;
    } else {
      check_agreement(set_.manifests.front(), set_.directories.front(), manifest, directory);
    }
    set_.directories.push_back(directory);
    set_.manifests.push_back(std::move(manifest));
    sizes_.clear();
    n_lines_ = 0;
    n_incomplete_ = 0;
    read_prompts(directory);
    check_count(directory);
  }

  TraceSet take() { return std::move(set_); }

 private:
  struct Place {
    std::size_t part = 0;  // of the directories
    std::int64_t line = 0;
  };

  void read_prompts(const fs::path& directory) {
    const fs::path path = directory / trace::prompts_name;
    if (trace::regular_file_size(path) < 0) fail_at("no such file", path.string());
    std::ifstream in(path, std::ios::binary);
    if (!in) fail_at("cannot open", path.string());
    trace::LineReader lines(in);
    while (lines.next()) {
      const std::string where = path.string() + ":" + std::to_string(lines.number());
      if (lines.too_long()) fail_at("line longer than 16 MB", where);
      TracePrompt prompt;
      try {
        prompt = parser_.parse(lines.text(), set_.shape, where);
      } catch (const Error&) {
        // A run that is stopped leaves at most one unfinished line, without its newline.
        if (lines.ended() || !options_.allow_partial) throw;
        set_.notices.push_back(where + ": unfinished line left out");
        continue;
      }
      ++n_lines_;
      add_prompt(std::move(prompt), lines.number(), where);
    }
    if (lines.failed()) fail_at("cannot read", path.string());
  }

  void add_prompt(TracePrompt prompt, std::int64_t line, const std::string& where) {
    const std::size_t part = set_.directories.size() - 1;
    const auto [first, is_new] = place_of_id_.emplace(prompt.id, Place{part, line});
    if (!is_new) {
      const fs::path path = set_.directories[first->second.part] / trace::prompts_name;
      fail_at("id \"" + prompt.id + "\" is already used in " + path.string() + ":" +
                  std::to_string(first->second.line),
              where);
    }
    if (category_key_.given()) prompt.category = category_key_.read(prompt, where);
    if (group_key_.given()) prompt.group = group_key_.read(prompt, where);
    prompt.line = line;
    prompt.part = part;
    if (!options_.keep_texts) {
      // Assigning {} would keep the memory.
      prompt.text = std::string();
      prompt.completion = std::string();
      prompt.tokens = std::vector<std::string>();
    }
    const std::string problem = events_problem(prompt);
    if (problem.empty()) {
      set_.prompts.push_back(std::move(prompt));
    } else if (options_.allow_partial) {
      ++n_incomplete_;
    } else {
      fail_at(problem, where);
    }
  }

  // Why the events of a prompt cannot be on disk; empty: they can.
  std::string events_problem(const TracePrompt& prompt) {
    const auto [entry, is_new] = sizes_.emplace(prompt.events_file.string(), -1);
    const fs::path path = set_.directories.back() / prompt.events_file;
    if (is_new) entry->second = trace::regular_file_size(path);
    const std::int64_t size = entry->second;
    if (size < 0) return "no such events file: " + path.string();
    const bool is_compressed = prompt.events_file.extension() == ".zst";
    const std::int64_t n = is_compressed ? prompt.n_compressed_bytes : prompt.n_bytes;
    if (prompt.offset > size || (prompt.offset >= 0 && n > size - prompt.offset)) {
      return "the events file is too short: " + path.string() + " has " + std::to_string(size) +
             " bytes, the events of prompt \"" + prompt.id + "\" start at byte " +
             std::to_string(prompt.offset) + " and have " +
             std::to_string(std::max<std::int64_t>(n, 0));
    }
    return {};
  }

  void check_count(const fs::path& directory) {
    const std::int64_t n_planned = set_.manifests.back().n_prompts;
    const std::string where = (directory / trace::prompts_name).string();
    if (n_planned >= 0 && n_lines_ > n_planned) {
      fail_at("more prompts than the manifest says", where, std::to_string(n_planned),
              std::to_string(n_lines_));
    }
    const std::int64_t n_missing = std::max<std::int64_t>(n_planned - n_lines_, 0);
    if (n_missing > 0 && !options_.allow_partial) {
      fail_at(
          "the trace is not finished: prompts are missing (continue it with trace --resume, or "
          "use --allow-partial)",
          where, std::to_string(n_planned), std::to_string(n_lines_));
    }
    if (n_missing + n_incomplete_ == 0) return;
    const std::int64_t n_left_out = n_missing + n_incomplete_;
    set_.notices.push_back(directory.string() + ": " + std::to_string(n_left_out) + " of " +
                           counted(n_lines_ + n_missing, "prompt") +
                           (n_left_out == 1 ? " is left out because it is not complete"
                                            : " are left out because they are not complete"));
  }

  ReadOptions options_;
  MetaKey category_key_;
  MetaKey group_key_;
  TraceSet set_;
  trace::PromptLineParser parser_;
  std::unordered_map<std::string, Place> place_of_id_;
  std::map<std::string, std::int64_t> sizes_;  // of the events files of the current directory
  std::int64_t n_lines_ = 0;
  std::int64_t n_incomplete_ = 0;
};

}  // namespace

TraceSet open_traces(std::span<const fs::path> directories, const ReadOptions& options) {
  if (directories.empty()) throw Error(ErrorKind::usage, "no trace directory given");
  Opener opener(options);
  for (const fs::path& directory : directories) opener.add(directory);
  return opener.take();
}

}  // namespace moexray
