// Counts: as a directory, and as the matrices that expert placement reads.

#include "moexray/trace/counts.h"

#include <array>

#include "exporter.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"

namespace moexray::exports {
namespace {

namespace fs = std::filesystem;

void write_counts(const ExportSource& source, const fs::path& path) {
  CountsWriter writer(path, source.shape());
  source.for_counts([&](std::size_t i, std::span<const std::int64_t> counts) {
    writer.append(source.traces().prompts[i], counts);
  });
  writer.finish(source.traces().manifests.front(), has_pool(source.traces()));
}

// [L, E] of all prompts together.
std::vector<std::int64_t> total_counts(const ExportSource& source) {
  std::vector<std::int64_t> total(static_cast<std::size_t>(source.shape().n_layers) *
                                  static_cast<std::size_t>(source.shape().n_experts));
  source.for_counts([&](std::size_t, std::span<const std::int64_t> counts) {
    for (std::size_t i = 0; i < total.size(); ++i) {
      if (__builtin_add_overflow(total[i], counts[i], &total[i])) {
        throw Error(ErrorKind::data, "the sum of all counts is too large");
      }
    }
  });
  return total;
}

// A row a transformer layer, one of zeros where there are no experts.
std::string logical_count_json(const ExportSource& source, std::span<const std::int64_t> total) {
  const auto n_experts = static_cast<std::size_t>(source.shape().n_experts);
  const std::vector<int> numbers = source.transformer_layers();
  std::string text = "{\"logical_count\": [";
  std::size_t next = 0;
  for (int layer = 0; layer < source.n_transformer_layers(); ++layer) {
    const bool has_experts = next < numbers.size() && numbers[next] == layer;
    text += layer > 0 ? ",\n[" : "\n[";
    for (std::size_t e = 0; e < n_experts; ++e) {
      text += (e > 0 ? "," : "") + std::to_string(has_experts ? total[next * n_experts + e] : 0);
    }
    text += "]";
    if (has_experts) ++next;
  }
  return text + "\n]}\n";
}

void write_eplb(const ExportSource& source, const fs::path& path) {
  const std::vector<std::int64_t> total = total_counts(source);
  if (path.extension() == ".npy") {
    const std::array sizes{std::int64_t{source.shape().n_layers},
                           std::int64_t{source.shape().n_experts}};
    write_file_atomically(path, npy_file("<i8", sizes, bytes_of(total)));
  } else {
    if (source.traces().manifests.front().model.moe_layers.empty()) {
      source.notice("which transformer layers have experts is not known: taken as 0, 1, …");
    }
    write_file_atomically(path, logical_count_json(source, total));
  }
}

}  // namespace

Exporter counts_exporter() {
  return {"counts", "a directory of counts, which analyses read: counts.npy [N, L, E]", true, true,
          write_counts};
}

Exporter eplb_json_exporter() {
  return {"eplb-json",
          "SGLang's logical_count: how often each expert of every transformer layer was chosen; "
          "with -o FILE.npy the matrix [L, E] of EPLB's rebalance_experts()",
          true, false, write_eplb};
}

}  // namespace moexray::exports
