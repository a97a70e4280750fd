// Measures a checkpoint of full size, each figure beside the limit that the machine sets:
//
//   full_size DIR [fast|plain]
//
// A decode step can take no less than the bytes of the weights it touches / B and 2 · its
// multiply-adds / F; prefill no less than 2 · its multiply-adds / F. B, the rate at which all
// threads read the mapped weights, and F, the rate of the processor's best multiply-add
// instructions, are measured in turns with the work.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <numeric>
#include <optional>
#include <string>

#include "machine_limits.h"
#include "moexray/checkpoint/checkpoint.h"
#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/core/system.h"
#include "moexray/runtime/generate.h"
#include "moexray/runtime/modules.h"

namespace moexray::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Bytes of weights and multiply-adds of forward passes.
struct Work {
  double bytes = 0;
  double multiply_adds = 0;
};

// What every token needs besides its experts, and what the experts need.
class WorkCounter : public RouterTap {
 public:
  explicit WorkCounter(const ModelConfig& config)
      : config_(config), used_(static_cast<std::size_t>(config.num_experts)) {}

  void on_router(const RouterBatch& batch) override {
    std::fill(used_.begin(), used_.end(), 0);
    for (const ExpertId e : batch.experts) used_[static_cast<std::size_t>(e)] = 1;
    n_active_ += std::accumulate(used_.begin(), used_.end(), 0.0);
  }

  // The work of the pass that has just gone by.
  Work take(double n_tokens, double n_logit_rows) {
    const double hidden = config_.hidden_size, layers = config_.num_hidden_layers,
                 q = static_cast<double>(config_.num_attention_heads) * config_.head_dim(),
                 kv = static_cast<double>(config_.num_key_value_heads) * config_.head_dim(),
                 dense = layers * hidden * (2 * q + 2 * kv + config_.num_experts),
                 expert = 3 * hidden * config_.intermediate_size,
                 head = hidden * config_.vocab_size;
    const Work work{
        2 * (dense + n_active_ * expert + head),
        n_tokens * (dense + layers * config_.num_experts_per_tok * expert) + n_logit_rows * head};
    n_active_ = 0;
    return work;
  }

 private:
  const ModelConfig& config_;
  std::vector<char> used_;
  double n_active_ = 0;
};

// Passes on to a model, and adds up the time of its passes and their limits.
class MeteredModel : public Model {
 public:
  MeteredModel(Model& model, const MachineLimits& limits)
      : model_(model), limits_(limits), counter_(model.config()) {}

  const ModelConfig& config() const override { return model_.config(); }
  std::unique_ptr<Session> new_session(std::span<const std::int64_t> capacities) override {
    return model_.new_session(capacities);
  }

  std::vector<float> forward(Session& session, std::span<const SequenceChunk> chunks,
                             LogitsOf logits_of, RouterTap* tap) override {
    struct Both : RouterTap {
      RouterTap *a, *b;
      void on_router(const RouterBatch& batch) override {
        a->on_router(batch);
        if (b != nullptr) b->on_router(batch);
      }
    } both;
    both.a = &counter_;
    both.b = tap;
    std::size_t n_tokens = 0;
    for (const SequenceChunk& chunk : chunks) n_tokens += chunk.token_ids.size();
    const auto start = Clock::now();
    auto logits = model_.forward(session, chunks, logits_of, hooks ? &both : nullptr);
    seconds += seconds_since(start);
    if (!hooks) return logits;
    const Work work =
        counter_.take(static_cast<double>(n_tokens), static_cast<double>(chunks.size()));
    const double compute = 2 * work.multiply_adds / limits_.multiply_rate,
                 reading = work.bytes / limits_.read_rate;
    // One token a sequence is a decode step: its weights cannot be read less than once.
    limit += n_tokens == chunks.size() ? std::max(compute, reading) : compute;
    return logits;
  }

  bool hooks = true;
  double seconds = 0, limit = 0;

 private:
  Model& model_;
  const MachineLimits& limits_;
  WorkCounter counter_;
};

