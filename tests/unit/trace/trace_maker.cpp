#include "trace_maker.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "moexray/core/forward_tokens.h"
#include "moexray/core/random.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;

std::size_t n_prompts(const MadeRun& run) {
  return static_cast<std::size_t>(
      std::accumulate(run.plan.begin(), run.plan.end(), std::int64_t{0}));
}

// k experts with falling weights.
void append_row(RoutingBuffer& routing, int layer, RandomStream& random) {
  const RoutingShape& shape = routing.shape();
  std::vector<ExpertId> ids(static_cast<std::size_t>(shape.n_experts));
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<float> weights;
  std::vector<float> logits;
  for (std::size_t i = 0; i < static_cast<std::size_t>(shape.top_k); ++i) {
    std::swap(ids[i], ids[i + random.below(ids.size() - i)]);
    weights.push_back(static_cast<float>(random.uniform()));
  }
  std::sort(weights.rbegin(), weights.rend());
  for (int i = 0; i < shape.n_experts; ++i) logits.push_back(static_cast<float>(random.normal()));
  routing.append(layer, 1, std::span(ids).first(static_cast<std::size_t>(shape.top_k)), weights,
                 logits);
}

}  // namespace

std::vector<Prompt> make_prompts(const MadeRun& run) {
  std::vector<Prompt> prompts;
  for (std::size_t i = run.first_prompt; i < run.first_prompt + n_prompts(run); ++i) {
    Prompt prompt;
    prompt.id = i % 3 == 0 ? "häus \"" + std::to_string(i) + "\"" : "p-" + std::to_string(i);
    if (i % 4 != 1) prompt.category = i % 2 == 0 ? "code" : "math";
    if (i % 5 == 2) {
      prompt.messages = {{"system", "be\nkind"}, {"user", "écris " + std::to_string(i)}};
    } else {
      prompt.text = "text \\ \"" + std::to_string(i) + "\"\n\t…";
    }
    prompt.meta_json =
        "{\"n\":" + std::to_string(i % 2) + ",\"source\":\"s" + std::to_string(i % 3) + "\"}";
    prompt.line = static_cast<std::int64_t>(i) + 1;
    prompts.push_back(prompt);
  }
  return prompts;
}

TraceManifest make_manifest(const MadeRun& run) {
  TraceManifest m;
  m.tool = trace_tool_name();
  m.model.name = "made-up";
  m.model.architecture = "OlmoeForCausalLM";
  m.model.hidden_size = 16;
  m.model.shape = run.shape;
  m.model.dtype = "float32";
  for (int i = 0; i < run.shape.n_layers; ++i) m.model.moe_layers.push_back(i);
  m.model.config_sha256 = std::string(64, 'a');
  m.model.router_sha256 = std::string(64, 'b');
  m.model.weights_xxh3 = "xxh3-128:" + std::string(32, 'e');
  m.model.deciding_config_sha256 = std::string(64, 'f');
  m.tokenizer = {"sentencepiece", 100, std::string(64, 'c')};
  m.n_prompts = static_cast<std::int64_t>(n_prompts(run));
  m.instruction_set = "avx2";
  m.generation.max_new_tokens = 4;
  m.generation.template_name = "none";
  m.generation.eos_token_ids = {2};
  m.batch = 3;
  m.plan = run.plan;
  m.device = "cpu";
  m.backend = "made-up 1";
  m.kernels = "avx2";
  m.bits = "float32-fma";
  m.prompts_sha256 = std::string(64, 'd');
  m.prompt_ids_sha256 = std::string(64, '1');
  m.shard = run.shard;
  m.n_shard_prompts = 8;
  m.events = run.events;
  m.router_logits = run.router_logits;
  m.compress = run.compress;
  for (int i = 0; i < run.n_shadows; ++i) {
    m.shadows.push_back({"random:" + std::to_string(i / 2), i % 2 == 0 ? "plain" : "load matched",
                         std::string(64, '2')});
  }
  return m;
}

WriterOptions writer_options(const MadeRun& run) {
  WriterOptions options{.max_file_bytes = run.max_file_bytes};
  const auto n = static_cast<std::size_t>(run.shape.n_layers * run.shape.n_experts);
  for (int i = 0; i < run.n_shadows; ++i) {
    options.shadow_biases.emplace_back(i % 2 == 0 ? 0 : n, 0.1F * static_cast<float>(i));
  }
  return options;
}

