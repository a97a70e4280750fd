#include "prompt_line.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "checksum.h"
#include "fail.h"
#include "json_text.h"
#include "moexray/core/file.h"
#include "moexray/core/forward_tokens.h"
#include "number_format.h"

namespace moexray::trace {
namespace {

namespace dom = simdjson::dom;

constexpr std::int64_t max_tokens = std::numeric_limits<std::int32_t>::max();

void add(std::string& line, std::string_view key, const std::string& json) {
  line += line.empty() ? "{\"" : ",\"";
  line += key;
  line += "\":";
  line += json;
}

std::string numbers_json(const std::vector<float>& values) {
  std::string text = "[";
  std::array<char, max_number_bytes> digits{};
  for (const float value : values) {
    if (text.size() > 1) text += ',';
    text.append(digits.data(), write_number(digits.data(), value));
  }
  return text + "]";
}

Json messages_json(const Prompt& prompt) {
  Json messages = Json::array();
  for (const PromptMessage& message : prompt.messages) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  return messages;
}

std::string shorten(dom::element value) {
  const std::string text = simdjson::minify(value);
  return text.size() <= 80 ? text : text.substr(0, 80) + "…";
}

// One line while it is read: fields by key, each at most once.
class LineFields {
 public:
  LineFields(TracePrompt& prompt, const std::string& where) : prompt_(prompt), where_(where) {}

  void read(std::string_view key, dom::element value);
  void finish() const;

 private:
  using Member = void (LineFields::*)(dom::element);
  struct Row {
    std::string_view key;
    Member read;
  };
  static const std::array<Row, 21> rows;

  [[noreturn]] void wrong(std::string expected, dom::element found) const {
    fail_at("wrong value of key \"" + std::string(key_) + "\"", where_, std::move(expected),
            shorten(found));
  }
  std::string text(dom::element value) const {
    std::string_view view;
    if (value.get(view) != simdjson::SUCCESS) wrong("a string", value);
    return std::string(view);
  }
  std::string name(dom::element value) const {
    std::string result = text(value);
    const std::string problem = name_problem(result);
    if (!problem.empty()) fail_at("key \"" + std::string(key_) + "\" " + problem, where_);
    return result;
  }
  std::int64_t integer(dom::element value, std::int64_t high) const {
    std::int64_t result = 0;
    if (value.get(result) != simdjson::SUCCESS || result < 0 || result > high) {
      wrong("an integer from 0 to " + std::to_string(high), value);
    }
    return result;
  }
  dom::array array(dom::element value) const {
    dom::array result;
    if (value.get(result) != simdjson::SUCCESS) wrong("an array", value);
    return result;
  }

  void id(dom::element v) { prompt_.id = name(v); }
  void category(dom::element v) { prompt_.category = name(v); }
  void prompt(dom::element v) { prompt_.text = text(v); }
  void messages(dom::element v);
  void completion(dom::element v) { prompt_.completion = text(v); }
  void token_ids(dom::element v) {
    for (const dom::element item : array(v)) {
      prompt_.token_ids.push_back(static_cast<TokenId>(integer(item, max_tokens)));
    }
  }
  void tokens(dom::element v) {
    for (const dom::element item : array(v)) prompt_.tokens.push_back(text(item));
  }
  void logprobs(dom::element v) {
    for (const dom::element item : array(v)) {
      double value = 0;
      if (item.get(value) != simdjson::SUCCESS || !(value <= 0 && value >= -max_logprob)) {
        wrong("natural logarithms of probabilities, none above 0", item);
      }
      prompt_.logprobs.push_back(static_cast<float>(value));
    }
  }
  void n_prompt_tokens(dom::element v) { prompt_.n_prompt_tokens = integer(v, max_tokens); }
  void n_template_tokens(dom::element v) { prompt_.n_template_tokens = integer(v, max_tokens); }
  void n_generated_tokens(dom::element v) { prompt_.n_generated_tokens = integer(v, max_tokens); }
  void positions(dom::element v);
  void finish_reason(dom::element v) { prompt_.finish_reason = text(v); }
  void events_file(dom::element v) {
    const std::string file = text(v);
    if (!is_plain_file_name(file)) wrong("the name of a file in the trace directory", v);
    prompt_.events_file = file;
  }
  void offset(dom::element v) { prompt_.offset = integer(v, max_offset); }
  void n_bytes(dom::element v) { prompt_.n_bytes = integer(v, max_offset); }
  void n_compressed_bytes(dom::element v) { prompt_.n_compressed_bytes = integer(v, max_offset); }
  void n_events(dom::element v) { prompt_.n_events = integer(v, max_offset); }
  void checksum(dom::element v) {
    prompt_.checksum = text(v);
    if (!is_checksum_text(prompt_.checksum)) wrong("\"xxh3:\" and 16 hexadecimal digits", v);
  }
  void meta(dom::element v) {
    if (!v.is_object()) wrong("an object", v);
    prompt_.meta_json = simdjson::minify(v);
  }
  void line_checksum(dom::element) {}

