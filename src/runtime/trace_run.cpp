#include "moexray/runtime/trace_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/forward_tokens.h"
#include "moexray/core/sha256.h"
#include "moexray/core/wording.h"
#include "moexray/runtime/batch_plan.h"
#include "moexray/runtime/kernels.h"
#include "moexray/runtime/shadows.h"
#include "moexray/trace/background_writer.h"
#include "trace_time.h"

namespace moexray {
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
  const auto strange = std::find_if(
      ids.begin(), ids.end(), [&](TokenId id) { return id < 0 || id >= config.spec.vocab_size; });
  if (strange == ids.end()) return {};
  return fmt::format("token {} is outside the model's vocabulary of {}", *strange,
                     config.spec.vocab_size);
}

class FailureList {
 public:
  void add(const std::string& place, const Prompt& prompt, std::string_view what) {
    if (++n_failures_ > max_listed_failures) return;
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
                      const std::atomic<bool>& stop) {
  FailureList failures;
  for (const Prompt& prompt : job.prompts) {
    if (stop) throw Error(ErrorKind::interrupted, "interrupted");
    TokenizedPrompt tokenized;
    std::string failure;
    try {
      tokenized = tokenize_chat(chat_template, tokenizer, messages_of(prompt));
      failure = find_failure(tokenized.ids, settings.generation.max_new_tokens, config);
    } catch (const Error& error) {
      failure = error.what();
    }
    if (!failure.empty()) {
      const std::string& name = settings.prompts_name;
      failures.add(prompt.line > 0 ? fmt::format("{}:{}", name, prompt.line) : name, prompt,
                   failure);
    }
    job.tokenized.push_back(std::move(tokenized));
  }
  failures.throw_if_any();
}

// What shadow routers are calibrated on.
struct CalibrationPrompts {
  std::vector<std::vector<TokenId>> token_ids;
  std::vector<std::size_t> places;  // in the whole file, which may have more than a shard
};

// `ids_of` gives the tokens of a prompt, none for one that cannot be traced.
CalibrationPrompts calibration_prompts(
    std::size_t n_prompts, const std::function<std::vector<TokenId>(std::size_t)>& ids_of) {
  CalibrationPrompts chosen;
  std::int64_t n_left = max_calibration_tokens;
  for (const std::size_t i : spread_order(n_prompts)) {
    if (n_left == 0) break;
    std::vector<TokenId> ids = ids_of(i);
    const std::int64_t n = std::min({std::ssize(ids), max_calibration_prompt_tokens, n_left});
    if (n == 0) continue;
    ids.resize(static_cast<std::size_t>(n));
    chosen.token_ids.push_back(std::move(ids));
    chosen.places.push_back(i);
    n_left -= n;
  }
  return chosen;
}

// Gives a job its calibration. Its prompts begin with the `n_before`th of the whole file.
void set_calibration(TraceJob& job, CalibrationPrompts prompts, std::size_t n_before) {
  job.calibration = std::move(prompts.token_ids);
  const std::size_t n_first =
      job.manifest.plan.empty() ? 0 : static_cast<std::size_t>(job.manifest.plan.front());
  std::int64_t n_left = job.generation.max_tokens_per_pass;
  std::vector<CalibrationPass::Part> parts;
  for (std::size_t i = 0; i < prompts.places.size(); ++i) {
    const std::size_t place = prompts.places[i];
    const std::int64_t n_tokens = std::ssize(job.calibration[i]);
    n_left -= n_tokens;
    if (place < n_before || place - n_before >= n_first || n_left < 0) return;
    parts.push_back({place - n_before, n_tokens});
  }
  job.calibration_parts = std::move(parts);
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
                          const std::string& router_sha256, const Tokenizer& tokenizer) {
  TraceManifest manifest;
  manifest.tool = trace_tool_name();
  manifest.model = manifest_model(config, router_sha256);
  manifest.model.dtype = settings.dtype;
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
  if (generation.policy != nullptr) {
    manifest.routing_policy = generation.policy->canonical();
    if (manifest.routing_policy.empty() || manifest.routing_policy == "none") {
      throw Error(ErrorKind::usage, {"a routing policy needs a text of its own",
                                     {},
                                     "neither empty nor \"none\"",
                                     '"' + manifest.routing_policy + '"'});
    }
  }
  manifest.shard = settings.shard;
  manifest.events = settings.events;
  manifest.router_logits = generation.router_logits;
  manifest.score = generation.score;
  manifest.compress = settings.compress;
  return manifest;
}

// `tail` is what is replayed behind the prompt; null: what was generated.
FinishedPrompt finish(const Prompt& prompt, const TokenizedPrompt& tokenized,
                      GenerationOutput output, const ReplayedTail* tail,
                      const Tokenizer& tokenizer) {
  FinishedPrompt finished;
  finished.prompt = &prompt;
  finished.token_ids = tokenized.ids;
  const std::vector<TokenId>& generated = tail != nullptr ? tail->token_ids : output.token_ids;
  finished.token_ids.insert(finished.token_ids.end(), generated.begin(), generated.end());
  for (const TokenId id : finished.token_ids) finished.tokens.push_back(tokenizer.piece(id));
  finished.n_prompt_tokens = n_prompt_tokens(tokenized);
  finished.n_generated_tokens = std::ssize(generated);
  finished.is_template = tokenized.is_template;
  if (tail != nullptr) {
    finished.completion = tail->completion;
    finished.finish_reason = tail->finish_reason;
  } else {
    finished.completion = decode_completion(tokenizer, tokenized.ids, generated);
    finished.finish_reason = std::move(output.finish_reason);
  }
  finished.logprobs = std::move(output.logprobs);
  finished.routing = std::move(output.routing);
  finished.shadows = std::move(output.shadows);
  return finished;
}

// The tokens of the prompts [begin, end) that will go through the model if none ends early.
TraceTime::Tokens planned_tokens(const TraceJob& job, std::size_t begin, std::size_t end) {
  TraceTime::Tokens tokens;
  for (std::size_t i = begin; i < end; ++i) {
    const std::int64_t n = n_prompt_tokens(job.tokenized[i]);
    if (!job.replayed.empty()) {
      tokens.prompt += n_forward_tokens(n, std::ssize(job.replayed[i].token_ids));
      continue;
    }
    tokens.prompt += n;
    tokens.generated += n_forward_tokens(n, job.generation.max_new_tokens) - n;
  }
  return tokens;
}

// What came of a batch.
struct Computed {
  std::vector<FinishedPrompt> prompts;
  std::vector<std::vector<RoutingBuffer>> shadow_routing;  // [prompts] [shadows], or of no shadow
};

// Traces the prompts [begin, end).
Computed compute_batch(const TraceJob& job, std::size_t begin, std::size_t end, Model& model,
                       const Tokenizer& tokenizer, const std::atomic<bool>& stop,
                       const OnPass& on_pass) {
  const bool is_replay = !job.replayed.empty();
  std::vector<GenerationInput> inputs;
  std::vector<std::vector<TokenId>> fed(is_replay ? end - begin : 0);  // all but the last token
  for (std::size_t i = begin; i < end; ++i) {
    GenerationInput& input = inputs.emplace_back();
    input.id = job.prompts[i].id;
    input.token_ids = job.tokenized[i].ids;
    if (!is_replay || job.replayed[i].token_ids.empty()) continue;
    const std::vector<TokenId>& tail = job.replayed[i].token_ids;
    std::vector<TokenId>& ids = fed[i - begin];
    ids = job.tokenized[i].ids;
    ids.insert(ids.end(), tail.begin(), tail.end() - 1);
    input.token_ids = ids;
    input.following = tail.back();
  }
  GenerationOptions options = job.generation;
  if (begin > 0) options.calibration = {};
  std::vector<GenerationOutput> outputs = generate(model, inputs, options, stop, on_pass);
  Computed batch;
  for (std::size_t i = begin; i < end; ++i) {
    GenerationOutput& output = outputs[i - begin];
    batch.shadow_routing.push_back(std::move(output.shadow_routing));
    batch.prompts.push_back(finish(job.prompts[i], job.tokenized[i], std::move(output),
                                   is_replay ? &job.replayed[i] : nullptr, tokenizer));
  }
  return batch;
}

// Writes the batch with this number as each shadow routed it.
void commit_shadows(std::span<TraceWriter> writers, std::size_t number, Computed& batch) {
  std::vector<std::vector<ExpertSets>> sets;
  for (FinishedPrompt& prompt : batch.prompts) sets.push_back(std::exchange(prompt.shadows, {}));
  for (std::size_t shadow = 0; shadow < writers.size(); ++shadow) {
    const std::size_t n_committed = writers[shadow].n_committed_batches();
    if (n_committed > number) continue;
    const auto exchange = [&] {
      for (std::size_t i = 0; i < batch.prompts.size(); ++i) {
        std::swap(batch.prompts[i].routing, batch.shadow_routing[i][shadow]);
      }
    };
    exchange();
    writers[shadow].commit_batch(batch.prompts);
    exchange();
  }
  for (std::size_t i = 0; i < sets.size(); ++i) batch.prompts[i].shadows = std::move(sets[i]);
}

std::vector<std::vector<float>> biases_of(std::span<const WatchingRouter> shadows) {
  std::vector<std::vector<float>> biases;
  for (const WatchingRouter& shadow : shadows) {
    biases.emplace_back(shadow.biases.begin(), shadow.biases.end());
  }
  return biases;
}

[[noreturn]] void throw_interrupted(const TraceWriter& writer) {
  throw Error(ErrorKind::interrupted,
              fmt::format("interrupted with {} of {} on disk", writer.n_committed_prompts(),
                          counted(writer.manifest().n_prompts, "prompt")));
}

void run_batches(const TraceJob& job, TraceWriter& writer, std::span<TraceWriter> shadow_writers,
                 Model& model, const Tokenizer& tokenizer, const std::atomic<bool>& stop,
                 const OnTraceProgress& on_progress) {
  using Clock = std::chrono::steady_clock;
  const std::vector<std::int64_t> sizes(
      writer.manifest().plan.begin() + static_cast<std::ptrdiff_t>(writer.n_committed_batches()),
      writer.manifest().plan.end());
  std::size_t next = writer.n_committed_prompts();
  std::size_t number = writer.n_committed_batches();
  for (const TraceWriter& shadow : shadow_writers) {
    if (shadow.n_committed_batches() >= number) continue;
    throw Error(ErrorKind::data,
                {"cannot resume: the trace of a shadow has fewer batches than that "
                 "of the model (was it taken away?)",
                 shadow.manifest().shadow_router, std::to_string(number),
                 std::to_string(shadow.n_committed_batches())});
  }
  TraceTime time(planned_tokens(job, next, job.prompts.size()));
  std::int64_t n_expected = time.n_expected();
  BackgroundWriter background(writer);
  Clock::time_point before = Clock::now();
  const auto on_pass = [&](TokenType type, std::int64_t n_tokens) {
    const Clock::time_point now = Clock::now();
    time.add_pass(type, n_tokens,
                  std::chrono::duration<double>(now - std::exchange(before, now)).count());
    if (on_progress) on_progress({time.n_done(), n_expected, time.seconds_left()});
    background.check();  // a full disk ends the run now, not when the next batch is done
  };
  for (const std::int64_t size : sizes) {
    const std::size_t end = next + static_cast<std::size_t>(size);
    time.begin_batch(planned_tokens(job, next, end));
    try {
      Computed batch = compute_batch(job, next, end, model, tokenizer, stop, on_pass);
      if (number == 0 && job.generation.calibration.fit) {
        writer.set_shadow_biases(biases_of(job.generation.shadows));
      }
      if (!shadow_writers.empty()) commit_shadows(shadow_writers, number, batch);
      batch.shadow_routing = {};
      background.commit_batch(std::move(batch.prompts));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::interrupted) throw;
      background.wait();
      throw_interrupted(writer);
    }
    time.end_batch();
    next = end;
    ++number;
    n_expected = time.n_expected();
  }
  background.wait();
}

