// Any bytes as the text of a response: either an Error, or payloads that are parts of it and whose
// arrays can be read, in base64 or as lists.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "trace/importers/json_payload.h"

namespace {

constexpr std::array<std::string_view, 2> keys{"routed_experts", "exp_ids"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace moexray::imports;
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const SplitRecord record = split_record(text, keys, "fuzz.json");
    for (const std::string_view payload : record.payloads) {
      if (payload.data() < text.data() || payload.data() + payload.size() > text.data() + size) {
        std::abort();
      }
      try {
        const IdArray ids = decode_ids(payload, "fuzz.json");
        if (ids.top_k() == 0) continue;
        std::vector<std::int32_t> row(static_cast<std::size_t>(ids.top_k()));
        for (std::int64_t t = 0; t < ids.n_tokens(); ++t) {
          for (std::int64_t layer = 0; layer < ids.n_layers(); ++layer) ids.row(t, layer, row);
        }
      } catch (const moexray::Error&) {
      }
    }
  } catch (const moexray::Error&) {
  }
  return 0;
}
