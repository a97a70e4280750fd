// Arrays that a script saved: .npy, .npz and .safetensors, a prompt a file or a member.

#include <utility>

#include "exported.h"
#include "importer.h"
#include "moexray/checkpoint/safetensors.h"
#include "moexray/core/escape.h"
#include "npz.h"
#include "trace/fail.h"
#include "trace/npy.h"

namespace moexray::imports {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;
using trace::npy_ids;
using trace::shape_text;

std::string member_where(const fs::path& path, const std::string& member) {
  return path.string() + ": member \"" + printable(member, 200) + "\"";
}

// One array of a file, known by its member's name, or without one.
void take_array(const fs::path& path, const std::string& member, bool is_only, IdArray ids,
                ImportSink& sink) {
  RecordedPrompt prompt;
  prompt.where = member.empty() ? path.string() : member_where(path, member);
  if (is_only) prompt.names.push_back(stem_of(path));
  if (!member.empty()) prompt.names.push_back(member);
  prompt.ids = std::move(ids);
  sink.take(std::move(prompt));
}

// The members that hold ids: the one that was asked for, the usual one, or all.
std::vector<std::string> wanted_members(const std::vector<std::string>& names,
                                        std::string_view usual, const fs::path& path,
                                        const ImportSink& sink) {
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const std::string& asked = sink.options().member;
  if (!asked.empty()) {
    if (has(asked)) return {asked};
    std::string all;
    for (const std::string& name : names) {
      if (all.size() < 200) all += (all.empty() ? "" : ", ") + printable(name, 60);
    }
    fail_at("no such member", path.string(), all, asked);
  }
  if (has(usual)) return {std::string(usual)};
  return names;
}

void read_npz(const fs::path& path, std::string_view usual, ImportSink& sink) {
  const NpzFile file(path);
  if (file.has(exported_manifest) && file.has(exported_prompts)) return read_exported(file, sink);
  std::vector<std::string> names;
  for (const std::string& name : file.names()) {
    if (!name.ends_with(".npy")) {
      fail_at("a member that is no array", member_where(path, name));
    }
    names.push_back(name.substr(0, name.size() - 4));
  }
  const std::vector<std::string> wanted = wanted_members(names, usual, path, sink);
  if (wanted.empty()) fail_at("the archive holds no arrays", path.string());
  for (const std::string& name : wanted) {
    IdArray ids = npy_ids(file.read(name + ".npy"), member_where(path, name), sink.options().axes);
    take_array(path, name, wanted.size() == 1, std::move(ids), sink);
  }
}

void read_safetensors(const fs::path& path, std::string_view usual, ImportSink& sink) {
  const SafetensorsFile file(path);
  if (is_exported(file)) return read_exported(file, sink);
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : file.header().tensors) names.push_back(entry.name);
  const std::vector<std::string> wanted = wanted_members(names, usual, path, sink);
  if (wanted.empty()) fail_at("the file holds no arrays", path.string());
  for (const std::string& name : wanted) {
    const SafetensorsEntry& entry = file.at(name);
    const std::optional<Item> item = item_of_dtype(entry.dtype);
    if (!item || entry.shape.size() != 3) {
      fail_at("not the shape or type of routed experts", member_where(path, name),
              "integers with three axes: token, layer and slot",
              entry.dtype + " " + shape_text(entry.shape));
    }
    const auto bytes = file.bytes(entry);
    IdArray ids(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), *item,
                {entry.shape[0], entry.shape[1], entry.shape[2]}, sink.options().axes);
    take_array(path, name, wanted.size() == 1, std::move(ids), sink);
  }
}

bool is_safetensors(const fs::path& path, std::string_view head) {
  return path.extension() == ".safetensors" || (head.size() > 8 && head[8] == '{');
}

}  // namespace

bool is_array_file(const fs::path& path, std::string_view head) {
  return head.starts_with("\x93NUMPY") || head.starts_with("PK\x03\x04") ||
         head.starts_with("PK\x05\x06") || is_safetensors(path, head);
}

void read_id_arrays(std::span<const fs::path> files, std::string_view default_member,
                    ImportSink& sink) {
  for (const fs::path& path : files) {
    InputFile file(path);
    const std::string head = first_bytes(path, 16);
    if (head.starts_with("PK")) {
      read_npz(path, default_member, sink);
    } else if (head.starts_with("\x93NUMPY")) {
      take_array(path, {}, true, npy_ids(file.read_all(), path.string(), sink.options().axes),
                 sink);
    } else if (is_safetensors(path, head)) {
      read_safetensors(path, default_member, sink);
    } else {
      fail_at("not an array", path.string(), ".npy, .npz or .safetensors");
    }
    sink.finished_file(path.filename().string(), file.sha256());
    sink.check_stop(0);
  }
}

Importer numpy_importer() {
  return {
      "numpy",
      "arrays of ids [tokens, layers, k], a prompt a file or a member: .npy, .npz, .safetensors",
      [](const fs::path& path, std::string_view head) {
        return is_array_file(path, head) &&
               head.find("routed_experts.npy") == std::string_view::npos;
      },
      [](std::span<const fs::path> files, ImportSink& sink) {
        read_id_arrays(files, "routed_experts", sink);
      }};
}

}  // namespace moexray::imports
