// Responses of vLLM's servers, 0.21 and later, and arrays that LLM.generate() gave, 0.14 and later.

#include <array>
#include <utility>

#include "importer.h"
#include "response.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

using trace::fail_at;
using trace::Json;

constexpr std::string_view experts_key = "routed_experts";
constexpr std::string_view prompt_experts_key = "prompt_routed_experts";
constexpr std::array vllm_payloads{experts_key, prompt_experts_key};

// Rows of a prompt, which vLLM 0.21 sends once for all choices, and those of a choice.
IdArray joined(const IdArray& first, const IdArray& second, const std::string& where) {
  if (first.n_layers() != second.n_layers() || first.top_k() != second.top_k()) {
    fail_at("prompt_routed_experts and routed_experts differ in layers or experts", where);
  }
  const auto k = static_cast<std::size_t>(first.top_k());
  std::string bytes;
  std::vector<std::int32_t> row(k);
  for (const IdArray* part : {&first, &second}) {
    for (std::int64_t t = 0; t < part->n_tokens(); ++t) {
      for (std::int64_t layer = 0; layer < part->n_layers(); ++layer) {
        part->row(t, layer, row);
        bytes.append(reinterpret_cast<const char*>(row.data()), k * sizeof(std::int32_t));
      }
    }
  }
  return IdArray(std::move(bytes), Item::i32,
                 {first.n_tokens() + second.n_tokens(), first.n_layers(), first.top_k()});
}

class Response {
 public:
  Response(std::string text, std::string where)
      : text_(std::move(text)),
        where_(std::move(where)),
        record_(split_record(text_, vllm_payloads, where_)),
        body_(response_body(record_.document, where_)) {}

  void read(ImportSink& sink) {
    if (sink.facts().interface.empty()) {
      const std::string kind = text_of(member(&body_, "object"));
      if (kind == "text_completion") sink.facts().interface = "/v1/completions";
      if (kind == "chat.completion") sink.facts().interface = "/v1/chat/completions";
    }
    if (sink.facts().model_name.empty()) {
      sink.facts().model_name = text_of(member(&body_, "model"));
    }
    const Json* list = member(&body_, "choices");
    std::vector<const Json*> choices;
    if (list != nullptr && list->is_array()) {
      for (const Json& choice : *list) choices.push_back(&choice);
    } else if (member(&body_, experts_key) != nullptr) {
      choices.push_back(&body_);  // as scripts save what LLM.generate() gave
    }
    if (choices.empty()) {
      fail_at("no choices in the response: not one of vLLM's, or a failed one", where_);
    }
    for (std::size_t i = 0; i < choices.size(); ++i) {
      const bool is_last = i + 1 == choices.size();
      RecordedPrompt prompt = prompt_of(*choices[i], i, choices.size());
      if (is_last) std::string().swap(text_);  // large; an assignment would keep the memory
      sink.take(std::move(prompt));
    }
  }

 private:
  RecordedPrompt prompt_of(const Json& choice, std::size_t i, std::size_t n_choices) const {
    RecordedPrompt prompt;
    prompt.where = where_;
    prompt.names = response_names(record_.document, body_);
    prompt.follows = i > 0;
    if (n_choices > 1) {
      const std::int64_t index = count_of(member(&choice, "index"), "index", where_);
      prompt.suffix = "#" + std::to_string(index >= 0 ? index : static_cast<std::int64_t>(i));
      prompt.where += ": choice " + prompt.suffix.substr(1);
    }
    const std::string completion = text_of(member(&choice, "text"));
    const std::string content = text_of(find_path(choice, {"message", "content"}));
    if (!completion.empty() || !content.empty()) {
      prompt.completion = completion.empty() ? content : completion;
    }
    prompt.finish_reason = finish_reason_of(text_of(member(&choice, "finish_reason")));
    add_lengths(choice, n_choices, prompt);
    prompt.ids = ids_of(choice, prompt.where);
    return prompt;
  }

  static std::string finish_reason_of(const std::string& reason) {
    return reason == "stop" ? "eos" : reason == "length" ? "length" : "";
  }

