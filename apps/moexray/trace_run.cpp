#include "trace_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/forward_tokens.h"
#include "moexray/core/sha256.h"
#include "moexray/core/wording.h"
#include "moexray/runtime/batch_plan.h"
#include "moexray/trace/background_writer.h"
#include "moexray/trace/reader.h"
#include "progress.h"
#include "trace_time.h"

namespace moexray::app {
namespace {

constexpr std::size_t max_listed_failures = 20;

std::vector<ChatMessage> messages_of(const Prompt& prompt) {
  std::vector<ChatMessage> messages;
  for (const PromptMessage& message : prompt.messages) {
    messages.push_back({message.role, message.content});
  }
  if (messages.empty()) messages.push_back({"user", prompt.text});
  return messages;
}

// What keeps a tokenised prompt from being traced, or "".
std::string find_failure(std::span<const TokenId> ids, std::int64_t max_new_tokens,
                         const ModelConfig& config) {
  if (ids.empty()) return "no tokens";
  const auto n_tokens = static_cast<std::int64_t>(ids.size());
  if (n_tokens > config.max_position_embeddings - max_new_tokens) {
    return fmt::format("too long: expected at most {}, found {} and {} new {}",
                       counted(config.max_position_embeddings, "token"), n_tokens, max_new_tokens,
                       noun_for(max_new_tokens, "one"));
  }
  const auto strange = std::find_if(ids.begin(), ids.end(),
                                    [&](TokenId id) { return id < 0 || id >= config.vocab_size; });
  if (strange == ids.end()) return {};
  return fmt::format("token {} is outside the model's vocabulary of {}", *strange,
                     config.vocab_size);
}

class FailureList {
 public:
  void add(const std::string& where, const Prompt& prompt, std::string_view what) {
    if (++n_failures_ > max_listed_failures) return;
    const std::string place = prompt.line > 0 ? fmt::format("{}:{}", where, prompt.line) : where;
    text_ += fmt::format("\n  {}: prompt \"{}\": {}", printable(place), printable(prompt.id), what);
  }

  void throw_if_any() const {
    if (n_failures_ == 0) return;
    std::string what = fmt::format("{} cannot be traced:", counted(n_failures_, "prompt"));
    what += text_;
    if (n_failures_ > max_listed_failures) {
      what += fmt::format("\n  and {} more", n_failures_ - max_listed_failures);
    }
    throw Error(ErrorKind::data, what);
  }

