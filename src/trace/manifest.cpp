#include "moexray/trace/manifest.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <limits>
#include <span>
#include <utility>

#include "checksum.h"
#include "json_text.h"
#include "manifest_entries.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/version.h"
#include "trace_directory.h"

namespace moexray {
namespace {

using trace::Json;

constexpr std::string_view format_name = "moexray-trace";
constexpr const char* template_date_key =
    "generation.template_date";  // absent: the template writes none
constexpr std::uint64_t max_manifest_bytes = 100'000'000;
constexpr int max_layers = 4096;
// Signatures have L·E entries a prompt.
constexpr std::int64_t max_layer_experts = std::int64_t{1} << 24;

// Reads the keys that are there into their fields and names the key of what is wrong.
class KeyReader {
 public:
  KeyReader(const Json& root, std::string_view where) : root_(root), where_(where) {}

  const Json* find(const std::string& key) const {
    const Json* value = &root_;
    std::size_t begin = 0;
    while (begin <= key.size()) {
      const std::size_t end = std::min(key.find('.', begin), key.size());
      const auto found =
          value->is_object() ? value->find(key.substr(begin, end - begin)) : value->end();
      if (found == value->end()) return nullptr;
      value = &*found;
      begin = end + 1;
    }
    return value->is_null() ? nullptr : value;
  }

  // `low` must not be negative.
  template <typename T>
  void integer(const std::string& key, T& field, std::int64_t low, std::uint64_t high) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    const bool fits = value->is_number_unsigned()
                          ? value->get<std::uint64_t>() <= high &&
                                value->get<std::uint64_t>() >= static_cast<std::uint64_t>(low)
                          : value->is_number_integer() && value->get<std::int64_t>() >= low;
    if (!fits) {
      fail(key, "an integer from " + std::to_string(low) + " to " + std::to_string(high), *value);
    }
    field = value->get<T>();
  }
  template <typename T>
  void required_integer(const std::string& key, T& field, std::int64_t low,
                        std::uint64_t high) const {
    require(key);
    integer(key, field, low, high);
  }
  void text(const std::string& key, std::string& field) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_string()) fail(key, "a string", *value);
    field = value->get<std::string>();
  }
  // A text of `prefix` and `n_digits` hexadecimal digits.
  void hash(const std::string& key, std::string& field, std::string_view prefix,
            std::size_t n_digits) const {
    text(key, field);
    const Json* value = find(key);
    const bool is_hash =
        field.size() == prefix.size() + n_digits && field.starts_with(prefix) &&
        field.find_first_not_of("0123456789abcdef", prefix.size()) == std::string::npos;
    // An empty text is a hash that was not taken.
    if (value == nullptr || field.empty() || is_hash) return;
    fail(key,
         "\"" + std::string(prefix) + "\" and " + std::to_string(n_digits) +
             " hexadecimal digits in lower case",
         *value);
  }
  void flag(const std::string& key, bool& field) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_boolean()) fail(key, "true or false", *value);
    field = value->get<bool>();
  }
  void number(const std::string& key, double& field) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_number()) fail(key, "a number", *value);
    field = value->get<double>();
  }
  template <typename T>
  void integers(const std::string& key, std::vector<T>& field) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_array()) fail(key, "an array of integers", *value);
    std::vector<T> items;
    for (const Json& item : *value) {
      if (!item.is_number_integer() || item < 0 || item > std::numeric_limits<int>::max()) {
        fail(key, "an array of integers from 0", item);
      }
      items.push_back(item.get<T>());
    }
    field = std::move(items);
  }
  const Json& require(const std::string& key) const {
    const Json* value = find(key);
    if (value == nullptr) {
      throw Error(ErrorKind::data, {"missing key \"" + key + "\"", where_, {}, {}});
    }
    return *value;
  }
  const std::string& where() const { return where_; }
  [[noreturn]] void fail(const std::string& key, std::string expected, const Json& found) const {
    throw Error(ErrorKind::data, {"wrong value of key \"" + key + "\"", where_, std::move(expected),
                                  describe_json(found)});
  }

 private:
  const Json& root_;
  std::string where_;
};

using Order = ManifestRecorded::Order;
using Weights = ManifestRecorded::Weights;
constexpr std::array order_names{std::pair{std::string_view("router"), Order::router},
                                 std::pair{std::string_view("unknown"), Order::unknown}};
