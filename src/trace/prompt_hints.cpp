#include "prompt_hints.h"

#include <algorithm>
#include <array>
#include <vector>

#include "moexray/core/escape.h"
#include "moexray/core/file_kind.h"
#include "prompt_fields.h"

namespace moexray::trace {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::int64_t n_surveyed_lines = 100;
constexpr std::size_t max_surveyed_keys = 1000;
constexpr std::size_t max_listed_keys = 8;

// Where a line stops, as far as brackets and quotes tell.
struct LineEnd {
  int depth = 0;
  bool in_string = false;
};

LineEnd end_of(std::string_view line) {
  LineEnd end;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (end.in_string) {
      if (c == '\\') ++i;
      if (c == '"') end.in_string = false;
    } else if (c == '"') {
      end.in_string = true;
    } else if (c == '{' || c == '[') {
      ++end.depth;
    } else if (c == '}' || c == ']') {
      --end.depth;
    }
  }
  return end;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

std::string pandas(std::string_view read) {
  return "; pandas makes lines of it: pandas." + std::string(read) +
         ".to_json(\"prompts.jsonl\", orient=\"records\", lines=True)";
}

std::string hint_for_kind(std::string_view line) {
  const FileKind kind = recognise_file(line);
  if (kind.group == FileKind::Group::unknown) {
    const bool has_controls = std::any_of(line.begin(), line.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r' && c != '\f';
    });
    return has_controls ? "binary data, not JSON Lines" : "";
  }
  if (kind.name == "a Parquet file")
    return kind.name + ", not JSON Lines" + pandas("read_parquet(FILE)");
  if (kind.group == FileKind::Group::placeholder) {
    return kind.name +
           " in place of the prompts; download the file itself (git lfs pull, or hf "
           "download)";
  }
  std::string hint = kind.name + ", not JSON Lines";
  if (!kind.remedy.empty()) hint += "; this reads it: " + kind.remedy + " | moexray trace -";
  return hint;
}

// The fields of the heading of a table; empty if the line does not look like one: names are short.
std::vector<std::string_view> heading_fields(std::string_view line, char separator) {
  constexpr std::size_t max_key_bytes = 64;
  constexpr std::ptrdiff_t max_blanks = 2;
  std::vector<std::string_view> fields;
  while (true) {
    const std::size_t end = std::min(line.find(separator), line.size());
    std::string_view field = trimmed(line.substr(0, end));
    if (field.size() >= 2 && field.front() == '"' && field.back() == '"') {
      field = field.substr(1, field.size() - 2);
    }
    const bool is_name = field.size() <= max_key_bytes &&
                         std::count(field.begin(), field.end(), ' ') <= max_blanks &&
                         field.find_first_of("\"{}?!") == std::string_view::npos;
    if (!is_name) return {};
    fields.push_back(field);
    if (end == line.size()) return fields;
    line.remove_prefix(end + 1);
  }
}

std::string hint_for_table(std::string_view line, const PromptReadOptions& keys) {
  const auto is_heading = [&](char separator) {
    const auto fields = heading_fields(line, separator);
    const bool has_prompt =
        std::find(fields.begin(), fields.end(), keys.prompt_key) != fields.end();
    return has_prompt || fields.size() > 1;
  };
  if (line.find('\t') != std::string_view::npos && is_heading('\t')) {
    return "a table with tabs (TSV), not JSON Lines" + pandas("read_csv(FILE, sep=\"\\t\")");
  }
  if (is_heading(',')) return "a table (CSV), not JSON Lines" + pandas("read_csv(FILE)");
  if (is_heading(';')) {
    return "a table (CSV with semicolons), not JSON Lines" + pandas("read_csv(FILE, sep=\";\")");
  }
  return "";
}

std::string hint_for_json(std::string_view line) {
  const LineEnd end = end_of(line);
  if (line.starts_with('[')) {
    return "a JSON array, not JSON Lines; this makes lines of it: jq -c '.[]' FILE";
  }
  if (line.starts_with("{'")) {
    return "a Python dictionary, not JSON; json.dumps() writes JSON, one object a line";
  }
  if (line.starts_with('{') && end.depth > 0 && !end.in_string) {
    return "JSON with an object over several lines, not JSON Lines; this puts each on one line: "
           "jq -c . FILE";
  }
  if (line.starts_with('"') && line.size() > 1 && line.ends_with('"') && end.depth == 0 &&
      !end.in_string && line.find("\",") == std::string_view::npos) {
    return "JSON texts, not JSON objects; this makes prompts of them: jq -c '{prompt: .}' FILE";
  }
  return "";
}

