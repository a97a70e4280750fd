#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/id_array.h"
#include "trace/json_text.h"

namespace moexray::imports {

using trace::IdArray;
using trace::Item;

/// A record whose large values are set apart: a document of the rest, and their text.
struct SplitRecord {
  trace::Json document;                    ///< with {"payload": i} in their places
  std::vector<std::string_view> payloads;  ///< JSON texts: strings or arrays, views of the record
};

/// Sets the values of some keys apart wherever they stand, if they are strings or arrays, so that
/// no document is made of them.
/// @param text of one JSON object; the payloads are views of it
/// @throws Error (data) if the rest is no valid JSON.
SplitRecord split_record(std::string_view text, std::span<const std::string_view> keys,
                         std::string_view where);

/// The payload that a value stands for; nothing for every other value. @throws Error (data) for an
/// index that there is not.
const std::string_view* payload_of(const SplitRecord& record, const trace::Json* value);

/// The bytes that a JSON string holds in base64. @throws Error (data).
std::string decode_base64(std::string_view payload, const std::string& where);

/// Integers of a nested JSON array of three levels, which has to be rectangular.
/// @param axes which level is token, layer and slot
/// @throws Error (data) with the place of what is wrong.
IdArray parse_id_lists(std::string_view payload, const std::string& where,
                       const std::array<int, 3>& axes = {0, 1, 2});

/// An array of ids in either form: base64 of a whole `.npy` file, or lists.
IdArray decode_ids(std::string_view payload, const std::string& where);

}  // namespace moexray::imports
