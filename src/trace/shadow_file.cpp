#include "shadow_file.h"

#include <zstd.h>

#include <cmath>
#include <limits>
#include <utility>

#include "checksum.h"
#include "fail.h"
#include "json_text.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "trace_directory.h"

namespace moexray::trace {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view shadow_format = "moexray-shadows";
constexpr int shadow_version = 1;
// Biases of all experts of 10,000 shadows do not fit into it; those of 20 routers of 1,024 layers
// do.
constexpr std::size_t max_header_bytes = 1'000'000'000;

std::string at_byte(const std::string& path, std::size_t byte) {
  return path + ": byte " + std::to_string(byte);
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The line that begins at a byte, without its newline.
std::string_view line_at(std::span<const std::byte> file, std::size_t begin, std::size_t max_bytes,
                         const std::string& path) {
  const std::string_view rest = text_of(file).substr(std::min(begin, file.size()));
  const std::size_t end = rest.substr(0, max_bytes).find('\n');
  if (end == std::string_view::npos) fail_at("no line: the file is cut off", at_byte(path, begin));
  return rest.substr(0, end);
}

Json parse_line(std::string_view line, const std::string& where) {
  if (check_checksum(line, line_checksum) != ChecksumState::right) {
    fail_at("the line is damaged: its \"line_checksum\" does not match", where);
  }
  Json json = parse_json(line, where);
  if (!json.is_object()) fail_at("wrong type of line", where, "an object");
  return json;
}

const Json& member(const Json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) fail_at("missing key \"" + std::string(key) + "\"", where);
  return *found;
}

std::int64_t integer(const Json& object, const char* key, std::int64_t low, std::int64_t high,
                     const std::string& where) {
  const Json& value = member(object, key, where);
  const bool fits = value.is_number_integer() && value >= low && value <= high;
  if (!fits) {
    fail_at("wrong value of key \"" + std::string(key) + "\"", where,
            "an integer from " + std::to_string(low) + " to " + std::to_string(high),
            describe_json(value));
  }
  return value.get<std::int64_t>();
}

std::string text(const Json& object, const char* key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_string()) {
    fail_at("wrong value of key \"" + std::string(key) + "\"", where, "a string",
            describe_json(value));
  }
  return value.get<std::string>();
}

std::vector<float> biases_of(const Json& values, std::size_t n, const std::string& where) {
  std::vector<float> biases;
  if (values.is_null()) return biases;
  if (!values.is_array() || values.size() != n) {
    fail_at("wrong value of key \"biases\"", where, std::to_string(n) + " numbers or null",
            describe_json(values));
  }
  for (const Json& value : values) {
    const double bias = value.is_number() ? value.get<double>() : std::nan("");
    if (!(std::abs(bias) <= std::numeric_limits<float>::max())) {
      fail_at("wrong value of key \"biases\"", where, "numbers", describe_json(value));
    }
    biases.push_back(static_cast<float>(bias));
  }
  return biases;
}

}  // namespace

std::string shadow_header_line(const ShadowHeader& header) {
  std::string line = "{\"format\":" + json_text(std::string(shadow_format)) +
                     ",\"version\":" + std::to_string(shadow_version) +
                     ",\"n_layers\":" + std::to_string(header.shape.n_layers) +
                     ",\"n_experts\":" + std::to_string(header.shape.n_experts) +
                     ",\"top_k\":" + std::to_string(header.shape.top_k) + ",\"routers\":[";
  for (std::size_t i = 0; i < header.shadows.size(); ++i) {
    const ManifestShadow& shadow = header.shadows[i];
    const bool has_biases = i < header.biases.size() && !header.biases[i].empty();
    line += (i > 0 ? ",{" : "{");
    line += "\"router\":" + json_text(shadow.router) + ",\"form\":" + json_text(shadow.form) +
            ",\"weights_sha256\":" + json_text(shadow.weights_sha256) +
            ",\"biases\":" + (has_biases ? json_text(header.biases[i]) : "null") + "}";
  }
  line += "]";
  append_checksum(line, line_checksum);
  return line + "\n";
}

ShadowHeader parse_shadow_header(std::string_view line, const std::string& where) {
  const Json json = parse_line(line, where);
  if (text(json, "format", where) != shadow_format) fail_at("not a file of shadows", where);
  integer(json, "version", shadow_version, shadow_version, where);
  ShadowHeader header;
  header.shape.n_layers = static_cast<int>(integer(json, "n_layers", 1, 4096, where));
  header.shape.n_experts = static_cast<int>(integer(json, "n_experts", 1, max_experts, where));
  header.shape.top_k = static_cast<int>(integer(json, "top_k", 1, header.shape.n_experts, where));
  const Json& routers = member(json, "routers", where);
  if (!routers.is_array()) fail_at("wrong value of key \"routers\"", where, "an array");
  const auto n_biases = static_cast<std::size_t>(header.shape.n_layers) *
                        static_cast<std::size_t>(header.shape.n_experts);
  for (const Json& router : routers) {
    if (!router.is_object()) fail_at("wrong value of key \"routers\"", where, "objects");
    header.shadows.push_back({text(router, "router", where), text(router, "form", where),
                              text(router, "weights_sha256", where)});
    header.biases.push_back(biases_of(member(router, "biases", where), n_biases, where));
  }
  return header;
}