  static constexpr double max_logprob = 1e30;
  static constexpr std::int64_t max_offset = std::int64_t{1} << 60;

  TracePrompt& prompt_;
  const std::string& where_;
  std::string_view key_;
  std::uint32_t seen_ = 0;
};

const std::array<LineFields::Row, 21> LineFields::rows{{
    {"id", &LineFields::id},
    {"category", &LineFields::category},
    {"prompt", &LineFields::prompt},
    {"messages", &LineFields::messages},
    {"completion", &LineFields::completion},
    {"token_ids", &LineFields::token_ids},
    {"tokens", &LineFields::tokens},
    {"logprobs", &LineFields::logprobs},
    {"n_prompt_tokens", &LineFields::n_prompt_tokens},
    {"n_template_tokens", &LineFields::n_template_tokens},
    {"n_generated_tokens", &LineFields::n_generated_tokens},
    {"positions", &LineFields::positions},
    {"finish_reason", &LineFields::finish_reason},
    {"events_file", &LineFields::events_file},
    {"offset", &LineFields::offset},
    {"n_bytes", &LineFields::n_bytes},
    {"n_compressed_bytes", &LineFields::n_compressed_bytes},
    {"n_events", &LineFields::n_events},
    {"checksum", &LineFields::checksum},
    {"meta", &LineFields::meta},
    {"line_checksum", &LineFields::line_checksum},
}};

void LineFields::read(std::string_view key, dom::element value) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].key != key) continue;
    key_ = rows[i].key;
    if ((seen_ >> i & 1U) != 0) fail_at("key \"" + std::string(key) + "\" given twice", where_);
    seen_ |= 1U << i;
    // Null counts as absent: what writes tables as JSON Lines fills them up with it.
    if (!value.is_null()) (this->*rows[i].read)(value);
    return;
  }
}

void LineFields::messages(dom::element v) {
  std::string joined;
  for (const dom::element item : array(v)) {
    std::string_view content;
    if (item["content"].get(content) != simdjson::SUCCESS) {
      wrong("messages with a \"content\"", v);
    }
    if (!joined.empty()) joined += '\n';
    joined += content;
    std::string_view role;
    if (item["role"].get(role) != simdjson::SUCCESS) role = "user";
    prompt_.messages.push_back({std::string(role), std::string(content)});
  }
  prompt_.text = std::move(joined);
}

void LineFields::positions(dom::element v) {
  for (const dom::element item : array(v)) {
    const dom::array pair = array(item);
    if (pair.size() != 2) wrong("[first, last] of every range", v);
    prompt_.positions.push_back({integer(pair.at(0), max_tokens), integer(pair.at(1), max_tokens)});
  }
  if (prompt_.positions.empty() || !are_in_order(prompt_.positions)) {
    wrong("ranges of positions in ascending order, with gaps between", v);
  }
}