constexpr std::array weights_names{
    std::pair{std::string_view("none"), Weights::none},
    std::pair{std::string_view("applied"), Weights::applied},
    std::pair{std::string_view("selection scores"), Weights::selection_scores}};

using Kind = ManifestRecorded::Kind;
constexpr std::array kind_names{std::pair{std::string_view("events"), Kind::events},
                                std::pair{std::string_view("counts"), Kind::counts},
                                std::pair{std::string_view("pool"), Kind::pool}};

template <typename Names, typename T>
std::string_view name_in(const Names& names, T value) {
  for (const auto& [name, other] : names) {
    if (other == value) return name;
  }
  return {};
}

constexpr std::size_t max_eos_ids = 256;
constexpr std::size_t max_shadows = 10'000;
constexpr std::uint64_t max_count = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t max_int = std::numeric_limits<int>::max();

void read_format(const KeyReader& in) {
  if (const Json& format = in.require("format"); format != format_name) {
    in.fail("format", "\"" + std::string(format_name) + "\"", format);
  }
  const Json& version = in.require("version");
  if (version != 1 && version != trace_format_version) {
    in.fail("version",
            "1 or " + std::to_string(trace_format_version) + " (what this program reads)", version);
  }
}

// One of some names; what is not there keeps its value.
template <typename T>
void read_choice(const KeyReader& in, const std::string& key, T& field,
                 std::span<const std::pair<std::string_view, T>> choices) {
  std::string text;
  in.text(key, text);
  if (in.find(key) == nullptr) return;
  std::string expected;
  for (const auto& [name, value] : choices) {
    if (text == name) {
      field = value;
      return;
    }
    expected += (expected.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  }
  in.fail(key, expected, in.require(key));
}

void read_source(const KeyReader& in, ManifestSource& source) {
  if (in.find("source") == nullptr) return;
  in.require("source.system");
  in.text("source.system", source.system);
  std::string version;
  in.text("source.version", version);
  if (in.find("source.version") != nullptr) source.version = version;
  in.text("source.interface", source.interface);
  in.text("source.importer", source.importer);
  in.text("source.config_sha256", source.config_sha256);
  in.text("source.joined", source.joined);
  const Json* files = in.find("source.files");
  if (files == nullptr) return;
  if (!files->is_array()) in.fail("source.files", "an array of {name, sha256}", *files);
  for (const Json& file : *files) {
    const KeyReader one(file, in.where() + ": key \"source.files\"");
    ManifestFile& row = source.files.emplace_back();
    one.require("name");
    one.text("name", row.name);
    one.hash("sha256", row.sha256, "", 64);
  }
}

// What version 2 adds.
void read_origin(const KeyReader& in, TraceManifest& m) {
  in.integer("model.top_k_of_model", m.model.top_k_of_model, 1, max_experts);
  read_source(in, m.source);
  read_choice<ManifestRecorded::Order>(in, "recorded.order", m.recorded.order, order_names);
  read_choice<ManifestRecorded::Weights>(in, "recorded.weights", m.recorded.weights, weights_names);
  in.flag("recorded.token_ids", m.recorded.token_ids);
  in.flag("recorded.text", m.recorded.text);
  read_choice<ManifestRecorded::Kind>(in, "recorded.kind", m.recorded.kind, kind_names);
  in.flag("complete.prompt", m.complete.prompt);
  in.flag("complete.generation", m.complete.generation);
  in.integer("complete.first_pos", m.complete.first_pos, 0, max_count);
  in.integers("complete.layers_left_out", m.complete.layers_left_out);
  in.integer("complete.prompts_left_out", m.complete.prompts_left_out, 0, max_count);
}

Json text_or_nothing(const std::string& text) { return text.empty() ? Json() : Json(text); }

// The entries of `source`, `recorded` and `complete`.
void add_origin(const TraceManifest& m, trace::ManifestEntries& entries) {
  const ManifestSource& source = m.source;
  if (!source.system.empty()) {
    Json files = Json::array();
    for (const ManifestFile& file : source.files) {
      files.push_back({{"name", file.name}, {"sha256", file.sha256}});
    }
    entries.insert(entries.end(),
                   {{"source.system", source.system},
                    {"source.version", source.version ? Json(*source.version) : Json()},
                    {"source.interface", text_or_nothing(source.interface)},
                    {"source.importer", text_or_nothing(source.importer)},
                    {"source.files", std::move(files)},
                    {"source.config_sha256", text_or_nothing(source.config_sha256)},
                    {"source.joined", text_or_nothing(source.joined)}});
  }
  entries.insert(entries.end(), {{"recorded.ids", "logical"},
                                 {"recorded.order", name_in(order_names, m.recorded.order)},
                                 {"recorded.weights", name_in(weights_names, m.recorded.weights)},
                                 {"recorded.token_ids", m.recorded.token_ids},
                                 {"recorded.text", m.recorded.text},
                                 {"recorded.kind", name_in(kind_names, m.recorded.kind)},
                                 {"complete.prompt", m.complete.prompt},
                                 {"complete.generation", m.complete.generation},
                                 {"complete.last_token", "not routed"},
                                 {"complete.first_pos", m.complete.first_pos},
                                 {"complete.layers_left_out", m.complete.layers_left_out},
                                 {"complete.prompts_left_out", m.complete.prompts_left_out}});
}

// Keys that only version 2 has, whatever of them is there.
bool is_of_origin(std::string_view key) {
  return key.starts_with("source.") || key.starts_with("recorded.") || key.starts_with("complete.");
}

// Counts can do without k.
void read_model(const KeyReader& in, bool needs_top_k, ManifestModel& model) {
  in.required_integer("model.n_layers", model.shape.n_layers, 1, max_layers);
  in.required_integer("model.n_experts", model.shape.n_experts, 1, max_experts);
  if (needs_top_k) in.require("model.top_k");
  in.integer("model.top_k", model.shape.top_k, 1,
             static_cast<std::uint64_t>(model.shape.n_experts));
  if (std::int64_t{model.shape.n_layers} * model.shape.n_experts > max_layer_experts) {
    in.fail("model.n_experts",
            "at most " + std::to_string(max_layer_experts) + " experts in all layers",
            in.require("model.n_experts"));
  }
  in.text("model.name", model.name);
  in.text("model.architecture", model.architecture);
  in.integer("model.hidden_size", model.hidden_size, 0, max_count);
  in.flag("model.norm_topk_prob", model.norm_topk_prob);
  in.text("model.dtype", model.dtype);
  in.integers("model.moe_layers", model.moe_layers);
  const auto n_layers = static_cast<std::size_t>(model.shape.n_layers);
  if (!model.moe_layers.empty() && model.moe_layers.size() != n_layers) {
    in.fail("model.moe_layers", std::to_string(n_layers) + " layers",
            Json(model.moe_layers.size()));
  }
  in.text("model.config_sha256", model.config_sha256);
  in.text("model.router_sha256", model.router_sha256);
  in.hash("model.weights_xxh3", model.weights_xxh3, "xxh3-128:", 32);
  in.hash("model.deciding_config_sha256", model.deciding_config_sha256, "", 64);
}

void read_generation(const KeyReader& in, ManifestGeneration& generation) {
  in.integer("generation.max_new_tokens", generation.max_new_tokens, 0, max_count);
  in.flag("generation.do_sample", generation.do_sample);
  in.number("generation.temperature", generation.temperature);
  in.number("generation.top_p", generation.top_p);
  in.integer("generation.seed", generation.seed, 0, std::numeric_limits<std::uint64_t>::max());
  in.text("generation.template", generation.template_name);
  in.text(template_date_key, generation.template_date);
  in.flag("generation.ignore_eos", generation.ignore_eos);
  in.integers("generation.eos_token_ids", generation.eos_token_ids);
  if (generation.eos_token_ids.size() > max_eos_ids) {
    in.fail("generation.eos_token_ids", "at most " + std::to_string(max_eos_ids) + " ids",
            Json(generation.eos_token_ids.size()));
  }
}

void read_shard(const KeyReader& in, TraceManifest& m) {
  in.integer("shard.index", m.shard.index, 0, max_int);
  in.integer("shard.count", m.shard.count, 1, max_int);
  if (m.shard.index >= m.shard.count) {
    in.fail("shard.index", "an integer below the count, " + std::to_string(m.shard.count),
            Json(m.shard.index));
  }
  in.integer("shard.n_prompts", m.n_shard_prompts, 0, max_count);
}

Json shadows_json(const std::vector<ManifestShadow>& shadows) {
  Json list = Json::array();
  for (const ManifestShadow& shadow : shadows) {
    list.push_back({{"router", shadow.router},
                    {"form", shadow.form},
                    {"weights_sha256", shadow.weights_sha256}});
  }
  return list;
}

void read_shadows(const KeyReader& in, std::vector<ManifestShadow>& shadows) {
  const Json* list = in.find("shadows.routers");
  if (list == nullptr) return;
  if (!list->is_array() || list->empty() || list->size() > max_shadows) {
    in.fail("shadows.routers", "an array of 1 to " + std::to_string(max_shadows) + " routers",
            *list);
  }
  for (const Json& entry : *list) {
    const auto text = [&](const char* key) {
      const auto found = entry.is_object() ? entry.find(key) : entry.end();
      if (found == entry.end() || !found->is_string()) {
        in.fail("shadows.routers", "objects with \"router\", \"form\" and \"weights_sha256\"",
                entry);
      }
      return found->get<std::string>();
    };
    shadows.push_back({text("router"), text("form"), text("weights_sha256")});
  }
}

// Keys that are written only where they say something, and mean nothing is there where they are
// missing.
bool is_unsaid(const TraceManifest& m, std::string_view key) {
  if (key == "shadow_router") return m.shadow_router == "none";
  if (key == template_date_key) return m.generation.template_date.empty();
  if (key == "score") return !m.score;
  if (key.starts_with("replay.")) return m.replay.trace_sha256.empty();
  if (key == "model.top_k") return m.model.shape.top_k == 0;
  return key.starts_with("shadows.") && m.shadows.empty();
}
bool means_none(std::string_view key) {
  return key == "routing_policy" || key == "shadow_router" || key == template_date_key ||
         key == "score" || key.starts_with("shadows.") || key.starts_with("replay.");
}

}  // namespace

