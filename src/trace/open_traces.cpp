#include <fstream>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fail.h"
#include "json_text.h"
#include "line_reader.h"
#include "manifest_compare.h"
#include "meta_key.h"
#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/trace/reader.h"
#include "prompt_line.h"
#include "record_source.h"
#include "shard_cover.h"
#include "trace_directory.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;
using trace::MetaKey;

// Reads the prompts of one directory after the other into a set.
class Opener {
 public:
  explicit Opener(const ReadOptions& options)
      : options_(options),
        category_key_("category", options.category_key == "category" ? "" : options.category_key),
        group_key_("group", options.group_key) {}

  // All manifests are looked at before the first prompt.
  void read_manifests(std::span<const fs::path> directories) {
    set_.directories.assign(directories.begin(), directories.end());
    for (const fs::path& directory : directories) {
      set_.manifests.push_back(read_manifest(directory));
    }
    const TraceManifest& first = set_.manifests.front();
    set_.shape = first.model.shape;
    set_.model_name = first.model.name;
    set_.tokenizer_sha256 = first.tokenizer.sha256;
    for (const TraceManifest& manifest : set_.manifests) {
      if (set_.shape.top_k == 0) set_.shape.top_k = manifest.model.shape.top_k;
    }
    check_kinds();
    set_.notices = trace::check_agreement(set_.manifests, set_.directories);
    for (std::string& notice : trace::check_shards(set_.manifests, set_.directories)) {
      set_.notices.push_back(std::move(notice));
    }
  }

  void read_part(std::size_t part) {
    part_ = part;
    sizes_.clear();
    n_lines_ = 0;
    n_incomplete_ = 0;
    check_finished(part);
    read_prompts(set_.directories[part]);
    check_count(set_.directories[part]);
  }

  TraceSet take() { return std::move(set_); }

 private:
  // Events and counts are not read together.
  void check_kinds() const {
    const auto kind = set_.manifests.front().recorded.kind;
    for (std::size_t i = 1; i < set_.manifests.size(); ++i) {
      if (set_.manifests[i].recorded.kind == kind) continue;
      fail_at(
          "directories of events, of counts and of pools of counts are not read together "
          "(signatures -o makes counts of events)",
          set_.directories[i].string());
    }
  }

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
    const auto [first, is_new] = place_of_id_.emplace(prompt.id, Place{part_, line});
    if (!is_new) {
      const fs::path path = set_.directories[first->second.part] / trace::prompts_name;
      fail_at("id \"" + prompt.id + "\" is already used in " + path.string() + ":" +
                  std::to_string(first->second.line),
              where);
    }
    if (!prompt.positions.empty() && set_.manifests[part_].version < 2) {
      fail_at("\"positions\" need a trace of version 2", where);
    }
    if (set_.manifests[part_].score && prompt.logprobs.size() + 1 < prompt.token_ids.size()) {
      fail_at("missing key \"logprobs\": the manifest says that tokens were scored", where);
    }
    if (category_key_.given()) prompt.category = category_key_.read(prompt, where);
    if (group_key_.given()) prompt.group = group_key_.read(prompt, where);
    prompt.line = line;
    prompt.part = part_;
    if (!options_.keep_texts) {
      // Assigning {} would keep the memory.
      prompt.text = std::string();
      prompt.messages = std::vector<PromptMessage>();
      prompt.logprobs = std::vector<float>();
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
    const fs::path path = set_.directories[part_] / prompt.events_file;
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

  // Traces whose number of prompts was not known when they were begun.
  void check_finished(std::size_t part) {
    if (set_.manifests[part].finished) return;
    const fs::path& directory = set_.directories[part];
    if (!options_.allow_partial) {
      fail_at(
          "the trace is not finished: what wrote it was stopped, and how many prompts are missing "
          "is "
          "not known (write it again, or use --allow-partial)",
          (directory / trace::manifest_name).string());
    }
    set_.notices.push_back(directory.string() +
                           ": not finished; how many prompts are missing is not known");
  }

  void check_count(const fs::path& directory) {
    const std::int64_t n_planned = set_.manifests[part_].n_prompts;
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
  std::size_t part_ = 0;                       // the current directory
  std::map<std::string, std::int64_t> sizes_;  // of the events files of the current directory
  std::int64_t n_lines_ = 0;
  std::int64_t n_incomplete_ = 0;
};

}  // namespace

TraceSet open_traces(std::span<const fs::path> directories, const ReadOptions& options) {
  if (directories.empty()) throw Error(ErrorKind::usage, "no trace directory given");
  Opener opener(options);
  opener.read_manifests(directories);
  for (std::size_t part = 0; part < directories.size(); ++part) opener.read_part(part);
  return opener.take();
}

}  // namespace moexray
