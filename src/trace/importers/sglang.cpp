// Responses of SGLang's server, 0.5.7 and later: base64 of int32 without a shape.

#include <array>
#include <utility>

#include "importer.h"
#include "response.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

using trace::fail_at;
using trace::Json;

constexpr std::array<std::string_view, 1> sglang_payloads{"routed_experts"};

class SglangResponse {
 public:
  SglangResponse(std::string text, std::string where)
      : text_(std::move(text)),
        where_(std::move(where)),
        record_(split_record(text_, sglang_payloads, where_)),
        body_(response_body(record_.document, where_)) {}

  void read(ImportSink& sink) {
    const Json* value = nullptr;
    std::string interface = "/generate";
    for (const char* holder : {"meta_info", "sglext", "sgl_ext"}) {
      if (value == nullptr) value = find_path(body_, {holder, "routed_experts"});
      if (value != nullptr && holder != std::string_view("meta_info")) interface = chat();
    }
    const Json* choice = first_choice();
    for (const char* holder : {"sglext", "sgl_ext", "meta_info"}) {
      if (value != nullptr || choice == nullptr) break;
      value = find_path(*choice, {holder, "routed_experts"});
      if (value != nullptr) interface = chat();
    }
    const std::string_view* payload = payload_of(record_, value);
    if (payload == nullptr) {
      fail_at(
          "no routed_experts in meta_info or sglext: the request was aborted (then leave it out), "
          "or they were not asked for (--enable-return-routed-experts, "
          "\"return_routed_experts\": true)",
          where_);
    }
    if (sink.facts().interface.empty()) sink.facts().interface = interface;
    if (sink.facts().model_name.empty()) {
      sink.facts().model_name = text_of(member(&body_, "model"));
    }
    RecordedPrompt prompt = prompt_of(choice, sink);
    prompt.ids = ids_of(decode_base64(*payload, where_), sink);
    std::string().swap(text_);  // large; an assignment would keep the memory
    sink.take(std::move(prompt));
  }

 private:
  static std::string chat() { return "/v1/chat/completions"; }

  const Json* first_choice() const {
    const Json* choices = member(&body_, "choices");
    if (choices == nullptr || !choices->is_array() || choices->empty()) return nullptr;
    return &choices->front();
  }

  // Of several choices the server gives the routing of the first alone.
  RecordedPrompt prompt_of(const Json* choice, ImportSink& sink) const {
    RecordedPrompt prompt;
    prompt.where = where_;
    prompt.names = response_names(record_.document, body_);
    const Json* choices = member(&body_, "choices");
    const bool has_several = choices != nullptr && choices->size() > 1;
    if (has_several) {
      prompt.suffix = "#0";
      sink.facts().notices = {
          "of several choices SGLang gives the routing of the first alone: the others are left "
          "out"};
    }
    std::string completion = text_of(member(&body_, "text"));
    for (const Json* text :
         {member(choice, "text"), member(member(choice, "message"), "content")}) {
      if (completion.empty()) completion = text_of(text);
    }
    if (!completion.empty()) prompt.completion = completion;
    add_lengths(has_several, prompt);
    return prompt;
  }

  void add_lengths(bool has_several, RecordedPrompt& prompt) const {
    std::vector<TokenId> generated;
    for (const char* holder : {"sglext", "sgl_ext"}) {
      if (prompt.token_ids.empty()) {
        prompt.token_ids =
            token_ids_of(find_path(body_, {holder, "input_ids"}), "input_ids", where_);
      }
      if (generated.empty()) {
        generated = token_ids_of(find_path(body_, {holder, "output_ids"}), "output_ids", where_);
      }
    }
    if (prompt.token_ids.empty()) {
      for (const char* key : {"input_ids", "prompt_token_ids"}) {
        if (prompt.token_ids.empty()) {
          prompt.token_ids = token_ids_of(member(&body_, key), key, where_);
        }
      }
    }
    if (generated.empty()) {
      generated = token_ids_of(member(&body_, "output_ids"), "output_ids", where_);
    }
    std::int64_t& n_prompt = prompt.n_prompt_tokens;
    std::int64_t& n_generated = prompt.n_generated_tokens;
    if (!prompt.token_ids.empty()) n_prompt = static_cast<std::int64_t>(prompt.token_ids.size());
    if (!generated.empty()) n_generated = static_cast<std::int64_t>(generated.size());
    for (const char* holder : {"meta_info", "usage"}) {
      settle(n_prompt, holder, "prompt_tokens");
      if (!has_several) settle(n_generated, holder, "completion_tokens");
    }
    // Ids of generated tokens alone do not say which positions they have.
    if (prompt.token_ids.empty()) return;
    prompt.token_ids.insert(prompt.token_ids.end(), generated.begin(), generated.end());
  }

  void settle(std::int64_t& known, const char* holder, const char* key) const {
    const std::int64_t said = count_of(find_path(body_, {holder, key}), key, where_);
    if (said >= 0 && known >= 0 && said != known) {
      fail_at(std::string(holder) + "." + key + " does not fit the token ids", where_,
              std::to_string(said), std::to_string(known));
    }
    if (known < 0) known = said;
  }

  // A payload of n numbers fits several shapes: layers and k come from the model, never from n.
  IdArray ids_of(std::string bytes, const ImportSink& sink) const {
    const ModelLayers& model = sink.model();
    const int top_k = sink.options().top_k > 0 ? sink.options().top_k : model.top_k;
    std::int64_t n_layers = model.n_layers;
    if (n_layers == 0) n_layers = static_cast<std::int64_t>(model.moe_layers.size());
    if (top_k == 0 || n_layers == 0) {
      throw Error(ErrorKind::usage,
                  {"the numbers of layers and of experts per token are not in the file: --config "
                   "config.json, or --layers and --top-k, say them",
                   where_,
                   {},
                   {}});
    }
    const std::int64_t row_bytes =
        n_layers * top_k * static_cast<std::int64_t>(sizeof(std::int32_t));
    const auto n_bytes = static_cast<std::int64_t>(bytes.size());
    const std::string expected = "a multiple of " + std::to_string(row_bytes) + " bytes (" +
                                 std::to_string(n_layers) + " layers × top-" +
                                 std::to_string(top_k) + " × int32)";
    if (n_bytes % row_bytes != 0) {
      fail_at("routed_experts do not fit the model, or are no int32 numbers", where_, expected,
              std::to_string(n_bytes));
    }
    const std::int64_t n_rows = n_bytes / row_bytes;
    return IdArray(std::move(bytes), Item::i32, {n_rows, n_layers, top_k});
  }

  std::string text_;
  std::string where_;
  SplitRecord record_;
  const Json& body_;
};

}  // namespace

Importer sglang_importer() {
  return {"sglang", "responses of an SGLang server (JSON, JSONL): /generate and chat completions",
          [](const std::filesystem::path&, std::string_view head) {
            return head.find("\"routed_experts\"") != std::string_view::npos &&
                   (head.find("\"meta_info\"") != std::string_view::npos ||
                    head.find("\"sglext\"") != std::string_view::npos ||
                    head.find("\"sgl_ext\"") != std::string_view::npos);
          },
          [](std::span<const std::filesystem::path> files, ImportSink& sink) {
            read_json_records(files, sink, [&](JsonRecords& records) {
              SglangResponse(std::move(records.text()), records.where()).read(sink);
            });
          }};
}

}  // namespace moexray::imports
