// Any bytes as a prompts file: either an Error, or prompts that hold what their header promises.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <sstream>
#include <string>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/trace/prompts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  try {
    const moexray::PromptSet set = moexray::read_prompts(in, "prompts.jsonl");
    std::set<std::string> ids;
    for (const moexray::Prompt& prompt : set.prompts) {
      if (prompt.id.empty() || !ids.insert(prompt.id).second) std::abort();
      if (prompt.text.empty() != !prompt.messages.empty()) std::abort();
      if (!moexray::is_valid_utf8(prompt.text) || !moexray::is_valid_utf8(prompt.meta_json)) {
        std::abort();
      }
      if (prompt.meta_json.front() != '{') std::abort();
    }
    if (set.prompts.empty() || set.sha256.size() != 64) std::abort();
  } catch (const moexray::Error& error) {
    if (!moexray::is_valid_utf8(error.what())) std::abort();
  }
  return 0;
}
