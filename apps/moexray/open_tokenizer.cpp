#include "open_tokenizer.h"

#include "moexray/runtime/modules.h"

namespace moexray::app {

std::unique_ptr<Tokenizer> open_tokenizer_of(const std::filesystem::path& model_directory,
                                             Console& console) {
  std::vector<std::string> notices;
  auto tokenizer = open_tokenizer(model_directory, module_directory(), &notices);
  for (const std::string& notice : notices) console.notice(notice);
  return tokenizer;
}

}  // namespace moexray::app
