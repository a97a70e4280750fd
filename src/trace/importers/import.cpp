#include "moexray/trace/import.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>
#include <utility>

#include "importer.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/forward_tokens.h"
#include "moexray/core/version.h"
#include "moexray/core/wording.h"
#include "moexray/trace/counts.h"
#include "moexray/trace/stream_writer.h"
#include "prefix_check.h"
#include "prompt_join.h"
#include "routing_checks.h"
#include "trace/fail.h"
#include "trace/temporary_output.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using imports::IdArray;
using imports::LayerMap;
using imports::ModelLayers;
using imports::RecordedCounts;
using imports::RecordedPrompt;
using imports::SourceFacts;
using trace::fail_at;
using trace::TemporaryOutput;

constexpr std::int64_t chunk_rows = 1024;
constexpr std::int64_t max_counted_layers = 4096;
// Prompts, and events of them, that are synced to disk together.
constexpr std::size_t commit_prompts = 256;
constexpr std::int64_t commit_events = std::int64_t{8} << 20;
constexpr std::size_t n_listed_notices = 20;

std::string list_text(const std::vector<int>& numbers) {
  std::string text;
  for (const int number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

ModelLayers model_of(const ImportOptions& options) {
  ModelLayers model;
  if (!options.config.empty()) model = imports::read_model_layers(options.config);
  const auto take = [&](int given, int& field, const char* flag) {
    if (given == 0) return;
    if (field != 0 && field != given) {
      throw Error(ErrorKind::usage, {"the flag and the config disagree", flag,
                                     std::to_string(field) + " (" + options.config.string() + ")",
                                     std::to_string(given)});
    }
    field = given;
  };
  take(options.n_experts, model.n_experts, "--experts");
  take(options.n_layers, model.n_layers, "--layers");
  // Another k than the model's own is a setting of many engines.
  if (!options.moe_layers.empty()) {
    if (!model.moe_layers.empty() && model.moe_layers != options.moe_layers) {
      throw Error(ErrorKind::usage, {"the flag and the config disagree", "--moe-layers",
                                     list_text(model.moe_layers), list_text(options.moe_layers)});
    }
    model.moe_layers = options.moe_layers;
  }
  if (model.n_layers > 0 && !model.moe_layers.empty() &&
      model.moe_layers.back() >= model.n_layers) {
    throw Error(ErrorKind::usage, {"a layer that the model does not have", "--moe-layers",
                                   "below " + std::to_string(model.n_layers),
                                   std::to_string(model.moe_layers.back())});
  }
  return model;
}

class Sink : public imports::ImportSink {
 public:
  Sink(const ImportOptions& options, ImportResult& result)
      : options_(options), result_(result), model_(model_of(options)), join_(options) {
    if (!options.check_only) output_.emplace(options.output, options.force);
  }

  SourceFacts& facts() override { return facts_; }
  const ImportOptions& options() const override { return options_; }
  const ModelLayers& model() const override { return model_; }

  void finished_file(std::string name, std::string sha256) override {
    files_.push_back({std::move(name), std::move(sha256)});
    n_bytes_before_ = n_bytes_;
  }

  void check_stop(std::uint64_t n_bytes_of_file) override {
    if (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed)) {
      throw Error(ErrorKind::interrupted, "interrupted");
    }
    n_bytes_ = n_bytes_before_ + n_bytes_of_file;
    if (options_.progress) options_.progress(n_bytes_);
  }

  void take(RecordedPrompt record) override {
    Prompt prompt = join_.take(record);
    ++n_records_;
    if (!record.hole.empty()) return leave_out(record, prompt.id);
    settle_lengths(record);
    record.hole = rows_problem(record);
    const LayerMap layers = layer_map(record);
    imports::RoutingFindings found;
    if (record.hole.empty()) {
      settle_shape(record, layers);
      found = imports::check_routing(record.ids, record.weights, layers, shape_.n_experts,
                                     record.first_pos, record.where, facts_.exported.has_value());
      record.hole = found.hole;
    }
    if (!record.hole.empty()) return leave_out(record, prompt.id);
    if (!found.warning.empty()) warn(record.where + ": " + found.warning);
    if (!found.notice.empty()) notice(record.where + ": " + found.notice);
    write(std::move(record), prompt, layers);
  }

  void take_counts(RecordedCounts counts, bool is_pool) override {
    if (counts.n_layers < 1 || counts.n_layers > max_counted_layers || counts.n_experts < 1 ||
        counts.n_experts > max_experts) {
      fail_at("an impossible number of layers or experts", counts.where,
              "1 to " + std::to_string(max_counted_layers) + " layers of 1 to " +
                  std::to_string(max_experts) + " experts",
              std::to_string(counts.n_layers) + ", " + std::to_string(counts.n_experts));
    }
    RecordedPrompt record;
    record.where = counts.where;
    record.names = std::move(counts.names);
    record.category = std::move(counts.category);
    record.layers = std::move(counts.layers);
    // No rows: only the layers of an array are looked at.
    record.ids = IdArray({}, imports::Item::u8, {0, counts.n_layers, 1});
    const Prompt prompt = join_.take(record);
    ++n_records_;
    const LayerMap layers = layer_map(record);
    settle_counts(record, counts, layers);
    const std::vector<std::int64_t> kept = kept_counts(counts, layers);
    write_counts(prompt, record, kept, is_pool);
  }

  void finish(std::string_view system) {
    if (n_records_ == 0) {
      fail_at("no records: there is nothing to import", options_.files.front().string());
    }
    join_.check_all_found();
    if (n_written_ == 0) fail_at("every prompt has holes: " + first_hole_, first_hole_where_);
    complete_.prompts_left_out = n_left_out_;
    if (n_left_out_ > 0) {
      notice(counted(n_left_out_, "prompt") +
             " left out for holes; the first: " + first_hole_where_ + ": " + first_hole_);
    }
    result_.n_prompts = n_written_;
    result_.shape = shape_;
    result_.notices.insert(result_.notices.end(), facts_.notices.begin(), facts_.notices.end());
    if (is_counts_) tell_common_factor();
    if (!output_) return;
    TraceManifest manifest = is_counts_ ? new_manifest() : writer_->manifest();
    manifest.source.system = system;
    manifest.source.version = facts_.version;
    manifest.source.interface = facts_.interface;
    manifest.source.importer = trace_tool_name();
    manifest.source.files = files_;
    manifest.source.config_sha256 = model_.config_sha256;
    if (join_.has_prompts()) manifest.source.joined = options_.join_by_order ? "order" : "id";
    manifest.recorded = {
        has_weights_ || facts_.has_order ? ManifestRecorded::Order::router
                                         : ManifestRecorded::Order::unknown,
        has_weights_ ? ManifestRecorded::Weights::applied : ManifestRecorded::Weights::none,
        has_token_ids_, has_text_};
    manifest.complete = complete_;
    if (facts_.is_prompt_only) manifest.complete.generation = false;
    if (facts_.exported) keep_facts(*facts_.exported, manifest);
    if (is_counts_) {
      counts_writer_->finish(std::move(manifest), is_pool_);
      counts_writer_.reset();
    } else {
      writer_->finish(manifest);
      writer_.reset();
    }
    output_->publish();
  }

 private:
  void notice(std::string text) {
    if (result_.notices.size() < n_listed_notices) result_.notices.push_back(std::move(text));
  }
  void warn(std::string text) {
    if (result_.warnings.size() < n_listed_notices) result_.warnings.push_back(std::move(text));
  }

  // P, G and the first position, from wherever they are known.
  void settle_lengths(RecordedPrompt& record) const {
    if (record.layers.empty()) record.first_pos += options_.prompt_start;
    const std::int64_t n_reached = record.first_pos + record.ids.n_tokens();
    if (options_.all_prompt_tokens) {
      if (record.n_prompt_tokens >= 0 && record.n_prompt_tokens != n_reached) {
        fail_at("--prompt-tokens all does not fit", record.where,
                std::to_string(record.n_prompt_tokens) + " prompt tokens",
                std::to_string(n_reached) + " rows");
      }
      record.n_prompt_tokens = n_reached;
      if (record.n_generated_tokens < 0) record.n_generated_tokens = 0;
    }
    if (options_.n_prompt_tokens >= 0) {
      if (record.n_prompt_tokens >= 0 && record.n_prompt_tokens != options_.n_prompt_tokens) {
        fail_at("--prompt-tokens does not fit", record.where,
                std::to_string(record.n_prompt_tokens), std::to_string(options_.n_prompt_tokens));
      }
      record.n_prompt_tokens = options_.n_prompt_tokens;
    }
    if (record.n_prompt_tokens < 0) {
      fail_at(
          "how many tokens the prompt has is not known: a key n_prompt_tokens in --prompts says "
          "it, "
          "--prompt-tokens N for all prompts, or --prompt-tokens all where nothing was generated",
          record.where);
    }
    if (record.layers.empty() && options_.prompt_start > record.n_prompt_tokens) {
      fail_at("--prompt-start is behind the prompt", record.where,
              "at most " + std::to_string(record.n_prompt_tokens),
              std::to_string(options_.prompt_start));
    }
  }

  // Rows are P + G − 1 − start: the last token has no forward pass.
  std::string rows_problem(const RecordedPrompt& record) const {
    const std::int64_t n_rows = record.ids.n_tokens();
    const std::int64_t n_prompt = record.n_prompt_tokens;
    const std::int64_t n_generated = record.n_generated_tokens;
    const std::int64_t n_reached = record.first_pos + n_rows;
    if (n_rows == 0) return "no rows of routed experts";
    if (!record.positions.empty()) {
      const std::int64_t n_said = n_positions(record.positions);
      if (n_rows == n_said) return {};
      return std::to_string(n_rows) + " rows of routed experts, " + std::to_string(n_said) +
             " expected, as many as positions";
    }
    if (n_generated < 0) {
      if (n_reached >= n_prompt) return {};
      return std::to_string(n_rows) + " rows of routed experts, at least " +
             std::to_string(n_prompt - record.first_pos) + " expected (" +
             std::to_string(n_prompt) + " prompt tokens from position " +
             std::to_string(record.first_pos) + ")";
    }
    // Where nothing was generated, engines leave out the prompt's last token or do not.
    const std::int64_t n_expected = n_prompt + n_generated - 1 - record.first_pos;
    if (n_rows == n_expected || (n_generated == 0 && n_rows == n_expected + 1)) return {};
    return std::to_string(n_rows) + " rows of routed experts, " + std::to_string(n_expected) +
           " expected (" + std::to_string(n_prompt) + " prompt and " + std::to_string(n_generated) +
           " generated tokens, the last one not routed" +
           (record.first_pos > 0 ? ", from position " + std::to_string(record.first_pos) : "") +
           "): is --prompt-start right, and were pieces lost?";
  }

  void leave_out(const RecordedPrompt& record, const std::string& id) {
    if (!options_.drop_prompts_with_holes) {
      fail_at(record.hole + " (--drop-prompts-with-holes leaves such prompts out)", record.where,
              {}, "prompt \"" + printable(id, 120) + "\"");
    }
    if (n_left_out_++ == 0) {
      first_hole_ = record.hole;
      first_hole_where_ = record.where;
    }
  }

  // What the layers of a record's array stand for.
  LayerMap layer_map(const RecordedPrompt& record) {
    const auto n_axis = static_cast<int>(record.ids.n_layers());
    LayerMap map;
    std::vector<int> numbers = record.layers;  // of the axis
    if (!numbers.empty() && !model_.moe_layers.empty()) {
      for (const int number : numbers) {
        if (contains(model_.moe_layers, number)) continue;
        fail_at("routing at a layer that has no experts, by the config or --moe-layers",
                record.where, list_text(model_.moe_layers), std::to_string(number));
      }
    }
    if (facts_.n_hidden_layers > 0 && !numbers.empty() &&
        numbers.back() >= facts_.n_hidden_layers) {
      fail_at("a layer that the model does not have", record.where,
              "below " + std::to_string(facts_.n_hidden_layers), std::to_string(numbers.back()));
    }
    if (numbers.empty()) numbers = numbers_of_axis(n_axis, record.where);
    for (int i = 0; i < n_axis; ++i) {
      const int number = numbers[static_cast<std::size_t>(i)];
      const bool has_experts = model_.moe_layers.empty() || contains(model_.moe_layers, number);
      if (contains(options_.drop_layers, number)) continue;
      (has_experts ? map.kept : map.dense).push_back(i);
      if (has_experts) map.numbers.push_back(number);
    }
    for (const int dropped : options_.drop_layers) {
      // Sources that name their layers have left these out, and said so.
      if (contains(numbers, dropped) || !record.layers.empty()) continue;
      fail_at("--drop-layers names a layer that is not there", record.where, list_text(numbers),
              std::to_string(dropped));
    }
    if (map.kept.empty()) fail_at("no layer is left", record.where);
    if (n_written_ == 0 && !map.dense.empty()) {
      notice(counted(static_cast<std::int64_t>(map.dense.size()), "layer") + " of " +
             std::to_string(n_axis) + " without experts left out: " + dense_numbers(map, numbers));
    }
    return map;
  }

  static std::string dense_numbers(const LayerMap& map, const std::vector<int>& numbers) {
    std::vector<int> dense;
    for (const int index : map.dense) dense.push_back(numbers[static_cast<std::size_t>(index)]);
    return list_text(dense);
  }

  static bool contains(const std::vector<int>& list, int number) {
    return std::find(list.begin(), list.end(), number) != list.end();
  }

  // An axis without names has the layers with experts, or all layers.
  std::vector<int> numbers_of_axis(int n_axis, const std::string& where) const {
    const std::vector<int>& moe = model_.moe_layers;
    if (static_cast<int>(moe.size()) == n_axis) return moe;
    std::vector<int> all(static_cast<std::size_t>(n_axis));
    std::iota(all.begin(), all.end(), 0);
    const bool is_all = model_.n_layers > 0 ? model_.n_layers == n_axis
                        : moe.empty()       ? true
                                            : moe.back() < n_axis;
    if (is_all) return all;
    std::string expected;
    if (!moe.empty()) expected = std::to_string(moe.size()) + " (those with experts)";
    if (model_.n_layers > 0) {
      expected += (expected.empty() ? "" : " or ") + std::to_string(model_.n_layers) + " (all)";
    }
    fail_at("another number of layers than the model has", where, expected, std::to_string(n_axis));
  }

  // E, L and k: those of the first prompt hold for all.
  void settle_shape(const RecordedPrompt& record, const LayerMap& layers) {
    const RoutingShape shape{static_cast<int>(layers.kept.size()), n_experts(record.where),
                             static_cast<int>(record.ids.top_k())};
    if (shape.top_k < 1 || shape.top_k > shape.n_experts) {
      fail_at("an impossible number of experts per token", record.where,
              "1 to " + std::to_string(shape.n_experts), std::to_string(shape.top_k));
    }
    const int expected = options_.top_k > 0    ? options_.top_k
                         : facts_.k_may_differ ? 0
                                               : model_.top_k;
    if (expected > 0 && shape.top_k != expected) {
      fail_at("another number of experts per token than --top-k or the config says", record.where,
              std::to_string(expected), std::to_string(shape.top_k));
    }
    if (shape_.n_layers == 0) {
      shape_ = shape;
      numbers_ = layers.numbers;
      has_numbers_ = !record.layers.empty() || !model_.moe_layers.empty();
      return;
    }
    if (shape != shape_ || layers.numbers != numbers_) {
      fail_at("another shape of routing than the records before", record.where,
              std::to_string(shape_.n_layers) + " layers, top-" + std::to_string(shape_.top_k),
              std::to_string(shape.n_layers) + " layers, top-" + std::to_string(shape.top_k));
    }
  }

  int n_experts(const std::string& where) const {
    if (model_.n_experts > 0 && facts_.n_experts > 0 && model_.n_experts != facts_.n_experts) {
      fail_at("another number of experts than --experts or the config says", where,
              std::to_string(model_.n_experts), std::to_string(facts_.n_experts));
    }
    const int n = std::max(model_.n_experts, facts_.n_experts);
    if (n == 0) {
      throw Error(ErrorKind::usage,
                  {"how many experts a layer has is not in the files: --config config.json or "
                   "--experts E says it",
                   where,
                   {},
                   {}});
    }
    return n;
  }

  void begin_trace(const RecordedPrompt& record) {
    has_weights_ = !record.weights.empty();
    has_token_ids_ = !record.token_ids.empty();
    has_text_ = true;
    if (has_numbers_) result_.moe_layers = numbers_;
    for (const int number : options_.drop_layers) complete_.layers_left_out.push_back(number);
    std::sort(complete_.layers_left_out.begin(), complete_.layers_left_out.end());
    if (!output_) return;
    writer_.emplace(TraceStreamWriter::create(output_->path(), new_manifest(), false));
  }

  TraceManifest new_manifest() const {
    TraceManifest manifest = bare_manifest(shape_);
    manifest.version = 2;
    manifest.compress = options_.compress;
    if (has_numbers_) {
      manifest.model.moe_layers = numbers_;
      manifest.absent.erase("model.moe_layers");
    }
    const std::string& name = facts_.model_name.empty() ? model_.name : facts_.model_name;
    if (!name.empty()) {
      manifest.model.name = name;
      manifest.absent.erase("model.name");
    }
    if (!model_.config_sha256.empty()) {
      manifest.model.config_sha256 = model_.config_sha256;
      manifest.absent.erase("model.config_sha256");
    }
    if (model_.top_k > 0 && model_.top_k != shape_.top_k) {
      manifest.model.top_k_of_model = model_.top_k;
    }
    return manifest;
  }

  // What an export says of where its events came from.
  static void keep_facts(const TraceManifest& exported, TraceManifest& manifest) {
    if (exported.source.system.empty()) {
      manifest.source.system = "moexray";
      if (exported.tool.starts_with("moexray ")) manifest.source.version = exported.tool.substr(8);
    } else {
      manifest.source.system = exported.source.system;
      manifest.source.version = exported.source.version;
      manifest.source.interface = exported.source.interface;
    }
    manifest.recorded.weights = manifest.recorded.weights == ManifestRecorded::Weights::none
                                    ? ManifestRecorded::Weights::none
                                    : exported.recorded.weights;
    manifest.recorded.order = exported.recorded.order;
    manifest.complete.prompt = manifest.complete.prompt && exported.complete.prompt;
    manifest.complete.generation = manifest.complete.generation && exported.complete.generation;
    manifest.complete.prompts_left_out += exported.complete.prompts_left_out;
    std::vector<int>& left_out = manifest.complete.layers_left_out;
    for (const int layer : exported.complete.layers_left_out) {
      if (!contains(left_out, layer)) left_out.push_back(layer);
    }
    std::sort(left_out.begin(), left_out.end());
    if (manifest.model.top_k_of_model == 0) {
      manifest.model.top_k_of_model = exported.model.top_k_of_model;
    }
  }

  // The sums of all layers are one number: tokens times k.
  void settle_counts(const RecordedPrompt& record, const RecordedCounts& counts,
                     const LayerMap& layers) {
    const std::int64_t sum = layer_sum(counts, layers.kept.front());
    if (!is_counts_) {
      is_counts_ = true;
      complete_.layers_left_out = options_.drop_layers;
      std::sort(complete_.layers_left_out.begin(), complete_.layers_left_out.end());
      facts_.n_experts = static_cast<int>(counts.n_experts);
      shape_ = {static_cast<int>(layers.kept.size()), n_experts(record.where),
                options_.top_k > 0 ? options_.top_k : model_.top_k};
      if (shape_.top_k > shape_.n_experts) {
        fail_at("more experts per token than there are", record.where,
                "at most " + std::to_string(shape_.n_experts), std::to_string(shape_.top_k));
      }
      // A file that says how many tokens there were says k too.
      const bool says_k = counts.n_tokens > 0 && sum > 0 && sum % counts.n_tokens == 0 &&
                          sum / counts.n_tokens <= shape_.n_experts;
      if (shape_.top_k == 0 && says_k) shape_.top_k = static_cast<int>(sum / counts.n_tokens);
      numbers_ = layers.numbers;
      has_numbers_ = !record.layers.empty() || !model_.moe_layers.empty();
      if (has_numbers_) result_.moe_layers = numbers_;
    }
    if (counts.n_experts != shape_.n_experts || layers.numbers != numbers_) {
      fail_at(
          "another shape of counts than the records before, or than the model has", record.where,
          std::to_string(shape_.n_layers) + " layers of " + std::to_string(shape_.n_experts) +
              " experts",
          std::to_string(layers.kept.size()) + " layers of " + std::to_string(counts.n_experts));
    }
    for (const int index : layers.dense) {
      if (layer_sum(counts, index) == 0) continue;
      fail_at("a layer without experts (by the config or --moe-layers) has counts", record.where);
    }
    for (std::size_t i = 0; i < layers.kept.size(); ++i) {
      const std::int64_t own = layer_sum(counts, layers.kept[i]);
      const std::string where = record.where + ": layer " + std::to_string(layers.numbers[i]);
      if (own == 0) {
        fail_at(
            "a layer without counts: without experts (then --config or --moe-layers says so), "
            "or not recorded (--drop-layers leaves it out)",
            where);
      }
      if (own != sum) {
        fail_at("the counts of a layer add up to another number than those of the first", where,
                std::to_string(sum), std::to_string(own));
      }
    }
    if (shape_.top_k > 0 && sum % shape_.top_k != 0) {
      fail_at("the counts of a layer are no whole number of tokens", record.where,
              "a multiple of " + std::to_string(shape_.top_k), std::to_string(sum));
    }
    if (counts.n_tokens >= 0 && shape_.top_k > 0 && sum != counts.n_tokens * shape_.top_k) {
      fail_at("the counts of a layer do not fit the number of tokens", record.where,
              std::to_string(counts.n_tokens * shape_.top_k), std::to_string(sum));
    }
  }

  static std::int64_t layer_sum(const RecordedCounts& counts, int layer) {
    const auto first = counts.counts.begin() + layer * counts.n_experts;
    std::int64_t sum = 0;
    for (auto count = first; count != first + counts.n_experts; ++count) {
      if (*count < 0 || __builtin_add_overflow(sum, *count, &sum)) {
        fail_at("a count that is negative, or too large", counts.where);
      }
    }
    return sum;
  }

  static std::vector<std::int64_t> kept_counts(const RecordedCounts& counts,
                                               const LayerMap& layers) {
    std::vector<std::int64_t> kept;
    for (const int layer : layers.kept) {
      const auto first = counts.counts.begin() + layer * counts.n_experts;
      kept.insert(kept.end(), first, first + counts.n_experts);
    }
    return kept;
  }

  void write_counts(const Prompt& prompt, const RecordedPrompt& record,
                    std::span<const std::int64_t> counts, bool is_pool) {
    is_pool_ = is_pool;
    ++n_written_;
    std::int64_t sum = 0;
    for (const std::int64_t count : counts) {
      sum += count;
      common_factor_ = std::gcd(common_factor_, count);
    }
    if (shape_.top_k > 0) result_.n_tokens += sum / shape_.n_layers / shape_.top_k;
    has_text_ = n_written_ == 1 ? !prompt.text.empty() : has_text_ && !prompt.text.empty();
    if (!output_) return;
    if (!counts_writer_) counts_writer_.emplace(output_->path(), shape_);
    TracePrompt line;
    line.id = prompt.id;
    line.category = prompt.category;
    line.text = prompt.text;
    line.meta_json = prompt.meta_json;
    // Lengths that do not fit the counts are those of something else.
    const bool fits = shape_.top_k > 0 && record.n_prompt_tokens >= 0 &&
                      record.n_generated_tokens >= 0 &&
                      sum == n_forward_tokens(record.n_prompt_tokens, record.n_generated_tokens) *
                                 shape_.n_layers * shape_.top_k;
    if (fits) {
      line.n_prompt_tokens = record.n_prompt_tokens;
      line.n_generated_tokens = record.n_generated_tokens;
    }
    counts_writer_->append(line, counts);
  }

  // Sums over ranks of data or tensor parallelism count every token several times.
  void tell_common_factor() {
    if (common_factor_ > 1) {
      warn("all counts are multiples of " + std::to_string(common_factor_) +
           ": the sum over as many ranks, which counts every token as often?");
    }
  }

  void write(RecordedPrompt record, const Prompt& prompt, const LayerMap& layers) {
    if (n_written_ == 0) begin_trace(record);
    if (has_weights_ == record.weights.empty()) {
      fail_at("some records have weights and others have not", record.where);
    }
    ++n_written_;
    const std::int64_t n_rows = record.ids.n_tokens();
    const std::int64_t n_reached = record.first_pos + n_rows;
    const std::int64_t n_generated = record.n_generated_tokens;
    result_.n_tokens += n_rows;
    const bool is_whole_prompt = record.first_pos == 0 && n_reached >= record.n_prompt_tokens;
    complete_.prompt = complete_.prompt && is_whole_prompt;
    if (!output_ && !options_.check_prefixes) return;
    FinishedPrompt finished;
    finished.prompt = &prompt;
    finished.n_prompt_tokens = record.n_prompt_tokens;
    finished.n_generated_tokens = n_generated;
    finished.completion = record.completion;
    finished.finish_reason = record.finish_reason;
    const std::int64_t n_tokens =
        n_generated >= 0 ? record.n_prompt_tokens + n_generated : n_reached;
    if (static_cast<std::int64_t>(record.token_ids.size()) == n_tokens) {
      finished.token_ids = std::move(record.token_ids);
    } else {
      has_token_ids_ = false;
    }
    has_text_ = has_text_ && !(prompt.text.empty() && prompt.messages.empty());
    if (!is_whole_prompt) finished.positions = {{record.first_pos, n_reached - 1}};
    if (!record.positions.empty()) finished.positions = record.positions;
    finished.tokens = std::move(record.tokens);
    finished.is_template = std::move(record.is_template);
    finished.routing = routing_of(record, layers);
    {
      const RecordedPrompt done = std::move(record);
    }  // frees the ids, as an assignment would not
    if (options_.check_prefixes && !finished.token_ids.empty() && finished.positions.empty()) {
      const std::string odd = prefixes_.look_at(prompt.id, finished.token_ids, finished.routing);
      if (!odd.empty()) warn(odd);
    }
    if (!output_) return;
    writer_->append(finished);
    n_events_ += n_rows * shape_.n_layers;
    if (++n_uncommitted_ >= commit_prompts || n_events_ >= commit_events) {
      writer_->commit();
      n_uncommitted_ = 0;
      n_events_ = 0;
    }
  }

  // By weight where there are weights, of equal ones the lower id first; else as they stand.
  RoutingBuffer routing_of(const RecordedPrompt& record, const LayerMap& layers) const {
    RoutingBuffer buffer(shape_, false, has_weights_);
    const std::int64_t n_rows = record.ids.n_tokens();
    buffer.reserve(n_rows);
    const auto k = static_cast<std::size_t>(shape_.top_k);
    std::vector<ExpertId> ids;
    std::vector<float> weights;
    for (std::size_t i = 0; i < layers.kept.size(); ++i) {
      for (std::int64_t first = 0; first < n_rows; first += chunk_rows) {
        const std::int64_t n = std::min(chunk_rows, n_rows - first);
        ids.resize(static_cast<std::size_t>(n) * k);
        weights.resize(has_weights_ ? ids.size() : 0);
        for (std::int64_t row = 0; row < n; ++row) {
          const std::span out = std::span(ids).subspan(static_cast<std::size_t>(row) * k, k);
          record.ids.row(first + row, layers.kept[i], out);
          if (!has_weights_) continue;
          // What moexray recorded stands in the router's order, which need not be that of weights.
          const auto at =
              static_cast<std::size_t>((first + row) * record.ids.n_layers() + layers.kept[i]) * k;
          const std::span own = std::span(weights).subspan(static_cast<std::size_t>(row) * k, k);
          std::copy_n(record.weights.begin() + static_cast<std::ptrdiff_t>(at), k, own.begin());
          if (!facts_.exported) sort_by_weight(out, own);
        }
        buffer.append(static_cast<int>(i), n, ids, weights);
      }
    }
    return buffer;
  }

  static void sort_by_weight(std::span<ExpertId> ids, std::span<float> weights) {
    for (std::size_t i = 1; i < ids.size(); ++i) {
      for (std::size_t j = i; j > 0; --j) {
        const bool is_sorted =
            weights[j - 1] > weights[j] || (weights[j - 1] == weights[j] && ids[j - 1] < ids[j]);
        if (is_sorted) break;
        std::swap(ids[j - 1], ids[j]);
        std::swap(weights[j - 1], weights[j]);
      }
    }
  }

  const ImportOptions& options_;
  ImportResult& result_;
  ModelLayers model_;
  imports::PromptJoin join_;
  SourceFacts facts_;
  std::optional<TemporaryOutput> output_;
  std::optional<TraceStreamWriter> writer_;
  std::optional<CountsWriter> counts_writer_;
  bool is_counts_ = false;
  bool is_pool_ = false;
  std::int64_t common_factor_ = 0;
  std::vector<ManifestFile> files_;
  RoutingShape shape_;
  std::vector<int> numbers_;  // of the layers
  bool has_numbers_ = false;  // they are those of the transformer
  bool has_weights_ = false;
  bool has_token_ids_ = false;
  bool has_text_ = false;
  ManifestComplete complete_;
  imports::PrefixCheck prefixes_;
  std::size_t n_records_ = 0;
  std::size_t n_written_ = 0;
  std::size_t n_uncommitted_ = 0;
  std::int64_t n_events_ = 0;
  std::int64_t n_left_out_ = 0;
  std::string first_hole_;
  std::string first_hole_where_;
  std::uint64_t n_bytes_ = 0;
  std::uint64_t n_bytes_before_ = 0;
};

const imports::Importer& importer_named(const std::string& name) {
  std::string names;
  for (const imports::Importer& importer : imports::importers()) {
    if (importer.name == name) return importer;
    names += (names.empty() ? "" : ", ") + std::string(importer.name);
  }
  throw Error(ErrorKind::usage, {"unknown kind of files", "--from", names, name});
}

// The one kind that the first file may be.
const imports::Importer& recognised(const ImportOptions& options) {
  constexpr std::size_t n_head_bytes = std::size_t{1} << 18;
  const fs::path path = imports::files_of(options.files).front();
  const std::string head = imports::first_bytes(path, n_head_bytes);
  std::vector<const imports::Importer*> found;
  std::string names;
  for (const imports::Importer& importer : imports::importers()) {
    if (!importer.recognises(path, head)) continue;
    found.push_back(&importer);
    names += (names.empty() ? "" : ", ") + std::string(importer.name);
  }
  if (found.size() == 1) return *found.front();
  if (found.empty()) {
    for (const imports::Importer& importer : imports::importers()) {
      names += (names.empty() ? "" : ", ") + std::string(importer.name);
    }
  }
  throw Error(ErrorKind::usage,
              {found.empty() ? "the file is of no kind that is recognised; --from KIND says it"
                             : "the file may be of several kinds; --from KIND says which",
               path.string(),
               names,
               {}});
}

}  // namespace

std::vector<ImportKind> import_kinds() {
  std::vector<ImportKind> kinds;
  for (const imports::Importer& importer : imports::importers()) {
    kinds.push_back({std::string(importer.name), std::string(importer.summary)});
  }
  return kinds;
}

std::vector<int> parse_layers(std::string_view text, std::string_view flag) {
  return imports::parse_layer_list(text, flag);
}

ImportResult import_traces(const ImportOptions& options) {
  if (options.files.empty()) throw Error(ErrorKind::usage, "no files to import");
  if (options.join_by_order && options.prompts.empty()) {
    throw Error(ErrorKind::usage, "--join order needs --prompts");
  }
  const imports::Importer& importer =
      options.kind.empty() ? recognised(options) : importer_named(options.kind);
  ImportResult result;
  result.kind = importer.name;
  const std::vector<fs::path> files = imports::files_of(options.files);
  Sink sink(options, result);
  importer.read(files, sink);
  sink.finish(importer.name);
  return result;
}

}  // namespace moexray
