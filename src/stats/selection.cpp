#include "moexray/stats/selection.h"

#include "moexray/core/error.h"

namespace moexray::stats {

std::string_view name_of(TokenSelection tokens) {
  switch (tokens) {
    case TokenSelection::prompt:
      return "prompt";
    case TokenSelection::generation:
      return "generation";
    case TokenSelection::all:
      break;
  }
  return "all";
}

TokenSelection parse_token_selection(std::string_view name) {
  for (const auto tokens :
       {TokenSelection::all, TokenSelection::prompt, TokenSelection::generation}) {
    if (name == name_of(tokens)) return tokens;
  }
  throw Error(ErrorKind::usage,
              {"unknown token selection", {}, "all, prompt or generation", std::string(name)});
}

}  // namespace moexray::stats
