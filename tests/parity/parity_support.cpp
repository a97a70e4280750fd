#include "parity_support.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "moexray/checkpoint/safetensors.h"
#include "moexray/runtime/modules.h"
#include "support/every_logit.h"

namespace moexray::parity {
namespace {

/// A tensor's values, of a type with the size of `dtype`'s elements.
template <typename Value>
std::vector<Value> read_tensor(const SafetensorsFile& file, const std::string& name,
                               std::string_view dtype) {
  const SafetensorsEntry& entry = file.at(name);
  if (entry.dtype != dtype) throw std::runtime_error(name + " is not " + std::string(dtype));
  const auto bytes = file.bytes(entry);
  std::vector<Value> values(bytes.size() / sizeof(Value));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::vector<std::int32_t> read_integers(const SafetensorsFile& file, const std::string& name) {
  const auto values = read_tensor<std::int64_t>(file, name, "I64");
  return {values.begin(), values.end()};
}

std::vector<float> read_floats(const SafetensorsFile& file, const std::string& name) {
  return read_tensor<float>(file, name, "F32");
}

void require(bool condition, const char* promise) {
  if (!condition) throw std::logic_error(std::string("RouterBatch breaks a promise: ") + promise);
}

/// Rows `begin` to `end` of each layer's [rows, k] values, one layer after the other.
template <typename Value, typename Layers, typename Member>
std::vector<Value> rows_of(const Layers& layers, Member member, std::int64_t begin,
                           std::int64_t end, int k) {
  std::vector<Value> rows;
  for (const auto& layer : layers) {
    const std::vector<Value>& values = layer.*member;
    rows.insert(rows.end(), values.begin() + begin * k, values.begin() + end * k);
  }
  return rows;
}

std::vector<float> rows_of(const std::vector<float>& values, std::int64_t begin, std::int64_t end,
                           std::int64_t width) {
  return {values.begin() + begin * width, values.begin() + end * width};
}

bool same_bytes(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

std::vector<TokenId> ExpectedPrompt::tokens() const {
  std::vector<TokenId> all = prompt;
  if (!generated.empty()) all.insert(all.end(), generated.begin(), generated.end() - 1);
  return all;
}

std::filesystem::path variant_directory(const std::string& variant) {
  return std::filesystem::path(MOEXRAY_TEST_DATA) / "parity" / variant;
}

std::vector<ExpectedPrompt> read_expected(const std::string& variant) {
  const SafetensorsFile file(variant_directory(variant) / "expected.safetensors");
  std::vector<ExpectedPrompt> prompts;
  for (int n = 0; file.find(std::to_string(n) + ".prompt") != nullptr; ++n) {
    const std::string prefix = std::to_string(n) + ".";
    prompts.push_back(
        {read_integers(file, prefix + "prompt"), read_integers(file, prefix + "generated"),
         read_floats(file, prefix + "logits"), read_integers(file, prefix + "experts"),
         read_floats(file, prefix + "weights"), read_integers(file, prefix + "experts_bf16"),
         file.find(prefix + "router_logits") == nullptr
             ? std::vector<float>()
             : read_floats(file, prefix + "router_logits")});
  }
  return prompts;
}

Runtime& runtime() {
  static Runtime& loaded = load_runtime(MOEXRAY_TEST_MODULES);
  return loaded;
}

RouterRecorder::RouterRecorder(const ModelConfig& config, bool wants_logits)
    : n_experts_(config.routing_shape().n_experts),
      top_k_(config.routing_shape().top_k),
      wants_logits_(wants_logits),
      layers_(config.routing_shape().n_layers) {}

void RouterRecorder::on_router(const RouterBatch& batch) {
  const auto n_selected = static_cast<std::size_t>(batch.n_rows * top_k_);
  require(batch.layer == next_layer_, "layers come in order, once each");
  require(batch.n_experts == n_experts_ && batch.top_k == top_k_, "the config's shape");
  require(batch.experts.size() == n_selected, "[n_rows, top_k] experts");
  require(batch.weights.size() == n_selected, "[n_rows, top_k] weights");
  require(batch.logits.size() ==
              (wants_logits_ ? static_cast<std::size_t>(batch.n_rows * n_experts_) : 0),
          "[n_rows, n_experts] logits, if asked for");
  next_layer_ = (next_layer_ + 1) % static_cast<int>(layers_.size());
  Layer& layer = layers_[batch.layer];
  layer.experts.insert(layer.experts.end(), batch.experts.begin(), batch.experts.end());
  layer.weights.insert(layer.weights.end(), batch.weights.begin(), batch.weights.end());
  layer.logits.insert(layer.logits.end(), batch.logits.begin(), batch.logits.end());
}

std::int64_t RouterRecorder::n_rows() const {
  return static_cast<std::int64_t>(layers_[0].experts.size()) / top_k_;
}

std::vector<ExpertId> RouterRecorder::experts(std::int64_t begin, std::int64_t end) const {
  return rows_of<ExpertId>(layers_, &Layer::experts, begin, end, top_k_);
}

std::vector<float> RouterRecorder::weights(std::int64_t begin, std::int64_t end) const {
  return rows_of<float>(layers_, &Layer::weights, begin, end, top_k_);
}

Pass run_alone(Model& model, const std::vector<TokenId>& tokens, std::size_t chunk_size,
               const RoutingPolicy* policy) {
  const std::int64_t capacity = static_cast<std::int64_t>(tokens.size());
  const auto session = model.new_session({&capacity, 1});
  RouterRecorder recorder(model.config());
  Pass pass;
  for (std::size_t begin = 0; begin < tokens.size(); begin += chunk_size) {
    const std::size_t n = std::min(chunk_size, tokens.size() - begin);
    const SequenceChunk chunk{0, std::span(tokens).subspan(begin, n)};
    const auto logits = test::every_logit(model, *session, {&chunk, 1}, {&recorder, policy, {}});
    pass.logits.insert(pass.logits.end(), logits.begin(), logits.end());
  }
  pass.experts = recorder.experts();
  pass.weights = recorder.weights();
  return pass;
}

std::vector<PrefillAndStep> run_batch(Model& model,
                                      const std::vector<std::vector<TokenId>>& sequences,
                                      TokenId next, const RoutingPolicy* policy) {
  std::vector<std::int64_t> capacities;
  std::vector<SequenceChunk> chunks;
  std::vector<SequenceChunk> steps;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    capacities.push_back(static_cast<std::int64_t>(sequences[i].size()) + 1);
    chunks.push_back({static_cast<int>(i), sequences[i]});
    steps.push_back({static_cast<int>(i), {&next, 1}});
  }
  const auto session = model.new_session(capacities);
  RouterRecorder prefill(model.config());
  RouterRecorder step(model.config());
  const auto logits = test::every_logit(model, *session, chunks, {&prefill, policy, {}});
  const auto step_logits = model.forward(*session, steps, {&step, policy, {}});

  const std::int64_t n_vocab = model.config().spec.vocab_size;
  std::vector<PrefillAndStep> results;
  std::int64_t begin = 0;
  for (const auto& sequence : sequences) {
    const std::int64_t end = begin + static_cast<std::int64_t>(sequence.size());
    const auto i = static_cast<std::int64_t>(results.size());
    results.push_back({{rows_of(logits, begin, end, n_vocab), prefill.experts(begin, end),
                        prefill.weights(begin, end)},
                       {rows_of(step_logits, i, i + 1, n_vocab), step.experts(i, i + 1),
                        step.weights(i, i + 1)}});
    begin = end;
  }
  return results;
}

std::vector<TokenId> generate_greedily(Model& model, const std::vector<TokenId>& prompt,
                                       int max_new_tokens) {
  const auto& eos = model.config().eos_token_ids;
  const std::int64_t capacity = static_cast<std::int64_t>(prompt.size()) + max_new_tokens;
  const auto session = model.new_session({&capacity, 1});
  std::vector<TokenId> generated;
  std::vector<TokenId> input = prompt;
  while (static_cast<int>(generated.size()) < max_new_tokens) {
    const SequenceChunk chunk{0, input};
    const auto logits = model.forward(*session, {&chunk, 1}, {});
    const auto best = std::max_element(logits.begin(), logits.end());
    generated.push_back(static_cast<TokenId>(best - logits.begin()));
    if (std::find(eos.begin(), eos.end(), generated.back()) != eos.end()) break;
    input = {generated.back()};
  }
  return generated;
}

bool same_bytes(const Pass& a, const Pass& b) {
  return same_bytes(a.logits, b.logits) && a.experts == b.experts &&
         same_bytes(a.weights, b.weights);
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

double shared_experts(const std::vector<ExpertId>& a, const std::vector<ExpertId>& b, int top_k) {
  if (a.size() != b.size() || a.empty()) return 0;
  std::size_t n_shared = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto row = b.begin() + static_cast<std::ptrdiff_t>(i / top_k * top_k);
    if (std::find(row, row + top_k, a[i]) != row + top_k) ++n_shared;
  }
  return static_cast<double>(n_shared) / static_cast<double>(a.size());
}

}  // namespace moexray::parity
