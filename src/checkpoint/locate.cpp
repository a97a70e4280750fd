#include "moexray/checkpoint/locate.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/file.h"
#include "paths.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view cache_prefix = "models--";
constexpr std::size_t max_named = 5;
// A folder of a stranger is looked through no further than this.
constexpr std::size_t max_entries = 10'000;

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// The names in a directory, sorted; as many as can be read.
std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator entry(directory, code), end;
       !code && entry != end && names.size() < max_entries; entry.increment(code)) {
    names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

template <typename Predicate>
std::vector<std::string> names_where(const fs::path& directory, Predicate predicate) {
  std::vector<std::string> names = names_in(directory);
  std::erase_if(names, [&](const std::string& name) { return !predicate(name); });
  return names;
}

// "a, b, c and 4 more"
std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), max_named); ++i) {
    if (i > 0) text += ", ";
    text += printable(names[i], 160);
  }
  if (names.size() > max_named) {
    text += " and " + std::to_string(names.size() - max_named) + " more";
  }
  return text;
}

// "models--allenai--OLMoE-1B-7B-0125" → "allenai/OLMoE-1B-7B-0125"; empty for other names.
std::string repository_of(std::string_view folder) {
  if (!folder.starts_with(cache_prefix)) return {};
  std::string name(folder.substr(cache_prefix.size()));
  for (std::size_t at = name.find("--"); at != std::string::npos; at = name.find("--", at)) {
    name.replace(at, 2, "/");
  }
  return name;
}

// A name as the hub allows it: "ORG/NAME", letters, digits, '-', '_' and '.' in both.
bool is_hub_id(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return false;
  const auto is_name = [](std::string_view part) {
    return !part.empty() && part.size() <= 96 && part.front() != '.' && part.front() != '-' &&
           std::all_of(part.begin(), part.end(), [](char c) {
             return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' ||
                    c == '.';
           });
  };
  return is_name(text.substr(0, slash)) && is_name(text.substr(slash + 1));
}

// The hub id in an address of the hub, or the text itself if it is one.
std::optional<std::string> hub_id_of(std::string_view text) {
  for (const std::string_view host : {"https://huggingface.co/", "http://huggingface.co/",
                                      "https://hf.co/", "huggingface.co/", "hf.co/", "hf://"}) {
    if (!text.starts_with(host)) continue;
    text.remove_prefix(host.size());
    if (text.starts_with("models/")) text.remove_prefix(7);
    const std::size_t name = text.find('/');
    const std::size_t end = name == std::string_view::npos ? name : text.find('/', name + 1);
    text = text.substr(0, end);
    break;
  }
  while (text.ends_with('/')) text.remove_suffix(1);
  if (!is_hub_id(text)) return std::nullopt;
  return std::string(text);
}

// Where huggingface_hub keeps what it downloads. Only ever named in a message.
fs::path hub_cache() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value == nullptr ? "" : value);
  };
  if (const fs::path cache = variable("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const fs::path home = variable("HF_HOME"); !home.empty()) return home / "hub";
  return variable("HOME") / ".cache" / "huggingface" / "hub";
}

[[noreturn]] void fail_hub_id(const fs::path& given, const std::string& id) {
  const std::string name = id.substr(id.find('/') + 1);
  std::string folder = std::string(cache_prefix) + id;
  folder.replace(folder.find('/'), 1, "--");
  std::string what = "no such directory; it looks like a model on the Hugging Face hub, which ";
  if (const fs::path cached = hub_cache() / folder; is_folder(cached / "snapshots")) {
    what += "is in the cache here: give " + cached.string();
  } else {
    what += "moexray does not download: run \"hf download " + id + " --local-dir " + name +
            "\" and give " + name;
  }
  throw Error(ErrorKind::data, {std::move(what), given.string(), {}, {}});
}

[[noreturn]] void fail_file(const fs::path& given) {
  std::string found = "a file";
  std::string what = "not a checkpoint";
  if (given.extension() == ".gguf") {
    what = "GGUF files cannot be read; take the checkpoint that this one was made from";
    found = "a GGUF file";
  } else if (is_there(given.parent_path() / "config.json")) {
    what = "a file of a checkpoint; give the directory that it is in";
  }
  throw Error(ErrorKind::data,
              {std::move(what), given.string(),
               "a directory with config.json and safetensors files", std::move(found)});
}

std::optional<std::string> main_revision(const fs::path& model) {
  constexpr std::uint64_t max_bytes = 256;
  if (!is_there(model / "refs" / "main")) return std::nullopt;
  std::string hash = read_file(model / "refs" / "main", max_bytes);
  hash.erase(std::find_if(hash.begin(), hash.end(),
                          [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }),
             hash.end());
  return is_plain_file_name(hash) ? std::optional(hash) : std::nullopt;
}

// The snapshot of a model's folder in a cache that is meant where none is named.
fs::path find_snapshot(const fs::path& model) {
  const fs::path snapshots = model / "snapshots";
  if (const auto hash = main_revision(model); hash && is_folder(snapshots / *hash)) {
    return snapshots / *hash;
  }
  const auto names =
      names_where(snapshots, [&](const std::string& name) { return is_folder(snapshots / name); });
  if (names.size() == 1) return snapshots / names.front();
  const std::string repository = repository_of(model.filename().string());
  if (names.empty()) {
    throw Error(ErrorKind::data, {"no snapshot in this folder of a Hugging Face cache; run \"hf "
                                  "download " +
                                      repository + "\"",
                                  model.string(),
                                  {},
                                  {}});
  }
  throw Error(ErrorKind::data, {"several snapshots in this folder of a Hugging Face cache, and "
                                "refs/main names none of them; give one",
                                snapshots.string(),
                                {},
                                listed(names)});
}

[[noreturn]] void fail_no_config(const fs::path& directory) {
  std::string what = "no checkpoint: config.json is missing";
  const auto gguf =
      names_where(directory, [](const std::string& name) { return name.ends_with(".gguf"); });
  const auto cached = names_where(
      directory, [](const std::string& name) { return name.starts_with(cache_prefix); });
  std::string found;
  if (!gguf.empty()) {
    what += "; GGUF files cannot be read: take the checkpoint that they were made from";
    found = listed(gguf);
  } else if (!cached.empty()) {
    what = "a cache of several models; give the folder of one";
    found = listed(cached);
  } else if (fs::is_symlink(fs::symlink_status(directory / "config.json"))) {
    what = "no checkpoint: config.json is a link that leads nowhere; download the model again";
  } else if (!repository_of(directory.parent_path().parent_path().filename().string()).empty()) {
    what += " in this snapshot of a Hugging Face cache; run \"hf download " +
            checkpoint_name(directory) + "\" to complete it";
  }
  throw Error(ErrorKind::data, {std::move(what), directory.string(), {}, std::move(found)});
}

}  // namespace

