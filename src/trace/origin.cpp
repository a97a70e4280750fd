#include "moexray/trace/origin.h"

#include <algorithm>
#include <vector>

#include "fail.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "trace_directory.h"

namespace moexray {
namespace {

using Kind = ManifestRecorded::Kind;
using Order = ManifestRecorded::Order;
using Weights = ManifestRecorded::Weights;

std::string joined_numbers(const std::vector<int>& numbers) {
  std::string text;
  for (const int number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

std::string origin_of(const TraceManifest& manifest) {
  const ManifestRecorded& recorded = manifest.recorded;
  const ManifestComplete& complete = manifest.complete;
  std::vector<std::string> facts;
  if (recorded.kind == Kind::counts) facts.emplace_back("counts, not tokens");
  if (recorded.kind == Kind::pool) facts.emplace_back("one pool of counts, no prompts");
  const bool has_events = recorded.kind == Kind::events;
  if (has_events && recorded.weights == Weights::none) facts.emplace_back("no weights");
  if (recorded.weights == Weights::selection_scores) {
    facts.emplace_back("selection scores in place of weights");
  }
  if (has_events && recorded.order == Order::unknown)
    facts.emplace_back("order of experts unknown");
  if (has_events && !recorded.token_ids) facts.emplace_back("no token ids");
  if (!complete.prompt) {
    facts.emplace_back(complete.first_pos > 0
                           ? "no positions before " + std::to_string(complete.first_pos)
                           : "prompts not whole");
  }
  if (!complete.generation) facts.emplace_back("no generated tokens");
  if (!complete.layers_left_out.empty()) {
    facts.push_back((complete.layers_left_out.size() == 1 ? "no layer " : "no layers ") +
                    joined_numbers(complete.layers_left_out));
  }
  if (complete.prompts_left_out > 0) {
    facts.push_back(counted(complete.prompts_left_out, "prompt") + " left out");
  }
  if (manifest.model.top_k_of_model > 0) {
    facts.push_back("top-" + std::to_string(manifest.model.shape.top_k) + " of a top-" +
                    std::to_string(manifest.model.top_k_of_model) + " model");
  }
  const ManifestSource& source = manifest.source;
  std::string text = !source.system.empty() ? "imported from " + printable(source.system, 60)
                     : has_events           ? "recorded elsewhere"
                                            : "counted";
  if (source.version) text += " " + printable(*source.version, 40);
  for (std::size_t i = 0; i < facts.size(); ++i) text += (i == 0 ? ": " : ", ") + facts[i];
  return text;
}

// "the trace DIR (imported from …)" of the directory with this index.
[[noreturn]] void refuse(const TraceSet& traces, std::size_t part, const std::string& what) {
  trace::fail_at(what + " (" + origin_of(traces.manifests[part]) + ")",
                 (traces.directories[part] / trace::manifest_name).string());
}

bool has_prompt_position(const TracePrompt& prompt) {
  if (prompt.positions.empty()) return prompt.n_prompt_tokens != 0;
  return prompt.n_prompt_tokens < 0 || prompt.positions.front().first < prompt.n_prompt_tokens;
}

}  // namespace

std::string origin_text(const TraceSet& traces) {
  std::vector<std::string> lines;
  for (const TraceManifest& manifest : traces.manifests) {
    if (manifest.version < 2) continue;
    std::string line = origin_of(manifest);
    if (std::find(lines.begin(), lines.end(), line) == lines.end()) {
      lines.push_back(std::move(line));
    }
  }
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

bool has_expert_order(const TraceSet& traces) {
  return std::all_of(traces.manifests.begin(), traces.manifests.end(),
                     [](const auto& manifest) { return manifest.recorded.order == Order::router; });
}

void check_facts(const TraceSet& traces, const NeededFacts& needed) {
  for (std::size_t part = 0; part < traces.manifests.size(); ++part) {
    const TraceManifest& manifest = traces.manifests[part];
    if (manifest.version < 2) continue;
    if (needed.tokens && manifest.recorded.kind != Kind::events) {
      refuse(traces, part,
             "--tokens needs single tokens, and this directory has counts, not tokens");
    }
    if (needed.weights && manifest.recorded.weights != Weights::applied) {
      refuse(traces, part, "--weighted needs the router's weights, which the trace does not have");
    }
    const auto is_of_part = [&](const TracePrompt& prompt) { return prompt.part == part; };
    if (needed.template_marks) {
      const auto found = std::find_if(
          traces.prompts.begin(), traces.prompts.end(),
          [&](const TracePrompt& p) { return is_of_part(p) && p.n_template_tokens < 0; });
      if (found != traces.prompts.end()) {
        refuse(traces, part,
               "--exclude-template needs to know which tokens the chat template added, and the "
               "trace does not say it of prompt \"" +
                   found->id + "\"");
      }
    }
    if (needed.prompt_tokens &&
        std::none_of(traces.prompts.begin(), traces.prompts.end(), [&](const TracePrompt& prompt) {
          return is_of_part(prompt) && has_prompt_position(prompt);
        })) {
      refuse(traces, part, "--tokens prompt: the trace has no routing of prompt tokens");
    }
  }
}

}  // namespace moexray
