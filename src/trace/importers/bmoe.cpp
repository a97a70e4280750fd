// BigMoeOnEdge's route.csv, a row an expert of a token and layer, columns by their names.

#include <charconv>
#include <utility>

#include "importer.h"
#include "moexray/core/escape.h"
#include "record_grid.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;

constexpr std::string_view first_line = "# route_trace v1";

std::vector<std::string_view> split(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  while (true) {
    const std::size_t end = std::min(line.find(separator), line.size());
    fields.push_back(line.substr(0, end));
    if (end == line.size()) return fields;
    line.remove_prefix(end + 1);
  }
}

template <typename T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// "gemma.route.csv" is called "gemma".
std::string session_name(const fs::path& path) {
  std::string name = path.filename().string();
  for (const char* end : {".gz", ".zst", ".csv", ".route"}) {
    if (name.ends_with(end) && name.size() > std::string_view(end).size()) {
      name.resize(name.size() - std::string_view(end).size());
    }
  }
  return name;
}

class RouteCsv {
 public:
  RouteCsv(InputFile& file, ImportSink& sink)
      : file_(file), lines_(file), sink_(sink), grid_(sink.options().drop_layers) {}

  void read() {
    if (!lines_.next() || lines_.line() != first_line) {
      fail_at("not a route.csv", lines_.where(), "\"" + std::string(first_line) + "\"",
              printable(lines_.line(), 80));
    }
    while (lines_.next()) {
      if (lines_.line().empty()) continue;
      if (lines_.line().starts_with('#')) {
        read_comment(lines_.line());
      } else if (columns_.empty()) {
        read_heading();
      } else {
        read_row();
      }
    }
    flush();
  }

 private:
  enum Column : std::size_t { turn, phase, step, layer, slot, expert, weight, dropped, n_columns };

  // "# model=… arch=… n_layer=30 n_expert=128 n_expert_used=6"
  void read_comment(std::string_view line) {
    SourceFacts& facts = sink_.facts();
    for (const std::string_view word : split(line.substr(1), ' ')) {
      const std::size_t equal = word.find('=');
      if (equal == std::string_view::npos) continue;
      const std::string_view key = word.substr(0, equal);
      const std::string_view value = word.substr(equal + 1);
      if (key == "model") facts.model_name = fs::path(value).filename().string();
      if (key == "n_expert") facts.n_experts = header_number(key, value);
      if (key == "n_layer") facts.n_hidden_layers = header_number(key, value);
      if (key == "n_expert_used") top_k_ = header_number(key, value);
    }
  }

  int header_number(std::string_view key, std::string_view value) const {
    int number = 0;
    if (!parse_number(value, number) || number < 1 || number > max_experts) {
      fail_at("wrong value of " + std::string(key), lines_.where(),
              "1 to " + std::to_string(max_experts), printable(value, 40));
    }
    return number;
  }

  void read_heading() {
    constexpr std::array<std::string_view, n_columns> names{"turn", "phase",  "step",   "layer",
                                                            "slot", "expert", "weight", "dropped"};
    const std::vector<std::string_view> found = split(lines_.line(), ',');
    columns_.assign(n_columns, none);
    for (std::size_t i = 0; i < found.size(); ++i) {
      for (std::size_t c = 0; c < n_columns; ++c) {
        if (found[i] != names[c]) continue;
        if (columns_[c] != none)
          fail_at("a column is given twice", lines_.where(), {}, std::string(names[c]));
        columns_[c] = i;
      }
    }
    for (std::size_t c = 0; c < dropped; ++c) {
      if (columns_[c] == none) {
        fail_at("a column is missing", lines_.where(), std::string(names[c]),
                printable(lines_.line(), 200));
      }
    }
    n_fields_ = found.size();
  }

  template <typename T>
  T field(const std::vector<std::string_view>& fields, Column column) const {
    T value{};
    if (!parse_number(fields[columns_[column]], value)) {
      fail_at("not a number", lines_.where(), {}, printable(fields[columns_[column]], 40));
    }
    return value;
  }

  void read_row() {
    const std::vector<std::string_view> fields = split(lines_.line(), ',');
    if (fields.size() != n_fields_) {
      fail_at("another number of fields", lines_.where(), std::to_string(n_fields_),
              std::to_string(fields.size()));
    }
    const auto own_turn = field<std::int64_t>(fields, turn);
    if (!grid_.empty() && own_turn != turn_) {
      n_turns_ = 2;
      flush();
    }
    if (grid_.empty()) where_ = lines_.where();
    turn_ = own_turn;
    const auto pos = field<std::int64_t>(fields, step);
    const auto own_phase = field<std::int64_t>(fields, phase);
    if (own_phase != 0 && own_phase != 1) {
      fail_at("wrong phase", lines_.where(), "0 (prompt) or 1 (generated)",
              std::to_string(own_phase));
    }
    if (own_phase == 0) {
      last_prompt_ = std::max(last_prompt_, pos);
    } else {
      first_generated_ = first_generated_ < 0 ? pos : std::min(first_generated_, pos);
    }
    if (columns_[dropped] != none && fields[columns_[dropped]] != "0" &&
        !fields[columns_[dropped]].empty() && sink_.facts().notices.empty()) {
      sink_.facts().notices.emplace_back(
          "some experts were dropped, which changes what later layers choose");
    }
    grid_.add_slot(pos, field<std::int64_t>(fields, layer), field<std::int64_t>(fields, slot),
                   field<std::int32_t>(fields, expert), field<float>(fields, weight),
                   lines_.where());
  }

  void flush() {
    if (grid_.empty()) return;
    RecordedPrompt prompt;
    prompt.where = where_;
    const std::string name = session_name(file_.path());
    const std::string turn_name = name + "-" + std::to_string(turn_);
    prompt.names = n_turns_ == 1 ? std::vector{name, turn_name} : std::vector{turn_name};
    if (first_generated_ >= 0 && last_prompt_ >= first_generated_) {
      fail_at(
          "a prompt token stands behind a generated one", where_, {},
          "positions " + std::to_string(last_prompt_) + " and " + std::to_string(first_generated_));
    }
    grid_.finish(prompt, top_k_);
    prompt.n_prompt_tokens = first_generated_ >= 0 ? first_generated_ : last_prompt_ + 1;
    sink_.take(std::move(prompt));
    sink_.check_stop(file_.n_stored_bytes_read());
    last_prompt_ = first_generated_ = -1;
  }

  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  InputFile& file_;
  InputLines lines_;
  ImportSink& sink_;
  RecordGrid grid_;
  std::vector<std::size_t> columns_;
  std::size_t n_fields_ = 0;
  int top_k_ = 0;
  std::int64_t turn_ = 0;
  int n_turns_ = 1;
  std::string where_;
  std::int64_t last_prompt_ = -1;
  std::int64_t first_generated_ = -1;
};

}  // namespace

Importer bmoe_importer() {
  return {"bmoe", "route.csv of BigMoeOnEdge (llama.cpp), a prompt a turn",
          [](const fs::path&, std::string_view head) { return head.starts_with(first_line); },
          [](std::span<const fs::path> files, ImportSink& sink) {
            sink.facts().k_may_differ = true;
            for (const fs::path& path : files) {
              InputFile file(path);
              RouteCsv(file, sink).read();
              sink.finished_file(path.filename().string(), file.sha256());
            }
          }};
}

}  // namespace moexray::imports
