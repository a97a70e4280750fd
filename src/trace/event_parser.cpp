#include "event_parser.h"

#include <simdjson.h>

#include <cmath>
#include <limits>
#include <new>
#include <utility>

#include "fail.h"
#include "json_text.h"
#include "moexray/core/escape.h"

namespace moexray::trace {
namespace {

namespace od = simdjson::ondemand;

constexpr std::int64_t max_token = std::numeric_limits<TokenId>::max();

enum Key : std::uint32_t {
  key_prompt_id = 1,
  key_layer = 2,
  key_pos = 4,
  key_type = 8,
  key_template = 16,
  key_token_id = 32,
  key_experts = 64,
  key_weights = 128,
  key_expert = 256,
  key_rank = 512,
  key_weight = 1024,
  key_router_logits = 2048,
};

Key find_key(std::string_view key) {
  switch (key.size()) {
    case 3:
      return key == "pos" ? key_pos : Key{};
    case 4:
      return key == "type" ? key_type : key == "rank" ? key_rank : Key{};
    case 5:
      return key == "layer" ? key_layer : Key{};
    case 6:
      return key == "expert" ? key_expert : key == "weight" ? key_weight : Key{};
    case 7:
      return key == "experts" ? key_experts : key == "weights" ? key_weights : Key{};
    case 8:
      return key == "token_id" ? key_token_id : key == "template" ? key_template : Key{};
    case 9:
      return key == "prompt_id" ? key_prompt_id : Key{};
    case 13:
      return key == "router_logits" ? key_router_logits : Key{};
    default:
      return Key{};
  }
}

[[noreturn]] void fail_json(simdjson::error_code error) {
  fail(std::string("not a valid record (") + simdjson::error_message(error) + ")");
}

[[noreturn]] void wrong(std::string_view key, std::string expected, std::string found = {}) {
  fail("wrong value of key \"" + std::string(key) + "\"", std::move(expected), std::move(found));
}

}  // namespace

struct EventParser::State {
  State(const RoutingShape& s, bool logits) : shape(s), with_logits(logits) {}

  std::int64_t integer(od::value value, std::string_view key, std::int64_t high) const {
    std::int64_t result = 0;
    if (value.get_int64().get(result) != simdjson::SUCCESS) {
      wrong(key, "an integer from 0 to " + std::to_string(high));
    }
    if (result < 0 || result > high) {
      wrong(key, "an integer from 0 to " + std::to_string(high), std::to_string(result));
    }
    return result;
  }

  void add_expert(od::value value, std::string_view key) {
    const std::int64_t expert = integer(value, key, shape.n_experts - 1);
    if (event.experts.size() == static_cast<std::size_t>(shape.top_k)) {
      wrong(key, std::to_string(shape.top_k) + " experts", "more");
    }
    event.experts.push_back(static_cast<ExpertId>(expert));
  }

  void add_weight(od::value value, std::string_view key) {
    double weight = 0;
    if (value.get_double().get(weight) != simdjson::SUCCESS) wrong(key, "a finite number");
    const auto narrow = static_cast<float>(weight);
    if (!(weight >= 0) || !std::isfinite(narrow)) {
      wrong(key, "a finite number that is not negative", std::to_string(weight));
    }
    if (event.weights.size() == static_cast<std::size_t>(shape.top_k)) {
      wrong(key, std::to_string(shape.top_k) + " weights", "more");
    }
    event.weights.push_back(narrow);
  }

  void add_logit(od::value value, std::string_view key) {
    double logit = 0;
    if (value.get_double().get(logit) != simdjson::SUCCESS ||
        !std::isfinite(static_cast<float>(logit))) {
      wrong(key, "a finite number");
    }
    if (event.logits.size() == static_cast<std::size_t>(shape.n_experts)) {
      wrong(key, std::to_string(shape.n_experts) + " logits", "more");
    }
    event.logits.push_back(static_cast<float>(logit));
  }

  template <typename Add>
  void array(od::value value, std::string_view key, int size, Add add) {
    od::array items;
    if (const auto error = value.get_array().get(items); error != simdjson::SUCCESS) {
      wrong(key, "an array of " + std::to_string(size));
    }
    for (auto item : items) {
      od::value element;
      if (const auto error = item.get(element); error != simdjson::SUCCESS) fail_json(error);
      add(element);
    }
  }