 private:
  std::size_t n_failures_ = 0;
  std::string text_;
};

void tokenize_prompts(TraceJob& job, const TraceSettings& settings, const ModelConfig& config,
                      const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                      const Console& console) {
  FailureList failures;
  for (const Prompt& prompt : job.prompts) {
    if (console.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
    TokenizedPrompt tokenized;
    std::string failure;
    try {
      tokenized = tokenize_chat(chat_template, tokenizer, messages_of(prompt));
      failure = find_failure(tokenized.ids, settings.generation.max_new_tokens, config);
    } catch (const Error& error) {
      failure = error.what();
    }
    if (!failure.empty()) failures.add(settings.prompts_name, prompt, failure);
    job.tokenized.push_back(std::move(tokenized));
  }
  failures.throw_if_any();
}

// What tokenizer, chat template and their settings together made of the prompts.
std::string sha256_of_ids(const std::vector<TokenizedPrompt>& prompts) {
  Sha256 hash;
  std::string line;
  for (const TokenizedPrompt& prompt : prompts) {
    line.clear();
    for (std::size_t i = 0; i < prompt.ids.size(); ++i) {
      if (i > 0) line += " ";
      line += std::to_string(prompt.ids[i]);
      if (i < prompt.is_template.size() && prompt.is_template[i]) line += "t";
    }
    line += "\n";
    hash.update(line);
  }
  return hash.finish_hex();
}

std::int64_t n_prompt_tokens(const TokenizedPrompt& prompt) {
  return static_cast<std::int64_t>(prompt.ids.size());
}

TraceManifest manifest_of(const TraceSettings& settings, const ModelConfig& config,
                          const Tokenizer& tokenizer) {
  TraceManifest manifest;
  manifest.tool = trace_tool_name();
  manifest.model.name = config.name;
  manifest.model.architecture = config.architecture;
  manifest.model.hidden_size = config.hidden_size;
  manifest.model.shape = config.routing_shape();
  manifest.model.norm_topk_prob = config.norm_topk_prob;
  manifest.model.dtype = settings.dtype;
  manifest.model.moe_layers.resize(static_cast<std::size_t>(config.num_hidden_layers));
  std::iota(manifest.model.moe_layers.begin(), manifest.model.moe_layers.end(), 0);
  manifest.model.config_sha256 = config.sha256;
  manifest.model.deciding_config_sha256 = deciding_config_sha256(config);
  manifest.tokenizer = {std::string(tokenizer.kind()), tokenizer.vocab_size(), tokenizer.sha256()};
  const GenerationOptions& generation = settings.generation;
  manifest.generation.max_new_tokens = generation.max_new_tokens;
  manifest.generation.do_sample = generation.do_sample;
  manifest.generation.temperature = generation.temperature;
  manifest.generation.top_p = generation.top_p;
  manifest.generation.seed = generation.seed;
  manifest.generation.ignore_eos = generation.ignore_eos;
  if (generation.max_new_tokens > 0) {
    const std::set<TokenId> eos(config.eos_token_ids.begin(), config.eos_token_ids.end());
    manifest.generation.eos_token_ids.assign(eos.begin(), eos.end());
  }
  manifest.shard = settings.shard;
  manifest.events = settings.events;
  manifest.router_logits = generation.router_logits;
  manifest.compress = settings.compress;
  return manifest;
}

// Models may have more rows in their embedding than the tokenizer has entries; a random one chooses
// such ids.
std::string piece_of(const Tokenizer& tokenizer, TokenId id) {
  return id < tokenizer.vocab_size() ? tokenizer.piece(id) : std::string();
}

FinishedPrompt finish(const Prompt& prompt, const TokenizedPrompt& tokenized,
                      GenerationOutput output, const Tokenizer& tokenizer) {
  FinishedPrompt finished;
  finished.prompt = &prompt;
  finished.token_ids = tokenized.ids;
  finished.token_ids.insert(finished.token_ids.end(), output.token_ids.begin(),
                            output.token_ids.end());
  for (const TokenId id : finished.token_ids) finished.tokens.push_back(piece_of(tokenizer, id));
  finished.n_prompt_tokens = n_prompt_tokens(tokenized);
  finished.n_generated_tokens = std::ssize(output.token_ids);
  finished.is_template = tokenized.is_template;
  finished.completion = decode_completion(tokenizer, tokenized.ids, output.token_ids);
  finished.finish_reason = std::move(output.finish_reason);
  finished.routing = std::move(output.routing);
  return finished;
}

// The tokens of the prompts [begin, end) that will go through the model if none ends early.
TraceTime::Tokens planned_tokens(const TraceJob& job, std::size_t begin, std::size_t end) {
  TraceTime::Tokens tokens;
  for (std::size_t i = begin; i < end; ++i) {
    const std::int64_t n = n_prompt_tokens(job.tokenized[i]);
    tokens.prompt += n;
    tokens.generated += n_forward_tokens(n, job.generation.max_new_tokens) - n;
  }
  return tokens;
}

// Traces the prompts [begin, end).
std::vector<FinishedPrompt> compute_batch(const TraceJob& job, std::size_t begin, std::size_t end,
                                          Model& model, const Tokenizer& tokenizer,
                                          const std::atomic<bool>& stop, const OnPass& on_pass) {
  std::vector<GenerationInput> inputs;
  for (std::size_t i = begin; i < end; ++i) {
    inputs.push_back({job.prompts[i].id, job.tokenized[i].ids});
  }
  std::vector<GenerationOutput> outputs = generate(model, inputs, job.generation, stop, on_pass);
  std::vector<FinishedPrompt> batch;
  for (std::size_t i = begin; i < end; ++i) {
    batch.push_back(
        finish(job.prompts[i], job.tokenized[i], std::move(outputs[i - begin]), tokenizer));
  }
  return batch;
}

[[noreturn]] void throw_interrupted(const TraceWriter& writer) {
  throw Error(
      ErrorKind::interrupted,
      fmt::format("interrupted with {} of {} on disk; run the same command with "
                  "--resume (in place of --force) to finish",
                  writer.n_committed_prompts(), counted(writer.manifest().n_prompts, "prompt")));
}

// 1234567 as "1,234,567".
std::string grouped_digits(std::int64_t number) {
  std::string text = std::to_string(number);
  for (auto i = static_cast<std::ptrdiff_t>(text.size()) - 3; i > 0; i -= 3) {
    text.insert(static_cast<std::size_t>(i), ",");
  }
  return text;
}

}  // namespace

std::string decode_completion(const Tokenizer& tokenizer, std::span<const TokenId> prompt_ids,
                              std::span<const TokenId> generated_ids) {
  std::vector<TokenId> ids(prompt_ids.begin(), prompt_ids.end());
  const std::string before = tokenizer.decode(ids, true);
  for (const TokenId id : generated_ids) {
    if (id < tokenizer.vocab_size()) ids.push_back(id);
  }
  const std::string all = tokenizer.decode(ids, true);
  // Decoding the new ids alone would lose the space that they begin with.
  if (all.starts_with(before)) return all.substr(before.size());
  return tokenizer.decode(std::span(ids).subspan(prompt_ids.size()), true);
}

TraceJob plan_trace(const TraceSettings& settings, PromptSet prompts, const ModelConfig& config,
                    const std::string& router_sha256, const Tokenizer& tokenizer,
                    const ChatTemplate& chat_template, const Console& console) {
  const auto [begin, end] = select_prompts(prompts.prompts.size(), settings.limit, settings.shard);
  const PromptRange whole = select_prompts(prompts.prompts.size(), settings.limit, {});
  TraceJob job;
  job.prompts.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i) job.prompts.push_back(std::move(prompts.prompts[i]));
  tokenize_prompts(job, settings, config, tokenizer, chat_template, console);

