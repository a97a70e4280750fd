#include "added_tokens.h"

#include <algorithm>

#include "moexray/core/error.h"
#include "unicode.h"

namespace moexray {
namespace {

bool is_single_word(std::string_view text, TextSpan span) {
  std::size_t before = span.begin;
  if (before > 0 && unicode::is_word(unicode::previous_code_point(text, before))) return false;
  std::size_t after = span.end;
  return after == text.size() || !unicode::is_word(unicode::next_code_point(text, after));
}

// Does not go below `limit`.
std::size_t skip_space_left(std::string_view text, std::size_t pos, std::size_t limit) {
  while (pos > limit) {
    std::size_t before = pos;
    if (!unicode::is_white_space(unicode::previous_code_point(text, before))) break;
    pos = before;
  }
  return pos;
}

std::size_t skip_space_right(std::string_view text, std::size_t pos) {
  while (pos < text.size()) {
    std::size_t after = pos;
    if (!unicode::is_white_space(unicode::next_code_point(text, after))) break;
    pos = after;
  }
  return pos;
}

}  // namespace

TokenId AddedTokenList::id_of(std::string_view content) const {
  const auto known = by_content_.find(std::string(content));
  if (known != by_content_.end()) return tokens_[known->second].id;
  return vocabulary_(content).value_or(next_id_);
}

bool AddedTokenList::contains(std::string_view content) const {
  return by_content_.contains(std::string(content));
}

void AddedTokenList::put(AddedToken token) {
  next_id_ = std::max(next_id_, token.id + 1);
  const auto [place, is_new] = by_content_.emplace(token.content, tokens_.size());
  if (is_new) {
    tokens_.push_back(std::move(token));
  } else {
    tokens_[place->second] = std::move(token);
  }
}

std::int32_t TokenTrie::child(std::int32_t node, char byte) const {
  if (node == 0) {
    const std::int32_t found = root_children_[static_cast<unsigned char>(byte)];
    return found == 0 ? -1 : found;
  }
  std::int32_t next = nodes_[static_cast<std::size_t>(node)].first_child;
  while (next != -1 && nodes_[static_cast<std::size_t>(next)].byte != byte) {
    next = nodes_[static_cast<std::size_t>(next)].sibling;
  }
  return next;
}

void TokenTrie::add(std::string_view content, std::size_t value) {
  std::int32_t node = 0;
  for (const char byte : content) {
    std::int32_t next = child(node, byte);
    if (next == -1) {
      next = static_cast<std::int32_t>(nodes_.size());
      nodes_.push_back({-1, nodes_[static_cast<std::size_t>(node)].first_child, -1, byte});
      nodes_[static_cast<std::size_t>(node)].first_child = next;
      if (node == 0) root_children_[static_cast<unsigned char>(byte)] = next;
    }
    node = next;
  }
  Node& end = nodes_[static_cast<std::size_t>(node)];
  if (end.value == -1) end.value = static_cast<std::int32_t>(value);
}

TokenTrie::Match TokenTrie::longest_prefix(std::string_view text) const {
  Match match;
  std::int32_t node = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    node = child(node, text[i]);
    if (node == -1) break;
    const std::int32_t value = nodes_[static_cast<std::size_t>(node)].value;
    if (value != -1) match = {static_cast<std::size_t>(value), i + 1};
  }
  return match;
}

void AddedTokens::add(const AddedToken& token, std::string_view pattern) {
  if (token.content.empty() || pattern.empty() || token.content.size() > max_content_bytes ||
      pattern.size() > max_content_bytes) {
    throw Error(ErrorKind::data, {"added token of unsupported length",
                                  {},
                                  "1 to " + std::to_string(max_content_bytes) + " bytes",
                                  std::to_string(std::max(token.content.size(), pattern.size()))});
  }
  total_bytes_ += pattern.size();
  if (total_bytes_ > max_total_bytes) {
    throw Error(ErrorKind::data, {"too many added tokens",
                                  {},
                                  "at most " + std::to_string(max_total_bytes) + " bytes in all",
                                  {}});
  }
  if (!by_content_.emplace(token.content, tokens_.size()).second) return;
  by_id_.emplace(token.id, tokens_.size());
  (token.normalized ? normalized_ : raw_).add(pattern, tokens_.size());
  tokens_.push_back(token);
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool normalized) const {
  std::vector<Part> parts;
  const TokenTrie& trie = normalized ? normalized_ : raw_;
  std::size_t done = 0;  // text before is in `parts`
  std::size_t space_end =
      0;  // of the white space last skipped: it is walked once, not once a token
  for (std::size_t pos = 0; pos < text.size() && !trie.empty();) {
    const TokenTrie::Match match = trie.longest_prefix(text.substr(pos));
    if (match.length == 0) {
      ++pos;
      continue;
    }
    const AddedToken& token = tokens_[match.value];
    TextSpan span{pos, pos + match.length};
    pos = span.end;
    if (token.single_word && !is_single_word(text, span)) continue;
    if (token.lstrip) span.begin = std::max(skip_space_left(text, span.begin, done), done);
    if (token.rstrip) {
      if (span.end >= space_end) space_end = skip_space_right(text, span.end);
      span.end = space_end;
    }
    if (done < span.begin) parts.push_back({{done, span.begin}, nullptr});
    parts.push_back({span, &token});
    done = span.end;
  }
  if (done < text.size()) parts.push_back({{done, text.size()}, nullptr});
  return parts;
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace moexray
