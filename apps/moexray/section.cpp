#include "section.h"

#include <utility>

#include "moexray/core/file.h"

namespace moexray::app {

OutputFile text_file(std::string name, std::string content) {
  return {std::move(name), [content = std::move(content)](const std::filesystem::path& path) {
            write_file_atomically(path, content);
          }};
}

Results results_of(const std::vector<Section>& sections) {
  Results results;
  for (const Section& section : sections) results.merge(section.results);
  return results;
}

}  // namespace moexray::app
