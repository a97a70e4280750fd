#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/trace/prompts.h"

namespace moexray {

/// The model of a trace.
struct ManifestModel {
  std::string name;
  std::string architecture;
  std::int64_t hidden_size = 0;
  RoutingShape shape;  ///< keys n_layers, n_experts, top_k (0: not known, of counts alone)
  bool norm_topk_prob = false;
  std::string dtype;            ///< of the computation
  std::vector<int> moe_layers;  ///< [n_layers]: the transformer layer of each MoE layer
  std::string config_sha256;    ///< of the bytes of config.json
  std::string router_sha256;    ///< of the router weights in layer order
  std::string weights_xxh3;     ///< of all weights, "xxh3-128:…" as weights_xxh3() gives it
  /// Of the settings of config.json that decide the computation: moexray::deciding_config_sha256().
  std::string deciding_config_sha256;
  /// Experts per token as the model was made, where another k was routed; 0: not recorded. Version
  /// 2.
  int top_k_of_model = 0;
};

/// A file that an import read.
struct ManifestFile {
  std::string name;  ///< without directories
  std::string sha256;

  bool operator==(const ManifestFile&) const = default;
};

/// What recorded the routing, where that was not moexray. Key `source`, version 2.
struct ManifestSource {
  std::string system;                  ///< "vllm"; empty: there is no such key
  std::optional<std::string> version;  ///< of the system; null where the files do not say
  std::string interface;               ///< "/v1/completions"; empty: null
  std::string importer;                ///< "moexray 0.1.0"
  std::vector<ManifestFile> files;
  std::string config_sha256;  ///< of the config.json that was given; empty: null
  std::string joined;         ///< how records and prompts came together: "id", "order"; empty: null
};

/// What the events hold. Key `recorded`, version 2; a version 1 trace has the defaults.
struct ManifestRecorded {
  /// Events of single tokens; or how often each prompt selected each expert
  /// (moexray/trace/counts.h); or that of one pool of tokens, whose prompts nobody can tell apart.
  enum class Kind { events, counts, pool };
  enum class Order { router, unknown };
  enum class Weights { none, applied, selection_scores };
  Order order = Order::router;         ///< of the experts of a record
  Weights weights = Weights::applied;  ///< what the weights are
  bool token_ids = true;
  bool text = true;  ///< of prompts and completions
  Kind kind = Kind::events;
};

/// Which part of the routing there is. Key `complete`, version 2.
struct ManifestComplete {
  bool prompt = true;                ///< every position of the prompts
  bool generation = true;            ///< every position that was generated and routed
  std::int64_t first_pos = 0;        ///< the least position of all prompts
  std::vector<int> layers_left_out;  ///< transformer layers with experts that the trace lacks
  std::int64_t prompts_left_out = 0;
};

struct ManifestTokenizer {
  std::string kind;
  std::int64_t vocab_size = 0;
  std::string sha256;
};

struct ManifestGeneration {
  std::int64_t max_new_tokens = 0;
  bool do_sample = false;
  double temperature = 1.0;
  double top_p = 1.0;
  std::uint64_t seed = 0;
  std::string template_name;  ///< key "template"
  std::string template_date;  ///< the day that the template writes; "": none
  bool ignore_eos = false;
  std::vector<TokenId> eos_token_ids = {};  ///< ascending; none if nothing is generated
};

enum class EventsForm { grouped, flat };

/// A router that watched the hidden states of a traced model beside its own (docs/statistics.md,
/// "A random router").
struct ManifestShadow {
  std::string router;          ///< "random:1", "permuted-dims:3", "router:NAME"
  std::string form;            ///< "as it is", or "load matched": with a bias for each expert
  std::string weights_sha256;  ///< of its weights in layer order, as ManifestModel::router_sha256
  bool operator==(const ManifestShadow&) const = default;
};

/// The manifest.json of a trace directory: everything that decides the bytes of the trace, and
/// nothing (times, hosts, paths) that does not.
struct TraceManifest {
  /// 2 where a reader has to know `recorded` and `complete`: routing that something else recorded.
  int version = 1;
  std::string tool;  ///< "moexray 0.1.0"
  ManifestModel model;
  ManifestTokenizer tokenizer;
  std::int64_t n_prompts = -1;  ///< of this directory: a shard counts its own; −1: not recorded
  /// False while prompts are written one by one and nobody knows yet how many there will be.
  bool finished = true;
  std::string instruction_set;  ///< of the processor
  std::string device;           ///< "cpu" or "cuda"
  std::string backend;          ///< "libtorch 1.13.1"
  ManifestGeneration generation;
  std::int64_t batch = 0;  ///< the resolved batch size
  std::vector<std::int64_t>
      plan;             ///< prompts per batch; batches are consecutive prompts in input order
  std::string kernels;  ///< what multiplied: a set of kernels, or "plain" for the backend's own
  /// The class of kernels, device and backend whose computations give the same bits; what resuming
  /// compares in their place.
  std::string bits;
  /// RoutingPolicy::canonical(), or "none": the routers decided. Manifests without the key mean
  /// that too.
  std::string routing_policy = "none";
  /// What routed in place of the model's own routers, which chose the experts that computed:
  /// "random:1, load matched", or "none" (a key that is then not written). `model.router_sha256` is
  /// of its weights.
  std::string shadow_router = "none";
  /// Key shadows.routers: what shadows.bin (moexray/trace/shadows.h) holds the routing of; no key
  /// without any.
  std::vector<ManifestShadow> shadows = {};
  std::string prompts_sha256;  ///< PromptSet::sha256
  /// Of the tokens of this directory's prompts: a line for each, its ids with spaces between, and a
  /// "t" behind those of the template.
  std::string prompt_ids_sha256;
  Shard shard;  ///< {"index": 0, "count": 1} for a whole run
  /// Key shard.n_prompts: the prompts of all shards together, those that --limit leaves.
  std::int64_t n_shard_prompts = 0;
  EventsForm events = EventsForm::grouped;
  bool router_logits = false;
  bool compress = false;
  ManifestSource source;
  ManifestRecorded recorded;
  ManifestComplete complete;
  /// Keys that the file does not have and whose fields therefore mean nothing: manifests of other
  /// software, or of an earlier version. "model.dtype", say.
  std::set<std::string, std::less<>> absent;
};

/// The latest version of the trace format that this library reads. It writes 1 where nothing of 2
/// is needed: TraceManifest::version.
inline constexpr int trace_format_version = 2;

/// "moexray VERSION", the `tool` of this library.
std::string trace_tool_name();

/// The manifest of routing of which no more is known than its shape: all that a reader can do
/// without is `absent`. Whoever knows more sets the field and takes its key out of `absent`.
TraceManifest bare_manifest(const RoutingShape& shape);

/// manifest.json as bytes: one top-level key a line, in a fixed order, without those that are
/// `absent`, and a "checksum" of the bytes before it.
std::string manifest_to_json(const TraceManifest& manifest);

/// Reads a manifest. Required are `format`, `version` and model.{n_layers, n_experts, top_k}; what
/// else is there must have the right type, what is not there keeps its default. `where` stands for
/// the file in errors.
/// @throws Error (data) naming the key.
TraceManifest manifest_from_json(std::string_view json, std::string_view where);

/// Reads DIRECTORY/manifest.json.
/// @throws Error (data) if it is missing or not a manifest.
TraceManifest read_manifest(const std::filesystem::path& directory);

/// Checks that `wanted` continues the run that wrote `recorded`: all keys but `batch` and `plan`,
/// which the recorded run decides, and `instruction_set`, `device`, `backend` and `kernels`, for
/// which `bits` stands, are equal.
/// @throws Error (data) naming the first key that differs, with both values.
void check_same_run(const TraceManifest& recorded, const TraceManifest& wanted,
                    std::string_view where);

/// A key in which two manifests disagree, with both values as JSON.
struct ManifestDifference {
  std::string key;
  std::string first;
  std::string second;
};

/// The first of the keys that tell models apart (shadow router, shape, hashes of weights and
/// config, `norm_topk_prob`) in which two manifests disagree. Keys that one of them does not have
/// are not compared; names only are where no hash of weights is common to both.
std::optional<ManifestDifference> model_difference(const TraceManifest& first,
                                                   const TraceManifest& second);

}  // namespace moexray
