#include "moexray/runtime/generate.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/forward_tokens.h"
#include "moexray/core/random.h"
#include "moexray/runtime/sampling.h"
#include "routing_collector.h"

namespace moexray {
namespace {

// Beyond any model's context, and far from overflow when added to a prompt's length.
constexpr std::int64_t max_new_tokens_limit = std::int64_t{1} << 40;

// One sequence on its way through the model.
struct Sequence {
  GenerationInput input;
  RandomStream stream;
  GenerationOutput output;
  std::int64_t n_done = 0;  // tokens of the prompt that have gone through the model
  bool finished = false;
};

// A chunk of a sequence that goes into the next forward pass.
struct Chunk {
  std::size_t sequence = 0;
  std::span<const TokenId> token_ids;
};

void check_options(const GenerationOptions& options) {
  if (options.max_new_tokens < 0 || options.n_candidates < 0 || options.max_tokens_per_pass < 1) {
    throw Error(ErrorKind::usage,
                "the numbers of new tokens and candidates must not be negative, and a forward "
                "pass must hold a token");
  }
  if (options.max_new_tokens > max_new_tokens_limit) {
    throw Error(ErrorKind::usage, {"too many new tokens",
                                   {},
                                   "at most " + std::to_string(max_new_tokens_limit),
                                   std::to_string(options.max_new_tokens)});
  }
}

class Batch {
 public:
  Batch(Model& model, std::span<const GenerationInput> prompts, const GenerationOptions& options,
        const std::atomic<bool>& stop, const OnPass& on_pass)
      : model_(model),
        options_(options),
        stop_(stop),
        on_pass_(on_pass),
        n_vocab_(static_cast<std::size_t>(model.config().spec.vocab_size)),
        collector_(model.config().routing_shape(), options.router_logits) {
    const RoutingShape shape = model.config().routing_shape();
    for (std::size_t i = 0; i < options.shadows.size(); ++i) {
      shadow_collectors_.emplace_back(shape, options.router_logits && options.shadow_events,
                                      options.shadow_events);
    }
    std::vector<std::int64_t> capacities;
    for (const GenerationInput& prompt : prompts) {
      if (prompt.token_ids.empty()) {
        throw Error(ErrorKind::data, {"prompt without tokens", std::string(prompt.id), {}, {}});
      }
      Sequence& sequence = sequences_.emplace_back(prompt, RandomStream(options.seed, prompt.id));
      sequence.output.routing = RoutingBuffer(shape, options.router_logits);
      sequence.output.shadows.assign(options.shadows.size(), ExpertSets(shape));
      if (options.shadow_events) {
        sequence.output.shadow_routing.assign(options.shadows.size(), sequence.output.routing);
      }
      capacities.push_back(n_forward_tokens(static_cast<std::int64_t>(prompt.token_ids.size()),
                                            options.max_new_tokens));
    }
    // The model refuses sequences that do not fit before anything is reserved for them.
    session_ = model.new_session(capacities);
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
      sequences_[i].output.routing.reserve(capacities[i]);
    }
  }

  std::vector<GenerationOutput> run() {
    calibrate();
    read_prompts();
    while (true) {
      std::vector<Chunk> chunks;
      for (std::size_t i = 0; i < sequences_.size(); ++i) {
        if (sequences_[i].finished) continue;
        chunks.push_back({i, std::span(sequences_[i].output.token_ids).last(1)});
      }
      if (chunks.empty()) break;
      // A pass never holds more than max_tokens_per_pass rows, while decoding too.
      const auto limit = static_cast<std::size_t>(options_.max_tokens_per_pass);
      for (std::size_t begin = 0; begin < chunks.size(); begin += limit) {
        run_pass(std::span(chunks).subspan(begin, std::min(limit, chunks.size() - begin)),
                 TokenType::generation);
      }
    }
    std::vector<GenerationOutput> outputs;
    outputs.reserve(sequences_.size());
    for (Sequence& sequence : sequences_) outputs.push_back(std::move(sequence.output));
    return outputs;
  }

