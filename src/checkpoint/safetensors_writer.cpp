#include "moexray/checkpoint/safetensors_writer.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "moexray/checkpoint/safetensors.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"

namespace moexray {
namespace {

constexpr std::size_t alignment_bytes = 64;

[[noreturn]] void reject(const TensorToWrite& tensor, std::string what, std::string expected = {},
                         std::string found = {}) {
  throw Error(ErrorKind::data, {std::move(what), "tensor \"" + tensor.name + "\"",
                                std::move(expected), std::move(found)});
}

void check(const TensorToWrite& tensor) {
  const std::optional<int> bits = bits_of_dtype(tensor.dtype);
  if (!bits) reject(tensor, "unknown dtype", {}, tensor.dtype);
  std::uint64_t n_bits = static_cast<std::uint64_t>(*bits);
  for (const std::int64_t size : tensor.shape) {
    if (size < 0 || __builtin_mul_overflow(n_bits, static_cast<std::uint64_t>(size), &n_bits)) {
      reject(tensor, "impossible shape");
    }
  }
  if (n_bits % 8 != 0 || n_bits / 8 != tensor.bytes.size()) {
    reject(tensor, "bytes do not fit dtype and shape", std::to_string(n_bits) + " bits",
           std::to_string(tensor.bytes.size()) + " bytes");
  }
}

// Length and JSON, padded with spaces so that the data section is aligned.
std::string make_header(std::span<const TensorToWrite> tensors,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string_view> names = {"__metadata__"};
  std::uint64_t offset = 0;
  std::string json;
  for (const TensorToWrite& tensor : tensors) {
    check(tensor);
    if (!names.insert(tensor.name).second) reject(tensor, "duplicate name");
  }
  try {
    // Text is put together by hand: ordered_json looks keys up one by one, slow for thousands of
    // them.
    json = header.dump();
    json.pop_back();
    for (const TensorToWrite& tensor : tensors) {
      const nlohmann::ordered_json entry = {
          {"dtype", tensor.dtype},
          {"shape", tensor.shape},
          {"data_offsets", {offset, offset + tensor.bytes.size()}}};
      if (json.size() > 1) json += ',';
      json += nlohmann::json(tensor.name).dump() + ':' + entry.dump();
      offset += tensor.bytes.size();
    }
    json += '}';
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorKind::data, "tensor names and metadata must be UTF-8");
  }
  json.append((alignment_bytes - (8 + json.size()) % alignment_bytes) % alignment_bytes, ' ');
  if (json.size() > max_safetensors_header_bytes) throw Error(ErrorKind::data, "header too large");
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(json.size() >> (8 * i) & 0xFF);
  return bytes + json;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = make_header(tensors, metadata);
  AtomicFile file(path);
  file.write(header);
  for (const TensorToWrite& tensor : tensors) file.write(tensor.bytes);
  file.commit();
}

}  // namespace moexray