// What planning does once the prompts have tokens; each takes as many through the model as
// `n_tokens` says.
void complete_job(TraceJob& job, const TraceSettings& settings,
                  std::span<const std::int64_t> n_tokens, const ModelConfig& config,
                  const std::string& router_sha256, const Tokenizer& tokenizer) {
  job.generation = settings.generation;
  job.generation.eos_token_ids = config.eos_token_ids;
  // Models may have more rows in their vocabulary than the tokenizer has tokens.
  job.generation.n_candidates = tokenizer.vocab_size();
  const SequenceCost cost =
      sequence_cost(config, settings.dtype, settings.generation.router_logits);
  BatchPlan plan = plan_batches(n_tokens, settings.batch, settings.memory_bytes, cost);
  job.manifest = manifest_of(settings, config, router_sha256, tokenizer);
  job.manifest.n_prompts = static_cast<std::int64_t>(job.prompts.size());
  job.manifest.prompt_ids_sha256 = sha256_of_ids(job.tokenized);
  job.manifest.batch = plan.batch;
  job.manifest.plan = std::move(plan.sizes);
}

std::vector<TokenId> prompt_ids(const RecordedSequence& sequence) {
  return {sequence.token_ids.begin(), sequence.token_ids.begin() + sequence.n_prompt_tokens};
}

