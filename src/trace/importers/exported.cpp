// Archives that `moexray export` wrote.

#include "exported.h"

#include <algorithm>
#include <array>
#include <utility>

#include "moexray/core/escape.h"
#include "trace/fail.h"
#include "trace/json_text.h"
#include "trace/npy.h"
#include "trace/prompt_fields.h"
#include "trace/prompt_line.h"

namespace moexray::imports {
namespace {

using trace::fail_at;
using trace::Json;

// An array of an archive, by its name without ".npy".
struct Array {
  std::string bytes;
  Item item = Item::u8;
  std::vector<std::int64_t> shape;
  std::size_t offset = 0;  // of the numbers

  const char* data() const { return bytes.data() + offset; }
};

// What both kinds of archives have.
class Archive {
 public:
  virtual ~Archive() = default;
  virtual std::string text(std::string_view name) const = 0;
  virtual bool has(const std::string& array) const = 0;
  virtual Array read(const std::string& array) const = 0;
  virtual std::string where(std::string_view member) const = 0;
};

class NpzArchive : public Archive {
 public:
  explicit NpzArchive(const NpzFile& file) : file_(file) {}

  std::string text(std::string_view name) const override { return file_.read(name); }
  bool has(const std::string& array) const override { return file_.has(array + ".npy"); }
  Array read(const std::string& array) const override {
    Array result;
    result.bytes = file_.read(array + ".npy");
    const trace::NpyHeader header = trace::parse_npy(result.bytes, where(array));
    if (header.is_fortran) fail_at("columns first", where(array), "rows first");
    result.item = header.item;
    result.shape = header.shape;
    result.offset = header.data_offset;
    return result;
  }
  std::string where(std::string_view member) const override {
    return file_.path().string() + ": member \"" + printable(member, 200) + "\"";
  }

 private:
  const NpzFile& file_;
};

class TensorArchive : public Archive {
 public:
  explicit TensorArchive(const SafetensorsFile& file) : file_(file) {}

  std::string text(std::string_view name) const override {
    return file_.header().metadata.at(std::string(name));
  }
  bool has(const std::string& array) const override {
    const auto& tensors = file_.header().tensors;
    return std::any_of(tensors.begin(), tensors.end(),
                       [&](const SafetensorsEntry& entry) { return entry.name == array; });
  }
  Array read(const std::string& array) const override {
    const SafetensorsEntry& entry = file_.at(array);
    Array result;
    const std::optional<Item> item =
        entry.dtype == "F32" ? std::optional(Item::f32) : item_of_dtype(entry.dtype);
    if (!item) fail_at("another type of numbers than exports have", where(array), {}, entry.dtype);
    result.item = *item;
    result.shape = entry.shape;
    const auto bytes = file_.bytes(entry);
    result.bytes.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return result;
  }
  std::string where(std::string_view member) const override {
    return file_.path().string() + ": tensor \"" + printable(member, 200) + "\"";
  }

 private:
  const SafetensorsFile& file_;
};

[[noreturn]] void fail_shape(const Array& array, const std::string& where, std::string expected) {
  fail_at("not the array that prompts.jsonl and manifest.json describe", where, std::move(expected),
          trace::name_of(array.item) + " " + trace::shape_text(array.shape));
}

class Reader {
 public:
  Reader(const Archive& archive, ImportSink& sink) : archive_(archive), sink_(sink) {}

  void read() {
    manifest_ =
        manifest_from_json(archive_.text(exported_manifest), archive_.where(exported_manifest));
    if (manifest_.recorded.kind != ManifestRecorded::Kind::events) {
      fail_at("an export of events has events", archive_.where(exported_manifest));
    }
    SourceFacts& facts = sink_.facts();
    facts.n_experts = manifest_.model.shape.n_experts;
    facts.model_name = manifest_.model.name;
    facts.has_order = manifest_.recorded.order == ManifestRecorded::Order::router;
    facts.exported = manifest_;
    const std::string lines = archive_.text(exported_prompts);
    std::int64_t number = 0;
    for (std::size_t begin = 0; begin < lines.size();) {
      const std::size_t end = std::min(lines.find('\n', begin), lines.size());
      read_prompt(std::string_view(lines).substr(begin, end - begin), ++number);
      begin = end + 1;
    }
    if (manifest_.n_prompts >= 0 && number != manifest_.n_prompts) {
      fail_at("another number of prompts than the manifest says", archive_.where(exported_prompts),
              std::to_string(manifest_.n_prompts), std::to_string(number));
    }
  }