// What keys say about each other.
void LineFields::finish() const {
  const TracePrompt& p = prompt_;
  if (p.id.empty()) fail_at("missing key \"id\"", where_);
  if (p.events_file.empty()) fail_at("missing key \"events_file\"", where_);
  if ((p.offset < 0) != (p.n_bytes < 0)) {
    fail_at("\"offset\" and \"n_bytes\" must be given together", where_);
  }
  if (p.offset < 0 && (!p.checksum.empty() || p.n_compressed_bytes >= 0)) {
    fail_at("missing key \"offset\"", where_,
            "the place of the records, because a checksum or size of them is given");
  }
  if (!p.tokens.empty() && !p.token_ids.empty() && p.tokens.size() != p.token_ids.size()) {
    fail_at("\"tokens\" and \"token_ids\" differ in length", where_,
            std::to_string(p.token_ids.size()), std::to_string(p.tokens.size()));
  }
  if (!p.logprobs.empty() && p.logprobs.size() + 1 != p.token_ids.size()) {
    fail_at("wrong number of \"logprobs\"", where_, "one for each of \"token_ids\" but the first",
            std::to_string(p.logprobs.size()) + " for " + std::to_string(p.token_ids.size()));
  }
  if (p.n_template_tokens > p.n_prompt_tokens) {
    fail_at("more template tokens than prompt tokens", where_,
            "at most " + std::to_string(p.n_prompt_tokens), std::to_string(p.n_template_tokens));
  }
  if (!p.positions.empty() && !p.token_ids.empty() &&
      p.positions.back().last >= static_cast<std::int64_t>(p.token_ids.size())) {
    fail_at("fewer \"token_ids\" than \"positions\"", where_,
            "more than " + std::to_string(p.positions.back().last),
            std::to_string(p.token_ids.size()));
  }
  if (p.n_prompt_tokens < 0 || p.n_generated_tokens < 0) return;
  if (!p.positions.empty() && p.positions.back().last >= n_traced_tokens(p)) {
    fail_at("a position behind the last routed token", where_,
            "below " + std::to_string(n_traced_tokens(p)), std::to_string(p.positions.back().last));
  }
  const std::int64_t n = p.n_prompt_tokens + p.n_generated_tokens;
  if (!p.token_ids.empty() && n != static_cast<std::int64_t>(p.token_ids.size())) {
    fail_at("wrong number of \"token_ids\"", where_,
            std::to_string(n) + " (n_prompt_tokens + n_generated_tokens)",
            std::to_string(p.token_ids.size()));
  }
}

// Puts the numbers in quotes that fit neither 64 bits nor a double: simdjson refuses a document
// that has one, and what they mean to us is their text.
std::string quote_large_numbers(std::string_view line) {
  const auto fits = [](std::string_view number) {
    std::int64_t integer = 0;
    std::uint64_t natural = 0;
    double real = 0;
    const char* const begin = number.data();
    const char* const end = begin + number.size();
    if (number.find_first_of(".eE") != std::string_view::npos) {
      return std::from_chars(begin, end, real).ec == std::errc() || real == 0;
    }
    return std::from_chars(begin, end, integer).ec == std::errc() ||
           std::from_chars(begin, end, natural).ec == std::errc();
  };
  constexpr std::string_view number_bytes = "+-.0123456789eE";
  std::string result;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size();) {
    const char c = line[i];
    if (!in_string && (c == '-' || (c >= '0' && c <= '9'))) {
      const std::size_t end = std::min(line.find_first_not_of(number_bytes, i), line.size());
      const std::string_view number = line.substr(i, end - i);
      const char* const quote = fits(number) ? "" : "\"";
      result.append(quote).append(number).append(quote);
      i = end;
      continue;
    }
    if (c == '"') in_string = !in_string;
    const std::size_t n = in_string && c == '\\' ? 2 : 1;
    result += line.substr(i, n);
    i += n;
  }
  return result;
}

}  // namespace

std::string make_prompt_line(const FinishedPrompt& finished, const EventsPlace& place) {
  const RoutingShape& shape = finished.routing.shape();
  return make_prompt_line(finished, place,
                          finished.routing.n_positions() * shape.n_layers * shape.top_k);
}