// Without names of tokens their ids mean the same only if it is the same tokenizer.
void check_tokenizers(const Recording& recording, const Tokenizer& tokenizer) {
  const bool has_names =
      std::none_of(recording.sequences.begin(), recording.sequences.end(),
                   [](const RecordedSequence& sequence) { return sequence.tokens.empty(); });
  const std::string& recorded = recording.tokenizer.sha256;
  if (has_names || recorded.empty() || recorded == tokenizer.sha256()) return;
  throw Error(
      ErrorKind::data,
      {"the trace was recorded with another tokenizer: its token ids mean something else to "
       "this model",
       "manifest.json: key \"tokenizer.sha256\"", tokenizer.sha256(), recorded});
}

// What keeps recorded tokens from going through the model, or "".
std::string replay_failure(const RecordedSequence& sequence, const ModelConfig& config,
                           const Tokenizer& tokenizer) {
  // The last of generated tokens is not fed, but may be scored, and is named.
  std::string failure = find_failure(sequence.token_ids, 0, config);
  if (!failure.empty()) return failure;
  for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
    const TokenId id = sequence.token_ids[i];
    std::string own = tokenizer.piece(id);
    if (own == sequence.tokens[i]) continue;
    return fmt::format(
        "token {} at position {} is another one to this model's tokenizer: expected "
        "\"{}\", found \"{}\"",
        id, i, printable(sequence.tokens[i], 40), printable(own, 40));
  }
  return {};
}

