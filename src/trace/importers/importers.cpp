#include <algorithm>
#include <array>

#include "importer.h"
#include "trace/fail.h"

namespace moexray::imports {

std::span<const Importer> importers() {
  // A new kind is entered here, and nowhere else.
  static const std::array table{vllm_importer(),  sglang_importer(), numpy_importer(),
                                jsonl_importer(), bmoe_importer(),   esft_importer()};
  return table;
}

std::vector<std::filesystem::path> files_of(std::span<const std::filesystem::path> paths) {
  std::vector<std::filesystem::path> files;
  for (const std::filesystem::path& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::filesystem::path> inside;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.is_regular_file()) inside.push_back(entry.path());
    }
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  if (files.empty()) trace::fail_at("the directory holds no files", paths.front().string());
  return files;
}

void read_json_records(std::span<const std::filesystem::path> files, ImportSink& sink,
                       const std::function<void(JsonRecords& records)>& read) {
  for (const std::filesystem::path& path : files) {
    InputFile file(path);
    JsonRecords records(file);
    while (records.next()) {
      read(records);
      sink.check_stop(file.n_stored_bytes_read());
    }
    sink.finished_file(path.filename().string(), file.sha256());
  }
}

}  // namespace moexray::imports
