// ESFT's expert scores: a directory a task, a file a layer, a line a prompt.

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <utility>

#include "importer.h"
#include "moexray/core/escape.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;

constexpr std::string_view file_prefix = "expert_weights_";
// DeepSeek-V2-Lite, the model that ESFT's files were made with.
constexpr int esft_experts = 64;
constexpr int esft_top_k = 6;

// The layer that a file's name has; −1: it has none.
int layer_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(file_prefix)) return -1;
  int layer = -1;
  const char* const begin = name.data() + file_prefix.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), layer);
  const std::string_view rest(end, static_cast<std::size_t>(name.data() + name.size() - end));
  const bool is_right = error == std::errc() && layer >= 0 &&
                        (rest == ".txt" || rest == ".txt.gz" || rest == ".txt.zst");
  return is_right ? layer : -1;
}

template <typename T>
void parse_fields(std::string_view text, std::vector<T>& values, const std::string& where) {
  while (true) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const auto n = static_cast<std::size_t>(end - text.data());
    if (error != std::errc() || (n < text.size() && text[n] != '\t')) {
      fail_at("not a number", where, {}, printable(text.substr(0, 40), 40));
    }
    values.push_back(value);
    if (n == text.size()) return;
    text.remove_prefix(n + 1);
  }
}

// One line of a file: k ids a token, two tabs, as many weights.
struct LayerLine {
  std::vector<std::int32_t> ids;
  std::vector<float> weights;
};

LayerLine parse_line(std::string_view line, int top_k, const std::string& where) {
  const std::size_t gap = line.find("\t\t");
  if (gap == std::string_view::npos) {
    fail_at("no two tabs between ids and weights", where, "ids, two tabs, weights",
            printable(line.substr(0, 60), 60));
  }
  LayerLine result;
  parse_fields(line.substr(0, gap), result.ids, where);
  std::string_view weights = line.substr(gap + 2);
  if (weights.ends_with('\t')) weights.remove_suffix(1);
  parse_fields(weights, result.weights, where);
  if (result.ids.size() != result.weights.size() ||
      result.ids.size() % static_cast<std::size_t>(top_k) != 0) {
    fail_at("not k ids and weights for every token", where,
            "as many weights as ids, a multiple of " + std::to_string(top_k),
            std::to_string(result.ids.size()) + " ids and " +
                std::to_string(result.weights.size()) + " weights");
  }
  return result;
}

class Task {
 public:
  Task(std::string name, const std::map<int, fs::path>& files, int top_k)
      : name_(std::move(name)), top_k_(top_k) {
    for (const auto& [layer, path] : files) {
      layers_.push_back(layer);
      files_.push_back(std::make_unique<InputFile>(path));
      lines_.push_back(std::make_unique<InputLines>(*files_.back()));
    }
  }

  void read(ImportSink& sink) {
    std::uint64_t n_read = 0;
    while (take_prompt(sink)) {
      n_read = 0;
      for (const auto& file : files_) n_read += file->n_stored_bytes_read();
      sink.check_stop(n_read);
    }
    for (const auto& file : files_) {
      sink.finished_file(name_ + "/" + file->path().filename().string(), file->sha256());
    }
  }

