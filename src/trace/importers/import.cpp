#include "moexray/trace/import.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <set>
#include <utility>

#include "importer.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/file.h"
#include "moexray/core/version.h"
#include "moexray/core/wording.h"
#include "moexray/trace/stream_writer.h"
#include "prefix_check.h"
#include "prompt_join.h"
#include "routing_checks.h"
#include "trace/fail.h"
#include "trace/trace_directory.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using imports::IdArray;
using imports::LayerMap;
using imports::ModelLayers;
using imports::RecordedPrompt;
using imports::SourceFacts;
using trace::fail_at;

constexpr std::int64_t chunk_rows = 1024;
// Prompts, and events of them, that are synced to disk together.
constexpr std::size_t commit_prompts = 256;
constexpr std::int64_t commit_events = std::int64_t{8} << 20;
constexpr std::size_t n_listed_notices = 20;

std::string list_text(const std::vector<int>& numbers) {
  std::string text;
  for (const int number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

/// A directory beside the output that is renamed to it, or goes away again.
class TemporaryOutput {
 public:
  TemporaryOutput(const fs::path& output, bool force) : output_(output), force_(force) {
    check();
    // "a/b/" means a/b.
    if (!output_.has_filename()) output_ = output_.parent_path();
    const fs::path parent = output_.has_parent_path() ? output_.parent_path() : fs::path(".");
    trace::check_writable(output_);
    made_ = trace::missing_directories(parent);
    std::error_code error;
    fs::create_directories(parent, error);
    std::string name = (parent / ("." + output_.filename().string() + ".import-XXXXXX")).string();
    if (error || ::mkdtemp(name.data()) == nullptr) {
      throw Error(
          ErrorKind::runtime,
          {std::string("cannot create a directory: ") + std::strerror(errno), name, {}, {}});
    }
    ::chmod(name.c_str(), user_permissions(0777));
    path_ = name;
  }
  ~TemporaryOutput() {
    if (path_.empty()) return;
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    trace::remove_empty(made_);
  }
  TemporaryOutput(const TemporaryOutput&) = delete;
  TemporaryOutput& operator=(const TemporaryOutput&) = delete;

  const fs::path& path() const { return path_; }

  /// Puts what was written in the place of the output. Other files there stay.
  void publish() {
    check();
    std::error_code error;
    if (fs::exists(output_)) {
      trace::remove_file(output_ / trace::manifest_name);
      trace::remove_file(output_ / trace::prompts_name);
      trace::remove_events_from(output_, 0);
      // The manifest comes last: what is stopped here is no trace.
      for (const bool is_manifest : {false, true}) {
        for (const auto& entry : fs::directory_iterator(path_)) {
          const fs::path name = entry.path().filename();
          if ((name == trace::manifest_name) != is_manifest) continue;
          fs::rename(entry.path(), output_ / name, error);
          if (error) fail(error);
        }
      }
      fs::remove(path_, error);
    } else {
      fs::rename(path_, output_, error);
      if (error) fail(error);
    }
    path_.clear();
  }

 private:
  [[noreturn]] void fail(const std::error_code& error) const {
    throw Error(ErrorKind::runtime,
                {"cannot rename: " + error.message(), output_.string(), {}, {}});
  }

  void check() const {
    if (trace::is_unused(output_)) return;
    const bool is_ours = trace::holds_trace(output_);
    if (is_ours && force_) return;
    throw Error(ErrorKind::usage,
                {is_ours ? "the directory already holds a trace; use --force to replace it"
                         : "the directory is not empty and holds no trace that moexray wrote; it "
                           "is not replaced",
                 output_.string(), "a new or empty directory", trace::list_of_files(output_)});
  }

  fs::path output_;
  bool force_;
  fs::path path_;
  std::vector<fs::path> made_;
};

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
                                     record.first_pos, record.where);
      record.hole = found.hole;
    }
    if (!record.hole.empty()) return leave_out(record, prompt.id);
    if (!found.warning.empty()) warn(record.where + ": " + found.warning);
    if (!found.notice.empty()) notice(record.where + ": " + found.notice);
    write(std::move(record), prompt, layers);
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
    if (!output_) return;
    TraceManifest manifest = writer_->manifest();
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
    writer_->finish(manifest);
    writer_.reset();
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
    writer_.emplace(TraceStreamWriter::create(output_->path(), std::move(manifest), false));
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
          const auto at =
              static_cast<std::size_t>((first + row) * record.ids.n_layers() + layers.kept[i]) * k;
          const std::span own = std::span(weights).subspan(static_cast<std::size_t>(row) * k, k);
          std::copy_n(record.weights.begin() + static_cast<std::ptrdiff_t>(at), k, own.begin());
          sort_by_weight(out, own);
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