class Measurement {
 public:
  Measurement(const Checkpoint& checkpoint, Model& model)
      : checkpoint_(checkpoint), model_(model), metered_(model, limits_) {
    for (TokenId& id : ids_) id = static_cast<TokenId>(random_.below(50'000));
  }

  void run() {
    fmt::print("{:<36} {:>9} {:>9} {:>8} {:>12} {:>7} {:>9}\n", "", "seconds", "limit", "share",
               "tokens/s", "B GB/s", "F GFLOP/s");
    prefill("prefill of 2,048 tokens", 1, 2048);
    prefill("prefill of 80 x 40 tokens", 80, 40);
    for (const int n : {1, 8, 32, 80}) decode(n);
    hooks_cost();
    whole_experiment();
  }

 private:
  void measure_limits() { limits_ = measure_machine_limits(checkpoint_); }

  std::unique_ptr<Session> session(std::size_t n, std::int64_t capacity) {
    return metered_.new_session(std::vector<std::int64_t>(n, capacity));
  }

  std::vector<SequenceChunk> chunks(std::size_t n, std::size_t length) const {
    std::vector<SequenceChunk> all;
    for (std::size_t i = 0; i < n; ++i) {
      all.push_back({static_cast<int>(i), std::span(ids_).subspan(i * 16, length)});
    }
    return all;
  }

  // The limits of before and after the work, halved, stand for those during it.
  template <typename Run>
  void line(const std::string& name, double n_tokens, const Run& work) {
    measure_limits();
    const MachineLimits before = limits_;
    metered_.seconds = metered_.limit = 0;
    work();
    measure_limits();
    const double factor = before.read_rate / std::midpoint(before.read_rate, limits_.read_rate);
    fmt::print("{:<36} {:>9.3f} {:>9.3f} {:>7.1f}% {:>12.1f} {:>7.1f} {:>9.0f}\n", name,
               metered_.seconds, metered_.limit * factor,
               100 * metered_.limit * factor / metered_.seconds, n_tokens / metered_.seconds,
               std::midpoint(before.read_rate, limits_.read_rate) / 1e9,
               std::midpoint(before.multiply_rate, limits_.multiply_rate) / 1e9);
    std::fflush(stdout);
  }

  void prefill(const std::string& name, std::size_t n, std::size_t length) {
    line(name, static_cast<double>(n * length), [&] {
      const auto all = session(n, static_cast<std::int64_t>(length));
      metered_.forward(*all, chunks(n, length), LogitsOf::last_token, nullptr);
    });
  }

  void decode(int n_sequences) {
    constexpr int n_steps = 16, n_prompt = 8;
    const auto n = static_cast<std::size_t>(n_sequences);
    const auto all = session(n, n_prompt + n_steps);
    metered_.forward(*all, chunks(n, n_prompt), LogitsOf::last_token, nullptr);
    line(fmt::format("decode of {} sequences, {} steps", n, n_steps), n_steps * n_sequences, [&] {
      for (int step = 0; step < n_steps; ++step) {
        auto next = chunks(n, 1);
        for (auto& chunk : next) {
          chunk.token_ids = std::span(ids_).subspan(random_.below(ids_.size()), 1);
        }
        metered_.forward(*all, next, LogitsOf::last_token, nullptr);
      }
    });
  }

  // The same decode steps with and without the routers' hooks, in turns.
  void hooks_cost() {
    constexpr int n_steps = 40;
    double with = 0, without = 0;
    const auto all = session(8, n_steps + 1);
    for (int step = 0; step < n_steps; ++step) {
      metered_.hooks = step % 2 == 0;
      metered_.seconds = 0;
      metered_.forward(*all, chunks(8, 1), LogitsOf::last_token, nullptr);
      (metered_.hooks ? with : without) += metered_.seconds;
    }
    metered_.hooks = true;
    fmt::print("{:<36} {:>+8.1f}%\n", "hooks on, decode of 8 sequences",
               100 * (with / without - 1));
  }

  // As `trace` runs it: 80 prompts of 55 tokens, 32 new ones each.
  void whole_experiment() {
    std::vector<GenerationInput> inputs;
    for (std::size_t i = 0; i < 80; ++i)
      inputs.push_back({"", std::span(ids_).subspan(i * 16, 55)});
    line("80 prompts of 55 tokens, 32 new", 80 * (55 + 31), [&] {
      const auto start = Clock::now();
      const std::atomic<bool> stop = false;
      GenerationOptions options;
      options.eos_token_ids = checkpoint_.config().eos_token_ids;
      options.ignore_eos = true;
      generate(metered_, inputs, options, stop);
      metered_.seconds = seconds_since(start);
    });
  }

  const Checkpoint& checkpoint_;
  Model& model_;
  MachineLimits limits_;
  MeteredModel metered_;
  RandomStream random_{1, "tokens"};
  std::vector<TokenId> ids_ = std::vector<TokenId>(4096);
};

// A figure of /proc/self/smaps_rollup, in GB.
double memory_gigabytes(const std::string& key) {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1)) * 1024 / 1e9;
  }
  return 0;
}

void measure(const std::string& directory, const std::string& kernels) {
  auto start = Clock::now();
  const Checkpoint checkpoint(directory);
  ModelOptions options;
  options.kernels = kernels;
  const auto model = load_runtime().load(checkpoint, options);
  const double load_seconds = seconds_since(start);
  const std::vector<TokenId> ids(40, 100);
  const auto session = model->new_session(std::vector<std::int64_t>{40});
  model->forward(*session, std::vector<SequenceChunk>{{0, ids}}, LogitsOf::last_token, nullptr);
  fmt::print("{} threads, {} kernels; loaded in {:.2f} s, first token of 40 after {:.2f} s\n",
             available_threads(), kernels, load_seconds, seconds_since(start));
  Measurement(checkpoint, *model).run();
  fmt::print("resident {:.2f} GB, of it private (anonymous) {:.2f} GB\n", memory_gigabytes("Rss"),
             memory_gigabytes("Anonymous"));
}

}  // namespace
}  // namespace moexray::bench

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fmt::print(stderr, "usage: full_size DIR [fast|plain]\n");
    return 2;
  }
  try {
    moexray::bench::measure(argv[1], argc == 3 ? argv[2] : "fast");
  } catch (const std::exception& error) {
    fmt::print(stderr, "full_size: {}\n", error.what());
    return 1;
  }
}