FinishedPrompt make_finished(const MadeRun& run, const Prompt& prompt, std::size_t i) {
  RandomStream random(17, prompt.id);
  FinishedPrompt finished;
  finished.prompt = &prompt;
  finished.n_prompt_tokens = 1 + static_cast<std::int64_t>(random.below(6));
  const std::int64_t n_generated = i % 4 == 3 ? 0 : static_cast<std::int64_t>(random.below(5));
  finished.n_generated_tokens = n_generated;
  const std::int64_t n = finished.n_prompt_tokens + n_generated;
  for (std::int64_t t = 0; t < n; ++t) {
    finished.token_ids.push_back(static_cast<TokenId>(random.below(100)));
    finished.tokens.push_back("▁t" + std::to_string(finished.token_ids.back()));
  }
  if (i % 2 == 0) {
    for (std::int64_t t = 0; t < finished.n_prompt_tokens; ++t) {
      finished.is_template.push_back(random.below(2) == 1);
    }
  }
  finished.completion = n_generated > 0 ? "done\u2028" : "";
  finished.finish_reason = "length";
  finished.routing = RoutingBuffer(run.shape, run.router_logits);
  const std::int64_t n_traced = n_forward_tokens(finished.n_prompt_tokens, n_generated);
  for (int layer = 0; layer < run.shape.n_layers; ++layer) {
    for (std::int64_t t = 0; t < n_traced; ++t) append_row(finished.routing, layer, random);
  }
  for (int i = 0; i < run.n_shadows; ++i) {
    RoutingBuffer routing(run.shape, false);
    ExpertSets sets(run.shape);
    for (int layer = 0; layer < run.shape.n_layers; ++layer) {
      for (std::int64_t t = 0; t < n_traced; ++t) {
        append_row(routing, layer, random);
        const auto experts = routing.experts(layer, t);
        sets.append(layer, 1, std::vector<ExpertId>(experts.begin(), experts.end()));
      }
    }
    finished.shadows.push_back(std::move(sets));
  }
  return finished;
}

void commit_rest(TraceWriter& writer, const MadeRun& run, const std::vector<Prompt>& prompts,
                 std::size_t n_batches) {
  while (!writer.finished() && n_batches-- > 0) {
    std::vector<FinishedPrompt> batch;
    const auto size =
        static_cast<std::size_t>(writer.manifest().plan[writer.n_committed_batches()]);
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t index = writer.n_committed_prompts() + i;
      batch.push_back(make_finished(run, prompts[index], run.first_prompt + index));
    }
    writer.commit_batch(batch);
  }
}

void write_trace(const fs::path& directory, const MadeRun& run) {
  const std::vector<Prompt> prompts = make_prompts(run);
  TraceWriter writer =
      TraceWriter::create(directory, make_manifest(run), false, writer_options(run));
  commit_rest(writer, run, prompts);
}

void finish_trace(const fs::path& directory, const MadeRun& run) {
  const std::vector<Prompt> prompts = make_prompts(run);
  TraceWriter writer =
      TraceWriter::resume(directory, make_manifest(run), prompts, writer_options(run));
  commit_rest(writer, run, prompts);
}

Snapshot snapshot(const fs::path& directory) {
  Snapshot files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::ifstream in(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    files[entry.path().filename().string()] = text.str();
  }
  return files;
}

void write_text(const fs::path& path, std::string_view text) {
  fs::remove(path);  // overwriting makes some file systems wait for the disk
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

void restore(const fs::path& directory, const Snapshot& files) {
  fs::remove_all(directory);
  fs::create_directories(directory);
  for (const auto& [name, text] : files) write_text(directory / name, text);
}

void KeepingVisitor::on_record(std::size_t prompt_index, const RoutingRecord& record) {
  records.at(prompt_index)
      .push_back({record.layer,
                  record.pos,
                  record.type,
                  record.is_template,
                  record.token_id,
                  {record.experts.begin(), record.experts.end()},
                  {record.weights.begin(), record.weights.end()}});
}

ReadTrace read_trace(const std::vector<fs::path>& directories, const ReadOptions& options) {
  ReadTrace result;
  result.set = open_traces(directories, options);
  KeepingVisitor visitor(result.set.prompts.size());
  read_events(result.set, visitor, options);
  result.records = std::move(visitor.records);
  return result;
}

std::vector<std::vector<KeptRecord>> expected_records(const MadeRun& run) {
  std::vector<std::vector<KeptRecord>> all;
  const std::vector<Prompt> prompts = make_prompts(run);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const FinishedPrompt finished = make_finished(run, prompts[i], run.first_prompt + i);
    std::vector<KeptRecord>& records = all.emplace_back();
    for (std::int64_t pos = 0; pos < finished.routing.n_positions(); ++pos) {
      const auto at = static_cast<std::size_t>(pos);
      for (int layer = 0; layer < run.shape.n_layers; ++layer) {
        KeptRecord record;
        record.layer = layer;
        record.pos = pos;
        record.type = pos < finished.n_prompt_tokens ? TokenType::prompt : TokenType::generation;
        record.is_template = at < finished.is_template.size() && finished.is_template[at];
        record.token_id = finished.token_ids[at];
        for (const auto expert : finished.routing.experts(layer, pos)) {
          record.experts.push_back(expert);
        }
        for (const float weight : finished.routing.weights(layer, pos)) {
          char text[32];
          std::snprintf(text, sizeof text, "%.6g", static_cast<double>(weight));
          record.weights.push_back(std::strtof(text, nullptr));
        }
        records.push_back(record);
      }
    }
  }
  return all;
}

}  // namespace moexray::test