 private:
  void read_prompt(std::string_view line, std::int64_t number) {
    const std::string where = archive_.where(exported_prompts) + ", line " + std::to_string(number);
    const RoutingShape& shape = manifest_.model.shape;
    TracePrompt traced = parser_.parse(line, shape, where);
    RecordedPrompt record;
    record.where = archive_.where("ids/" + traced.id);
    record.names.push_back(traced.id);
    record.prompt = prompt_of(traced, line, where);
    record.text = record.prompt->text;
    record.category = traced.category;
    if (!traced.completion.empty()) record.completion = std::move(traced.completion);
    record.finish_reason = traced.finish_reason;
    record.token_ids = std::move(traced.token_ids);
    record.tokens = std::move(traced.tokens);
    record.n_prompt_tokens = traced.n_prompt_tokens;
    record.n_generated_tokens = traced.n_generated_tokens;
    record.positions = traced.positions;
    if (!record.positions.empty()) record.first_pos = record.positions.front().first;
    if (sink_.model().moe_layers.empty()) record.layers = manifest_.model.moe_layers;
    Array ids = archive_.read("ids/" + traced.id);
    if (ids.shape.size() != 3 || ids.shape[1] != shape.n_layers || ids.shape[2] != shape.top_k ||
        trace::is_float(ids.item)) {
      fail_shape(ids, record.where,
                 "integers [tokens, " + std::to_string(shape.n_layers) + ", " +
                     std::to_string(shape.top_k) + "]");
    }
    const std::int64_t n_rows = ids.shape[0];
    add_weights(traced.id, ids.shape, record);
    add_template(traced, n_rows, record);
    record.ids = IdArray(std::move(ids.bytes), ids.item, {ids.shape[0], ids.shape[1], ids.shape[2]},
                         {0, 1, 2}, false, ids.offset);
    sink_.take(std::move(record));
    sink_.check_stop(0);
  }

  // The line's own keys, which know messages from a text.
  static Prompt prompt_of(const TracePrompt& traced, std::string_view line,
                          const std::string& where) {
    const Json object = parse_json(line, where, trace::exact_rules);
    Prompt prompt;
    prompt.id = traced.id;
    prompt.category = traced.category;
    prompt.meta_json = traced.meta_json;
    const Json* messages = trace::find_value(object, trace::messages_key);
    if (messages == nullptr) {
      prompt.text = traced.text;
      return prompt;
    }
    for (const Json& message : *messages) {
      const auto text = [&](const char* key) {
        const auto found = message.is_object() ? message.find(key) : message.end();
        if (found == message.end() || !found->is_string()) {
          fail_at("a message without role or content", where);
        }
        return found->get<std::string>();
      };
      prompt.messages.push_back({text("role"), text("content")});
    }
    return prompt;
  }

  void add_weights(const std::string& id, const std::vector<std::int64_t>& shape,
                   RecordedPrompt& record) const {
    const std::string name = "weights/" + id;
    if (!archive_.has(name)) return;
    const Array weights = archive_.read(name);
    if (weights.shape != shape || weights.item != Item::f32) {
      fail_shape(weights, archive_.where(name), "float32 " + trace::shape_text(shape));
    }
    record.weights.resize((weights.bytes.size() - weights.offset) / sizeof(float));
    std::copy_n(weights.data(), record.weights.size() * sizeof(float),
                reinterpret_cast<char*>(record.weights.data()));
  }

  // Which tokens of the prompt its template added, where the trace says that.
  void add_template(const TracePrompt& traced, std::int64_t n_rows, RecordedPrompt& record) const {
    if (traced.n_template_tokens < 0) return;
    record.is_template.assign(static_cast<std::size_t>(traced.n_prompt_tokens), false);
    const std::string name = "template/" + traced.id;
    if (!archive_.has(name)) return;
    const Array marks = archive_.read(name);
    if (marks.shape != std::vector{n_rows} || marks.item != Item::u8) {
      fail_shape(marks, archive_.where(name), "uint8 [" + std::to_string(n_rows) + "]");
    }
    for (std::int64_t row = 0; row < n_rows; ++row) {
      const std::int64_t pos = traced.positions.empty() ? row : position_at(traced.positions, row);
      if (marks.data()[row] == 0) continue;
      if (pos < 0 || pos >= traced.n_prompt_tokens) {
        fail_at("a template token outside the prompt", archive_.where(name));
      }
      record.is_template[static_cast<std::size_t>(pos)] = true;
    }
  }

  const Archive& archive_;
  ImportSink& sink_;
  TraceManifest manifest_;
  trace::PromptLineParser parser_;
};

}  // namespace

void read_exported(const NpzFile& file, ImportSink& sink) { Reader(NpzArchive(file), sink).read(); }

void read_exported(const SafetensorsFile& file, ImportSink& sink) {
  Reader(TensorArchive(file), sink).read();
}

bool is_exported(const SafetensorsFile& file) {
  const auto& metadata = file.header().metadata;
  return metadata.contains(std::string(exported_manifest)) &&
         metadata.contains(std::string(exported_prompts));
}

std::optional<Item> item_of_dtype(std::string_view dtype) {
  constexpr std::array<std::pair<std::string_view, Item>, 8> items{{{"U8", Item::u8},
                                                                    {"I8", Item::i8},
                                                                    {"U16", Item::u16},
                                                                    {"I16", Item::i16},
                                                                    {"U32", Item::u32},
                                                                    {"I32", Item::i32},
                                                                    {"U64", Item::u64},
                                                                    {"I64", Item::i64}}};
  for (const auto& [name, item] : items) {
    if (name == dtype) return item;
  }
  return std::nullopt;
}

}  // namespace moexray::imports
