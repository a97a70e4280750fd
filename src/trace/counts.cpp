#include "moexray/trace/counts.h"

#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "disk_file.h"
#include "fail.h"
#include "moexray/core/checksum.h"
#include "moexray/core/file.h"
#include "moexray/core/npy.h"
#include "npy.h"
#include "prompt_line.h"
#include "trace_directory.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;
using trace::Item;
using Kind = ManifestRecorded::Kind;

// Room for the number of prompts, which is known last.
constexpr std::size_t header_bytes = 128;

std::string_view view_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <typename T>
std::optional<std::int64_t> count_at(const char* data, std::size_t index) {
  T value = 0;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  if (!std::in_range<std::int64_t>(value) || value < T{0}) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

// An element of a row; nothing if it is negative, or beyond 63 bits.
std::optional<std::int64_t> count_at(Item item, const char* data, std::size_t index) {
  switch (item) {
    case Item::u8:
      return count_at<std::uint8_t>(data, index);
    case Item::i8:
      return count_at<std::int8_t>(data, index);
    case Item::u16:
      return count_at<std::uint16_t>(data, index);
    case Item::i16:
      return count_at<std::int16_t>(data, index);
    case Item::u32:
      return count_at<std::uint32_t>(data, index);
    case Item::i32:
      return count_at<std::int32_t>(data, index);
    case Item::u64:
      return count_at<std::uint64_t>(data, index);
    case Item::i64:
      return count_at<std::int64_t>(data, index);
    case Item::f32:
    case Item::f64:
      break;
  }
  return std::nullopt;
}

}  // namespace

bool has_counts(const TraceSet& traces) {
  return !traces.manifests.empty() && traces.manifests.front().recorded.kind != Kind::events;
}

bool has_pool(const TraceSet& traces) {
  return !traces.manifests.empty() && traces.manifests.front().recorded.kind == Kind::pool;
}

void check_has_tokens(const TraceSet& traces) {
  if (!has_counts(traces)) return;
  fail_at("single tokens are needed, and this directory has counts, not tokens",
          traces.directories.front().string());
}

struct CountsReader::Part {
  explicit Part(const fs::path& path) : file(path) {}

  MappedFile file;
  trace::NpyHeader header;
};

CountsReader::CountsReader(const TraceSet& traces) : traces_(traces) {
  const RoutingShape& shape = traces.shape;
  for (std::size_t i = 0; i < traces.directories.size(); ++i) {
    const fs::path path = traces.directories[i] / trace::counts_name;
    auto part = std::make_unique<Part>(path);
    const std::string where = path.string();
    part->header = trace::parse_npy(view_of(part->file.bytes()), where);
    const std::vector<std::int64_t>& found = part->header.shape;
    const std::int64_t n = traces.manifests[i].n_prompts;
    const bool fits = found.size() == 3 && (n < 0 || found[0] == n) && found[1] == shape.n_layers &&
                      found[2] == shape.n_experts;
    if (!fits || part->header.is_fortran || trace::is_float(part->header.item)) {
      fail_at("not the counts that the manifest describes", where,
              "integers [" + (n < 0 ? std::string("prompts") : std::to_string(n)) + ", " +
                  std::to_string(shape.n_layers) + ", " + std::to_string(shape.n_experts) +
                  "], row by row",
              trace::name_of(part->header.item) + " " + trace::shape_text(found) +
                  (part->header.is_fortran ? ", column by column" : ""));
    }
    parts_.push_back(std::move(part));
  }
}

CountsReader::~CountsReader() = default;

std::vector<std::int64_t> CountsReader::read(std::size_t index) const {
  const TracePrompt& prompt = traces_.prompts.at(index);
  const Part& part = *parts_.at(prompt.part);
  const std::string where = part.file.path().string() + ": prompt \"" + prompt.id + "\"";
  const std::int64_t row = prompt.line - 1;  // a line a row
  if (row >= part.header.shape[0]) {
    fail_at("no row of counts", where, std::to_string(prompt.line) + " rows",
            std::to_string(part.header.shape[0]));
  }
  const auto n = static_cast<std::size_t>(part.header.shape[1] * part.header.shape[2]);
  const std::size_t n_bytes = n * trace::item_bytes(part.header.item);
  const std::string_view bytes =
      view_of(part.file.bytes())
          .substr(part.header.data_offset + static_cast<std::size_t>(row) * n_bytes, n_bytes);
  if (!prompt.checksum.empty() && prompt.checksum != checksum_text(bytes)) {
    fail_at("the counts are damaged: their checksum does not match", where);
  }
  std::vector<std::int64_t> counts(n);
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::optional<std::int64_t> count = count_at(part.header.item, bytes.data(), i);
    if (!count || __builtin_add_overflow(sum, *count, &sum)) {
      fail_at("a count that is negative, or too large", where);
    }
    counts[i] = *count;
  }
  if (prompt.n_events >= 0 && sum != prompt.n_events) {
    fail_at("another number of events than prompts.jsonl says", where,
            std::to_string(prompt.n_events), std::to_string(sum));
  }
  return counts;
}

