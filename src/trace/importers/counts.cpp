// Counts without tokens: SGLang's and EPLB's matrices, arrays of prompts, usage files of colibri,
// and lists of layer, expert and count.

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "importer.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "trace/fail.h"
#include "trace/json_text.h"
#include "trace/npy.h"

namespace moexray::imports {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;
using trace::Json;

constexpr std::int64_t max_layer_number = 4095;

[[noreturn]] void fail_rate(const std::string& where, std::string found) {
  fail_at("no count: averages, shares and rankings are not imported", where, "whole numbers from 0",
          std::move(found));
}

// A float that is a whole number, and one that its type tells from its neighbours.
template <typename T>
std::int64_t whole_count(T value, const std::string& where) {
  constexpr T limit = static_cast<T>(std::int64_t{1} << std::numeric_limits<T>::digits);
  if (!(value >= 0) || value != std::floor(value) || value >= limit) {
    fail_rate(where, std::to_string(value));
  }
  return static_cast<std::int64_t>(value);
}

// The numbers of an array, whatever their type.
class NpyCounts {
 public:
  NpyCounts(std::string file, std::string where)
      : file_(std::move(file)), where_(std::move(where)), header_(trace::parse_npy(file_, where_)) {
    if (header_.is_fortran && header_.shape.size() > 1) {
      fail_at("columns first", where_, "rows first: numpy.ascontiguousarray()");
    }
  }

  const std::vector<std::int64_t>& shape() const { return header_.shape; }

  std::vector<std::int64_t> read(std::size_t first, std::size_t n) const {
    std::vector<std::int64_t> counts(n);
    for (std::size_t i = 0; i < n; ++i) counts[i] = at(first + i);
    return counts;
  }

 private:
  template <typename T>
  T number(std::size_t index) const {
    T value;
    std::memcpy(&value, file_.data() + header_.data_offset + index * sizeof(T), sizeof(T));
    return value;
  }
  template <typename T>
  std::int64_t integer(std::size_t index) const {
    const T value = number<T>(index);
    if (value < T{0} || !std::in_range<std::int64_t>(value)) {
      fail_rate(where_, std::to_string(value));
    }
    return static_cast<std::int64_t>(value);
  }
  std::int64_t at(std::size_t index) const {
    switch (header_.item) {
      case Item::u8:
        return integer<std::uint8_t>(index);
      case Item::i8:
        return integer<std::int8_t>(index);
      case Item::u16:
        return integer<std::uint16_t>(index);
      case Item::i16:
        return integer<std::int16_t>(index);
      case Item::u32:
        return integer<std::uint32_t>(index);
      case Item::i32:
        return integer<std::int32_t>(index);
      case Item::u64:
        return integer<std::uint64_t>(index);
      case Item::i64:
        return integer<std::int64_t>(index);
      case Item::f32:
        return whole_count(number<float>(index), where_);
      case Item::f64:
        break;
    }
    return whole_count(number<double>(index), where_);
  }