trace::ManifestEntries trace::manifest_entries(const TraceManifest& m) {
  const ManifestModel& model = m.model;
  const ManifestGeneration& generation = m.generation;
  trace::ManifestEntries entries = {
      {"format", format_name},
      {"version", m.version},
      {"tool", m.tool},
      {"model.name", model.name},
      {"model.architecture", model.architecture},
      {"model.hidden_size", model.hidden_size},
      {"model.n_layers", model.shape.n_layers},
      {"model.n_experts", model.shape.n_experts},
      {"model.top_k", model.shape.top_k},
      {"model.norm_topk_prob", model.norm_topk_prob},
      {"model.dtype", model.dtype},
      {"model.moe_layers", model.moe_layers},
      {"model.config_sha256", model.config_sha256},
      {"model.router_sha256", model.router_sha256},
      {"model.weights_xxh3", model.weights_xxh3},
      {"model.deciding_config_sha256", model.deciding_config_sha256},
  };
  if (model.top_k_of_model > 0) entries.emplace_back("model.top_k_of_model", model.top_k_of_model);
  const trace::ManifestEntries rest = {
      {"tokenizer.kind", m.tokenizer.kind},
      {"tokenizer.vocab_size", m.tokenizer.vocab_size},
      {"tokenizer.sha256", m.tokenizer.sha256},
      {"n_prompts", m.n_prompts},
      {"instruction_set", m.instruction_set},
      {"generation.max_new_tokens", generation.max_new_tokens},
      {"generation.do_sample", generation.do_sample},
      {"generation.temperature", generation.temperature},
      {"generation.top_p", generation.top_p},
      {"generation.seed", generation.seed},
      {"generation.template", generation.template_name},
      {template_date_key, generation.template_date},
      {"generation.ignore_eos", generation.ignore_eos},
      {"generation.eos_token_ids", generation.eos_token_ids},
      {"batch", m.batch},
      {"plan", m.plan},
      {"kernels", m.kernels},
      {"device", m.device},
      {"backend", m.backend},
      {"bits", m.bits},
      {"routing_policy", m.routing_policy},
      {"shadow_router", m.shadow_router},
      {"shadows.file", trace::shadows_name},
      {"shadows.routers", shadows_json(m.shadows)},
      {"replay.trace_sha256", m.replay.trace_sha256},
      {"replay.tokens_sha256", m.replay.tokens_sha256},
      {"prompts_sha256", m.prompts_sha256},
      {"prompt_ids_sha256", m.prompt_ids_sha256},
      {"shard.index", m.shard.index},
      {"shard.count", m.shard.count},
      {"shard.n_prompts", m.n_shard_prompts},
      {"events", m.events == EventsForm::flat ? "flat" : "grouped"},
      {"router_logits", m.router_logits},
      {"score", m.score},
      {"compress", m.compress},
  };
  entries.insert(entries.end(), rest.begin(), rest.end());
  if (m.version >= 2) add_origin(m, entries);
  return entries;
}