struct CountsWriter::State {
  State(const fs::path& directory_of_files, const RoutingShape& shape_of_rows)
      : directory(directory_of_files),
        shape(shape_of_rows),
        counts(directory / trace::counts_name),
        lines(directory / trace::prompts_name) {
    if (counts.size() + lines.size() > 0) {
      throw Error(ErrorKind::runtime,
                  {"the directory holds a trace already", directory.string(), {}, {}});
    }
    counts.append(header());
  }

  std::string header() const {
    const std::array sizes{n_prompts, std::int64_t{shape.n_layers}, std::int64_t{shape.n_experts}};
    return npy_header("<i8", sizes, header_bytes);
  }

  fs::path directory;
  RoutingShape shape;
  trace::DiskFile counts;
  trace::DiskFile lines;
  std::int64_t n_prompts = 0;
};

CountsWriter::CountsWriter(const fs::path& directory, const RoutingShape& shape)
    : state_(std::make_unique<State>(directory, shape)) {}

CountsWriter::~CountsWriter() = default;

void CountsWriter::append(const TracePrompt& traced, std::span<const std::int64_t> counts) {
  State& state = *state_;
  const auto n = static_cast<std::size_t>(state.shape.n_layers) *
                 static_cast<std::size_t>(state.shape.n_experts);
  if (counts.size() != n) {
    throw Error(ErrorKind::runtime,
                {"number of counts", traced.id, std::to_string(n), std::to_string(counts.size())});
  }
  std::int64_t sum = 0;
  for (const std::int64_t count : counts) {
    if (count < 0 || __builtin_add_overflow(sum, count, &sum)) {
      throw Error(ErrorKind::runtime,
                  {"a count that is negative, or too large", traced.id, {}, {}});
    }
  }
  const std::string_view bytes = view_of(std::as_bytes(counts));
  Prompt prompt;
  prompt.id = traced.id;
  prompt.category = traced.category;
  prompt.text = traced.text;
  prompt.meta_json = traced.meta_json;
  FinishedPrompt finished;
  finished.prompt = &prompt;
  finished.n_prompt_tokens = traced.n_prompt_tokens;
  finished.n_generated_tokens = traced.n_generated_tokens;
  finished.positions = traced.positions;
  const trace::EventsPlace place{.events_file = std::string(trace::counts_name),
                                 .offset = state.counts.size(),
                                 .n_bytes = bytes.size(),
                                 .checksum = checksum_text(bytes)};
  state.counts.append(bytes);
  state.lines.append(trace::make_prompt_line(finished, place, sum));
  ++state.n_prompts;
}

void CountsWriter::finish(TraceManifest manifest, bool is_pool) {
  State& state = *state_;
  state.counts.overwrite_start(state.header());
  state.counts.sync();
  state.lines.sync();
  manifest.version = 2;
  manifest.model.shape = state.shape;
  manifest.n_prompts = state.n_prompts;
  manifest.absent.erase("n_prompts");
  for (const char* key : {"shard.index", "shard.count", "shard.n_prompts", "batch", "plan",
                          "prompts_sha256", "prompt_ids_sha256", "compress", "events",
                          "router_logits", "shadows.file", "shadows.routers"}) {
    manifest.absent.insert(key);
  }
  manifest.recorded.kind = is_pool ? Kind::pool : Kind::counts;
  manifest.recorded.weights = ManifestRecorded::Weights::none;
  manifest.recorded.order = ManifestRecorded::Order::unknown;
  manifest.recorded.token_ids = false;
  write_file_atomically(state.directory / trace::manifest_name, manifest_to_json(manifest));
  state.counts.close();
  state.lines.close();
}

}  // namespace moexray
