#include "moexray/runtime/trace_summary.h"

#include <fmt/core.h>

#include <cstdint>
#include <map>
#include <span>

#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/trace/reader.h"

namespace moexray {
std::string trace_summary(const std::filesystem::path& directory) {
  ReadOptions options;
  options.keep_texts = false;
  const TraceSet traces = open_traces(std::span(&directory, 1), options);
  std::int64_t n_prompt = 0;
  std::int64_t n_template = 0;
  std::int64_t n_generated = 0;
  std::int64_t n_events = 0;
  std::map<std::string, std::int64_t> n_finished;
  std::map<std::string, std::uintmax_t> files;
  for (const TracePrompt& prompt : traces.prompts) {
    n_prompt += prompt.n_prompt_tokens;
    n_template += prompt.n_template_tokens;
    n_generated += prompt.n_generated_tokens;
    n_events += prompt.n_events;
    ++n_finished[prompt.finish_reason];
    files.try_emplace(prompt.events_file.filename().string(), 0);
  }
  std::uintmax_t n_bytes = 0;
  for (const auto& [name, unused] : files) n_bytes += std::filesystem::file_size(directory / name);
  std::string out =
      fmt::format("{} {} traced with {} in {}\n", grouped_digits(std::ssize(traces.prompts)),
                  noun_for(std::ssize(traces.prompts), "prompt"), printable(traces.model_name),
                  printable(directory.string()));
  out += fmt::format("  tokens  {} in prompts ({} of the template), {} generated\n",
                     grouped_digits(n_prompt), grouped_digits(n_template),
                     grouped_digits(n_generated));
  out +=
      fmt::format("  ended   {} by length, {} by eos\n", n_finished["length"], n_finished["eos"]);
  out += fmt::format("  events  {} ({}, top-{} of {})\n", grouped_digits(n_events),
                     counted(traces.shape.n_layers, "layer"), traces.shape.top_k,
                     counted(traces.shape.n_experts, "expert"));
  const std::size_t n_shadows = traces.manifests.front().shadows.size();
  if (n_shadows > 0) out += fmt::format("  shadows {} (moexray shadow)\n", n_shadows);
  out += "  files   manifest.json, prompts.jsonl";
  if (n_shadows > 0) out += ", shadows.bin";
  if (!files.empty()) out += ", " + files.begin()->first;
  if (files.size() > 1) out += fmt::format(" … {}", files.rbegin()->first);
  out += fmt::format(" ({:.1f} MB of events)\n", static_cast<double>(n_bytes) / 1e6);
  return out;
}

}  // namespace moexray
