#include "json_document.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "messages.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"

namespace moexray {
namespace {

std::string line_and_column(std::string_view text, std::size_t position) {
  const std::string_view before = text.substr(0, std::min(position, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t last = before.rfind('\n');
  const std::size_t column =
      last == std::string_view::npos ? before.size() : before.size() - last - 1;
  return std::to_string(line) + ":" + std::to_string(std::max<std::size_t>(column, 1));
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where) {
  using nlohmann::json;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    if ((event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) &&
        depth >= max_json_depth) {
      throw Error(ErrorKind::data, {"JSON is nested too deeply",
                                    std::string(where),
                                    "at most " + std::to_string(max_json_depth) + " levels",
                                    {}});
    }
    if (event == json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == json::parse_event_t::key &&
               !keys.back().insert(value.get_ref<const std::string&>()).second) {
      throw Error(ErrorKind::data, {"duplicate key",
                                    std::string(where),
                                    {},
                                    in_quotes(value.get_ref<const std::string&>())});
    }
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::parse_error& error) {
    throw Error(
        ErrorKind::data,
        {"not valid JSON", std::string(where) + ":" + line_and_column(text, error.byte), {}, {}});
  } catch (const json::exception&) {
    throw Error(ErrorKind::data,
                {"not valid JSON: a number is too large", std::string(where), {}, {}});
  }
}

std::string describe_type(const nlohmann::json& value) {
  using Type = nlohmann::json::value_t;
  switch (value.type()) {
    case Type::null:
      return "null";
    case Type::object:
      return "an object";
    case Type::array:
      return "an array";
    case Type::string:
      return in_quotes(value.get_ref<const std::string&>());
    case Type::boolean:
      return value.get<bool>() ? "true" : "false";
    default:
      return value.dump();
  }
}

}  // namespace moexray