TraceWriter open_trace(const std::filesystem::path& directory, TraceStart start,
                       const TraceManifest& manifest, std::span<const Prompt> prompts,
                       const WriterOptions& options) {
  if (start == TraceStart::resume) {
    return TraceWriter::resume(directory, manifest, prompts, options);
  }
  return TraceWriter::create(directory, manifest, start == TraceStart::replace, options);
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

ManifestModel manifest_model(const ModelConfig& config, const std::string& router_sha256) {
  ManifestModel model;
  model.name = config.name;
  model.architecture = config.architecture->name;
  model.hidden_size = config.spec.hidden_size;
  model.shape = config.routing_shape();
  model.norm_topk_prob = config.spec.router().normalise;
  model.moe_layers = config.spec.moe_layers();
  model.config_sha256 = config.sha256;
  model.router_sha256 = router_sha256;
  model.deciding_config_sha256 = deciding_config_sha256(config);
  return model;
}

TraceManifest shadow_manifest(const TraceManifest& own, const ManifestShadow& shadow) {
  TraceManifest manifest = own;
  manifest.shadows.clear();
  manifest.shadow_router = shadow.router + ", " + shadow.form;
  manifest.model.name += " with router " + manifest.shadow_router;
  manifest.model.router_sha256 = shadow.weights_sha256;
  return manifest;
}

TraceJob plan_trace(const TraceSettings& settings, PromptSet prompts, const ModelConfig& config,
                    const std::string& router_sha256, const Tokenizer& tokenizer,
                    const ChatTemplate& chat_template, const std::atomic<bool>& stop) {
  const auto [begin, end] = select_prompts(prompts.prompts.size(), settings.limit, settings.shard);
  const PromptRange whole = select_prompts(prompts.prompts.size(), settings.limit, {});
  TraceJob job;
  CalibrationPrompts calibration;
  if (settings.calibrates) {
    const auto all =
        std::span<const Prompt>(prompts.prompts).subspan(whole.begin, whole.end - whole.begin);
    calibration = calibration_prompts(all.size(), [&](std::size_t i) {
      if (stop) throw Error(ErrorKind::interrupted, "interrupted");
      try {
        return tokenize_chat(chat_template, tokenizer, messages_of(all[i])).ids;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::data) throw;
        return std::vector<TokenId>();  // told where the prompt is to be traced
      }
    });
  }
  job.prompts.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i) job.prompts.push_back(std::move(prompts.prompts[i]));
  tokenize_prompts(job, settings, config, tokenizer, chat_template, stop);

  std::vector<std::int64_t> n_tokens;
  for (const TokenizedPrompt& prompt : job.tokenized) {
    n_tokens.push_back(
        n_forward_tokens(n_prompt_tokens(prompt), settings.generation.max_new_tokens));
  }
  complete_job(job, settings, n_tokens, config, router_sha256, tokenizer);
  set_calibration(job, std::move(calibration), begin - whole.begin);
  job.manifest.generation.template_name = chat_template.name();
  job.manifest.generation.template_date = chat_template.date();
  job.manifest.n_shard_prompts = static_cast<std::int64_t>(whole.end - whole.begin);
  job.manifest.prompts_sha256 = prompts.sha256;
  return job;
}