  void type(od::value value) {
    std::string_view text;
    const bool is_text = value.get_string().get(text) == simdjson::SUCCESS;
    if (is_text && text == "generation") {
      event.type = TokenType::generation;
    } else if (!is_text || text != "prompt") {
      wrong("type", "\"prompt\" or \"generation\"",
            is_text ? "\"" + printable(text, 80) + "\"" : "");
    }
  }

  void read(Key key, od::value value) {
    switch (key) {
      case key_prompt_id:
        if (value.get_string().get(event.prompt_id) != simdjson::SUCCESS) {
          wrong("prompt_id", "a string");
        }
        return;
      case key_layer:
        event.layer = integer(value, "layer", shape.n_layers - 1);
        return;
      case key_pos:
        event.pos = integer(value, "pos", max_token);
        return;
      case key_type:
        return type(value);
      case key_template:
        if (value.get_bool().get(event.is_template) != simdjson::SUCCESS) {
          wrong("template", "true or false");
        }
        return;
      case key_token_id:
        event.token_id = integer(value, "token_id", max_token);
        return;
      case key_experts:
        return array(value, "experts", shape.top_k, [&](od::value v) { add_expert(v, "experts"); });
      case key_weights:
        return array(value, "weights", shape.top_k, [&](od::value v) { add_weight(v, "weights"); });
      case key_expert:
        return add_expert(value, "expert");
      case key_rank:
        event.rank = integer(value, "rank", shape.top_k - 1);
        return;
      case key_weight:
        return add_weight(value, "weight");
      case key_router_logits:
        return array(value, "router_logits", shape.n_experts,
                     [&](od::value v) { add_logit(v, "router_logits"); });
    }
  }

  void check(std::uint32_t seen) {
    event.is_flat = (seen & key_expert) != 0;
    const std::uint32_t required = key_prompt_id | key_layer | key_pos | key_type;
    if ((seen & required) != required || (seen & (key_expert | key_experts)) == 0) {
      fail("a key of the record is missing", "prompt_id, layer, pos, type, and experts or expert");
    }
    const std::uint32_t other_form =
        event.is_flat ? key_experts | key_weights : key_rank | key_weight;
    if ((seen & other_form) != 0) fail("a record has keys of both forms");
    const std::size_t n = event.is_flat ? 1 : static_cast<std::size_t>(shape.top_k);
    if (event.experts.size() != n) {
      wrong("experts", std::to_string(n) + " experts", std::to_string(event.experts.size()));
    }
    if ((seen & (key_weight | key_weights)) != 0 && event.weights.size() != n) {
      wrong("weights", std::to_string(n) + " weights", std::to_string(event.weights.size()));
    }
    if ((seen & key_router_logits) != 0 &&
        event.logits.size() != static_cast<std::size_t>(shape.n_experts)) {
      wrong("router_logits", std::to_string(shape.n_experts) + " logits",
            std::to_string(event.logits.size()));
    }
  }

  RoutingShape shape;
  bool with_logits;
  od::parser parser{max_line_bytes + 1};
  EventLine event;
};

EventParser::EventParser(const RoutingShape& shape, bool with_logits)
    : state_(std::make_unique<State>(shape, with_logits)) {}
EventParser::~EventParser() = default;

const EventLine& EventParser::parse(std::string_view line) {
  State& state = *state_;
  EventLine& event = state.event;
  event.prompt_id = {};
  event.type = TokenType::prompt;
  event.is_template = false;
  event.token_id = -1;
  event.rank = -1;
  event.experts.clear();
  event.weights.clear();
  event.logits.clear();

  od::document document;
  const simdjson::padded_string_view padded(line.data(), line.size(),
                                            line.size() + simdjson::SIMDJSON_PADDING);
  if (const auto error = state.parser.iterate(padded).get(document)) fail_json(error);
  od::object object;
  if (const auto error = document.get_object().get(object)) fail_json(error);
  std::uint32_t seen = 0;
  for (auto item : object) {
    od::field field;
    if (const auto error = std::move(item).get(field)) fail_json(error);
    std::string_view name;
    if (const auto error = field.unescaped_key().get(name)) fail_json(error);
    const Key key = find_key(name);
    if (key == Key{} || (key == key_router_logits && !state.with_logits)) continue;
    if ((seen & key) != 0) fail("key \"" + std::string(name) + "\" given twice");
    seen |= key;
    state.read(key, field.value());
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    fail("not a valid record (something follows the object)");
  }
  state.check(seen);
  return event;
}

}  // namespace moexray::trace