// Names under which files of prompts often give the prompt, the likeliest first.
constexpr std::array usual_names{
    "prompt"sv,  "question"sv, "instruction"sv,   "messages"sv,     "text"sv,  "input"sv, "query"sv,
    "problem"sv, "content"sv,  "conversations"sv, "conversation"sv, "turns"sv, "goal"sv,  "task"sv};

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool is_list_of_objects(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

bool is_list_of_messages(const Json& value) {
  return is_list_of_objects(value) && value.front().contains("role") &&
         value.front().contains("content");
}

}  // namespace

std::string hint_for_first_line(std::string_view line, const PromptReadOptions& keys) {
  std::string hint = hint_for_kind(line);
  if (!hint.empty()) return hint;
  line = trimmed(line);
  hint = hint_for_json(line);
  if (!hint.empty() || line.empty() || line.front() == '{' || !is_valid_utf8(line)) return hint;
  const bool is_word = (line.front() >= 'a' && line.front() <= 'z') ||
                       (line.front() >= 'A' && line.front() <= 'Z') || line.front() == '"' ||
                       (static_cast<unsigned char>(line.front()) & 0x80U) != 0;
  if (!is_word) return "";
  hint = hint_for_table(line, keys);
  if (!hint.empty()) return hint;
  return "plain text, not JSON Lines; this makes a prompt of each line: jq -cR '{prompt: .}' FILE";
}

void KeySurvey::add(const Json& object) {
  ++n_lines_;
  if (find_value(object, keys_.prompt_key) != nullptr ||
      find_value(object, messages_key) != nullptr) {
    ++n_prompts_;
  }
  if (find_value(object, keys_.id_key) != nullptr) ++n_ids_;
  if (find_value(object, keys_.category_key) != nullptr) ++n_categories_;
  if (n_lines_ > n_surveyed_lines) return;
  for (const auto& [name, value] : object.items()) {
    if (name == keys_.id_key || name == keys_.category_key) continue;
    if (others_.size() == max_surveyed_keys && !others_.contains(name)) continue;
    Key& key = others_[name];
    if (value.is_string()) {
      ++key.n_texts;
      key.n_text_bytes += static_cast<std::int64_t>(value.get_ref<const std::string&>().size());
    } else if (is_list_of_messages(value)) {
      ++key.n_texts;
    } else if (is_list_of_objects(value)) {
      ++key.n_lists_of_objects;
    }
  }
}

std::string KeySurvey::problem() const {
  if (n_lines_ == 0) return "";
  if (n_prompts_ == 0) return missing_prompt();
  // The usual keys may be left out; one that was asked for by name is meant to be there.
  const PromptReadOptions usual;
  const auto asked = [&](const std::string& key, const char* flag) {
    return "no line has the key \"" + printable(key, 160) + "\" (" + flag + ")";
  };
  if (n_ids_ == 0 && keys_.id_key != usual.id_key) return asked(keys_.id_key, "--id-key");
  if (n_categories_ == 0 && keys_.category_key != usual.category_key) {
    return asked(keys_.category_key, "--category-key");
  }
  return "";
}

std::string KeySurvey::missing_prompt() const {
  std::string text = "no line has the key \"" + printable(keys_.prompt_key, 160) + "\"";
  if (others_.empty()) return text;
  const std::string likely = likely_prompt_key();
  text += "; the lines have ";
  std::size_t n_listed = 0;
  for (const auto& [name, key] : others_) {
    if (n_listed == max_listed_keys) {
      text += " and " + std::to_string(others_.size() - n_listed) + " more";
      break;
    }
    text += (n_listed++ > 0 ? ", \"" : "\"") + printable(name, 60) + '"';
  }
  if (!likely.empty()) return text + ": --prompt-key " + printable(likely, 160);
  for (const auto& [name, key] : others_) {
    if (key.n_lists_of_objects == 0) continue;
    return text + "; is \"" + printable(name, 60) + "\" the list of prompts? jq -c '.[\"" +
           printable(name, 60) + "\"][]' FILE makes lines of it";
  }
  return text;
}

// A name that is usual for prompts, else the key with the most text.
std::string KeySurvey::likely_prompt_key() const {
  const auto has_texts = [&](const auto& entry) { return entry.second.n_texts > 0; };
  for (const std::string_view usual : usual_names) {
    for (const auto& entry : others_) {
      if (has_texts(entry) && lower_case(entry.first) == usual) return entry.first;
    }
  }
  const auto most = std::max_element(
      others_.begin(), others_.end(),
      [](const auto& a, const auto& b) { return a.second.n_text_bytes < b.second.n_text_bytes; });
  return most != others_.end() && has_texts(*most) ? most->first : std::string();
}

}  // namespace moexray::trace