 private:
  void calibrate() {
    std::vector<Chunk> chunks;
    std::vector<bool> used(sequences_.size(), false);
    std::int64_t n_tokens = 0;
    for (const CalibrationPass::Part& part : options_.calibration.parts) {
      const bool fits = part.prompt < sequences_.size() && !used[part.prompt] &&
                        part.n_tokens > 0 &&
                        part.n_tokens <= std::ssize(sequences_[part.prompt].input.token_ids);
      if (!fits || (n_tokens += part.n_tokens) > options_.max_tokens_per_pass) {
        throw Error(ErrorKind::usage,
                    "the prompts of a calibration do not fit the batch, or a pass");
      }
      used[part.prompt] = true;
      chunks.push_back({part.prompt, sequences_[part.prompt].input.token_ids.first(
                                         static_cast<std::size_t>(part.n_tokens))});
    }
    if (!chunks.empty()) run_pass(chunks, TokenType::prompt, options_.calibration.fit);
  }

  // Prefill: packs whole prompts into passes; a prompt that is too long for one is split.
  void read_prompts() {
    const std::int64_t limit = options_.max_tokens_per_pass;
    std::vector<Chunk> chunks;
    std::int64_t n_tokens = 0;
    const auto flush = [&] {
      if (!chunks.empty()) run_pass(chunks, TokenType::prompt);
      chunks.clear();
      n_tokens = 0;
    };
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
      std::span<const TokenId> rest = sequences_[i].input.token_ids;
      rest = rest.subspan(static_cast<std::size_t>(sequences_[i].n_done));
      if (rest.empty()) continue;
      if (n_tokens + static_cast<std::int64_t>(rest.size()) > limit) flush();
      while (static_cast<std::int64_t>(rest.size()) > limit) {
        chunks.push_back({i, rest.first(static_cast<std::size_t>(limit))});
        rest = rest.subspan(static_cast<std::size_t>(limit));
        flush();
      }
      chunks.push_back({i, rest});
      n_tokens += static_cast<std::int64_t>(rest.size());
    }
    flush();
  }

  void run_pass(std::span<const Chunk> chunks, TokenType type, const BiasFit& fit_biases = {}) {
    if (stop_.load(std::memory_order_relaxed)) throw Error(ErrorKind::interrupted, "interrupted");
    std::vector<SequenceChunk> slots;
    std::vector<RoutingCollector::Piece> pieces;
    std::int64_t n_tokens = 0;
    for (const Chunk& chunk : chunks) {
      const auto n_rows = static_cast<std::int64_t>(chunk.token_ids.size());
      slots.push_back({static_cast<int>(chunk.sequence), chunk.token_ids});
      pieces.push_back({&sequences_[chunk.sequence].output.routing, n_rows});
      n_tokens += n_rows;
    }
    const std::vector<Shadow> shadows = begin_shadows(chunks);
    collector_.begin_pass(std::move(pieces));
    Passage passage{&collector_, options_.policy.get(), {}, shadows, fit_biases};
    std::vector<float> scored;
    if (options_.score) passage.every_token = score_rows(chunks, scored);
    std::vector<float> logits = model_.forward(*session_, slots, passage);
    if (options_.score) logits = std::move(scored);
    collector_.end_pass();
    for (const RoutingCollector& collector : shadow_collectors_) collector.end_pass();
    if (logits.size() != chunks.size() * n_vocab_) {
      throw Error(ErrorKind::runtime, "the model returned logits of the wrong shape");
    }
    for (std::size_t row = 0; row < chunks.size(); ++row) {
      advance(sequences_[chunks[row].sequence], chunks[row],
              std::span(logits).subspan(row * n_vocab_, n_vocab_));
    }
    if (on_pass_) on_pass_(type, n_tokens);
  }

  // Takes the logits of every row of a pass: scores the tokens that follow and are known, and keeps
  // the rows of the chunks' last tokens.
  LogitsSink score_rows(std::span<const Chunk> chunks, std::vector<float>& last_rows) {
    return [this, chunks, &last_rows, at = std::size_t{0}, row = std::size_t{0}](
               std::int64_t, std::span<const float> block) mutable {
      for (; block.size() >= n_vocab_ && at < chunks.size(); block = block.subspan(n_vocab_)) {
        const auto logits = block.first(n_vocab_);
        const Chunk& chunk = chunks[at];
        Sequence& sequence = sequences_[chunk.sequence];
        const std::span<const TokenId> prompt = sequence.input.token_ids;
        const std::size_t next = static_cast<std::size_t>(sequence.n_done) + row + 1;
        TokenId following = sequence.n_done < std::ssize(prompt) ? sequence.input.following : -1;
        if (next < prompt.size()) following = prompt[next];
        if (following >= 0) add_score(sequence, logits, following);
        if (++row < chunk.token_ids.size()) continue;
        last_rows.insert(last_rows.end(), logits.begin(), logits.end());
        ++at;
        row = 0;
      }
    };
  }

