#include <fmt/core.h>

#include <charconv>
#include <optional>
#include <sstream>
#include <utility>

#include "commands.h"
#include "console.h"
#include "hash_weights.h"
#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/locate.h"
#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/report/visible.h"
#include "moexray/runtime/batch_plan.h"
#include "moexray/runtime/kernels.h"
#include "moexray/runtime/modules.h"
#include "moexray/runtime/shadows.h"
#include "moexray/runtime/trace_run.h"
#include "moexray/runtime/trace_summary.h"
#include "moexray/trace/shadows.h"
#include "open_tokenizer.h"
#include "progress.h"
#include "standard_input.h"

namespace moexray::app {
namespace {

[[noreturn]] void refuse(const std::string& flag, std::string expected, const std::string& found) {
  throw Error(ErrorKind::usage,
              {"wrong value", flag, std::move(expected), found.empty() ? "" : '"' + found + '"'});
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Shard parse_shard(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto index = whole_number(std::string_view(text).substr(0, slash));
  const auto count = slash == std::string::npos
                         ? std::nullopt
                         : whole_number(std::string_view(text).substr(slash + 1));
  if (!index || !count || *index < 0 || *index >= *count || *count > 1'000'000) {
    refuse("--shard", "I/N with 0 <= I < N <= 1000000", text);
  }
  return {static_cast<int>(*index), static_cast<int>(*count)};
}

std::int64_t parse_batch(const std::string& text) {
  if (text == "auto") return 0;
  const auto size = whole_number(text);
  if (!size || *size < 1 || *size > 100'000) refuse("--batch", "auto or 1 to 100000", text);
  return *size;
}

void check_device(const std::string& text) {
  if (text == "cpu" || text == "cuda") return;
  const auto index = text.starts_with("cuda:") ? whole_number(text.substr(5)) : std::nullopt;
  if (!index || *index < 0 || *index > 1'000) refuse("--device", "cpu, cuda or cuda:N", text);
}

std::int64_t parse_memory(const std::string& text) {
  try {
    return parse_memory_size(text);
  } catch (const Error& error) {
    refuse("--memory", error.parts().expected, text);
  }
}

// Prompts, and what they would be continued by, are those of the replayed trace.
void check_replay(const Arguments& arguments) {
  if (!arguments.positionals().empty()) {
    throw Error(ErrorKind::usage, "give either PROMPTS or --replay");
  }
  for (const char* key :
       {"prompt", "max-new-tokens", "template", "template-date", "ignore-eos", "do-sample",
        "temperature", "top-p", "seed", "prompt-key", "id-key", "category-key"}) {
    if (!arguments.given(key)) continue;
    throw Error(ErrorKind::usage,
                fmt::format("--{} and --replay: tokens are fed as they were recorded", key));
  }
  const std::filesystem::path output = arguments.text("output");
  for (const std::string& replayed : arguments.texts("replay")) {
    std::error_code ignored;
    if (!std::filesystem::equivalent(replayed, output, ignored)) continue;
    throw Error(ErrorKind::usage, {"a trace cannot replace the one that it replays", "--output",
                                   "another directory than that of --replay", replayed});
  }
}

// Flags that would silently have no effect are mistakes.
void check_combinations(const Arguments& arguments) {
  const auto fail = [](const char* what) { throw Error(ErrorKind::usage, what); };
  if (arguments.given("replay")) check_replay(arguments);
  if (arguments.given("prompt") && !arguments.positionals().empty()) {
    fail("give either PROMPTS or --prompt");
  }
  if (!arguments.given("prompt") && !arguments.given("replay") && arguments.positionals().empty()) {
    fail("missing argument PROMPTS (or --prompt TEXT, or --replay TRACE)");
  }
  for (const char* key : {"temperature", "top-p"}) {
    if (arguments.given(key) && !arguments.on("do-sample")) {
      throw Error(ErrorKind::usage, fmt::format("--{} needs --do-sample", key));
    }
  }
  if (arguments.given("kernels") && arguments.text("kernels") != "plain" &&
      (arguments.text("dtype") != "bfloat16" || arguments.text("device") != "cpu")) {
    throw Error(ErrorKind::usage,
                fmt::format("--kernels {} needs --dtype bfloat16 and --device cpu",
                            arguments.text("kernels")));
  }
  if (arguments.on("resume") && arguments.on("force")) fail("give either --resume or --force");
  if (arguments.on("shadow-events") && !arguments.given("shadow")) {
    fail("--shadow-events needs --shadow");
  }
}

TraceSettings settings_of(const Arguments& arguments) {
  check_combinations(arguments);
  check_device(arguments.text("device"));
  TraceSettings settings;
  GenerationOptions& generation = settings.generation;
  generation.max_new_tokens = arguments.integer("max-new-tokens");
  generation.do_sample = arguments.on("do-sample");
  generation.temperature = arguments.number("temperature");
  if (generation.temperature <= 0) refuse("--temperature", "a number above 0", "0");
  generation.top_p = arguments.number("top-p");
  generation.seed = static_cast<std::uint64_t>(arguments.integer("seed"));
  generation.ignore_eos = arguments.on("ignore-eos");
  generation.router_logits = arguments.on("router-logits");
  generation.score = arguments.on("score");
  settings.dtype = arguments.text("dtype");
  settings.batch = parse_batch(arguments.text("batch"));
  settings.memory_bytes = parse_memory(arguments.text("memory"));
  if (arguments.given("limit"))
    settings.limit = static_cast<std::size_t>(arguments.integer("limit"));
  if (arguments.given("shard")) settings.shard = parse_shard(arguments.text("shard"));
  settings.events = arguments.text("events") == "flat" ? EventsForm::flat : EventsForm::grouped;
  settings.compress = arguments.on("compress");
  settings.calibrates = arguments.given("shadow");
  settings.prompts_name = "--prompt";
  if (!arguments.positionals().empty()) {
    const std::string& path = arguments.positionals().front();
    settings.prompts_name = path == "-" ? "standard input" : path;
  }
  return settings;
}

PromptSet read_all_prompts(const Arguments& arguments, const TraceSettings& settings,
                           const Console& console) {
  if (arguments.given("prompt")) return single_prompt(arguments.text("prompt"));
  const PromptReadOptions options{arguments.text("prompt-key"), arguments.text("id-key"),
                                  arguments.text("category-key")};
  const std::string& path = arguments.positionals().front();
  if (path != "-") return read_prompts(path, options);
  std::istringstream input(read_standard_input(console));
  return read_prompts(input, settings.prompts_name, options);
}

void report_similar_categories(const PromptSet& prompts, Console& console) {
  std::vector<std::string> categories;
  for (const Prompt& prompt : prompts.prompts) categories.push_back(prompt.category);
  const std::string notice = report::similar_names_notice("categories", categories);
  if (!notice.empty()) console.notice(notice);
}

std::unique_ptr<ChatTemplate> choose_template(const Arguments& arguments,
                                              const std::filesystem::path& model_directory,
                                              const Tokenizer& tokenizer) {
  const std::string name = arguments.text("template");
  const std::string date = arguments.text("template-date");
  auto chat_template = name == "auto" ? recognise_chat_template(model_directory, tokenizer, date)
                                      : make_chat_template(name, tokenizer, date);
  if (arguments.given("template-date") && chat_template->date().empty()) {
    throw Error(ErrorKind::usage,
                fmt::format("--template-date: the chat template \"{}\" writes no date",
                            chat_template->name()));
  }
  return chat_template;
}

void report_plan(const TraceJob& job, const TraceWriter& writer, Console& console) {
  const TraceManifest& manifest = writer.manifest();
  if (writer.n_committed_prompts() > 0) {
    console.notice(fmt::format("continuing after {} of {}", writer.n_committed_prompts(),
                               counted(manifest.n_prompts, "prompt")));
  }
  std::size_t longest = 0;
  for (const TokenizedPrompt& prompt : job.tokenized)
    longest = std::max(longest, prompt.ids.size());
  console.notice(
      fmt::format("{} of at most {} in {} of up to {}", counted(manifest.n_prompts, "prompt"),
                  counted(static_cast<std::int64_t>(longest), "token"),
                  counted(std::ssize(manifest.plan), "batch", "batches"), manifest.batch));
}

TraceOutput output_of(const Arguments& arguments) {
  TraceOutput output{arguments.text("output")};
  if (arguments.on("resume")) output.start = TraceStart::resume;
  if (arguments.on("force")) output.start = TraceStart::replace;
  return output;
}

// What a trace that is to be resumed was begun with. A run that was stopped while it wrote that has
// no prompts yet, and begins anew.
std::optional<ShadowHeader> begun_with(const TraceOutput& output) {
  if (output.start != TraceStart::resume) return std::nullopt;
  try {
    return read_shadow_header(output.directory);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    return std::nullopt;
  }
}

// Gives the shadows their biases, or the first pass of the run the task to fit them.
void calibrate(const TraceOutput& output, TraceJob& job, Model& model, ShadowRouters& shadows,
               Console& console) {
  if (auto header = begun_with(output)) {
    shadows.set_biases(std::move(header->biases));
    return;
  }
  std::size_t n_tokens = 0;
  for (const std::vector<TokenId>& prompt : job.calibration) n_tokens += prompt.size();
  console.notice(fmt::format("calibrating shadow routers on {} of {}",
                             counted(static_cast<std::int64_t>(n_tokens), "token"),
                             counted(std::ssize(job.calibration), "prompt")));
  // Prompts may go through the model in another order where a row's results do not depend on the
  // other rows of its pass: where they are not libtorch's own.
  const bool any_order = job.manifest.kernels != "plain";
  if (any_order && output.start != TraceStart::resume && !job.calibration_parts.empty()) {
    job.generation.calibration = {job.calibration_parts, shadows.fitting()};
  } else {
    shadows.calibrate(model, job.calibration, job.generation.policy.get());
  }
}

// Nothing is written before the model is loaded, and nothing replaced before there is a batch: a
// run that cannot begin leaves what it found.
void trace_to(const TraceOutput& output, TraceJob& job, Model& model, const Tokenizer& tokenizer,
              ShadowRouters& shadows, Console& console) {
  const std::atomic<bool>& stop = console.stop_requested();
  if (stop) throw Error(ErrorKind::interrupted, "interrupted");
  if (!shadows.empty()) {
    shadows.prepare(model);
    calibrate(output, job, model, shadows, console);
    job.generation.shadows = shadows.watching();
  }
  TraceWriter writer = output.open(job, {.shadow_biases = shadows.biases()});
  std::vector<TraceWriter> shadow_writers;
  if (job.generation.shadow_events) shadow_writers = output.open_shadows(job);
  report_plan(job, writer, console);
  Progress progress(console, "tracing", 0, "tokens");
  try {
    const auto on_progress = [&](const TraceProgress& now) {
      progress.set_total(now.n_expected);
      progress.update(now.n_done, now.seconds_left);
    };
    run_trace(job, writer, model, tokenizer, stop, on_progress, shadow_writers);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted) throw;
    throw Error(ErrorKind::interrupted,
                std::string(error.what()) +
                    "; run the same command with --resume (in place of --force) to finish");
  }
  if (progress.done() > 0) progress.finish();
}

// Reads what is to be traced, and plans it.
TraceJob plan(const Arguments& arguments, const TraceSettings& settings,
              const Checkpoint& checkpoint, std::optional<PromptSet> prompts,
              const Tokenizer& tokenizer, Console& console) {
  if (prompts) {
    const auto chat_template = choose_template(arguments, checkpoint.directory(), tokenizer);
    return plan_trace(settings, std::move(*prompts), checkpoint.config(),
                      checkpoint.router_sha256(), tokenizer, *chat_template,
                      console.stop_requested());
  }
  const std::vector<std::string>& names = arguments.texts("replay");
  const std::vector<std::filesystem::path> directories(names.begin(), names.end());
  return plan_replay(settings, read_recording(directories), checkpoint.config(),
                     checkpoint.router_sha256(), tokenizer);
}

void run(const Arguments& arguments, Console& console) {
  const TraceSettings settings = settings_of(arguments);
  const TraceOutput output = output_of(arguments);
  const std::filesystem::path model_directory = arguments.given("model")
                                                    ? find_checkpoint(arguments.text("model"))
                                                    : data_directory() / "models" / "mini-olmoe";
  // Inputs first, the cheap ones before the others; then the output; then the weights.
  std::optional<PromptSet> prompts;
  if (!arguments.given("replay")) {
    prompts = read_all_prompts(arguments, settings, console);
    report_similar_categories(*prompts, console);
  }
  const Checkpoint checkpoint(model_directory);
  for (const std::string& notice : checkpoint.config().notices) console.notice(notice);
  const auto tokenizer = open_tokenizer_of(model_directory, console);
  TraceJob job = plan(arguments, settings, checkpoint, std::move(prompts), *tokenizer, console);

  ShadowRouters shadows;
  if (arguments.given("shadow")) {
    shadows = ShadowRouters(parse_shadows(arguments.texts("shadow")), checkpoint);
    job.manifest.shadows = shadows.shadows();
    job.generation.shadow_events = arguments.on("shadow-events");
  }

  Runtime& runtime = load_runtime();
  const int n_threads =
      arguments.given("threads") ? static_cast<int>(arguments.integer("threads")) : 0;
  const ModelOptions options{settings.dtype, arguments.text("device"), n_threads,
                             arguments.text("kernels")};
  runtime.check(options);
  const RuntimeInfo info = runtime.info();
  record_backend(options, info, job.manifest);
  if (info.is_reference_blas) {
    console.warn("libtorch uses the reference BLAS (" + info.blas +
                 "), which is about a hundred times slower than an optimised one; install "
                 "libopenblas0-openmp");
  }
  output.check(job.manifest);
  job.manifest.model.weights_xxh3 =
      hash_weights(checkpoint, n_threads, arguments.on("rehash"), console);
  if (output.is_finished(job)) {
    console.notice("nothing left to do");
  } else {
    const auto model = runtime.load(checkpoint, options);
    trace_to(output, job, *model, *tokenizer, shadows, console);
  }
  job = {};  // the summary reads the prompts back from disk: once in memory is enough
  console.print(trace_summary(output.directory));
}

std::vector<Flag> flags() {
  return {
      {.name = "-o,--output",
       .value_name = "DIR",
       .default_value = "traces",
       .help = "trace directory to write"},
      {.name = "--model",
       .value_name = "DIR",
       .help = "checkpoint directory in Hugging Face layout [default: the bundled mini-olmoe]"},
      {.name = "--prompt", .value_name = "TEXT", .help = "trace this one prompt, no file"},
      {.name = "--replay",
       .value_name = "TRACE",
       .help = "feed the tokens that a trace recorded, prompts and what was generated, in place of "
               "PROMPTS: with another model, type or router, every position of the new trace is "
               "that of the recorded one. May be repeated, for shards",
       .repeated = true},
      {.name = "--score",
       .type = FlagType::on_off,
       .help = "also record the log-probability of each token given those before it (logprobs in "
               "prompts.jsonl)"},
      {.name = "--max-new-tokens",
       .type = FlagType::integer,
       .value_name = "N",
       .default_value = "32",
       .help = "tokens to generate at most; 0: trace the prompt alone",
       .min = 0,
       .max = 1e9},
      {.name = "--template",
       .value_name = "NAME",
       .default_value = "auto",
       .help = "chat template: auto (the checkpoint's), none (raw text) or a name"},
      {.name = "--template-date",
       .value_name = "YYYY-MM-DD",
       .default_value = std::string(default_template_date),
       .help =
           "the day that a chat template writes which asks for today's; fixed, so that the same "
           "run gives the same trace"},
      {.name = "--ignore-eos",
       .type = FlagType::on_off,
       .help = "never end early: the end token gets logit -inf"},
      {.name = "--do-sample",
       .type = FlagType::on_off,
       .help = "sample; without it the most probable token is taken"},
      {.name = "--temperature",
       .type = FlagType::number,
       .value_name = "X",
       .default_value = "1",
       .help = "sampling temperature, above 0",
       .min = 0},
      {.name = "--top-p",
       .type = FlagType::number,
       .value_name = "X",
       .default_value = "1",
       .help = "sample among the most probable tokens that hold this share",
       .min = 0,
       .max = 1},
      {.name = "--seed",
       .type = FlagType::integer,
       .value_name = "N",
       .default_value = "0",
       .help = "of the random streams, one per prompt",
       .min = 0},
      {.name = "--dtype",
       .type = FlagType::choice,
       .default_value = "bfloat16",
       .help = "type of the computation",
       .choices = {"bfloat16", "float32"}},
      {.name = "--device",
       .value_name = "NAME",
       .default_value = "cpu",
       .help = "cpu, cuda or cuda:N"},
      {.name = "--kernels",
       .type = FlagType::choice,
       .default_value = "fast",
       .help = "what multiplies in bfloat16 on the CPU: fast (the best of moexray's own products), "
               "plain (libtorch's), or one of moexray's sets by name",
       .choices = kernel_names()},
      {.name = "--rehash",
       .type = FlagType::on_off,
       .help = "read all weights for their hash, even if the hash of these very files was kept in "
               "the user's cache"},
      {.name = "--threads",
       .type = FlagType::integer,
       .value_name = "N",
       .help = "threads to compute with [default: all that the process may use]",
       .min = 1,
       .max = 4096},
      {.name = "--batch",
       .value_name = "N",
       .default_value = "auto",
       .help = "prompts per batch; auto: as many as --memory allows, up to 128"},
      {.name = "--memory",
       .value_name = "SIZE",
       .default_value = "4GiB",
       .help =
           "for the caches and records of one batch (512M, 4GiB); weights and the records of the "
           "batch that is being written come on top. A fixed figure, so that the plan does not "
           "depend on the machine"},
      {.name = "--events",
       .type = FlagType::choice,
       .default_value = "grouped",
       .help = "one record per token and layer, or one per event",
       .choices = {"grouped", "flat"}},
      {.name = "--router-logits",
       .type = FlagType::on_off,
       .help = "also record the router's values before the softmax"},
      {.name = "--shadow",
       .value_name = "ROUTER",
       .help = "also record what other routers would choose for the same hidden states, without "
               "using it: random (20 of them), random:SEED[,...] (Gaussian rows with the norms of "
               "the trained ones), permuted-dims:SEED[,...] (the trained rows, dimensions "
               "permuted) or router:CHECKPOINT (another checkpoint's). Those made of a seed "
               "choose twice, the second time with a bias for each expert that gives it the "
               "trained one's load. May be repeated; see moexray shadow",
       .repeated = true},
      {.name = "--shadow-events",
       .type = FlagType::on_off,
       .help = "also write each shadow as a trace directory of its own, into DIR/shadows"},
      {.name = "--compress", .type = FlagType::on_off, .help = "compress the events with zstd"},
      {.name = "--resume",
       .type = FlagType::on_off,
       .help = "continue an unfinished trace with the same model, prompts and settings"},
      {.name = "--force",
       .type = FlagType::on_off,
       .help = "replace an existing trace, never other files"},
      {.name = "--limit",
       .type = FlagType::integer,
       .value_name = "N",
       .help = "only the first N prompts",
       .min = 1},
      {.name = "--shard",
       .value_name = "I/N",
       .help =
           "only the I-th of N consecutive parts, 0 <= I < N; the parts together are the whole"},
      {.name = "--prompt-key",
       .value_name = "KEY",
       .default_value = "prompt",
       .help = "JSON key of the prompt"},
      {.name = "--id-key",
       .value_name = "KEY",
       .default_value = "id",
       .help = "JSON key of the id"},
      {.name = "--category-key",
       .value_name = "KEY",
       .default_value = "category",
       .help = "JSON key of the category"},
  };
}

}  // namespace

Command trace_command() {
  return {
      .name = "trace",
      .group = CommandGroup::trace,
      .summary = "run prompts through a model and record which experts every token is routed to",
      .description =
          "Loads a checkpoint, continues every prompt, and writes a trace directory: "
          "manifest.json, "
          "prompts.jsonl (a line per finished prompt) and events-NNNNN.jsonl (a record per token "
          "and MoE layer).\n\nPROMPTS is a JSON Lines file: {\"id\": \"code-01\", \"category\": "
          "\"code\", \"prompt\": \"...\"}; \"id\" and \"category\" are optional, \"messages\" may "
          "stand in place of \"prompt\". All prompts are checked before the model is loaded, "
          "and nothing is written before it is.\n\n"
          "Ctrl-C, SIGTERM and SIGHUP stop after the forward pass that is under way; a trace "
          "stopped by one of them, or by anything else, is completed by the same command with "
          "--resume, to the same bytes.",
      .positionals = {{.name = "PROMPTS",
                       .help = "JSON Lines file of prompts, or - for standard input",
                       .required = false}},
      .flags = flags(),
      .examples = {{"moexray trace prompts/paper80.jsonl -o traces",
                    "Trace 80 prompts with the bundled model."},
                   {"moexray trace prompts.jsonl --model ~/OLMoE-1B-7B-0125-Instruct --compress",
                    "Trace with a downloaded checkpoint; the events are compressed."},
                   {"moexray trace --prompt \"def add(a, b):\" --template none --max-new-tokens 8",
                    "Trace one raw text."},
                   {"moexray trace --replay traces --dtype float32 --score -o traces-float32",
                    "Feed the same tokens again in float32, generated ones included, and record "
                    "how probable each was."},
                   {"moexray trace prompts.jsonl --shard 0/4 -o traces-0",
                    "The first quarter of a file; other machines do the rest, and the analysis "
                    "commands take all four directories."}},
      .run = run,
  };
}

}  // namespace moexray::app