TraceJob plan_replay(const TraceSettings& settings, Recording recording, const ModelConfig& config,
                     const std::string& router_sha256, const Tokenizer& tokenizer) {
  std::vector<RecordedSequence>& all = recording.sequences;
  const auto [begin, end] = select_prompts(all.size(), settings.limit, settings.shard);
  const PromptRange whole = select_prompts(all.size(), settings.limit, {});
  TraceJob job;
  CalibrationPrompts calibration;
  if (settings.calibrates) {
    calibration = calibration_prompts(
        whole.end - whole.begin, [&](std::size_t i) { return prompt_ids(all[whole.begin + i]); });
  }
  check_tokenizers(recording, tokenizer);
  FailureList failures;
  std::vector<std::int64_t> n_tokens;
  for (std::size_t i = begin; i < end; ++i) {
    RecordedSequence& sequence = all[i];
    const std::string failure = replay_failure(sequence, config, tokenizer);
    if (!failure.empty()) failures.add(sequence.where, sequence.prompt, failure);
    n_tokens.push_back(n_forward_tokens(sequence.n_prompt_tokens, sequence.n_generated_tokens()));
    job.tokenized.push_back({prompt_ids(sequence), std::move(sequence.is_template)});
    job.replayed.push_back(
        {std::vector<TokenId>(sequence.token_ids.begin() + sequence.n_prompt_tokens,
                              sequence.token_ids.end()),
         std::move(sequence.completion), std::move(sequence.finish_reason)});
    job.prompts.push_back(std::move(sequence.prompt));
  }
  failures.throw_if_any();
  TraceSettings without = settings;
  without.generation.max_new_tokens = 0;
  complete_job(job, without, n_tokens, config, router_sha256, tokenizer);
  set_calibration(job, std::move(calibration), begin - whole.begin);
  job.manifest.generation = std::move(recording.generation);
  job.manifest.n_shard_prompts = static_cast<std::int64_t>(whole.end - whole.begin);
  job.manifest.prompts_sha256 = recording.identity.tokens_sha256;
  job.manifest.replay = std::move(recording.identity);
  return job;
}

void record_backend(const ModelOptions& options, const RuntimeInfo& info, TraceManifest& manifest) {
  const KernelChoice kernels = kernels_in_use(options, info);
  manifest.instruction_set = info.instruction_set;
  // Which of several equal devices decides nothing.
  manifest.device = options.device.substr(0, options.device.find(':'));
  manifest.backend = info.backend;
  manifest.kernels = kernels.name;
  manifest.bits = kernels.bits;
}

void TraceOutput::check(const TraceManifest& manifest) const {
  if (start == TraceStart::resume) {
    TraceWriter::check_resume(directory, manifest);
  } else {
    TraceWriter::check_create(directory, start == TraceStart::replace);
  }
}

bool TraceOutput::is_finished(const TraceJob& job) const {
  return start == TraceStart::resume &&
         TraceWriter::is_finished(directory, job.manifest, job.prompts);
}

TraceWriter TraceOutput::open(const TraceJob& job, const WriterOptions& options) const {
  return open_trace(directory, start, job.manifest, job.prompts, options);
}

std::filesystem::path TraceOutput::shadow_directory(const ManifestShadow& shadow) const {
  std::string name = shadow.router;
  if (shadow.form != "plain") name += "-" + shadow.form;
  for (char& c : name) {
    if (c == ':' || c == ' ') c = '-';
  }
  return directory / "shadows" / name;
}

std::vector<TraceWriter> TraceOutput::open_shadows(const TraceJob& job) const {
  std::vector<TraceWriter> writers;
  for (const ManifestShadow& shadow : job.manifest.shadows) {
    writers.push_back(open_trace(shadow_directory(shadow), start,
                                 shadow_manifest(job.manifest, shadow), job.prompts, {}));
  }
  return writers;
}

void run_trace(const TraceJob& job, TraceWriter& writer, Model& model, const Tokenizer& tokenizer,
               const std::atomic<bool>& stop, const OnTraceProgress& on_progress,
               std::span<TraceWriter> shadow_writers) {
  try {
    run_batches(job, writer, shadow_writers, model, tokenizer, stop, on_progress);
  } catch (...) {
    for (TraceWriter& shadow : shadow_writers) shadow.discard_if_empty();
    writer.discard_if_empty();
    throw;
  }
}

}  // namespace moexray
