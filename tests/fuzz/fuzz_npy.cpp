// Any bytes as a .npy file: either an Error, or an array whose every row can be read.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "trace/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool is_turned = data[size / 2] % 2 != 0;  // axes in another order
  try {
    const std::string file(reinterpret_cast<const char*>(data), size);
    const moexray::trace::IdArray ids =
        moexray::trace::npy_ids(file, "fuzz.npy", {is_turned ? 2 : 0, 1, is_turned ? 0 : 2});
    // A row without elements can stand in an array of any claimed size.
    if (ids.top_k() == 0) return 0;
    std::vector<std::int32_t> row(static_cast<std::size_t>(ids.top_k()));
    for (std::int64_t t = 0; t < ids.n_tokens(); ++t) {
      for (std::int64_t layer = 0; layer < ids.n_layers(); ++layer) ids.row(t, layer, row);
    }
  } catch (const moexray::Error&) {
  }
  return 0;
}
