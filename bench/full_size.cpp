// Measures a checkpoint of full size, each figure beside the limit that the machine sets:
//
//   full_size DIR [fast|plain [experiment]]
//
// A decode step can take no less than the bytes of the weights it touches / B and 2 · its
// multiply-adds / F; prefill no less than 2 · its multiply-adds / F. B, the rate at which all
// threads read the mapped weights, and F, the rate of the processor's best multiply-add
// instructions, are measured in turns with the work.
//
// "experiment" measures nothing but the 80 traced prompts. bench/full_size.sh makes the checkpoint
// and runs this.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <string>

#include "machine_limits.h"
#include "memory_peak.h"
#include "metered_model.h"
#include "moexray/checkpoint/checkpoint.h"
#include "moexray/core/random.h"
#include "moexray/core/system.h"
#include "moexray/runtime/modules.h"
#include "other_work.h"
#include "traced_batches.h"

namespace moexray::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

MachineLimits midpoint(const MachineLimits& a, const MachineLimits& b) {
  return {std::midpoint(a.read_rate, b.read_rate), std::midpoint(a.multiply_rate, b.multiply_rate)};
}

class Measurement {
 public:
  Measurement(const Checkpoint& checkpoint, Model& model, std::string kernels)
      : checkpoint_(checkpoint), model_(model), metered_(model), kernels_(std::move(kernels)) {
    const auto n_vocab = static_cast<std::uint64_t>(model.config().spec.vocab_size);
    for (TokenId& id : ids_) id = static_cast<TokenId>(random_.below(n_vocab));
  }

  void run() {
    print_head();
    prefill("first pass, maps the weights' pages", 1, 512);
    prefill("prefill of 2,048 tokens", 1, 2048);
    prefill("prefill of 80 x 40 tokens", 80, 40);
    for (const int n : {1, 8, 32, 80}) decode(n);
    whole_experiment();
    tracing_cost();
  }

  // For a checkpoint that memory does not hold: every pass reads it from the disk. Once.
  void run_experiment() {
    n_tries_ = 1;
    print_head();
    whole_experiment();
  }

 private:
  static void print_head() {
    fmt::print("{:<42} {:>8} {:>8} {:>7} {:>9} {:>7} {:>9}\n", "", "seconds", "limit", "share",
               "tokens/s", "B GB/s", "F GFLOP/s");
    std::fflush(stdout);
  }

  // `n` prompts of `length` random tokens, which overlap.
  std::vector<std::span<const TokenId>> prompts(std::size_t n, std::size_t length) const {
    std::vector<std::span<const TokenId>> all;
    for (std::size_t i = 0; i < n; ++i) all.push_back(std::span(ids_).subspan(i * 16, length));
    return all;
  }

  std::vector<SequenceChunk> chunks(std::size_t n, std::size_t length) const {
    std::vector<SequenceChunk> all;
    for (const auto ids : prompts(n, length)) all.push_back({static_cast<int>(all.size()), ids});
    return all;
  }

  std::unique_ptr<Session> session(std::size_t n, std::size_t capacity) {
    return metered_.new_session(std::vector<std::int64_t>(n, static_cast<std::int64_t>(capacity)));
  }

  // Prints what `work` took: the time of its forward passes or, if it returns one, its own. The
  // limits before and after it, halved, stand for those during it. Where others used more than a
  // twentieth of the processors it is done again, twice at most, and then marked.
  template <typename Run>
  void line(const std::string& name, double n_tokens, const Run& work) {
    constexpr double quiet = 0.05;
    for (int i = 1; i <= n_tries_; ++i) {
      const OtherWork others;
      const MachineLimits before = measure_machine_limits(checkpoint_);
      metered_.reset();
      const double seconds = work();
      const MachineLimits limits = midpoint(before, measure_machine_limits(checkpoint_));
      const double share = others.share();
      if (share > quiet && i < n_tries_) continue;
      const double limit = metered_.limit(limits);
      fmt::print("{:<42} {:>8.3f} {:>8.3f} {:>6.1f}% {:>9.1f} {:>7.1f} {:>9.0f}{}\n", name, seconds,
                 limit, 100 * limit / seconds, n_tokens / seconds, limits.read_rate / 1e9,
                 limits.multiply_rate / 1e9,
                 share > quiet ? fmt::format("  disturbed: others used {:.0f}%", 100 * share) : "");
      break;
    }
    std::fflush(stdout);
  }

  void prefill(const std::string& name, std::size_t n, std::size_t length) {
    line(name, static_cast<double>(n * length), [&] {
      const auto all = session(n, length);
      metered_.forward(*all, chunks(n, length), {});
      return metered_.seconds();
    });
  }