  job.generation = settings.generation;
  job.generation.eos_token_ids = config.eos_token_ids;
  std::vector<std::int64_t> n_tokens;
  for (const TokenizedPrompt& prompt : job.tokenized) {
    n_tokens.push_back(n_forward_tokens(n_prompt_tokens(prompt), job.generation.max_new_tokens));
  }
  const SequenceCost cost =
      sequence_cost(config, settings.dtype, settings.generation.router_logits);
  BatchPlan plan = plan_batches(n_tokens, settings.batch, settings.memory_bytes, cost);

  job.manifest = manifest_of(settings, config, tokenizer);
  job.manifest.model.router_sha256 = router_sha256;
  job.manifest.generation.template_name = chat_template.name();
  job.manifest.n_prompts = static_cast<std::int64_t>(job.prompts.size());
  job.manifest.n_shard_prompts = static_cast<std::int64_t>(whole.end - whole.begin);
  job.manifest.prompts_sha256 = prompts.sha256;
  job.manifest.prompt_ids_sha256 = sha256_of_ids(job.tokenized);
  job.manifest.batch = plan.batch;
  job.manifest.plan = std::move(plan.sizes);
  return job;
}

void run_trace(const TraceJob& job, TraceWriter& writer, Model& model, const Tokenizer& tokenizer,
               Console& console) {
  const std::vector<std::int64_t> sizes(
      writer.manifest().plan.begin() + static_cast<std::ptrdiff_t>(writer.n_committed_batches()),
      writer.manifest().plan.end());
  std::size_t next = writer.n_committed_prompts();
  TraceTime time(planned_tokens(job, next, job.prompts.size()));
  Progress progress(console, "tracing", time.n_expected(), "tokens");
  BackgroundWriter background(writer);
  double before = progress.elapsed_seconds();
  const auto on_pass = [&](TokenType type, std::int64_t n_tokens) {
    const double now = progress.elapsed_seconds();
    time.add_pass(type, n_tokens, now - std::exchange(before, now));
    progress.update(time.n_done(), time.seconds_left());
    background.check();  // a full disk ends the run now, not when the next batch is done
  };
  for (const std::int64_t size : sizes) {
    const std::size_t end = next + static_cast<std::size_t>(size);
    time.begin_batch(planned_tokens(job, next, end));
    try {
      background.commit_batch(
          compute_batch(job, next, end, model, tokenizer, console.stop_requested(), on_pass));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::interrupted) throw;
      background.wait();
      throw_interrupted(writer);
    }
    time.end_batch();
    next = end;
    progress.set_total(time.n_expected());
  }
  background.wait();
  if (time.n_done() > 0) progress.finish();
}

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
  out += "  files   manifest.json, prompts.jsonl";
  if (!files.empty()) out += ", " + files.begin()->first;
  if (files.size() > 1) out += fmt::format(" … {}", files.rbegin()->first);
  out += fmt::format(" ({:.1f} MB of events)\n", static_cast<double>(n_bytes) / 1e6);
  return out;
}

}  // namespace moexray::app