std::string trace_tool_name() { return "moexray " + std::string(version()); }

TraceManifest bare_manifest(const RoutingShape& shape) {
  const std::set<std::string_view> known = {
      "format",      "version",        "tool",   "model.n_layers", "model.n_experts",
      "model.top_k", "routing_policy", "events", "router_logits",  "compress"};
  TraceManifest manifest;
  manifest.tool = trace_tool_name();
  manifest.model.shape = shape;
  for (const auto& [key, value] : trace::manifest_entries(manifest)) {
    if (!known.contains(key) && !means_none(key)) manifest.absent.insert(key);
  }
  return manifest;
}

std::string manifest_to_json(const TraceManifest& manifest) {
  std::string text = "{";
  std::string open_object;
  for (const auto& [key, value] : trace::manifest_entries(manifest)) {
    if (manifest.absent.contains(key) || is_unsaid(manifest, key)) continue;
    const std::size_t dot = key.find('.');
    const std::string object = dot == std::string::npos ? "" : key.substr(0, dot);
    if (object == open_object && !object.empty()) {
      text += ", ";
    } else {
      if (!open_object.empty()) text += "}";
      text += text.size() == 1 ? "\n  " : ",\n  ";
      if (!object.empty()) text += "\"" + object + "\": {";
      open_object = object;
    }
    text += "\"" + key.substr(dot == std::string::npos ? 0 : dot + 1) + "\": ";
    text += json_text(value);
  }
  if (!open_object.empty()) text += "}";
  if (!manifest.finished) text += ",\n  \"finished\": false";
  append_checksum(text, trace::manifest_checksum);
  return text;
}