 private:
  bool take_prompt(ImportSink& sink) {
    std::vector<LayerLine> lines;
    RecordedPrompt prompt;
    prompt.where = lines_.front()->where();
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const bool has_line = lines_[i]->next() && !lines_[i]->line().empty();
      if (i == 0 && !has_line) {
        check_all_end();
        return false;
      }
      if (!has_line) {
        fail_at("a line less than " + files_.front()->path().filename().string() + " has",
                lines_[i]->where());
      }
      lines.push_back(parse_line(lines_[i]->line(), top_k_, lines_[i]->where()));
      if (lines.back().ids.size() != lines.front().ids.size()) {
        fail_at("another number of tokens than at layer " + std::to_string(layers_.front()),
                lines_[i]->where(), std::to_string(lines.front().ids.size()) + " ids",
                std::to_string(lines.back().ids.size()));
      }
    }
    prompt.where = lines_.front()->where();
    prompt.names = {name_ + "-" + std::to_string(lines_.front()->number())};
    prompt.category = name_;
    prompt.layers = layers_;
    put_together(lines, prompt);
    sink.take(std::move(prompt));
    return true;
  }

  void check_all_end() const {
    for (std::size_t i = 1; i < lines_.size(); ++i) {
      if (lines_[i]->next() && !lines_[i]->line().empty()) {
        fail_at("a line more than " + files_.front()->path().filename().string() + " has",
                lines_[i]->where());
      }
    }
  }

  void put_together(const std::vector<LayerLine>& lines, RecordedPrompt& prompt) const {
    const auto k = static_cast<std::size_t>(top_k_);
    const std::size_t n_tokens = lines.front().ids.size() / k;
    std::string bytes;
    for (std::size_t t = 0; t < n_tokens; ++t) {
      for (const LayerLine& line : lines) {
        bytes.append(reinterpret_cast<const char*>(&line.ids[t * k]), k * sizeof(std::int32_t));
        prompt.weights.insert(prompt.weights.end(), &line.weights[t * k], &line.weights[t * k] + k);
      }
    }
    prompt.n_prompt_tokens = static_cast<std::int64_t>(n_tokens);
    prompt.ids = IdArray(
        std::move(bytes), Item::i32,
        {static_cast<std::int64_t>(n_tokens), static_cast<std::int64_t>(lines.size()), top_k_});
  }

  std::string name_;
  int top_k_;
  std::vector<int> layers_;
  std::vector<std::unique_ptr<InputFile>> files_;
  std::vector<std::unique_ptr<InputLines>> lines_;
};

// "law" of "expert_scores/law/expert_weights_1.txt".
std::string task_of(const fs::path& path) {
  return fs::absolute(path).lexically_normal().parent_path().filename().string();
}

void read_esft(std::span<const fs::path> files, ImportSink& sink) {
  const ImportOptions& options = sink.options();
  SourceFacts& facts = sink.facts();
  facts.is_prompt_only = true;
  int top_k = options.top_k > 0 ? options.top_k : sink.model().top_k;
  if (top_k == 0) top_k = esft_top_k;
  if (sink.model().n_experts == 0) facts.n_experts = esft_experts;
  if (sink.model().n_experts == 0 || (options.top_k == 0 && sink.model().top_k == 0)) {
    facts.notices.push_back(
        "experts taken as those of DeepSeek-V2-Lite, which ESFT's files come "
        "from: top-" +
        std::to_string(top_k) + " of " +
        std::to_string(std::max(facts.n_experts, sink.model().n_experts)) +
        "; --experts and --top-k say otherwise");
  }
  std::vector<std::pair<std::string, std::map<int, fs::path>>> tasks;  // in the order given
  for (const fs::path& path : files) {
    const int layer = layer_of(path);
    if (layer < 0) {
      fail_at(
          "not one of ESFT's expert scores (its summary.json holds rounded shares, which are "
          "no routing)",
          path.string(), "TASK/expert_weights_LAYER.txt");
    }
    const std::string name = task_of(path);
    auto task = std::find_if(tasks.begin(), tasks.end(),
                             [&](const auto& known) { return known.first == name; });
    if (task == tasks.end()) task = tasks.insert(task, {name, {}});
    if (!task->second.emplace(layer, path).second) {
      fail_at("a second file of this layer and task", path.string());
    }
  }
  for (const auto& [name, own] : tasks) Task(name, own, top_k).read(sink);
}

}  // namespace

Importer esft_importer() {
  return {"esft", "expert scores of ESFT: directories TASK/ with expert_weights_LAYER.txt",
          [](const fs::path& path, std::string_view) { return layer_of(path) >= 0; }, read_esft};
}

}  // namespace moexray::imports
