// A line an event, for data frames and databases.

#include <array>

#include "exporter.h"
#include "moexray/core/file.h"
#include "trace/number_format.h"

namespace moexray::exports {
namespace {

// As RFC 4180 has it: quotes where they are needed.
std::string csv_field(const std::string& text) {
  if (text.find_first_of("\",\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

void append_rows(const TracePrompt& prompt, const ExportSource& source, const PromptArrays& arrays,
                 std::string& text) {
  const RoutingShape& shape = source.shape();
  const std::vector<int> numbers = source.transformer_layers();
  const std::string head = csv_field(prompt.id) + "," + csv_field(prompt.category) + ",";
  std::size_t i = 0;
  for (std::int64_t row = 0; row < arrays.n_rows; ++row) {
    const std::int64_t pos = position_at(arrays.positions, row);
    // Without a number of prompt tokens nobody knows which they are.
    const char* type = prompt.n_prompt_tokens < 0     ? ",,"
                       : pos < prompt.n_prompt_tokens ? ",prompt,"
                                                      : ",generation,";
    std::string token;
    if (static_cast<std::size_t>(pos) < prompt.token_ids.size()) {
      token = std::to_string(prompt.token_ids[static_cast<std::size_t>(pos)]);
    }
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      const std::string place = head + std::to_string(pos) + type + token + "," +
                                std::to_string(numbers[static_cast<std::size_t>(layer)]) + ",";
      for (int rank = 0; rank < shape.top_k; ++rank, ++i) {
        text += place + std::to_string(rank) + "," + std::to_string(arrays.ids[i]) + ",";
        if (!arrays.weights.empty()) {
          std::array<char, trace::max_number_bytes> digits{};
          text.append(digits.data(), trace::write_number(digits.data(), arrays.weights[i]));
        }
        text += '\n';
      }
    }
  }
}

void write_csv(const ExportSource& source, const std::filesystem::path& path) {
  AtomicFile file(path);
  file.write("prompt_id,category,pos,type,token_id,layer,slot,expert,weight\n");
  const std::vector<TracePrompt>& prompts = source.traces().prompts;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    std::string text;
    append_rows(prompts[i], source, source.arrays(i), text);
    file.write(text);
    source.finished_prompts(i + 1);
  }
  file.commit();
}

}  // namespace

Exporter csv_exporter() {
  return {"csv",
          "a line an event: prompt_id, category, pos, type, token_id, layer (of the transformer), "
          "slot, expert, weight",
          false, false, write_csv};
}

}  // namespace moexray::exports
