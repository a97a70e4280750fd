// Routing as serving engines send it and trainers replay it: a line of JSON a prompt.

#include <nettle/base64.h>

#include <array>
#include <cstring>

#include "exporter.h"
#include "moexray/core/escape.h"
#include "moexray/core/file.h"
#include "trace/fail.h"
#include "trace/json_text.h"

namespace moexray::exports {
namespace {

namespace fs = std::filesystem;
using trace::Json;

std::string base64_of(std::string_view bytes) {
  std::string text(BASE64_ENCODE_RAW_LENGTH(bytes.size()), '\0');
  base64_encode_raw(text.data(), bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()));
  return text;
}

// Ids [T, all transformer layers, k]: zeros where there are no experts.
PromptArrays with_all_layers(const ExportSource& source, const PromptArrays& arrays) {
  const auto k = static_cast<std::size_t>(source.shape().top_k);
  const auto n_layers = static_cast<std::size_t>(source.shape().n_layers);
  const auto n_all = static_cast<std::size_t>(source.n_transformer_layers());
  const std::vector<int> numbers = source.transformer_layers();
  const auto n_rows = static_cast<std::size_t>(arrays.n_rows);
  PromptArrays all;
  all.n_rows = arrays.n_rows;
  all.ids.resize(n_rows * n_all * k);
  for (std::size_t row = 0; row < n_rows; ++row) {
    for (std::size_t layer = 0; layer < n_layers; ++layer) {
      const auto to = (row * n_all + static_cast<std::size_t>(numbers[layer])) * k;
      std::memcpy(&all.ids[to], &arrays.ids[(row * n_layers + layer) * k],
                  k * sizeof(std::uint16_t));
    }
  }
  return all;
}

// The rows of servers follow each other.
std::int64_t first_row(const PromptArrays& arrays, const TracePrompt& prompt) {
  if (arrays.positions.size() == 1) return arrays.positions.front().first;
  trace::fail_at("positions are missing, which this form cannot say",
                 "prompt \"" + prompt.id + "\"");
}

// vLLM's /v1/completions, with token ids where they are known.
Json response_of(const TracePrompt& prompt, const std::string& model, std::string routed) {
  if (prompt.n_prompt_tokens < 0) {
    trace::fail_at("the number of prompt tokens is not known, which a response says",
                   "prompt \"" + prompt.id + "\"");
  }
  Json choice = {{"index", 0}, {"text", prompt.completion}};
  choice["finish_reason"] = prompt.finish_reason == "eos"  ? Json("stop")
                            : prompt.finish_reason.empty() ? Json()
                                                           : Json(prompt.finish_reason);
  const auto n_prompt = static_cast<std::size_t>(prompt.n_prompt_tokens);
  if (!prompt.token_ids.empty()) {
    const auto middle = prompt.token_ids.begin() +
                        static_cast<std::ptrdiff_t>(std::min(n_prompt, prompt.token_ids.size()));
    choice["prompt_token_ids"] = std::vector<TokenId>(prompt.token_ids.begin(), middle);
    choice["token_ids"] = std::vector<TokenId>(middle, prompt.token_ids.end());
  }
  choice["routed_experts"] = std::move(routed);
  Json usage = {{"prompt_tokens", prompt.n_prompt_tokens}};
  if (prompt.n_generated_tokens >= 0) {
    usage["completion_tokens"] = prompt.n_generated_tokens;
    usage["total_tokens"] = prompt.n_prompt_tokens + prompt.n_generated_tokens;
  }
  Json response = {{"id", prompt.id}, {"object", "text_completion"}};
  if (!model.empty()) response["model"] = model;
  response["choices"] = Json::array({std::move(choice)});
  response["usage"] = std::move(usage);
  return response;
}

// Calls `line_of` with every prompt and its ids of all layers.
template <typename LineOf>
void write_lines(const ExportSource& source, const fs::path& path, LineOf line_of) {
  AtomicFile file(path);
  const std::vector<TracePrompt>& prompts = source.traces().prompts;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const PromptArrays arrays = source.arrays(i);
    const std::int64_t first = first_row(arrays, prompts[i]);
    file.write(json_text(line_of(prompts[i], first, with_all_layers(source, arrays))) + "\n");
    source.finished_prompts(i + 1);
  }
  file.commit();
}

void write_vllm(const ExportSource& source, const fs::path& path) {
  const RoutingShape& shape = source.shape();
  std::int64_t start = -1;
  write_lines(
      source, path, [&](const TracePrompt& prompt, std::int64_t first, const PromptArrays& arrays) {
        if (start >= 0 && first != start) {
          trace::fail_at("prompts begin at different positions, which responses cannot say",
                         "prompt \"" + prompt.id + "\"", std::to_string(start),
                         std::to_string(first));
        }
        start = first;
        const std::array sizes{arrays.n_rows, std::int64_t{source.n_transformer_layers()},
                               std::int64_t{shape.top_k}};
        return response_of(prompt, source.traces().model_name,
                           base64_of(npy_file(id_type(shape), sizes, id_bytes(shape, arrays))));
      });
  if (start > 0) {
    source.notice("rows begin at position " + std::to_string(start) +
                  ": import needs --prompt-start " + std::to_string(start));
  }
}

// "nrlre1:int16:157x30x6:…", the text that NeMo-RL hands to its trainers.
std::string replay_text(const RoutingShape& shape, int n_layers, const PromptArrays& arrays) {
  const char* type = shape.n_experts <= 128      ? "int8"
                     : shape.n_experts <= 32'768 ? "int16"
                                                 : "int32";
  std::string bytes;
  if (shape.n_experts <= 128) {
    bytes.assign(arrays.ids.begin(), arrays.ids.end());
  } else if (shape.n_experts <= 32'768) {
    bytes = bytes_of(arrays.ids);
  } else {
    const std::vector<std::int32_t> wide(arrays.ids.begin(), arrays.ids.end());
    bytes = bytes_of(wide);
  }
  return std::string("nrlre1:") + type + ":" + std::to_string(arrays.n_rows) + "x" +
         std::to_string(n_layers) + "x" + std::to_string(shape.top_k) + ":" + base64_of(bytes);
}

void write_replay(const ExportSource& source, const fs::path& path) {
  write_lines(
      source, path, [&](const TracePrompt& prompt, std::int64_t first, const PromptArrays& arrays) {
        Json line = {{"id", prompt.id}, {"first_pos", first}};
        if (prompt.n_prompt_tokens >= 0) line["n_prompt_tokens"] = prompt.n_prompt_tokens;
        if (!prompt.token_ids.empty()) line["token_ids"] = prompt.token_ids;
        line["routed_experts"] = replay_text(source.shape(), source.n_transformer_layers(), arrays);
        return line;
      });
}

}  // namespace

Exporter vllm_exporter() {
  return {
      "vllm",
      "JSONL of responses as vLLM ≥ 0.22 sends them: base64 .npy [T, all layers, k], no weights",
      false, false, write_vllm};
}

Exporter replay_exporter() {
  return {"replay",
          "JSONL for router replay in training: nrlre1 text of ids [T, all layers, k], no weights",
          false, false, write_replay};
}

}  // namespace moexray::exports