std::string checkpoint_name(const fs::path& directory) {
  std::error_code code;
  fs::path full = fs::canonical(directory, code);
  if (code) full = directory;
  std::string name = full.filename().string();
  if (full.parent_path().filename() == "snapshots") {
    const std::string repository =
        repository_of(full.parent_path().parent_path().filename().string());
    if (!repository.empty()) name = repository;
  }
  return is_valid_utf8(name) ? name : printable(name);
}

std::string why_no_weights(const fs::path& directory) {
  std::vector<std::string> pickled;
  std::vector<std::string> gguf;
  std::vector<std::string> tensors;
  std::vector<std::string> dangling;
  for (const std::string& name : names_in(directory)) {
    std::error_code ignored;
    const bool is_model = name.starts_with("pytorch_model") || name.starts_with("model");
    if (fs::is_symlink(directory / name, ignored) && !is_there(directory / name)) {
      dangling.push_back(name);
    } else if (is_model && (name.ends_with(".bin") || name.ends_with(".pt"))) {
      pickled.push_back(name);
    } else if (name.ends_with(".gguf")) {
      gguf.push_back(name);
    } else if (name.ends_with(".safetensors")) {
      tensors.push_back(name);
    }
  }
  if (!dangling.empty()) {
    return "links that lead nowhere (" + listed(dangling) + "): the download is not complete";
  }
  if (!tensors.empty()) {
    return "safetensors files (" + listed(tensors) +
           ") without the model.safetensors.index.json that belongs to them";
  }
  if (!pickled.empty()) {
    return "pickled weights (" + listed(pickled) +
           "), which are never read: load them with transformers and save_pretrained() writes "
           "safetensors";
  }
  if (!gguf.empty()) {
    return "GGUF weights (" + listed(gguf) +
           "), which cannot be read: take the checkpoint that they were made from";
  }
  return {};
}

fs::path find_checkpoint(const fs::path& given) {
  std::error_code code;
  const fs::file_status status = fs::status(given, code);
  if (!fs::exists(status)) {
    if (const auto id = hub_id_of(given.string())) fail_hub_id(given, *id);
    throw Error(ErrorKind::data, {"no such directory", given.string(), {}, {}});
  }
  if (!fs::is_directory(status)) fail_file(given);
  // A tokenizer alone is enough for those who want no more of a checkpoint.
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer.model"}) {
    if (is_there(given / name)) return given;
  }
  // Without a slash at its end, a path names the folder itself.
  const fs::path folder = given.has_filename() ? given : given.parent_path();
  fs::path model = folder;
  if (folder.filename() == "snapshots" &&
      !repository_of(folder.parent_path().filename().string()).empty()) {
    model = folder.parent_path();
  }
  if (!is_folder(model / "snapshots")) fail_no_config(folder);
  const fs::path snapshot = find_snapshot(model);
  if (!is_there(snapshot / "config.json")) fail_no_config(snapshot);
  return snapshot;
}

}  // namespace moexray