TraceManifest manifest_from_json(std::string_view json, std::string_view where) {
  const Json root = parse_json(json, where);
  const KeyReader in(root, where);
  read_format(in);
  if (root.contains("checksum") &&
      check_checksum(json, trace::manifest_checksum) != ChecksumState::right) {
    throw Error(ErrorKind::data,
                {"the file was changed after it was written: its \"checksum\" does not match",
                 std::string(where),
                 {},
                 {}});
  }
  TraceManifest m;
  m.version = in.require("version").get<int>();
  if (m.version >= 2) read_origin(in, m);
  in.text("tool", m.tool);
  read_model(in, m.recorded.kind == Kind::events, m.model);
  in.text("tokenizer.kind", m.tokenizer.kind);
  in.integer("tokenizer.vocab_size", m.tokenizer.vocab_size, 0, max_count);
  in.text("tokenizer.sha256", m.tokenizer.sha256);
  in.integer("n_prompts", m.n_prompts, 0, max_count);
  in.flag("finished", m.finished);
  in.text("instruction_set", m.instruction_set);
  read_generation(in, m.generation);
  in.integer("batch", m.batch, 0, max_count);
  in.integers("plan", m.plan);
  in.text("kernels", m.kernels);
  in.text("device", m.device);
  in.text("backend", m.backend);
  in.text("bits", m.bits);
  in.text("routing_policy", m.routing_policy);
  in.text("shadow_router", m.shadow_router);
  read_shadows(in, m.shadows);
  in.text("prompts_sha256", m.prompts_sha256);
  in.hash("prompt_ids_sha256", m.prompt_ids_sha256, "", 64);
  read_shard(in, m);
  std::string events = "grouped";
  in.text("events", events);
  if (events != "grouped" && events != "flat") {
    in.fail("events", "\"grouped\" or \"flat\"", in.require("events"));
  }
  m.events = events == "flat" ? EventsForm::flat : EventsForm::grouped;
  in.flag("router_logits", m.router_logits);
  in.flag("score", m.score);
  in.hash("replay.trace_sha256", m.replay.trace_sha256, "", 64);
  in.hash("replay.tokens_sha256", m.replay.tokens_sha256, "", 64);
  in.flag("compress", m.compress);
  for (const auto& [key, value] : trace::manifest_entries(m)) {
    if (in.find(key) != nullptr || means_none(key) || is_of_origin(key)) continue;
    m.absent.insert(key);
  }
  return m;
}

TraceManifest read_manifest(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "manifest.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    const bool is_there = std::filesystem::is_directory(directory, ignored);
    throw Error(ErrorKind::data,
                {is_there ? "not a trace directory: it has no manifest.json" : "no such directory",
                 directory.string(),
                 {},
                 {}});
  }
  return manifest_from_json(read_file(path, max_manifest_bytes), path.string());
}

}  // namespace moexray
