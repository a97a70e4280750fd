// A record a token and layer, or a record a prompt with lists of them: ep-predict, MoE Atlas,
// OLMoE's analysis scripts.

#include <utility>

#include "importer.h"
#include "record_grid.h"
#include "response.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;
using trace::Json;

constexpr std::array<std::string_view, 1> large_keys{"exp_ids"};

const Json& required(const Json& record, std::string_view key, const std::string& where) {
  const Json* value = member(&record, key);
  if (value == nullptr) fail_at("missing key \"" + std::string(key) + "\"", where);
  return *value;
}

std::int64_t number(const Json& record, std::string_view key, const std::string& where) {
  return count_of(&required(record, key, where), key, where);
}

std::int32_t expert_id(const Json& value, std::string_view key, const std::string& where) {
  if (!value.is_number_integer() || value < -1 || value > std::numeric_limits<TokenId>::max()) {
    fail_at("wrong value of key \"" + std::string(key) + "\"", where, "ids of experts",
            describe_json(value));
  }
  return value.get<std::int32_t>();
}

float weight_of(const Json& value, std::string_view key, const std::string& where) {
  if (!value.is_number()) {
    fail_at("wrong value of key \"" + std::string(key) + "\"", where, "finite numbers",
            describe_json(value));
  }
  return value.get<float>();
}

// "line-3" of the only file; with the file's name where there are several.
std::string line_name(const std::string& where, bool is_only_file) {
  const std::size_t colon = where.rfind(':');
  const std::string line = where.substr(colon + 1);
  if (is_only_file) return "line-" + line;
  return fs::path(where.substr(0, colon)).stem().string() + "-" + line;
}

// Records of single tokens and layers, those of a request one after the other.
class EpPredict {
 public:
  explicit EpPredict(ImportSink& sink) : sink_(sink), grid_(sink.options().drop_layers) {}

  void add(const Json& record, const std::string& where) {
    std::vector<std::string> names;
    for (const char* key : {"request_id", "sample_id"}) add_name(member(&record, key), names);
    const std::string run = text_of(member(&record, "run_id"));
    if (names.empty()) fail_at("neither request_id nor sample_id", where);
    if (!grid_.empty() && (names != prompt_.names || run != run_)) flush();
    if (grid_.empty()) begin(record, where, std::move(names), run);
    const std::int64_t pos = number(record, "token_position", where);
    add_token(record, pos, where);
    std::vector<std::int32_t> experts;
    const Json& ids = required(record, "selected_expert_ids", where);
    for (const Json& id : ids) experts.push_back(expert_id(id, "selected_expert_ids", where));
    std::vector<float> weights;
    if (const Json* list = member(&record, "selected_expert_weights"); list != nullptr) {
      for (const Json& value : *list) {
        weights.push_back(weight_of(value, "selected_expert_weights", where));
      }
    }
    const std::int64_t layer = number(record, "layer_id", where);
    if (!seen_.emplace(pos, layer).second) {
      fail_at(
          "a second record of position " + std::to_string(pos) + ", layer " + std::to_string(layer),
          where);
    }
    grid_.add(pos, layer, experts, weights, where);
  }

  void flush() {
    if (grid_.empty()) return;
    grid_.finish(prompt_, 0);
    prompt_.n_prompt_tokens = n_prompt_;
    const std::int64_t n = prompt_.first_pos + prompt_.ids.n_tokens();
    for (std::int64_t pos = 0; pos < n && static_cast<std::int64_t>(tokens_.size()) == n; ++pos) {
      const auto found = tokens_.find(pos);
      if (found == tokens_.end()) break;
      prompt_.token_ids.push_back(found->second);
    }
    sink_.take(std::exchange(prompt_, {}));
    tokens_.clear();
    seen_.clear();
    n_prompt_ = 0;
  }

 private:
  void begin(const Json& record, const std::string& where, std::vector<std::string> names,
             const std::string& run) {
    prompt_ = {};
    prompt_.where = where;
    prompt_.names = std::move(names);
    prompt_.category = text_of(member(&record, "domain"));
    run_ = run;
  }

  void add_token(const Json& record, std::int64_t pos, const std::string& where) {
    const std::string phase = text_of(member(&record, "phase"));
    if (phase == "prefill" || phase == "prompt") {
      n_prompt_ = std::max(n_prompt_, pos + 1);
    } else if (phase != "decode" && phase != "generation") {
      fail_at("wrong value of key \"phase\"", where, "\"prefill\" or \"decode\"", phase);
    }
    const Json* token = member(&record, "input_token_id");
    if (token == nullptr) return;
    const auto id = static_cast<TokenId>(count_of(token, "input_token_id", where));
    const auto [known, is_new] = tokens_.emplace(pos, id);
    if (!is_new && known->second != id) {
      fail_at("another token at position " + std::to_string(pos) + " than at the layers before",
              where, std::to_string(known->second), std::to_string(id));
    }
  }