  std::string file_;
  std::string where_;
  trace::NpyHeader header_;
};

// [L, E] of one prompt or pool, or [N, L, E] of prompts whose ids are the file's name and a number.
void read_npy(const fs::path& path, InputFile& file, bool is_pool, ImportSink& sink) {
  const NpyCounts array(file.read_all(), path.string());
  const std::vector<std::int64_t>& shape = array.shape();
  if (shape.size() != 2 && shape.size() != 3) {
    fail_at("not the shape of counts", path.string(),
            "[layers, experts] or [prompts, layers, experts]", trace::shape_text(shape));
  }
  RecordedCounts counts;
  counts.n_layers = shape[shape.size() - 2];
  counts.n_experts = shape.back();
  if (counts.n_layers == 0 || counts.n_experts == 0) {
    fail_at("an array without counts", path.string(), {}, trace::shape_text(shape));
  }
  const auto n = static_cast<std::size_t>(counts.n_layers * counts.n_experts);
  if (shape.size() == 2) {
    counts.counts = array.read(0, n);
    return take_file_counts(path, std::move(counts), is_pool, sink);
  }
  std::int64_t n_unused = 0;
  for (std::int64_t row = 0; row < shape[0]; ++row) {
    RecordedCounts own = counts;
    own.counts = array.read(static_cast<std::size_t>(row) * n, n);
    if (std::all_of(own.counts.begin(), own.counts.end(), [](auto c) { return c == 0; })) {
      ++n_unused;
      continue;
    }
    own.where = path.string() + ": row " + std::to_string(row);
    own.names = {stem_of(path) + "-" + std::to_string(row)};
    sink.take_counts(std::move(own), false);
    sink.check_stop(0);
  }
  if (n_unused > 0) {
    sink.facts().notices.push_back(path.string() + ": " + counted(n_unused, "row") +
                                   " of zeros, which nothing filled, left out");
  }
}

std::int64_t json_count(const Json& value, const std::string& where) {
  if (value.is_number_float()) return whole_count(value.get<double>(), where);
  if (!value.is_number_unsigned() || value > std::numeric_limits<std::int64_t>::max()) {
    fail_rate(where, printable(describe_json(value), 80));
  }
  return value.get<std::int64_t>();
}

// {"logical_count": [L][E]} of SGLang, or the matrix alone.
RecordedCounts read_json(std::string text, const std::string& where) {
  const Json root = parse_json(text, where);
  const Json* matrix = &root;
  if (root.is_object()) {
    const auto found = root.find("logical_count");
    if (found == root.end()) {
      fail_at("no counts of experts: averages, shares and rankings are not imported", where,
              "a key \"logical_count\"");
    }
    matrix = &*found;
  }
  const auto is_matrix = [](const Json& value) {
    return value.is_array() && !value.empty() && value[0].is_array() && !value[0].empty() &&
           !value[0][0].is_array();
  };
  if (!is_matrix(*matrix)) {
    fail_at("not the shape of counts", where, "[layers][experts] (sums over steps)");
  }
  RecordedCounts counts;
  counts.n_layers = static_cast<std::int64_t>(matrix->size());
  counts.n_experts = static_cast<std::int64_t>((*matrix)[0].size());
  for (const Json& row : *matrix) {
    if (!row.is_array() || static_cast<std::int64_t>(row.size()) != counts.n_experts) {
      fail_at("rows of different lengths", where);
    }
    for (const Json& value : row) counts.counts.push_back(json_count(value, where));
  }
  return counts;
}

// Counts by layer and expert, of files that name both.
class NamedCounts {
 public:
  void add(std::int64_t layer, std::int64_t expert, std::int64_t count, const std::string& where) {
    if (layer < 0 || layer > max_layer_number || expert < 0 || expert >= max_experts || count < 0) {
      fail_at("a layer, an expert or a count out of range", where, {},
              std::to_string(layer) + ", " + std::to_string(expert) + ", " + std::to_string(count));
    }
    std::vector<std::int64_t>& own = layers_[static_cast<int>(layer)];
    if (std::ssize(own) <= expert) own.resize(static_cast<std::size_t>(expert) + 1);
    std::int64_t& sum = own[static_cast<std::size_t>(expert)];
    if (__builtin_add_overflow(sum, count, &sum)) fail_at("a count is too large", where);
  }

  // Experts that no line names have 0; how many there are is not in the lines.
  RecordedCounts take(int n_experts, const std::string& where) && {
    if (layers_.empty()) fail_at("no counts", where);
    if (n_experts == 0) {
      throw Error(ErrorKind::usage, {"how many experts a layer has is not in the file: --config "
                                     "config.json or --experts E says it",
                                     where,
                                     {},
                                     {}});
    }
    RecordedCounts result;
    result.n_layers = std::ssize(layers_);
    result.n_experts = n_experts;
    for (auto& [layer, own] : layers_) {
      if (std::ssize(own) > n_experts) {
        fail_at("an expert that the model does not have",
                where + ": layer " + std::to_string(layer), "below " + std::to_string(n_experts),
                std::to_string(own.size() - 1));
      }
      own.resize(static_cast<std::size_t>(n_experts));
      result.layers.push_back(layer);
      result.counts.insert(result.counts.end(), own.begin(), own.end());
    }
    return result;
  }

 private:
  std::map<int, std::vector<std::int64_t>> layers_;
};

// Whole numbers between separators; nothing if there is anything else.
std::vector<std::int64_t> numbers_of(std::string_view line, std::string_view separators) {
  std::vector<std::int64_t> numbers;
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
    if (line.empty()) return numbers;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error != std::errc()) return {};
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    if (!line.empty() && separators.find(line.front()) == std::string_view::npos) return {};
    numbers.push_back(number);
    if (!line.empty()) line.remove_prefix(1);
  }
}

