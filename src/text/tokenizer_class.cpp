#include "tokenizer_class.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include "moexray/core/error.h"

namespace moexray {
namespace {

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&](std::string_view start) { return text.starts_with(start); });
}

}  // namespace

void apply_tokenizer_class(const TokenizerConfig& config, ByteLevelModel& model) {
  const std::string& name = config.tokenizer_class;
  const bool is_neox = name.starts_with("GPTNeoXTokenizer");
  if (is_neox || name.starts_with("GPT2Tokenizer")) {
    const bool prefix = config.add_prefix_space.value_or(false);
    if (model.normalizes != is_neox) model.changes += is_neox ? "NFC\n" : "no NFC\n";
    if (model.add_prefix_space != prefix) model.changes += prefix ? "space\n" : "no space\n";
    model.normalizes = is_neox;
    model.add_prefix_space = prefix;
    if (is_neox) model.begin_ids = model.end_ids = {};
    return;
  }
  const bool is_general =
      name.empty() || starts_with_any(name, {"PreTrainedTokenizer", "TokenizersBackend",
                                             "LlamaTokenizer", "OlmoTokenizer", "BloomTokenizer"});
  if (!is_general && config.add_prefix_space &&
      *config.add_prefix_space != model.add_prefix_space) {
    throw Error(
        ErrorKind::data,
        {"differs from add_prefix_space of tokenizer.json, which this class is not known to "
         "change",
         config.where + ": key \"add_prefix_space\"", model.add_prefix_space ? "true" : "false",
         (*config.add_prefix_space ? "true for \"" : "false for \"") + name + "\""});
  }
}

}  // namespace moexray
