#pragma once

#include "moexray/core/checksum.h"

namespace moexray::trace {

/// The checksum at the end of a line of prompts.jsonl.
inline constexpr ChecksumMember line_checksum{",\"line_checksum\":\"", "\"}", "}"};
inline constexpr ChecksumMember manifest_checksum = object_checksum;

}  // namespace moexray::trace