  ImportSink& sink_;
  RecordGrid grid_;
  RecordedPrompt prompt_;
  std::string run_;
  std::map<std::int64_t, TokenId> tokens_;
  std::set<std::pair<std::int64_t, std::int64_t>> seen_;
  std::int64_t n_prompt_ = 0;
};

// A prompt a record, with an activation for every expert.
void take_atlas(const Json& record, const std::string& where, bool is_only_file, ImportSink& sink) {
  RecordedPrompt prompt;
  prompt.where = where;
  for (const char* key : {"request_id", "sample_id", "id"})
    add_name(member(&record, key), prompt.names);
  prompt.names.push_back(line_name(where, is_only_file));
  prompt.category = text_of(member(&record, "domain"));
  prompt.text = text_of(member(&record, "text"));
  prompt.token_ids = token_ids_of(member(&record, "token_ids"), "token_ids", where);
  SourceFacts& facts = sink.facts();
  facts.is_prompt_only = true;
  facts.n_experts =
      static_cast<int>(std::min<std::int64_t>(number(record, "num_experts", where), max_experts));
  facts.model_name = text_of(member(&record, "model_id"));
  RecordGrid grid(sink.options().drop_layers);
  const Json& list = required(record, "activations", where);
  if (!list.is_array()) fail_at("wrong value of key \"activations\"", where, "an array");
  for (const Json& item : list) {
    const std::int32_t expert = expert_id(required(item, "expert_idx", where), "expert_idx", where);
    std::vector<float> weights;
    if (const Json* weight = member(&item, "gate_weight"); weight != nullptr) {
      weights.push_back(weight_of(*weight, "gate_weight", where));
    }
    grid.add(number(item, "token_idx", where), number(item, "layer", where), std::span(&expert, 1),
             weights, where);
  }
  const std::int64_t k = number(record, "top_k", where);
  grid.finish(prompt, static_cast<int>(std::min<std::int64_t>(k, max_experts)));
  prompt.n_prompt_tokens = prompt.first_pos + prompt.ids.n_tokens();
  sink.take(std::move(prompt));
}

// Lists of token, rank and layer, the ranks by size.
void take_olmoe(const SplitRecord& record, const std::string& where, bool is_only_file,
                ImportSink& sink) {
  RecordedPrompt prompt;
  prompt.where = where;
  add_name(member(&record.document, "id"), prompt.names);
  prompt.names.push_back(line_name(where, is_only_file));
  sink.facts().is_prompt_only = true;
  sink.facts().has_order = true;
  prompt.token_ids = token_ids_of(member(&record.document, "input_ids"), "input_ids", where);
  const std::string_view* payload = payload_of(record, member(&record.document, "exp_ids"));
  if (payload == nullptr) fail_at("missing key \"exp_ids\"", where, "lists of token, rank, layer");
  prompt.ids = parse_id_lists(*payload, where, {0, 2, 1});
  prompt.n_prompt_tokens = prompt.ids.n_tokens();
  const auto n_ids = static_cast<std::int64_t>(prompt.token_ids.size());
  if (n_ids > 0 && n_ids != prompt.n_prompt_tokens) {
    fail_at("not as many tokens in \"exp_ids\" as in \"input_ids\"", where, std::to_string(n_ids),
            std::to_string(prompt.n_prompt_tokens));
  }
  sink.take(std::move(prompt));
}

std::string layout_of(const Json& record) {
  if (record.contains("selected_expert_ids")) return "ep-predict";
  if (record.contains("activations")) return "moe-atlas";
  if (record.contains("exp_ids")) return "olmoe";
  return {};
}

void read_jsonl(std::span<const fs::path> files, ImportSink& sink) {
  EpPredict ep_predict(sink);
  const bool is_only = files.size() == 1;
  read_json_records(files, sink, [&](JsonRecords& records) {
    const std::string text = std::move(records.text());
    const std::string where = records.where();
    const SplitRecord record = split_record(text, large_keys, where);
    const std::string& asked = sink.options().layout;
    const std::string layout = asked.empty() ? layout_of(record.document) : asked;
    if (layout == "ep-predict") {
      ep_predict.add(record.document, where);
    } else if (layout == "moe-atlas") {
      take_atlas(record.document, where, is_only, sink);
    } else if (layout == "olmoe") {
      take_olmoe(record, where, is_only, sink);
    } else {
      fail_at("records of no known layout (averages and rankings of experts are not routing)",
              where,
              "a key selected_expert_ids (ep-predict), activations (moe-atlas) or exp_ids "
              "(olmoe)");
    }
  });
  ep_predict.flush();
}

}  // namespace

Importer jsonl_importer() {
  return {"jsonl",
          "records a token and layer or a prompt: the layouts ep-predict, moe-atlas, olmoe",
          [](const fs::path&, std::string_view head) {
            return head.find("\"selected_expert_ids\"") != std::string_view::npos ||
                   head.find("\"activations\"") != std::string_view::npos ||
                   head.find("\"exp_ids\"") != std::string_view::npos;
          },
          read_jsonl};
}

}  // namespace moexray::imports
