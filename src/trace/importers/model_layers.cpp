#include "model_layers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/routing.h"
#include "moexray/core/sha256.h"
#include "trace/fail.h"
#include "trace/json_text.h"

namespace moexray::imports {
namespace {

using trace::fail_at;
using trace::Json;

constexpr int max_layers = 4096;
constexpr std::uint64_t max_config_bytes = 100'000'000;

constexpr std::array<std::string_view, 6> expert_keys{"n_routed_experts",   "num_local_experts",
                                                      "num_experts",        "moe_num_experts",
                                                      "num_routed_experts", "num_moe_experts"};
constexpr std::array<std::string_view, 7> top_k_keys{
    "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "top_k_experts",
    "moe_router_topk",     "num_selected_experts"};
constexpr std::array<std::string_view, 2> layer_keys{"num_hidden_layers", "n_layers"};
// Sub-configs of models that see or hear; the text model routes.
constexpr std::array<std::string_view, 4> text_keys{"text_config", "llm_config", "language_config",
                                                    "thinker_config"};

class ConfigReader {
 public:
  ConfigReader(const Json& root, const std::string& where) : root_(&root), where_(where) {
    for (int depth = 0; depth < 2; ++depth) {
      for (const std::string_view key : text_keys) {
        const Json* inner = find(key);
        if (inner == nullptr || !inner->is_object()) continue;
        where_ += ": key \"" + std::string(key) + "\"";
        root_ = inner;
        break;
      }
    }
  }

  ModelLayers read() const {
    ModelLayers model;
    model.n_layers = required(layer_keys, "the number of layers", max_layers);
    model.n_experts = required(expert_keys, "the number of experts", max_experts);
    model.top_k = required(top_k_keys, "the experts per token", model.n_experts);
    if (const Json* type = find("model_type"); type != nullptr && type->is_string()) {
      model.name = type->get<std::string>();
    }
    std::vector<bool> has_experts(static_cast<std::size_t>(model.n_layers), true);
    mark(model.n_layers, has_experts);
    for (int layer = 0; layer < model.n_layers; ++layer) {
      if (has_experts[static_cast<std::size_t>(layer)]) model.moe_layers.push_back(layer);
    }
    if (model.moe_layers.empty()) fail_at("the config says that no layer has experts", where_);
    return model;
  }

 private:
  const Json* find(std::string_view key) const {
    const auto found = root_->find(key);
    return found == root_->end() || found->is_null() ? nullptr : &*found;
  }

  [[noreturn]] void wrong(std::string_view key, std::string expected) const {
    fail_at("wrong value of key \"" + std::string(key) + "\"", where_, std::move(expected),
            describe_json(*find(key)));
  }

  int integer(std::string_view key, int low, int high) const {
    const Json& value = *find(key);
    if (!value.is_number_integer() || value < low || value > high) {
      wrong(key, "an integer from " + std::to_string(low) + " to " + std::to_string(high));
    }
    return value.get<int>();
  }
  int integer_or(std::string_view key, int low, int high, int fallback) const {
    return find(key) == nullptr ? fallback : integer(key, low, high);
  }

  template <typename Keys>
  int required(const Keys& keys, const std::string& what, int high) const {
    std::string names;
    for (const std::string_view key : keys) {
      if (find(key) != nullptr) return integer(key, 1, high);
      names += (names.empty() ? "" : ", ") + std::string(key);
    }
    fail_at("the config does not give " + what +
                " (say it with --experts, --top-k, --layers and --moe-layers in place of --config)",
            where_, names, "none of these keys");
  }

  std::vector<int> layer_numbers(std::string_view key, int n_layers) const {
    const Json& list = *find(key);
    if (!list.is_array()) wrong(key, "a list of layers");
    std::vector<int> layers;
    for (const Json& item : list) {
      if (!item.is_number_integer() || item < 0 || item >= n_layers) {
        wrong(key, "layers from 0 to " + std::to_string(n_layers - 1));
      }
      layers.push_back(item.get<int>());
    }
    return layers;
  }

  // Takes experts from the layers that have none, key by key: what families of models write.
  void mark(int n_layers, std::vector<bool>& has) const {
    const auto keep_if = [&](auto condition) {
      for (int i = 0; i < n_layers; ++i) {
        if (!condition(i)) has[static_cast<std::size_t>(i)] = false;
      }
    };
    const int n_dense = integer_or("first_k_dense_replace", 0, n_layers,
                                   integer_or("num_dense_layers", 0, n_layers, 0));
    keep_if([&](int i) { return i >= n_dense; });
    mark_by_frequency(n_layers, keep_if);
    // Qwen: every step-th layer, counted from 1.
    const int step = integer_or("decoder_sparse_step", 1, max_layers, 1);
    keep_if([&](int i) { return (i + 1) % step == 0; });
    if (find("mlp_only_layers") != nullptr) {
      const std::vector<int> dense = layer_numbers("mlp_only_layers", n_layers);
      keep_if([&](int i) { return std::find(dense.begin(), dense.end(), i) == dense.end(); });
    }
    // Llama 4: a list, or every step-th layer.
    if (find("moe_layers") != nullptr) {
      const std::vector<int> moe = layer_numbers("moe_layers", n_layers);
      keep_if([&](int i) { return std::find(moe.begin(), moe.end(), i) != moe.end(); });
    } else {
      const int every = integer_or("interleave_moe_layer_step", 1, max_layers, 1);
      keep_if([&](int i) { return (i + 1) % every == 0; });
    }
    // Jamba: one in a period.
    const int period = integer_or("expert_layer_period", 1, max_layers, 1);
    const int offset = integer_or("expert_layer_offset", 0, max_layers, 0);
    if (period > 1) keep_if([&](int i) { return i % period == offset % period; });
    // Ernie 4.5: from a layer to a layer, every so many.
    const int begin = integer_or("moe_layer_start_index", 0, max_layers, 0);
    int end = n_layers - 1;
    if (const Json* value = find("moe_layer_end_index"); value != nullptr && *value != -1) {
      end = integer("moe_layer_end_index", 0, max_layers);
    }
    const int interval = integer_or("moe_layer_interval", 1, max_layers, 1);
    keep_if([&](int i) { return i >= begin && i <= end && (i + 1) % interval == 0; });
    mark_by_pattern(n_layers, keep_if);
    mark_by_type(n_layers, keep_if);
  }