ShadowRecord read_shadow_record(std::span<const std::byte> file, std::size_t begin,
                                std::size_t n_shadows, const std::string& path) {
  const std::string where = at_byte(path, begin);
  const std::string_view line = line_at(file, begin, max_line_bytes, path);
  const Json json = parse_line(line, where);
  ShadowRecord record;
  record.prompt_id = text(json, "prompt_id", where);
  record.n_tokens = integer(json, "n_tokens", 1, std::int64_t{1} << 32, where);
  record.checksum = text(json, "checksum", where);
  record.first = begin + line.size() + 1;
  std::size_t left = file.size() - record.first;
  const Json& sizes = member(json, "n_bytes", where);
  if (!sizes.is_array() || sizes.size() != n_shadows) {
    fail_at("wrong value of key \"n_bytes\"", where, std::to_string(n_shadows) + " sizes",
            describe_json(sizes));
  }
  for (const Json& size : sizes) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() > left) {
      fail_at("wrong value of key \"n_bytes\"", where,
              "at most " + std::to_string(left) + " bytes, which the file has left",
              describe_json(size));
    }
    record.n_bytes.push_back(size.get<std::uint64_t>());
    left -= record.n_bytes.back();
  }
  record.end = file.size() - left;
  const auto frames = text_of(file).substr(record.first, record.end - record.first);
  if (checksum_text(frames) != record.checksum) {
    fail_at("the routing of shadows is damaged: its checksum does not match", where,
            record.checksum, checksum_text(frames));
  }
  return record;
}

ShadowFile ShadowFile::create(const fs::path& directory, const ShadowHeader& header) {
  ShadowFile file;
  file.file_ = DiskFile(directory / shadows_name);
  file.file_.truncate(0);
  file.file_.append(shadow_header_line(header));
  file.sync();
  file.keep();
  sync_directory(directory);
  return file;
}

ShadowFile ShadowFile::resume(const fs::path& directory, const ShadowHeader& header,
                              std::size_t n_prompts) {
  const fs::path path = directory / shadows_name;
  std::size_t end = 0;
  {
    const MappedFile mapped(path);
    const std::string line = shadow_header_line(header);
    if (!text_of(mapped.bytes()).starts_with(line)) {
      fail_at("cannot resume: the shadows are not those of this run", path.string());
    }
    end = line.size();
    for (std::size_t i = 0; i < n_prompts; ++i) {
      end = read_shadow_record(mapped.bytes(), end, header.shadows.size(), path.string()).end;
    }
  }
  ShadowFile file;
  file.file_ = DiskFile(path);
  file.file_.truncate(end);
  file.keep();
  return file;
}

void ShadowFile::append(const std::string& prompt_id, std::span<const ExpertSets> shadows) {
  std::string frames;
  std::vector<std::uint64_t> sizes;
  for (const ExpertSets& sets : shadows) {
    const std::string_view frame = compressor_.compress(sets.bytes());
    frames += frame;
    sizes.push_back(frame.size());
  }
  std::string line = "{\"prompt_id\":" + json_text(prompt_id) +
                     ",\"n_tokens\":" + std::to_string(shadows.front().n_positions()) +
                     ",\"n_bytes\":" + json_text(sizes) +
                     ",\"checksum\":" + json_text(checksum_text(frames));
  append_checksum(line, line_checksum);
  file_.append(line + "\n");
  file_.append(frames);
}

void ShadowFile::cut() {
  if (file_.is_open()) file_.truncate(kept_);
}

}  // namespace moexray::trace

namespace moexray {
namespace {

// What decides which sets a prompt has: the shadows, and those of their biases.
bool same_routers(const ShadowHeader& a, const ShadowHeader& b) {
  return a.shape == b.shape && a.shadows == b.shadows && a.biases == b.biases;
}

}  // namespace

std::optional<ShadowHeader> read_shadow_header(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / trace::shadows_name;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  const MappedFile file(path);
  return trace::parse_shadow_header(
      trace::line_at(file.bytes(), 0, trace::max_header_bytes, path.string()), path.string());
}

struct ShadowReader::State {
  struct Part {
    MappedFile file;
    std::vector<trace::ShadowRecord> records;
  };
  struct Place {
    std::size_t part = 0, record = 0;
  };
  ShadowHeader header;
  std::vector<Part> parts;
  std::vector<Place> places;  // [prompts of the set]

