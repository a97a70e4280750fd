#include <algorithm>
#include <array>

#include "importer.h"
#include "trace/fail.h"

namespace moexray::imports {

std::span<const Importer> importers() {
  // A new kind is entered here, and nowhere else.
  static const std::array table{vllm_importer(),   sglang_importer(), numpy_importer(),
                                jsonl_importer(),  bmoe_importer(),   esft_importer(),
                                counts_importer(), imatrix_importer()};
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

std::string stem_of(const std::filesystem::path& path) {
  std::string name = path.filename().string();
  for (const char* end :
       {".gz", ".zst", ".npy", ".npz", ".safetensors", ".json", ".csv", ".txt", ".gguf"}) {
    if (name.ends_with(end) && name.size() > std::string_view(end).size()) {
      name.resize(name.size() - std::string_view(end).size());
    }
  }
  return name;
}

bool is_one_pool(std::span<const std::filesystem::path> files, const ImportOptions& options) {
  return files.size() == 1 && options.prompts.empty() && !options.category_from_name;
}

void take_file_counts(const std::filesystem::path& path, RecordedCounts counts, bool is_pool,
                      ImportSink& sink) {
  const std::string name = stem_of(path);
  if (counts.where.empty()) counts.where = path.string();
  counts.names = {is_pool ? "pool" : name};
  if (sink.options().category_from_name && !is_pool) {
    const std::size_t end = name.rfind('_');
    if (end == std::string::npos || end == 0) {
      trace::fail_at("the name of the file has no category", path.string(), "CATEGORY_NUMBER",
                     name);
    }
    counts.category = name.substr(0, end);
  }
  sink.take_counts(std::move(counts), is_pool);
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