  void decode(int n_sequences) {
    constexpr std::size_t n_prompt = 8;
    const int n_steps = n_sequences < 8 ? 64 : 16;
    const auto n = static_cast<std::size_t>(n_sequences);
    const std::string name =
        fmt::format("decode of {} sequence{}, {} steps", n, n == 1 ? "" : "s", n_steps);
    line(name, n_steps * n_sequences, [&] {
      const auto all = session(n, n_prompt + static_cast<std::size_t>(n_steps));
      metered_.forward(*all, chunks(n, n_prompt), {});
      metered_.reset();
      for (int step = 0; step < n_steps; ++step) {
        auto next = chunks(n, 1);
        for (auto& chunk : next) {
          chunk.token_ids = std::span(ids_).subspan(random_.below(ids_.size()), 1);
        }
        metered_.forward(*all, next, {});
      }
      return metered_.seconds();
    });
  }

  std::filesystem::path trace_directory() const {
    return checkpoint_.directory() / "trace-of-full-size";
  }

  // As `trace` runs it, hooks and writing included: 80 prompts of 55 tokens, 32 new ones each.
  void whole_experiment() {
    constexpr std::size_t n = 80, n_prompt = 55, n_new = 32;
    line("80 prompts of 55 tokens, 32 new, traced", n * (n_prompt + n_new - 1), [&] {
      TracedBatches traced(trace_directory(), model_.config(), kernels_, {n});
      const auto start = Clock::now();
      traced.run(metered_, prompts(n, n_prompt), n_new);
      return seconds_since(start);
    });
  }

  // The same batch with hooks and writing and without both, in turns: on, off, off, on, … The
  // fastest of each is what other work on the machine has disturbed least.
  void tracing_cost() {
    constexpr std::size_t n = 32, n_prompt = 8, n_new = 8, n_rounds = 8;
    std::vector<double> on, off;
    TracedBatches traced(trace_directory(), model_.config(), kernels_,
                         std::vector<std::int64_t>(n_rounds, n));
    for (std::size_t i = 0; i < 2 * n_rounds; ++i) {
      const bool is_on = i % 4 == 0 || i % 4 == 3;
      const auto start = Clock::now();
      if (is_on) {
        traced.run(model_, prompts(n, n_prompt), n_new);
      } else {
        generate_untraced(model_, prompts(n, n_prompt), n_new);
      }
      (is_on ? on : off).push_back(seconds_since(start));
    }
    std::sort(on.begin(), on.end());
    std::sort(off.begin(), off.end());
    const auto print = [](const char* what, double with, double without) {
      fmt::print("  {:<8} {:.3f} s with hooks and writing, {:.3f} s without: {:+.1f}%\n", what,
                 with, without, 100 * (with / without - 1));
    };
    fmt::print("tracing, {} times {} prompts of {} tokens and {} new ones, {:.1f} MB of events\n",
               n_rounds, n, n_prompt, n_new, static_cast<double>(traced.n_event_bytes()) / 1e6);
    print("fastest", on.front(), off.front());
    print("median", std::midpoint(on[n_rounds / 2 - 1], on[n_rounds / 2]),
          std::midpoint(off[n_rounds / 2 - 1], off[n_rounds / 2]));
  }

  const Checkpoint& checkpoint_;
  Model& model_;
  MeteredModel metered_;
  std::string kernels_;
  int n_tries_ = 3;
  RandomStream random_{1, "tokens"};
  std::vector<TokenId> ids_ = std::vector<TokenId>(4096);
};

void measure(const std::string& directory, const std::string& kernels, bool experiment_only) {
  const PrivateMemoryPeak peak;
  const auto start = Clock::now();
  const Checkpoint checkpoint(directory);
  ModelOptions options;
  options.kernels = kernels;
  Runtime& runtime = load_runtime();
  const auto model = runtime.load(checkpoint, options);
  const double load_seconds = seconds_since(start);
  const std::vector<TokenId> ids(40, 100);
  {
    const auto session = model->new_session(std::vector<std::int64_t>{40});
    model->forward(*session, std::vector<SequenceChunk>{{0, ids}}, {});
  }
  fmt::print("{} threads, {}, {} kernels, {}\n", available_threads(),
             runtime.info().instruction_set, kernels, runtime.info().backend);
  fmt::print("loaded in {:.2f} s, first token of a 40-token prompt after {:.2f} s\n", load_seconds,
             seconds_since(start));
  Measurement measurement(checkpoint, *model, kernels);
  if (experiment_only) {
    measurement.run_experiment();
  } else {
    measurement.run();
  }
  fmt::print(
      "peak memory: {:.2f} GB resident, mapped weights included; {:.2f} GB private, caches "
      "included\n",
      memory_gigabytes("VmHWM"), peak.gigabytes());
}

}  // namespace
}  // namespace moexray::bench

int main(int argc, char** argv) {
  const bool experiment_only = argc == 4 && std::string_view(argv[3]) == "experiment";
  if (argc < 2 || argc > 4 || (argc == 4 && !experiment_only)) {
    fmt::print(stderr, "usage: full_size DIR [fast|plain [experiment]]\n");
    return 2;
  }
  try {
    moexray::bench::measure(argv[1], argc > 2 ? argv[2] : "fast", experiment_only);
  } catch (const std::exception& error) {
    fmt::print(stderr, "full_size: {}\n", error.what());
    return 1;
  }
}
