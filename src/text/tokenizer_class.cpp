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

// The byte-level steps that a class brings along.
void rebuild(bool has_nfc, bool adds_space, BpeModel& model) {
  const PreTokenizer::ByteLevel* plain = model.pre_tokenizer.plain_byte_level();
  if (plain == nullptr || !plain->use_regex) model.changes += "ByteLevel\n";
  if (model.pre_tokenizer.adds_prefix_space() != adds_space) {
    model.changes += adds_space ? "space\n" : "no space\n";
  }
  const bool is_same = has_nfc ? model.normalizer.is_nfc() : model.normalizer.is_nothing();
  if (!is_same) model.changes += has_nfc ? "NFC\n" : "no NFC\n";
  std::vector<Normalizer::Step> steps;
  if (has_nfc) steps.emplace_back(Normalizer::Nfc{});
  model.normalizer = Normalizer(std::move(steps));
  model.pre_tokenizer = PreTokenizer({PreTokenizer::ByteLevel{adds_space, true}});
  model.decoder = TokenDecoder({TokenDecoder::ByteLevel{}});
}

}  // namespace

void apply_tokenizer_class(const TokenizerConfig& config, BpeModel& model) {
  if (config.takes_file_as_it_is) return;
  const std::string& name = config.tokenizer_class;
  const bool is_neox = name.starts_with("GPTNeoXTokenizer");
  if (is_neox || name.starts_with("GPT2Tokenizer")) {
    rebuild(is_neox, config.add_prefix_space.value_or(false), model);
    if (is_neox) model.begin_ids = model.end_ids = {};
    return;
  }
  const bool is_general =
      name.empty() || starts_with_any(name, {"PreTrainedTokenizer", "TokenizersBackend",
                                             "LlamaTokenizer", "OlmoTokenizer", "BloomTokenizer"});
  const bool adds_space = model.pre_tokenizer.adds_prefix_space();
  if (!is_general && config.add_prefix_space && *config.add_prefix_space != adds_space) {
    throw Error(
        ErrorKind::data,
        {"differs from add_prefix_space of tokenizer.json, which this class is not known to "
         "change",
         config.where + ": key \"add_prefix_space\"", adds_space ? "true" : "false",
         (*config.add_prefix_space ? "true for \"" : "false for \"") + name + "\""});
  }
}

}  // namespace moexray
