#include "shown_prompt.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "cli.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/stats/routing_distance.h"
#include "moexray/trace/origin.h"

namespace moexray::app {
namespace {

// Keeps what one prompt's records say. They may come in any order.
class PromptVisitor : public EventVisitor {
 public:
  explicit PromptVisitor(const RoutingShape& shape) : n_layers_(shape.n_layers) {}

  void on_record(std::size_t, const RoutingRecord& record) override {
    ShownToken& token = tokens_[record.pos];
    if (token.layers.empty()) {
      token.pos = record.pos;
      token.type = record.type;
      token.is_template = record.is_template;
      token.layers.resize(static_cast<std::size_t>(n_layers_));
    }
    if (token.id < 0) token.id = record.token_id;
    TokenRouting& routing = token.layers.at(static_cast<std::size_t>(record.layer));
    routing.experts.assign(record.experts.begin(), record.experts.end());
    routing.weights.assign(record.weights.begin(), record.weights.end());
  }

  std::vector<ShownToken> take() {
    std::vector<ShownToken> tokens;
    for (auto& [pos, token] : tokens_) tokens.push_back(std::move(token));
    return tokens;
  }

 private:
  int n_layers_;
  std::map<std::int64_t, ShownToken> tokens_;
};

// The same for several prompts of a pass over all events. Each has a visitor of its own, because
// records of different prompts may come from different threads.
class PromptsVisitor : public EventVisitor {
 public:
  PromptsVisitor(const RoutingShape& shape, std::span<const std::size_t> indices,
                 const std::atomic<bool>& stop)
      : stop_(stop) {
    for (const std::size_t index : indices) visitors_.try_emplace(index, shape);
  }

  void on_record(std::size_t prompt_index, const RoutingRecord& record) override {
    if (stop_.load(std::memory_order_relaxed)) throw Error(ErrorKind::interrupted, "interrupted");
    const auto found = visitors_.find(prompt_index);
    if (found != visitors_.end()) found->second.on_record(prompt_index, record);
  }

  std::vector<ShownToken> take(std::size_t index) { return visitors_.at(index).take(); }

 private:
  std::map<std::size_t, PromptVisitor> visitors_;
  const std::atomic<bool>& stop_;
};

class SignatureVisitor : public EventVisitor {
 public:
  SignatureVisitor(stats::SignatureAccumulator& signatures, const std::atomic<bool>& stop)
      : signatures_(signatures), stop_(stop) {}
  void on_record(std::size_t prompt_index, const RoutingRecord& record) override {
    if (stop_.load(std::memory_order_relaxed)) throw Error(ErrorKind::interrupted, "interrupted");
    signatures_.add(prompt_index, record);
  }

 private:
  stats::SignatureAccumulator& signatures_;
  const std::atomic<bool>& stop_;
};

// The byte that a character of a byte-level vocabulary stands for: printable ones of Latin-1 for
// themselves, U+0100 and on for the others in order (GPT-2's table).
std::optional<char> byte_of(char32_t character) {
  const auto stands_for_itself = [](char32_t c) {
    return (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255);
  };
  if (stands_for_itself(character)) return static_cast<char>(character);
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    if (stands_for_itself(byte)) continue;
    if (next++ == character) return static_cast<char>(byte);
  }
  return std::nullopt;
}

// The bytes of a byte-level vocabulary entry; nothing if it is none.
std::optional<std::string> byte_level_text(std::string_view token) {
  std::string bytes;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const auto lead = static_cast<unsigned char>(token[i]);
    char32_t character = lead;
    if (lead >= 0x80) {
      // All characters of such a vocabulary have at most two bytes.
      if (lead < 0xC2 || lead > 0xDF || i + 1 == token.size()) return std::nullopt;
      character = (char32_t{lead} & 0x1FU) << 6 | (static_cast<unsigned char>(token[++i]) & 0x3FU);
    }
    const std::optional<char> byte = byte_of(character);
    if (!byte) return std::nullopt;
    bytes += *byte;
  }
  return bytes;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// A prompt with its tokens' texts and ids, as far as the trace has them.
ShownPrompt shown_prompt(const TraceSet& traces, std::size_t index,
                         std::vector<ShownToken> tokens) {
  ShownPrompt shown;
  shown.prompt = &traces.prompts[index];
  shown.shape = traces.shape;
  shown.model_name = traces.model_name;
  shown.origin = origin_text(traces);
  shown.has_order = has_expert_order(traces);
  shown.tokens = std::move(tokens);
  const std::string& kind = traces.manifests.at(shown.prompt->part).tokenizer.kind;
  for (ShownToken& token : shown.tokens) {
    const auto at = static_cast<std::size_t>(token.pos);
    if (at < shown.prompt->tokens.size()) {
      token.text = visible_token(shown.prompt->tokens[at], kind);
    }
    if (token.id < 0 && at < shown.prompt->token_ids.size()) token.id = shown.prompt->token_ids[at];
  }
  return shown;
}

std::string in_quotes(const std::string& text) { return '"' + text + '"'; }

}  // namespace

