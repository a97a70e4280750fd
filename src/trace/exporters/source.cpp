// What exporters read of traces.

#include <fstream>
#include <numeric>
#include <set>
#include <utility>

#include "exporter.h"
#include "moexray/core/error.h"
#include "moexray/core/npy.h"
#include "moexray/core/wording.h"
#include "moexray/trace/counts.h"
#include "trace/fail.h"
#include "trace/line_reader.h"
#include "trace/trace_directory.h"

namespace moexray::exports {
namespace {

// Puts the records of one prompt into arrays, by position.
class ArraysVisitor : public EventVisitor {
 public:
  ArraysVisitor(const TracePrompt& prompt, const RoutingShape& shape, PromptArrays& arrays)
      : prompt_(prompt),
        k_(static_cast<std::size_t>(shape.top_k)),
        n_layers_(static_cast<std::size_t>(shape.n_layers)),
        arrays_(arrays) {}

  void on_record(std::size_t, const RoutingRecord& record) override {
    const std::int64_t row =
        prompt_.positions.empty() ? record.pos : index_of_position(prompt_.positions, record.pos);
    if (row >= arrays_.n_rows) {
      arrays_.n_rows = row + 1;
      arrays_.ids.resize(static_cast<std::size_t>(row + 1) * n_layers_ * k_);
      arrays_.is_template.resize(static_cast<std::size_t>(row + 1));
    }
    const std::size_t at =
        (static_cast<std::size_t>(row) * n_layers_ + static_cast<std::size_t>(record.layer)) * k_;
    for (std::size_t j = 0; j < k_; ++j) {
      arrays_.ids[at + j] = static_cast<std::uint16_t>(record.experts[j]);
    }
    if (record.is_template) arrays_.is_template[static_cast<std::size_t>(row)] = 1;
    has_unweighted_ = has_unweighted_ || record.weights.empty();
    if (has_unweighted_) return;
    arrays_.weights.resize(arrays_.ids.size());
    std::copy_n(record.weights.begin(), k_,
                arrays_.weights.begin() + static_cast<std::ptrdiff_t>(at));
  }

  bool has_unweighted() const { return has_unweighted_; }

 private:
  const TracePrompt& prompt_;
  std::size_t k_;
  std::size_t n_layers_;
  PromptArrays& arrays_;
  bool has_unweighted_ = false;
};

class CountsVisitor : public EventVisitor {
 public:
  CountsVisitor(int n_experts, std::vector<std::int64_t>& counts)
      : n_experts_(n_experts), counts_(counts) {}

  void on_record(std::size_t, const RoutingRecord& record) override {
    for (const ExpertId expert : record.experts) {
      ++counts_[static_cast<std::size_t>(record.layer) * static_cast<std::size_t>(n_experts_) +
                static_cast<std::size_t>(expert)];
    }
  }

 private:
  int n_experts_;
  std::vector<std::int64_t>& counts_;
};

}  // namespace

PromptArrays ExportSource::arrays(std::size_t index) const {
  const TracePrompt& prompt = traces_.prompts.at(index);
  PromptArrays arrays;
  ArraysVisitor visitor(prompt, shape(), arrays);
  read_prompt_events(traces_, index, visitor, options_.reading);
  // Weights of some records alone are none.
  if (visitor.has_unweighted()) arrays.weights.clear();
  arrays.positions = prompt.positions;
  if (arrays.positions.empty() && arrays.n_rows > 0) arrays.positions = {{0, arrays.n_rows - 1}};
  return arrays;
}

void ExportSource::for_counts(
    const std::function<void(std::size_t, std::span<const std::int64_t>)>& take) const {
  const std::size_t n_prompts = traces_.prompts.size();
  if (has_counts(traces_)) {
    const CountsReader reader(traces_);
    for (std::size_t i = 0; i < n_prompts; ++i) {
      take(i, reader.read(i));
      finished_prompts(i + 1);
    }
    return;
  }
  std::vector<std::int64_t> counts(static_cast<std::size_t>(shape().n_layers) *
                                   static_cast<std::size_t>(shape().n_experts));
  for (std::size_t i = 0; i < n_prompts; ++i) {
    std::fill(counts.begin(), counts.end(), 0);
    CountsVisitor visitor(shape().n_experts, counts);
    read_prompt_events(traces_, i, visitor, options_.reading);
    take(i, counts);
    finished_prompts(i + 1);
  }
}

void ExportSource::finished_prompts(std::size_t n) const {
  if (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed)) {
    throw Error(ErrorKind::interrupted, "interrupted");
  }
  if (options_.progress) options_.progress(n);
}

std::vector<int> ExportSource::transformer_layers() const {
  const std::vector<int>& known = traces_.manifests.front().model.moe_layers;
  if (!known.empty()) return known;
  std::vector<int> all(static_cast<std::size_t>(shape().n_layers));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

int ExportSource::n_transformer_layers() const {
  const int n_least = transformer_layers().back() + 1;
  if (options_.n_layers == 0) return n_least;
  if (options_.n_layers < n_least) {
    throw Error(ErrorKind::usage,
                {"fewer layers than the traces have experts in", "--layers",
                 "at least " + std::to_string(n_least), std::to_string(options_.n_layers)});
  }
  return options_.n_layers;
}

std::string ExportSource::manifest_json() const {
  TraceManifest manifest = traces_.manifests.front();
  manifest.n_prompts = static_cast<std::int64_t>(traces_.prompts.size());
  manifest.absent.erase("n_prompts");
  manifest.finished = true;
  if (traces_.manifests.size() > 1) {
    for (const char* key : {"shard.index", "shard.count", "shard.n_prompts", "batch", "plan",
                            "prompts_sha256", "prompt_ids_sha256"}) {
      manifest.absent.insert(key);
    }
  }
  return manifest_to_json(manifest);
}

std::string ExportSource::prompt_lines() const {
  std::string text;
  std::size_t next = 0;  // prompts stand in the order of directories and lines
  const std::vector<TracePrompt>& prompts = traces_.prompts;
  for (std::size_t part = 0; part < traces_.directories.size(); ++part) {
    const std::filesystem::path path = traces_.directories[part] / trace::prompts_name;
    std::ifstream in(path, std::ios::binary);
    trace::LineReader lines(in);
    while (next < prompts.size() && prompts[next].part == part && lines.next()) {
      if (lines.number() != prompts[next].line) continue;
      text.append(lines.text()) += '\n';
      ++next;
    }
  }
  if (next != prompts.size()) {
    trace::fail_at("the file was changed while it was read",
                   (traces_.directories[prompts[next].part] / trace::prompts_name).string());
  }
  return text;
}

std::string id_bytes(const RoutingShape& shape, const PromptArrays& arrays) {
  if (shape.n_experts > 256) return std::string(bytes_of(arrays.ids));
  return {arrays.ids.begin(), arrays.ids.end()};
}

std::string_view id_type(const RoutingShape& shape) {
  return shape.n_experts > 256 ? "<u2" : "|u1";
}

std::string npy_file(std::string_view type, std::span<const std::int64_t> sizes,
                     std::string_view bytes) {
  return npy_header(type, sizes).append(bytes);
}

}  // namespace moexray::exports
