#include "moexray/trace/prompts.h"

#include <fstream>
#include <unordered_map>
#include <utility>

#include "json_text.h"
#include "line_reader.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/sha256.h"
#include "prompt_fields.h"
#include "prompt_hints.h"

namespace moexray {
namespace {

using trace::Json;

constexpr std::size_t max_listed_failures = 20;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

class Failures {
 public:
  explicit Failures(std::string_view name) : name_(name) {}

  void add(std::int64_t line, std::string_view what) {
    if (n_++ >= max_listed_failures) return;
    if (!text_.empty()) text_ += '\n';
    // Printable here: a newline inside foreign text must not look like a new entry.
    text_ += printable(name_) + ":" + std::to_string(line) + ": " + printable(what, 1000);
  }
  std::size_t size() const { return n_; }
  void throw_if_any() const {
    if (n_ == 0) return;
    std::string text = text_;
    if (n_ > max_listed_failures) {
      text += "\nand " + std::to_string(n_ - max_listed_failures) + " more";
    }
    throw Error(ErrorKind::data, text);
  }

 private:
  std::string_view name_;
  std::string text_;
  std::size_t n_ = 0;
};

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r") == std::string_view::npos;
}

void check_keys(const PromptReadOptions& keys) {
  if (keys.prompt_key == keys.id_key || keys.prompt_key == keys.category_key ||
      keys.id_key == keys.category_key) {
    throw Error(ErrorKind::usage, "the keys of prompt, id and category must differ");
  }
}

// Reads the lines of a prompts file into a set.
class PromptReader {
 public:
  PromptReader(std::string_view name, const PromptReadOptions& options)
      : name_(name), options_(options), failures_(name), survey_(options) {}

  void add(const trace::LineReader& line) {
    if (line.too_long()) {
      failures_.add(line.number(), "line longer than 16 MB");
      return;
    }
    std::string_view text = line.text();
    if (line.number() == 1 && text.starts_with(byte_order_mark)) {
      text.remove_prefix(byte_order_mark.size());
    }
    if (is_blank(text)) return;
    ++n_lines_;
    try {
      add_prompt(parse_line(text), line.number());
    } catch (const Error& error) {
      failures_.add(line.number(), error.what());
      if (n_lines_ > 1 || first_is_ == First::object) return;
      hint_ = trace::hint_for_first_line(text, options_);
      if (!hint_.empty() && first_is_ == First::no_json) fail(hint_);
    }
  }

  PromptSet finish() {
    // A first line that is JSON may be one of many, which then are wrong in the same way.
    const bool is_all_wrong =
        first_is_ == First::array ? n_lines_ == 1 : failures_.size() == n_lines_;
    if (!hint_.empty() && is_all_wrong) fail(hint_);
    const std::string problem = survey_.problem();
    if (!problem.empty()) fail(problem);
    failures_.throw_if_any();
    if (set_.prompts.empty()) fail("no prompts");
    set_.sha256 = hash_.finish_hex();
    return std::move(set_);
  }

 private:
  enum class First { no_json, object, array, other };

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::data, {what, std::string(name_), {}, {}});
  }

  Json parse_line(std::string_view text) {
    Json object = parse_json(text, {}, trace::exact_rules);
    if (n_lines_ == 1) {
      first_is_ = object.is_object()  ? First::object
                  : object.is_array() ? First::array
                                      : First::other;
    }
    if (!object.is_object()) {
      trace::fail_key("wrong type of line", {}, "an object", describe_json(object));
    }
    survey_.add(object);
    return object;
  }

  void add_prompt(Json object, std::int64_t number) {
    Prompt prompt = trace::parse_prompt(std::move(object), number, options_);
    const auto [first, is_new] = line_of_id_.emplace(prompt.id, prompt.line);
    if (!is_new) {
      trace::fail_key(
          "id \"" + prompt.id + "\" already used in line " + std::to_string(first->second), {}, {},
          {});
    }
    hash_.update(trace::content_text(prompt));
    set_.prompts.push_back(std::move(prompt));
  }

  std::string_view name_;
  const PromptReadOptions& options_;
  PromptSet set_;
  Sha256 hash_;
  Failures failures_;
  trace::KeySurvey survey_;
  std::unordered_map<std::string, std::int64_t> line_of_id_;
  std::size_t n_lines_ = 0;  // that are not blank
  First first_is_ = First::no_json;
  std::string hint_;  // what the first line tells of the whole file
};

}  // namespace

PromptSet read_prompts(std::istream& in, std::string_view name, const PromptReadOptions& options) {
  check_keys(options);
  PromptReader reader(name, options);
  trace::LineReader lines(in);
  while (lines.next()) reader.add(lines);
  if (lines.failed()) {
    throw Error(ErrorKind::data, {"cannot read", std::string(name), {}, {}});
  }
  if (lines.number() == 0) {
    throw Error(ErrorKind::data, {"no prompts: the file is empty", std::string(name), {}, {}});
  }
  return reader.finish();
}

PromptSet read_prompts(const std::filesystem::path& path, const PromptReadOptions& options) {
  std::error_code ignored;
  std::ifstream in(path, std::ios::binary);
  const bool is_directory = std::filesystem::is_directory(path, ignored);
  if (!in || is_directory) {
    std::string found;
    if (is_directory) found = "a directory";
    if (!std::filesystem::exists(path, ignored)) found = "nothing of that name";
    throw Error(ErrorKind::data,
                {"cannot open the prompts", path.string(), "a file", std::move(found)});
  }
  return read_prompts(in, path.string(), options);
}

PromptSet single_prompt(std::string_view text) {
  if (text.empty()) throw Error(ErrorKind::data, "the prompt is empty");
  if (!is_valid_utf8(text)) throw Error(ErrorKind::data, "the prompt is not valid UTF-8");
  PromptSet set;
  Prompt prompt;
  prompt.id = "line-1";
  prompt.text = std::string(text);
  prompt.line = 1;
  set.sha256 = sha256_hex(trace::content_text(prompt));
  set.prompts.push_back(std::move(prompt));
  return set;
}

PromptRange select_prompts(std::size_t n_prompts, std::size_t limit, const Shard& shard) {
  if (shard.count < 1 || shard.index < 0 || shard.index >= shard.count) {
    throw Error(ErrorKind::usage,
                {"no such shard",
                 {},
                 "0 <= I < N",
                 std::to_string(shard.index) + "/" + std::to_string(shard.count)});
  }
  const std::size_t n = limit == 0 ? n_prompts : std::min(n_prompts, limit);
  const auto index = static_cast<std::size_t>(shard.index);
  const auto count = static_cast<std::size_t>(shard.count);
  // ⌊I·n/N⌋ without a product that could overflow.
  const auto border = [&](std::size_t i) { return n / count * i + n % count * i / count; };
  return {border(index), border(index + 1)};
}

}  // namespace moexray