  // DeepSeek: a number, every so many; or a list with 1 for layers with experts.
  template <typename KeepIf>
  void mark_by_frequency(int n_layers, KeepIf keep_if) const {
    const Json* frequency = find("moe_layer_freq");
    if (frequency == nullptr) return;
    if (!frequency->is_array()) {
      const int every = integer("moe_layer_freq", 1, max_layers);
      keep_if([&](int i) { return i % every == 0; });
      return;
    }
    const bool is_right = frequency->size() == static_cast<std::size_t>(n_layers) &&
                          std::all_of(frequency->begin(), frequency->end(),
                                      [](const Json& item) { return item == 0 || item == 1; });
    if (!is_right) wrong("moe_layer_freq", "0 or 1 for each of " + std::to_string(n_layers));
    keep_if([&](int i) { return (*frequency)[static_cast<std::size_t>(i)] == 1; });
  }

  // Nemotron-H: a letter a layer, E for experts.
  template <typename KeepIf>
  void mark_by_pattern(int n_layers, KeepIf keep_if) const {
    const Json* pattern = find("hybrid_override_pattern");
    if (pattern == nullptr) return;
    if (!pattern->is_string() ||
        pattern->get_ref<const std::string&>().size() != static_cast<std::size_t>(n_layers)) {
      wrong("hybrid_override_pattern", "a letter for each of " + std::to_string(n_layers));
    }
    const auto& letters = pattern->get_ref<const std::string&>();
    keep_if([&](int i) { return letters[static_cast<std::size_t>(i)] == 'E'; });
  }

  // transformers 5: "sparse" or "dense" for each layer.
  template <typename KeepIf>
  void mark_by_type(int n_layers, KeepIf keep_if) const {
    const Json* types = find("mlp_layer_types");
    if (types == nullptr) return;
    const bool is_right =
        types->is_array() && types->size() == static_cast<std::size_t>(n_layers) &&
        std::all_of(types->begin(), types->end(),
                    [](const Json& item) { return item == "sparse" || item == "dense"; });
    if (!is_right) {
      wrong("mlp_layer_types", "\"sparse\" or \"dense\" for each of " + std::to_string(n_layers));
    }
    keep_if([&](int i) { return (*types)[static_cast<std::size_t>(i)] == "sparse"; });
  }

  const Json* root_;
  std::string where_;
};

// Keys that look as if they decided which layers have experts, and that this reader does not know.
void check_known(const Json& root, const std::string& where) {
  constexpr std::array<std::string_view, 14> known{
      "moe_layer_freq",      "moe_layers",
      "moe_layer_interval",  "moe_layer_start_index",
      "moe_layer_end_index", "expert_layer_period",
      "expert_layer_offset", "first_k_dense_replace",
      "mlp_only_layers",     "decoder_sparse_step",
      "num_dense_layers",    "interleave_moe_layer_step",
      "num_hidden_layers",   "hybrid_override_pattern"};
  for (const auto& [key, value] : root.items()) {
    const bool is_about_layers = key.find("layer") != std::string::npos;
    const bool is_about_experts =
        key.find("moe") != std::string::npos || key.find("expert") != std::string::npos ||
        key.find("dense") != std::string::npos || key.find("sparse") != std::string::npos;
    const bool decides = is_about_layers && is_about_experts && !value.is_null();
    if (!decides || std::find(known.begin(), known.end(), key) != known.end()) continue;
    fail_at("the key \"" + key +
                "\" may decide which layers have experts, and its meaning is not known here; say "
                "it with --experts, --top-k, --layers and --moe-layers in place of --config",
            where);
  }
  for (const std::string_view key : text_keys) {
    const auto inner = root.find(key);
    if (inner != root.end() && inner->is_object()) check_known(*inner, where);
  }
}

}  // namespace

ModelLayers parse_model_layers(std::string_view text, const std::string& where) {
  const Json root = parse_json(text, where);
  if (!root.is_object()) fail_at("not a config.json", where, "an object", describe_json(root));
  check_known(root, where);
  ModelLayers model = ConfigReader(root, where).read();
  model.config_sha256 = sha256_hex(text);
  return model;
}

ModelLayers read_model_layers(const std::filesystem::path& path) {
  return parse_model_layers(read_file(path, max_config_bytes), path.string());
}

std::vector<int> parse_layer_list(std::string_view text, std::string_view flag) {
  const auto fail = [&] {
    throw Error(ErrorKind::usage,
                {"wrong value", std::string(flag),
                 "layers and ranges in ascending order, as in 0-3,5", std::string(text)});
  };
  const auto number = [&](std::string_view digits) {
    int value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value < 0 ||
        value >= max_layers) {
      fail();
    }
    return value;
  };
  std::vector<int> layers;
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view part = rest.substr(0, comma);
    const std::size_t dash = part.find('-');
    const int first = number(part.substr(0, dash));
    const int last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
    if (last < first || (!layers.empty() && first <= layers.back())) fail();
    for (int layer = first; layer <= last; ++layer) layers.push_back(layer);
    if (comma == rest.size()) break;
    rest.remove_prefix(comma + 1);
  }
  return layers;
}

}  // namespace moexray::imports