std::string visible_token(std::string_view token, std::string_view tokenizer_kind) {
  std::string text(token);
  if (tokenizer_kind == "byte_level_bpe") text = byte_level_text(token).value_or(text);
  if (tokenizer_kind == "sentencepiece") {
    replace_all(text, "▁", "␣");
    // Bytes without an entry of their own have names.
    if (text == "<0x0A>") text = "\n";
    if (text == "<0x09>") text = "\t";
  }
  for (const auto& [from, to] : {std::pair{" ", "␣"}, {"\r\n", "⏎"}, {"\n", "⏎"}, {"\t", "⇥"}}) {
    replace_all(text, from, to);
  }
  return printable(text);
}

std::string_view type_name(const ShownToken& token) {
  if (token.is_template) return "template";
  return token.type == TokenType::generation ? "generation" : "prompt";
}

double defined_mean(const std::vector<double>& values) {
  double sum = 0;
  int n = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    sum += value;
    ++n;
  }
  return n == 0 ? stats::undefined : sum / n;
}

std::size_t find_prompt(const TraceSet& traces, const std::string& id) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < traces.prompts.size(); ++i) {
    if (traces.prompts[i].id == id) return i;
    ids.push_back(traces.prompts[i].id);
  }
  std::vector<std::string> close;
  for (const std::string& other : ids) {
    if (close.size() < 5 && !closest_name(id, std::span(&other, 1)).empty()) close.push_back(other);
  }
  std::string expected;
  if (close.empty()) {
    expected = "one of " + std::to_string(ids.size()) + " ids: ";
    for (std::size_t i = 0; i < std::min<std::size_t>(ids.size(), 3); ++i) {
      expected += (i > 0 ? ", " : "") + in_quotes(ids[i]);
    }
    if (ids.size() > 3) expected += ", …";
  } else {
    expected = "an id of the trace; close ones are ";
    for (std::size_t i = 0; i < close.size(); ++i) {
      expected += (i > 0 ? ", " : "") + in_quotes(close[i]);
    }
  }
  throw Error(ErrorKind::data, {"no such prompt", {}, std::move(expected), in_quotes(id)});
}

ShownPrompt read_shown_prompt(const TraceSet& traces, std::size_t index,
                              const ReadOptions& reading) {
  PromptVisitor visitor(traces.shape);
  read_prompt_events(traces, index, visitor, reading);
  return shown_prompt(traces, index, visitor.take());
}

std::vector<ShownPrompt> read_shown_prompts(const TraceSet& traces,
                                            std::span<const std::size_t> indices,
                                            const ReadOptions& reading,
                                            const std::atomic<bool>& stop) {
  PromptsVisitor visitor(traces.shape, indices, stop);
  if (!indices.empty()) read_events(traces, visitor, reading);
  std::vector<ShownPrompt> prompts;
  for (const std::size_t index : indices) {
    prompts.push_back(shown_prompt(traces, index, visitor.take(index)));
  }
  return prompts;
}

stats::Signatures read_signatures(const TraceSet& traces, const stats::Selection& selection,
                                  const ReadOptions& reading, const std::atomic<bool>& stop) {
  std::vector<stats::PromptLabel> labels;
  for (const TracePrompt& prompt : traces.prompts) labels.push_back({prompt.id, prompt.category});
  stats::SignatureAccumulator signatures(traces.shape, std::move(labels), selection);
  SignatureVisitor visitor(signatures, stop);
  read_events(traces, visitor, reading);
  return std::move(signatures).finish();
}

std::string add_distances(const stats::OtherPrompts& others, std::optional<std::size_t> row,
                          ShownPrompt& shown) {
  const std::string& category = shown.prompt->category;
  const std::size_t n = others.size(category, row);
  if (n == 0) {
    return category.empty() ? "no distances: there is no other prompt to compare with"
                            : "no distances: there is no other prompt of category " +
                                  in_quotes(printable(category)) + " to compare with";
  }
  shown.reference =
      fmt::format("the mean of {}{}", counted(static_cast<std::int64_t>(n), "other prompt"),
                  category.empty() ? "" : " of category " + in_quotes(printable(category)));
  std::vector<stats::RoutingDistance> distances;
  for (std::vector<double>& mean : others.mean_signature(category, row)) {
    distances.emplace_back(std::move(mean), shown.shape.top_k);
    shown.typical.push_back(distances.back().typical());
    shown.uniform.push_back(distances.back().uniform());
  }
  for (ShownToken& token : shown.tokens) {
    std::vector<double> values;
    for (std::size_t layer = 0; layer < token.layers.size(); ++layer) {
      TokenRouting& routing = token.layers[layer];
      if (routing.experts.empty()) continue;
      routing.distance = distances[layer].of(routing.experts);
      values.push_back(routing.distance);
    }
    token.distance = defined_mean(values);
  }
  return {};
}

}  // namespace moexray::app
