#include "manifest_compare.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "fail.h"
#include "manifest_entries.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "trace_directory.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using trace::Json;
using trace::ManifestEntries;

constexpr std::size_t max_shown_bytes = 200;

std::string shown(const Json& value) { return printable(json_text(value), max_shown_bytes); }

// What computed. `bits` says of the others what they decide, where there is one.
constexpr auto computing_keys = {"bits", "device", "backend", "kernels", "instruction_set"};

// Keys that say what was computed, with what, and how; not which prompts, nor how it is written.
bool is_compared(std::string_view key) {
  for (const char* group : {"model.", "tokenizer.", "generation."}) {
    if (key.starts_with(group)) return true;
  }
  return key == "routing_policy" || key == "shadow_router" ||
         std::find(computing_keys.begin(), computing_keys.end(), key) != computing_keys.end();
}

// The values of a manifest that mean something, by key.
class Values {
 public:
  explicit Values(const TraceManifest& manifest) {
    for (auto& [key, value] : trace::manifest_entries(manifest)) {
      const bool is_empty = value == "" || (key == "model.moe_layers" && value.empty());
      if (is_empty || manifest.absent.contains(key) || !is_compared(key)) continue;
      values_.emplace(key, std::move(value));
    }
  }

  bool operator==(const Values&) const = default;

  const Json* find(std::string_view key) const {
    const auto row = values_.find(key);
    return row == values_.end() ? nullptr : &row->second;
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }

 private:
  std::map<std::string, Json, std::less<>> values_;
};

// The first of some keys that both have and that differ.
std::optional<ManifestDifference> first_difference(const Values& a, const Values& b,
                                                   std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const Json* first = a.find(key);
    const Json* second = b.find(key);
    if (first == nullptr || second == nullptr || *first == *second) continue;
    return ManifestDifference{key, shown(*first), shown(*second)};
  }
  return std::nullopt;
}

bool both_have(const Values& a, const Values& b, const char* key) {
  return a.has(key) && b.has(key);
}

std::optional<ManifestDifference> model_difference(const Values& a, const Values& b) {
  auto difference = first_difference(
      a, b,
      {"shadow_router", "model.n_layers", "model.n_experts", "model.top_k", "model.hidden_size",
       "model.moe_layers", "model.norm_topk_prob", "model.router_sha256", "model.weights_xxh3",
       "model.deciding_config_sha256"});
  if (difference) return difference;
  // The bytes of config.json hold much that decides nothing, but are all that old traces have.
  if (!both_have(a, b, "model.deciding_config_sha256")) {
    difference = first_difference(a, b, {"model.config_sha256"});
    if (difference) return difference;
  }
  if (both_have(a, b, "model.weights_xxh3") || both_have(a, b, "model.router_sha256")) return {};
  return first_difference(a, b, {"model.architecture", "model.name"});
}

std::optional<ManifestDifference> run_difference(const Values& a, const Values& b) {
  auto difference = model_difference(a, b);
  if (difference) return difference;
  difference = first_difference(
      a, b,
      {"routing_policy", "model.dtype", "tokenizer.sha256", "generation.max_new_tokens",
       "generation.do_sample", "generation.template", "generation.template_date",
       "generation.ignore_eos", "generation.eos_token_ids"});
  if (difference) return difference;
  const Json* is_sampled = a.find("generation.do_sample");
  if (is_sampled == nullptr || *is_sampled != true) return {};
  return first_difference(a, b, {"generation.temperature", "generation.top_p", "generation.seed"});
}

// Whether a key must be the same for a run to go on.
bool must_be_equal(std::string_view key, const TraceManifest& recorded) {
  if (key == "batch" || key == "plan") return false;
  const bool is_said_by_bits =
      key != "bits" &&
      std::find(computing_keys.begin(), computing_keys.end(), key) != computing_keys.end();
  if (is_said_by_bits) return false;
  return key != "model.config_sha256" || recorded.absent.contains("model.deciding_config_sha256");
}

// The name of a set of kernels tells how to compute as before.
std::string with_kernels(std::string_view key, std::string value, const TraceManifest& manifest) {
  if (key != "bits" || manifest.kernels.empty()) return value;
  return value + " (--kernels " + manifest.kernels + ")";
}

}  // namespace

void check_same_run(const TraceManifest& recorded, const TraceManifest& wanted,
                    std::string_view where) {
  const ManifestEntries a = trace::manifest_entries(recorded);
  const ManifestEntries b = trace::manifest_entries(wanted);
  std::string unknown;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::string& key = a[i].first;
    if (!must_be_equal(key, recorded)) continue;
    if (recorded.absent.contains(key)) {
      if (unknown.empty()) unknown = key;
    } else if (a[i].second != b[i].second) {
      throw Error(ErrorKind::data,
                  {"cannot resume: this run differs from the recorded one in \"" + key + "\"",
                   std::string(where), with_kernels(key, shown(a[i].second), recorded),
                   with_kernels(key, shown(b[i].second), wanted)});
    }
  }
  // What both have agrees, and is not enough: two models can have the same routers.
  if (unknown.empty() && recorded.model.weights_xxh3.empty()) unknown = "model.weights_xxh3";
  if (unknown.empty()) return;
  throw Error(ErrorKind::data,
              {"cannot resume: the manifest has no \"" + unknown +
                   "\", so it cannot be told whether this is the recorded run (an earlier version "
                   "wrote it?); trace into another directory, or use --force to start again",
               std::string(where),
               {},
               {}});
}

std::optional<ManifestDifference> model_difference(const TraceManifest& first,
                                                   const TraceManifest& second) {
  return model_difference(Values(first), Values(second));
}

std::vector<std::string> trace::check_agreement(std::span<const TraceManifest> manifests,
                                                std::span<const fs::path> directories) {
  // The shards of a run are all alike: each is compared with what differs so far, not with all.
  std::vector<std::pair<Values, const fs::path*>> kinds;
  std::vector<std::string> notices;
  std::set<std::string> told;
  for (std::size_t i = 0; i < manifests.size(); ++i) {
    Values values(manifests[i]);
    for (const auto& [other, directory] : kinds) {
      if (const auto difference = run_difference(other, values)) {
        fail_at("traces that are read together must agree in \"" + difference->key + "\"",
                (directories[i] / manifest_name).string(),
                difference->first + " (as in " + directory->string() + ")", difference->second);
      }
      for (const char* key : computing_keys) {
        if (both_have(other, values, "bits") && key != std::string_view("bits")) continue;
        const auto difference = first_difference(other, values, {key});
        if (!difference || !told.insert(key).second) continue;
        notices.push_back("the traces differ in \"" + difference->key + "\": " + difference->first +
                          " in " + printable(directory->string()) + ", " + difference->second +
                          " in " + printable(directories[i].string()) +
                          "; it decides the last digits of what the routers compute");
      }
    }
    const bool is_known = std::any_of(kinds.begin(), kinds.end(),
                                      [&](const auto& kind) { return kind.first == values; });
    if (!is_known) kinds.emplace_back(std::move(values), &directories[i]);
  }
  return notices;
}

}  // namespace moexray
