// Any bytes as tokenizer.json: either an Error, or a tokenizer that encodes any text into ids of
// its vocabulary and decodes them. The same bytes as a text and as a chat template.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "jinja_text.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "tokenizers.h"

namespace {

void check_tokenizer(const moexray::Tokenizer& tokenizer, std::string_view text) {
  const moexray::Encoding encoding = tokenizer.encode(text);
  if (encoding.ids.size() != encoding.spans.size()) std::abort();
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    if (encoding.ids[i] < 0 || encoding.ids[i] >= tokenizer.vocab_size()) std::abort();
    if (encoding.spans[i].begin > encoding.spans[i].end || encoding.spans[i].end > text.size()) {
      std::abort();
    }
  }
  if (!moexray::is_valid_utf8(tokenizer.decode(encoding.ids, false))) std::abort();
  tokenizer.decode(encoding.ids, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  moexray::canonical_template(bytes);
  try {
    const auto tokenizer = moexray::parse_tokenizer_json(bytes, "tokenizer.json", {});
    check_tokenizer(*tokenizer, "he  he\n\u00e9e\u0301\u0316 <a><b> it's 42\u3000\U0001F600");
    if (moexray::is_valid_utf8(bytes)) check_tokenizer(*tokenizer, bytes.substr(0, 2000));
  } catch (const moexray::Error&) {
  }
  return 0;
}
