#pragma once

#include <cstddef>
#include <string_view>

namespace moexray {

/// The regular expression of GPT-2's pre-tokenizer, the one that is matched without libonig.
inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// The end of the word that starts at `begin` < text.size(): the first match of `gpt2_pattern`
/// there. The pattern matches at every position, so that words cover the text. `text` is
/// well-formed UTF-8.
std::size_t end_of_gpt2_word(std::string_view text, std::size_t begin);

}  // namespace moexray
