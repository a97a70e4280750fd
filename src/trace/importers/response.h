#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "importer.h"
#include "json_payload.h"

namespace moexray::imports {

/// The member of an object, or null if it is absent, null, or the value is no object.
const trace::Json* member(const trace::Json* object, std::string_view key);

/// A member of a member: find_path(root, {"usage", "prompt_tokens"}).
const trace::Json* find_path(const trace::Json& root, std::initializer_list<std::string_view> keys);

/// Adds the text of an id, a string or a whole number, if there is one.
void add_name(const trace::Json* value, std::vector<std::string>& names);

/// A whole number from 0, or −1 where there is none. @throws Error (data) for another value.
std::int64_t count_of(const trace::Json* value, std::string_view key, const std::string& where);

/// Token ids, none where there are none. @throws Error (data) for another value.
std::vector<TokenId> token_ids_of(const trace::Json* value, std::string_view key,
                                  const std::string& where);

/// A text; empty for every other value.
std::string text_of(const trace::Json* value);

/// Unwraps a line of a batch's output, and refuses what holds no whole response: a line that
/// reports an error, a piece of a stream.
/// @return the response itself
const trace::Json& response_body(const trace::Json& record, const std::string& where);

/// The ids of a response: custom_id, request_id, sample_id, id of the response or of the line.
std::vector<std::string> response_names(const trace::Json& record, const trace::Json& body);

}  // namespace moexray::imports