std::string make_prompt_line(const FinishedPrompt& finished, const EventsPlace& place,
                             std::int64_t n_events) {
  const Prompt& prompt = *finished.prompt;
  std::string line;
  add(line, "id", json_text(prompt.id));
  if (!prompt.category.empty()) add(line, "category", json_text(prompt.category));
  if (!prompt.messages.empty()) {
    add(line, "messages", json_text(messages_json(prompt)));
  } else if (!prompt.text.empty()) {
    add(line, "prompt", json_text(prompt.text));
  }
  if (finished.completion) add(line, "completion", json_text(*finished.completion));
  if (!finished.token_ids.empty()) add(line, "token_ids", json_text(finished.token_ids));
  if (!finished.tokens.empty()) add(line, "tokens", json_text(finished.tokens));
  if (!finished.logprobs.empty()) add(line, "logprobs", numbers_json(finished.logprobs));
  if (finished.n_prompt_tokens >= 0) {
    add(line, "n_prompt_tokens", std::to_string(finished.n_prompt_tokens));
  }
  if (!finished.is_template.empty()) {
    const auto n = std::count(finished.is_template.begin(), finished.is_template.end(), true);
    add(line, "n_template_tokens", std::to_string(n));
  }
  if (finished.n_generated_tokens >= 0) {
    add(line, "n_generated_tokens", std::to_string(finished.n_generated_tokens));
  }
  if (!finished.positions.empty()) {
    Json ranges = Json::array();
    for (const PositionRange& range : finished.positions) {
      ranges.push_back({range.first, range.last});
    }
    add(line, "positions", json_text(ranges));
  }
  if (!finished.finish_reason.empty()) {
    add(line, "finish_reason", json_text(finished.finish_reason));
  }
  add(line, "events_file", json_text(place.events_file));
  add(line, "offset", std::to_string(place.offset));
  add(line, "n_bytes", std::to_string(place.n_bytes));
  if (place.n_compressed_bytes > 0) {
    add(line, "n_compressed_bytes", std::to_string(place.n_compressed_bytes));
  }
  add(line, "n_events", std::to_string(n_events));
  add(line, "checksum", json_text(place.checksum));
  add(line, "meta", prompt.meta_json);
  append_checksum(line, line_checksum);
  line += '\n';
  return line;
}

struct PromptLineParser::State {
  dom::parser parser{max_line_bytes + 1};
};

PromptLineParser::PromptLineParser() : state_(std::make_unique<State>()) {}
PromptLineParser::~PromptLineParser() = default;

TracePrompt PromptLineParser::parse(std::string_view line, const RoutingShape& shape,
                                    const std::string& where) {
  const ChecksumState sum = check_checksum(line, line_checksum);
  if (sum == ChecksumState::wrong)
    fail_at("the line is damaged: its checksum does not match", where);
  had_checksum_ = sum == ChecksumState::right;
  if (state_->parser.max_depth() != max_json_depth) {
    if (state_->parser.allocate(line.size() + 64, max_json_depth) != simdjson::SUCCESS) {
      throw std::bad_alloc();
    }
  }
  dom::object object;
  simdjson::error_code error = state_->parser.parse(line.data(), line.size()).get(object);
  if (error == simdjson::NUMBER_ERROR) {
    const std::string quoted = quote_large_numbers(line);
    error = state_->parser.parse(quoted.data(), quoted.size()).get(object);
  }
  if (error == simdjson::INCORRECT_TYPE) fail_at("wrong type of line", where, "an object");
  if (error != simdjson::SUCCESS) {
    fail_at(std::string("not valid JSON (") + simdjson::error_message(error) + ")", where);
  }
  TracePrompt prompt;
  LineFields fields(prompt, where);
  for (const auto& [key, value] : object) fields.read(key, value);
  fields.finish();
  const auto sum_value = object["line_checksum"];
  if (!had_checksum_ && sum_value.error() == simdjson::SUCCESS && !sum_value.is_null()) {
    fail_at("\"line_checksum\" is not the last key of its line", where);
  }
  const std::int64_t n_tokens = n_routed_tokens(prompt);
  const std::int64_t n_events = n_tokens * shape.n_layers * shape.top_k;
  const bool is_known = n_tokens >= 0 && prompt.n_events >= 0 && shape.top_k > 0;
  if (is_known && prompt.n_events != n_events) {
    fail_at("wrong value of key \"n_events\"", where,
            std::to_string(n_events) + " (tokens times layers times top_k)",
            std::to_string(prompt.n_events));
  }
  return prompt;
}

std::int64_t n_traced_tokens(const TracePrompt& prompt) {
  if (prompt.n_prompt_tokens < 0 || prompt.n_generated_tokens < 0) return -1;
  return n_forward_tokens(prompt.n_prompt_tokens, prompt.n_generated_tokens);
}

std::int64_t n_routed_tokens(const TracePrompt& prompt) {
  return prompt.positions.empty() ? n_traced_tokens(prompt) : n_positions(prompt.positions);
}

}  // namespace moexray::trace