// colibri's .coli_usage and stats.txt: "-1 L E" (older ones do without), "-2 …", then layer, expert
// and count of what was used.
RecordedCounts read_usage(InputLines& lines, ImportSink& sink, const std::string& where) {
  NamedCounts counts;
  int n_experts = sink.model().n_experts;
  do {
    const std::vector<std::int64_t> numbers = numbers_of(lines.line(), " \t\r");
    if (numbers.empty() && lines.line().find_first_not_of(" \t\r") == std::string_view::npos) {
      continue;
    }
    if (numbers.size() != 3) {
      fail_at("not a line of counts", lines.where(), "layer, expert, count",
              printable(lines.line(), 60));
    }
    if (numbers[0] == -2) continue;
    if (numbers[0] == -1) {
      if (numbers[2] < 1 || numbers[2] > max_experts || numbers[1] < 1 ||
          numbers[1] > max_layer_number + 1) {
        fail_at("wrong numbers of layers and experts", lines.where());
      }
      sink.facts().n_hidden_layers = static_cast<int>(numbers[1]);
      if (n_experts > 0 && n_experts != numbers[2]) {
        fail_at("another number of experts than --experts or the config says", lines.where(),
                std::to_string(n_experts), std::to_string(numbers[2]));
      }
      n_experts = static_cast<int>(numbers[2]);
      continue;
    }
    counts.add(numbers[0], numbers[1], numbers[2], lines.where());
  } while (lines.next());
  return std::move(counts).take(n_experts, where);
}

// A head that names the columns, then lines of layer and expert, and how often; without a count a
// line is one selection.
RecordedCounts read_list(InputLines& lines, ImportSink& sink, const std::string& where) {
  std::array<std::size_t, 3> columns{};
  columns.fill(std::string::npos);
  std::string_view head = lines.line();
  std::size_t n_columns = 0;
  for (; !head.empty(); ++n_columns) {
    const std::size_t end = std::min(head.find(','), head.size());
    std::string_view name = head.substr(0, end);
    while (!name.empty() && (name.back() == '\r' || name.back() == ' ')) name.remove_suffix(1);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    if (name == "layer" || name == "layer_id") columns[0] = n_columns;
    if (name == "expert" || name == "expert_id") columns[1] = n_columns;
    if (name == "count") columns[2] = n_columns;
    head.remove_prefix(std::min(end + 1, head.size()));
  }
  const bool has_count = columns[2] != std::string::npos;
  if (columns[0] == std::string::npos || columns[1] == std::string::npos ||
      n_columns != (has_count ? 3U : 2U)) {
    fail_at("not the head of a list of counts", lines.where(), "layer,expert or layer,expert,count",
            printable(lines.line(), 60));
  }
  NamedCounts counts;
  while (lines.next()) {
    if (lines.line().find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::vector<std::int64_t> numbers = numbers_of(lines.line(), ",\r");
    if (numbers.size() != n_columns) {
      fail_at("not a line of counts", lines.where(), std::to_string(n_columns) + " whole numbers",
              printable(lines.line(), 60));
    }
    counts.add(numbers[columns[0]], numbers[columns[1]], has_count ? numbers[columns[2]] : 1,
               lines.where());
  }
  return std::move(counts).take(sink.model().n_experts, where);
}

RecordedCounts read_text(InputFile& file, ImportSink& sink, const std::string& where) {
  InputLines lines(file);
  do {
    if (!lines.next()) fail_at("no counts", where);
  } while (lines.line().find_first_not_of(" \t\r") == std::string_view::npos);
  if (lines.line().starts_with("IKU1")) {
    fail_at("the binary usage file of another engine, which is not imported", where);
  }
  return lines.line().find(',') == std::string_view::npos ? read_usage(lines, sink, where)
                                                          : read_list(lines, sink, where);
}

bool is_json(std::string_view head) {
  const std::size_t at = head.find_first_not_of(" \t\r\n");
  return at != std::string_view::npos && (head[at] == '{' || head[at] == '[');
}

void read_files(std::span<const fs::path> files, ImportSink& sink) {
  const bool is_pool = is_one_pool(files, sink.options());
  for (const fs::path& path : files) {
    InputFile file(path);
    const std::string head = first_bytes(path, 64);
    if (head.starts_with("\x93NUMPY")) {
      read_npy(path, file, is_pool, sink);
    } else {
      RecordedCounts counts = is_json(head) ? read_json(file.read_all(), path.string())
                                            : read_text(file, sink, path.string());
      take_file_counts(path, std::move(counts), is_pool, sink);
    }
    sink.finished_file(path.filename().string(), file.sha256());
    sink.check_stop(file.n_stored_bytes_read());
  }
}

bool is_counts(const fs::path&, std::string_view head) {
  if (is_json(head)) return head.find("\"logical_count\"") != std::string_view::npos;
  const std::string_view line = head.substr(0, head.find('\n'));
  if (line.starts_with("layer,expert") || line.starts_with("layer_id,expert_id")) return true;
  const std::vector<std::int64_t> numbers = numbers_of(line, " \t\r");
  return numbers.size() == 3 && numbers[0] == -1;
}

}  // namespace

Importer counts_importer() {
  return {"counts",
          "counts without tokens: SGLang's logical_count, .npy [L, E] or [N, L, E], .coli_usage, "
          "CSV layer,expert[,count]",
          is_counts, read_files};
}

}  // namespace moexray::imports
