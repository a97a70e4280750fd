#include "meta_key.h"

#include <string_view>
#include <utility>

#include "fail.h"
#include "json_text.h"
#include "moexray/core/error.h"
#include "moexray/trace/meta_values.h"
#include "trace_directory.h"

namespace moexray {
namespace trace {

MetaKey::MetaKey(std::string what, const std::string& key) : what_(std::move(what)) {
  constexpr std::string_view prefix = "meta.";
  if (key.empty()) return;
  if (!key.starts_with(prefix) || key.size() == prefix.size()) {
    throw Error(ErrorKind::usage,
                {"no such " + what_ + " key", {}, "\"meta.KEY\"", "\"" + key + "\""});
  }
  name_ = key.substr(prefix.size());
}

std::string MetaKey::read(const TracePrompt& prompt, const std::string& where) {
  simdjson::dom::element value;
  const auto error = parser_.parse(prompt.meta_json).at_key(name_).get(value);
  if (error != simdjson::SUCCESS || value.is_null()) return {};
  std::string_view text;
  std::string result;
  if (value.get(text) == simdjson::SUCCESS) {
    result = std::string(text);
  } else if (value.is_object() || value.is_array()) {
    fail_at("key \"meta." + name_ + "\" cannot be a " + what_, where, "a string or number");
  } else {
    result = simdjson::minify(value);
  }
  const std::string problem = name_problem(result);
  if (!problem.empty()) fail_at(what_ + " in \"meta." + name_ + "\" " + problem, where);
  return result;
}

}  // namespace trace

std::vector<std::string> meta_values(const TraceSet& traces, const std::string& key,
                                     const std::string& what) {
  trace::MetaKey meta(what, key);
  std::vector<std::string> values;
  for (const TracePrompt& prompt : traces.prompts) {
    const auto path = traces.directories[prompt.part] / trace::prompts_name;
    values.push_back(meta.read(prompt, path.string() + ":" + std::to_string(prompt.line)));
  }
  return values;
}

}  // namespace moexray