  static void add_score(Sequence& sequence, std::span<const float> logits, TokenId token) {
    sequence.output.logprobs.push_back(log_probability(logits, token));
  }

  // What the shadows choose in the next pass goes to its sequences.
  std::vector<Shadow> begin_shadows(std::span<const Chunk> chunks) {
    std::vector<Shadow> shadows;
    for (std::size_t i = 0; i < shadow_collectors_.size(); ++i) {
      std::vector<RoutingCollector::Piece> pieces;
      for (const Chunk& chunk : chunks) {
        GenerationOutput& output = sequences_[chunk.sequence].output;
        pieces.push_back({options_.shadow_events ? &output.shadow_routing[i] : nullptr,
                          static_cast<std::int64_t>(chunk.token_ids.size()), &output.shadows[i]});
      }
      shadow_collectors_[i].begin_pass(std::move(pieces));
      const WatchingRouter& own = options_.shadows[i];
      shadows.push_back({own.router, own.biases, &shadow_collectors_[i]});
    }
    return shadows;
  }

  // A sequence has come through a pass: takes its next token, if it is due and wanted.
  void advance(Sequence& sequence, const Chunk& chunk, std::span<float> logits) {
    const auto n_prompt = static_cast<std::int64_t>(sequence.input.token_ids.size());
    if (sequence.n_done < n_prompt) {
      sequence.n_done += static_cast<std::int64_t>(chunk.token_ids.size());
      if (sequence.n_done < n_prompt) return;
    }
    GenerationOutput& output = sequence.output;
    if (options_.max_new_tokens > 0) {
      // Choosing may take candidates away, which scores know nothing of.
      const std::vector<float> all(options_.score ? logits.begin() : logits.end(), logits.end());
      const TokenId token = next_token(logits, sequence.stream);
      if (options_.score) add_score(sequence, all, token);
      output.token_ids.push_back(token);
      if (is_eos(token)) output.finish_reason = "eos";
    }
    const auto n_generated = static_cast<std::int64_t>(output.token_ids.size());
    if (output.finish_reason.empty() && n_generated >= options_.max_new_tokens) {
      output.finish_reason = "length";
    }
    sequence.finished = !output.finish_reason.empty();
    if (sequence.finished) check_routing(sequence, n_forward_tokens(n_prompt, n_generated));
  }

  TokenId next_token(std::span<float> logits, RandomStream& stream) const {
    const auto n_candidates = static_cast<std::size_t>(options_.n_candidates);
    if (n_candidates > 0 && n_candidates < logits.size()) logits = logits.first(n_candidates);
    if (options_.ignore_eos) {
      for (const TokenId id : options_.eos_token_ids) {
        if (id >= 0 && static_cast<std::size_t>(id) < logits.size()) {
          logits[static_cast<std::size_t>(id)] = -std::numeric_limits<float>::infinity();
        }
      }
    }
    if (!options_.do_sample) return most_probable_token(logits);
    return sample_token(logits, {options_.temperature, options_.top_p}, stream);
  }

  bool is_eos(TokenId token) const {
    const auto& ids = options_.eos_token_ids;
    return std::find(ids.begin(), ids.end(), token) != ids.end();
  }

  static void check_routing(const Sequence& sequence, std::int64_t n_expected) {
    const RoutingBuffer& routing = sequence.output.routing;
    if (routing.is_rectangular() && routing.n_positions() == n_expected) return;
    throw Error(ErrorKind::runtime,
                {"the routing of a sequence is incomplete", std::string(sequence.input.id),
                 std::to_string(n_expected) + " tokens", std::to_string(routing.n_positions())});
  }

  Model& model_;
  const GenerationOptions& options_;
  const std::atomic<bool>& stop_;
  const OnPass& on_pass_;
  std::size_t n_vocab_;
  RoutingCollector collector_;
  std::vector<RoutingCollector> shadow_collectors_;
  std::vector<Sequence> sequences_;
  std::unique_ptr<Session> session_;
};

}  // namespace

std::vector<GenerationOutput> generate(Model& model, std::span<const GenerationInput> prompts,
                                       const GenerationOptions& options,
                                       const std::atomic<bool>& stop, const OnPass& on_pass) {
  check_options(options);
  if (prompts.empty()) return {};
  return Batch(model, prompts, options, stop, on_pass).run();
}

}  // namespace moexray
