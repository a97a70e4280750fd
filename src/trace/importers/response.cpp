#include "response.h"

#include <limits>

#include "moexray/core/escape.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

using trace::fail_at;
using trace::Json;

}  // namespace

const Json* member(const Json* object, std::string_view key) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto found = object->find(key);
  return found == object->end() || found->is_null() ? nullptr : &*found;
}

const Json* find_path(const Json& root, std::initializer_list<std::string_view> keys) {
  const Json* value = &root;
  for (const std::string_view key : keys) value = member(value, key);
  return value;
}

void add_name(const Json* value, std::vector<std::string>& names) {
  if (value == nullptr) return;
  if (value->is_string() && !value->get_ref<const std::string&>().empty()) {
    names.push_back(value->get<std::string>());
  } else if (value->is_number_integer()) {
    names.push_back(value->dump());
  }
}

std::int64_t count_of(const Json* value, std::string_view key, const std::string& where) {
  if (value == nullptr) return -1;
  if (!value->is_number_unsigned() || *value > std::numeric_limits<TokenId>::max()) {
    fail_at("wrong value of key \"" + std::string(key) + "\"", where, "a number of tokens",
            describe_json(*value));
  }
  return value->get<std::int64_t>();
}

std::vector<TokenId> token_ids_of(const Json* value, std::string_view key,
                                  const std::string& where) {
  std::vector<TokenId> ids;
  if (value == nullptr) return ids;
  if (!value->is_array()) {
    fail_at("wrong value of key \"" + std::string(key) + "\"", where, "an array of token ids",
            describe_json(*value));
  }
  ids.reserve(value->size());
  for (const Json& item : *value) {
    if (!item.is_number_unsigned() || item > std::numeric_limits<TokenId>::max()) {
      fail_at("wrong value of key \"" + std::string(key) + "\"", where, "token ids",
              describe_json(item));
    }
    ids.push_back(item.get<TokenId>());
  }
  return ids;
}

std::string text_of(const Json* value) {
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

const Json& response_body(const Json& record, const std::string& where) {
  if (const Json* error = member(&record, "error"); error != nullptr) {
    fail_at("the request failed: leave its line out", where, {}, printable(json_text(*error), 200));
  }
  const Json* response = member(&record, "response");
  const Json* body = member(response, "body");
  if (const Json* status = member(response, "status_code");
      status != nullptr && status->is_number_integer() && *status != 200) {
    fail_at("the request failed: leave its line out", where, "status_code 200", status->dump());
  }
  const Json& result = body != nullptr ? *body : record;
  const std::string kind = text_of(member(&result, "object"));
  if (kind.ends_with(".chunk")) {
    fail_at(
        "a piece of a stream, which holds no whole response. Ask without \"stream\": true, or save "
        "the response that a client puts together",
        where);
  }
  return result;
}

std::vector<std::string> response_names(const Json& record, const Json& body) {
  std::vector<std::string> names;
  for (const Json* part : {&record, member(&record, "response"), &body}) {
    for (const char* key : {"custom_id", "request_id", "sample_id"}) {
      add_name(member(part, key), names);
    }
    if (part == &body && &record == &body) break;
  }
  add_name(member(&body, "id"), names);
  add_name(find_path(body, {"meta_info", "id"}), names);
  if (&record != &body) add_name(member(&record, "id"), names);
  return names;
}

}  // namespace moexray::imports
