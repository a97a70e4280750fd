// Importance matrices of llama.cpp: of expert layers, how often each expert was chosen.

#include <charconv>
#include <cmath>
#include <map>
#include <utility>

#include "gguf.h"
#include "importer.h"
#include "moexray/core/escape.h"
#include "moexray/core/file.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;

// The first whole number that float32 cannot count beyond.
constexpr float exact_float_limit = 16'777'216;

// The layer N of "blk.N.ffn_…_exps.weight.counts"; −1 for every other name.
int layer_of_counts(std::string_view name) {
  constexpr std::string_view head = "blk.";
  if (!name.starts_with(head) || !name.ends_with("_exps.weight.counts")) return -1;
  name.remove_prefix(head.size());
  int layer = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const std::string_view rest = name.substr(static_cast<std::size_t>(end - name.data()));
  return error == std::errc() && layer >= 0 && rest.starts_with(".ffn_") ? layer : -1;
}

std::vector<std::int64_t> counts_of(const GgufFile::Tensor& tensor, std::string_view file,
                                    const std::string& where) {
  std::vector<std::int64_t> counts;
  bool all_equal = true;
  for (const float value : GgufFile::values(tensor, file)) {
    if (!(value >= 0) || value != std::floor(value) || value >= exact_float_limit) {
      fail_at("not a count", where, "a whole number below 2^24, beyond which float32 loses some",
              std::to_string(value));
    }
    counts.push_back(static_cast<std::int64_t>(value));
    all_equal = all_equal && counts.back() == counts.front();
  }
  if (all_equal) {
    fail_at(
        "one number for all experts: converted from a legacy imatrix, which does not know them "
        "apart. Make a new one with llama-imatrix",
        where);
  }
  return counts;
}

RecordedCounts read_counts(const fs::path& path) {
  const MappedFile mapped(path);
  const std::string_view file(reinterpret_cast<const char*>(mapped.bytes().data()),
                              mapped.bytes().size());
  const std::string where = path.string();
  const GgufFile gguf = parse_gguf(file, where);
  const auto type = gguf.texts.find("general.type");
  if (type == gguf.texts.end() || type->second != "imatrix") {
    fail_at("a GGUF file, but no importance matrix", where, "general.type \"imatrix\"",
            type == gguf.texts.end() ? "none" : printable(type->second, 40));
  }
  std::map<int, std::vector<std::int64_t>> layers;
  for (const GgufFile::Tensor& tensor : gguf.tensors) {
    const int layer = layer_of_counts(tensor.name);
    if (layer < 0) continue;
    const std::string at = where + ": tensor \"" + printable(tensor.name, 80) + "\"";
    if (!tensor.is_f32) fail_at("another type than float32", at);
    std::vector<std::int64_t> counts = counts_of(tensor, file, at);
    const auto [first, is_new] = layers.try_emplace(layer, std::move(counts));
    // gate, up and down see the same tokens.
    if (!is_new && first->second != counts) {
      fail_at("the matrices of a layer of experts disagree in their counts", at);
    }
  }
  if (layers.empty()) {
    fail_at("no counts of experts: the model has none, or the file is of llama.cpp before mid-2025",
            where, "tensors blk.N.ffn_…_exps.weight.counts");
  }
  RecordedCounts result;
  result.n_layers = static_cast<std::int64_t>(layers.size());
  result.n_experts = static_cast<std::int64_t>(layers.begin()->second.size());
  for (const auto& [layer, counts] : layers) {
    if (std::ssize(counts) != result.n_experts) {
      fail_at("layers have different numbers of experts", where);
    }
    result.layers.push_back(layer);
    result.counts.insert(result.counts.end(), counts.begin(), counts.end());
  }
  const auto n_chunks = gguf.integers.find("imatrix.chunk_count");
  const auto size = gguf.integers.find("imatrix.chunk_size");
  if (n_chunks != gguf.integers.end() && size != gguf.integers.end() &&
      __builtin_mul_overflow(n_chunks->second, size->second, &result.n_tokens)) {
    fail_at("chunk_count times chunk_size overflows", where);
  }
  return result;
}

void read_imatrix(std::span<const fs::path> files, ImportSink& sink) {
  sink.facts().interface = "llama-imatrix";
  const bool is_pool = is_one_pool(files, sink.options());
  for (const fs::path& path : files) {
    const std::string head = first_bytes(path, 4);
    if (head != "GGUF") {
      fail_at(
          "no GGUF: a legacy imatrix holds averages, and one count a matrix. llama-imatrix of "
          "llama.cpp since mid-2025 writes GGUF",
          path.string());
    }
    InputFile file(path);
    take_file_counts(path, read_counts(path), is_pool, sink);
    sink.finished_file(path.filename().string(), file.sha256());
    sink.check_stop(file.n_stored_bytes_read());
  }
}

}  // namespace

Importer imatrix_importer() {
  return {"imatrix", "GGUF of llama-imatrix: counts of one pool of tokens, or of a text a file",
          [](const fs::path&, std::string_view head) { return head.starts_with("GGUF"); },
          read_imatrix};
}

}  // namespace moexray::imports
