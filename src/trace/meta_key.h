#pragma once

#include <simdjson.h>

#include <string>

#include "moexray/trace/reader.h"

namespace moexray::trace {

/// Reads a name from "meta.KEY": a category, say.
class MetaKey {
 public:
  /// @param what the name is for: "category"
  /// @param key empty: not given
  /// @throws Error (usage) if it is not "meta.KEY"
  MetaKey(std::string what, const std::string& key);

  bool given() const { return !name_.empty(); }

  /// Empty where the prompt has none.
  /// @throws Error (data) that names `where`, if the value is no name
  std::string read(const TracePrompt& prompt, const std::string& where);

 private:
  std::string what_;
  std::string name_;
  simdjson::dom::parser parser_;
};

}  // namespace moexray::trace
