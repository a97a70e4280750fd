#include "record_writer.h"

#include <charconv>
#include <cmath>
#include <span>
#include <string_view>

#include "json_text.h"
#include "moexray/core/error.h"
#include "number_format.h"

namespace moexray::trace {
namespace {

constexpr std::size_t max_integer_bytes = 20;
// Keys and numbers of a record besides its prompt id and arrays.
constexpr std::size_t max_frame_bytes = 256;
constexpr std::size_t full_bytes = std::size_t{4} << 20;

template <typename T>
char* put_integer(char* out, T value) {
  return std::to_chars(out, out + max_integer_bytes, value).ptr;
}

template <typename T, typename Put>
char* put_array(char* out, std::span<const T> values, Put put_value) {
  *out++ = '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) *out++ = ',';
    out = put_value(out, values[i]);
  }
  *out++ = ']';
  return out;
}

void check_numbers(const FinishedPrompt& prompt, int layer, std::int64_t row, std::int64_t pos) {
  const auto fail = [&](std::string_view what, float value) {
    throw Error(ErrorKind::data, {std::string(what),
                                  "prompt \"" + prompt.prompt->id + "\", layer " +
                                      std::to_string(layer) + ", position " + std::to_string(pos),
                                  {},
                                  std::to_string(value)});
  };
  for (const float weight : prompt.routing.weights(layer, row)) {
    if (!std::isfinite(weight) || weight < 0) {
      fail("a router weight is negative or not finite", weight);
    }
  }
  for (const float logit : prompt.routing.logits(layer, row)) {
    if (!std::isfinite(logit)) fail("a router logit is not finite", logit);
  }
}

// Writes the records of one prompt; what is the same in all of them is made once.
class PromptRecords {
 public:
  PromptRecords(const FinishedPrompt& prompt, EventsForm form, ByteBuffer& out)
      : prompt_(prompt),
        form_(form),
        out_(out),
        opening_("{\"prompt_id\":" + json_text(prompt.prompt->id) + ",\"layer\":") {
    const RoutingShape& shape = prompt.routing.shape();
    const std::size_t frame = opening_.size() + max_frame_bytes;
    const auto k = static_cast<std::size_t>(shape.top_k);
    const std::size_t n_logits =
        prompt.routing.has_logits() ? static_cast<std::size_t>(shape.n_experts) : 0;
    const std::size_t numbers = (max_number_bytes + 1) * (n_logits + k) + 6 * k;
    max_record_ =
        form == EventsForm::flat ? k * (frame + max_number_bytes) + numbers : frame + numbers;
  }

  // `row` of the routing is the token at `pos`.
  void write(int layer, std::int64_t row, std::int64_t pos) {
    check_numbers(prompt_, layer, row, pos);
    char* end = out_.room(max_record_);
    end = form_ == EventsForm::flat ? put_flat(end, layer, row, pos)
                                    : put_grouped(end, layer, row, pos);
    out_.advance_to(end);
  }

 private:
  char* put_start(char* out, int layer, std::int64_t pos) const {
    const auto at = static_cast<std::size_t>(pos);
    out = put_integer(put(out, opening_), layer);
    out = put_integer(put(out, ",\"pos\":"), pos);
    out = put(out,
              pos < prompt_.n_prompt_tokens ? ",\"type\":\"prompt\"" : ",\"type\":\"generation\"");
    if (!prompt_.token_ids.empty()) {
      out = put_integer(put(out, ",\"token_id\":"), prompt_.token_ids[at]);
    }
    if (at < prompt_.is_template.size() && prompt_.is_template[at]) {
      out = put(out, ",\"template\":true");
    }
    return out;
  }

  char* put_logits(char* out, int layer, std::int64_t row) const {
    if (!prompt_.routing.has_logits()) return out;
    return put_array(put(out, ",\"router_logits\":"), prompt_.routing.logits(layer, row),
                     write_number);
  }

  char* put_grouped(char* out, int layer, std::int64_t row, std::int64_t pos) const {
    out = put_start(out, layer, pos);
    out = put_array(put(out, ",\"experts\":"), prompt_.routing.experts(layer, row),
                    put_integer<std::uint16_t>);
    if (prompt_.routing.has_weights()) {
      out = put_array(put(out, ",\"weights\":"), prompt_.routing.weights(layer, row), write_number);
    }
    return put(put_logits(out, layer, row), "}\n");
  }

  // The logits belong to the token and layer: the record of rank 0 carries them.
  char* put_flat(char* out, int layer, std::int64_t row, std::int64_t pos) const {
    const auto experts = prompt_.routing.experts(layer, row);
    const auto weights = prompt_.routing.weights(layer, row);
    for (std::size_t rank = 0; rank < experts.size(); ++rank) {
      out = put_start(out, layer, pos);
      out = put_integer(put(out, ",\"expert\":"), experts[rank]);
      out = put_integer(put(out, ",\"rank\":"), rank);
      if (!weights.empty()) out = write_number(put(out, ",\"weight\":"), weights[rank]);
      if (rank == 0) out = put_logits(out, layer, row);
      out = put(out, "}\n");
    }
    return out;
  }

  const FinishedPrompt& prompt_;
  EventsForm form_;
  ByteBuffer& out_;
  std::string opening_;
  std::size_t max_record_ = 0;
};

}  // namespace

void append_records(const FinishedPrompt& prompt, EventsForm form, ByteBuffer& out,
                    const std::function<void()>& full) {
  PromptRecords records(prompt, form, out);
  const std::int64_t n_rows = prompt.routing.n_positions();
  for (std::int64_t row = 0; row < n_rows; ++row) {
    const std::int64_t pos = prompt.positions.empty() ? row : position_at(prompt.positions, row);
    for (int layer = 0; layer < prompt.routing.shape().n_layers; ++layer) {
      records.write(layer, row, pos);
    }
    if (out.text().size() >= full_bytes) full();
  }
}

}  // namespace moexray::trace