  void open_part(const TraceSet& traces, std::size_t part, const std::vector<std::size_t>& prompts);
};

void ShadowReader::State::open_part(const TraceSet& traces, std::size_t part,
                                    const std::vector<std::size_t>& prompts) {
  const std::filesystem::path path = traces.directories[part] / trace::shadows_name;
  const std::string where = path.string();
  const TraceManifest& manifest = traces.manifests[part];
  if (manifest.shadows.empty()) {
    trace::fail_at("no shadow routers were traced (trace --shadow random)",
                   traces.directories[part].string());
  }
  MappedFile file(path);
  const std::string_view line = trace::line_at(file.bytes(), 0, trace::max_header_bytes, where);
  ShadowHeader own = trace::parse_shadow_header(line, where);
  if (own.shadows != manifest.shadows || own.shape != manifest.model.shape) {
    trace::fail_at("the file holds other shadows than its manifest says", where);
  }
  if (part == 0) {
    header = std::move(own);
  } else if (!same_routers(header, own)) {
    trace::fail_at("the traces have different shadows", where,
                   "those of " + traces.directories.front().string());
  }
  std::vector<trace::ShadowRecord> records;
  std::size_t at = line.size() + 1;
  for (const std::size_t prompt : prompts) {
    // A partial trace may lack prompts in between.
    trace::ShadowRecord record;
    do {
      const std::string place = trace::at_byte(where, at);
      record = trace::read_shadow_record(file.bytes(), at, header.shadows.size(), where);
      at = record.end;
      if (at >= file.bytes().size() && record.prompt_id != traces.prompts[prompt].id) {
        trace::fail_at("a prompt has no shadows", place, traces.prompts[prompt].id,
                       record.prompt_id);
      }
    } while (record.prompt_id != traces.prompts[prompt].id);
    const TracePrompt& own_prompt = traces.prompts[prompt];
    const std::int64_t per_token =
        std::int64_t{traces.shape.n_layers} * std::int64_t{traces.shape.top_k};
    if (own_prompt.n_events >= 0 && own_prompt.n_events != record.n_tokens * per_token) {
      trace::fail_at("wrong number of tokens of prompt \"" + record.prompt_id + "\"",
                     trace::at_byte(where, record.first),
                     std::to_string(own_prompt.n_events / per_token),
                     std::to_string(record.n_tokens));
    }
    places[prompt] = {part, records.size()};
    records.push_back(std::move(record));
  }
  parts.push_back({std::move(file), std::move(records)});
}

ShadowReader::ShadowReader(const TraceSet& traces) : state_(std::make_unique<State>()) {
  state_->places.resize(traces.prompts.size());
  for (std::size_t part = 0; part < traces.directories.size(); ++part) {
    std::vector<std::size_t> prompts;
    for (std::size_t i = 0; i < traces.prompts.size(); ++i) {
      if (traces.prompts[i].part == part) prompts.push_back(i);
    }
    state_->open_part(traces, part, prompts);
  }
}

ShadowReader::~ShadowReader() = default;
ShadowReader::ShadowReader(ShadowReader&&) noexcept = default;
ShadowReader& ShadowReader::operator=(ShadowReader&&) noexcept = default;

const std::vector<ManifestShadow>& ShadowReader::shadows() const { return state_->header.shadows; }

ExpertSets ShadowReader::read(std::size_t prompt_index, std::size_t shadow) const {
  const State::Place place = state_->places.at(prompt_index);
  const State::Part& part = state_->parts.at(place.part);
  const trace::ShadowRecord& record = part.records.at(place.record);
  std::size_t begin = record.first;
  for (std::size_t i = 0; i < shadow; ++i) begin += record.n_bytes.at(i);
  const std::string where = trace::at_byte(part.file.path().string(), begin);
  const auto frame = part.file.bytes().subspan(begin, record.n_bytes.at(shadow));
  const RoutingShape& shape = state_->header.shape;
  const std::size_t n_expected = static_cast<std::size_t>(record.n_tokens) *
                                 static_cast<std::size_t>(shape.n_layers) *
                                 ExpertSets(shape).bytes_per_set();
  // Nothing is made room for that the frame does not declare itself.
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != n_expected) {
    trace::fail_at("a zstd frame of the wrong size", where,
                   std::to_string(n_expected) + " bytes of sets");
  }
  std::string bytes(n_expected, '\0');
  if (ZSTD_decompress(bytes.data(), bytes.size(), frame.data(), frame.size()) != n_expected) {
    trace::fail_at("a zstd frame is damaged", where);
  }
  try {
    return ExpertSets::from_bytes(shape, record.n_tokens, bytes);
  } catch (const Error& error) {
    trace::fail_at(error.what(), where);
  }
}

}  // namespace moexray