  void add_lengths(const Json& choice, std::size_t n_choices, RecordedPrompt& prompt) const {
    const Json* of_choice = member(&choice, "prompt_token_ids");
    prompt.token_ids =
        token_ids_of(of_choice != nullptr ? of_choice : member(&body_, "prompt_token_ids"),
                     "prompt_token_ids", where_);
    if (!prompt.token_ids.empty()) {
      prompt.n_prompt_tokens = static_cast<std::int64_t>(prompt.token_ids.size());
    }
    const std::vector<TokenId> generated =
        token_ids_of(member(&choice, "token_ids"), "token_ids", where_);
    if (!generated.empty()) {
      prompt.n_generated_tokens = static_cast<std::int64_t>(generated.size());
    }
    // Ids of generated tokens alone do not say which positions they have.
    if (!prompt.token_ids.empty()) {
      prompt.token_ids.insert(prompt.token_ids.end(), generated.begin(), generated.end());
    }
    const auto settle = [&](std::int64_t& known, const char* key) {
      const std::int64_t said = count_of(find_path(body_, {"usage", key}), key, where_);
      if (said >= 0 && known >= 0 && said != known) {
        fail_at(std::string("usage.") + key + " does not fit the token ids", where_,
                std::to_string(said), std::to_string(known));
      }
      if (known < 0) known = said;
    };
    settle(prompt.n_prompt_tokens, "prompt_tokens");
    // Of several choices the usage is the sum.
    if (n_choices == 1) settle(prompt.n_generated_tokens, "completion_tokens");
  }

  IdArray ids_of(const Json& choice, const std::string& where) const {
    const Json* value = member(&choice, experts_key);
    if (value == nullptr) {
      fail_at(
          "no routed_experts: the request was aborted (then leave it out), or the server does not "
          "return them (--enable-return-routed-experts; the Rust front end never does)",
          where);
    }
    const std::string_view* payload = payload_of(record_, value);
    if (payload == nullptr) {
      fail_at("wrong value of key \"routed_experts\"", where, "base64 of a .npy file, or lists",
              describe_json(*value));
    }
    const Json* shared = member(&body_, prompt_experts_key);
    const std::string_view* of_prompt = payload_of(record_, shared);
    if (of_prompt == nullptr) return decode_ids(*payload, where);
    return joined(decode_ids(*of_prompt, where), decode_ids(*payload, where), where);
  }

  std::string text_;
  std::string where_;
  SplitRecord record_;
  const Json& body_;
};

bool is_response(std::string_view head) {
  return head.find("\"routed_experts\"") != std::string_view::npos &&
         (head.find("\"choices\"") != std::string_view::npos ||
          head.find("\"prompt_token_ids\"") != std::string_view::npos) &&
         head.find("\"sglext\"") == std::string_view::npos &&
         head.find("\"sgl_ext\"") == std::string_view::npos &&
         head.find("\"meta_info\"") == std::string_view::npos;
}

void read_vllm(std::span<const std::filesystem::path> files, ImportSink& sink) {
  std::vector<std::filesystem::path> arrays;
  std::vector<std::filesystem::path> responses;
  for (const std::filesystem::path& path : files) {
    (is_array_file(path, first_bytes(path, 16)) ? arrays : responses).push_back(path);
  }
  if (!arrays.empty()) {
    if (!responses.empty()) {
      fail_at("arrays and responses are imported by themselves", arrays.front().string());
    }
    sink.facts().interface = "LLM.generate";
    return read_id_arrays(arrays, experts_key, sink);
  }
  read_json_records(responses, sink, [&](JsonRecords& records) {
    Response(std::move(records.text()), records.where()).read(sink);
  });
}

}  // namespace

Importer vllm_importer() {
  return {"vllm",
          "responses of a vLLM server (JSON, JSONL, output of run-batch), and .npy or .npz of "
          "LLM.generate()",
          [](const std::filesystem::path& path, std::string_view head) {
            return is_response(head) || (is_array_file(path, head) &&
                                         head.find("routed_experts.npy") != std::string_view::npos);
          },
          read_vllm};
}

}  // namespace moexray::imports
