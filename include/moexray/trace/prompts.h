#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <istream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moexray {

/// One turn of a conversation, as the prompts file gives it.
struct PromptMessage {
  std::string role;
  std::string content;
};

/// A prompt of a prompts file.
struct Prompt {
  std::string id;                       ///< as given, or "line-N"
  std::string category;                 ///< empty: none given
  std::string text;                     ///< empty if and only if there are messages
  std::vector<PromptMessage> messages;  ///< stand in place of `text`
  std::string meta_json = "{}";         ///< the line's other keys, a JSON object, keys sorted
  std::int64_t line = 0;                ///< in its file, from 1
};

/// The prompts of one file.
struct PromptSet {
  std::vector<Prompt> prompts;  ///< in file order
  /// SHA-256 over the content (id, category, text or messages, meta) of all prompts of the file in
  /// order, whatever part of them is selected afterwards: the shards of a run share it, white space
  /// does not change it.
  std::string sha256;
};

/// Which keys of a line hold what. All other keys go to `meta`.
struct PromptReadOptions {
  std::string prompt_key = "prompt";
  std::string id_key = "id";
  std::string category_key = "category";
};

/// Reads a JSON Lines file of prompts. A line is an object with a string under `prompt_key`, or an
/// array of {"role","content"} there or under "messages" (other keys of a message are ignored), and
/// optionally an id and a category: strings, or integers, which are taken as their decimal text.
/// Blank lines are skipped and counted. The members of an object "meta" are merged with the line's
/// other keys. Lines have at most 16 MB and a depth of 64; ids and categories at most 256 bytes and
/// no control characters.
/// @throws Error (data) that lists all failures with their lines (20 of them, and the number of the
/// rest).
PromptSet read_prompts(const std::filesystem::path& path, const PromptReadOptions& options = {});

/// The same from a stream; `name` stands for the file in errors.
PromptSet read_prompts(std::istream& in, std::string_view name,
                       const PromptReadOptions& options = {});

/// A set of one prompt, "line-1", with this text.
/// @throws Error (data) if the text is empty or not valid UTF-8.
PromptSet single_prompt(std::string_view text);

/// Part I of N of a prompt set: 0 ≤ index < count.
struct Shard {
  int index = 0;
  int count = 1;

  bool operator==(const Shard&) const = default;
};

/// The half-open range [begin, end) of prompts.
struct PromptRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// The prompts that a shard traces: of the first `limit` ones (0: all) the I-th of N consecutive
/// blocks, ⌊I·n/N⌋ … ⌊(I+1)·n/N⌋ − 1, so that the shards in order give the prompts in the order of
/// one run.
/// @throws Error (usage) unless 0 ≤ index < count.
PromptRange select_prompts(std::size_t n_prompts, std::size_t limit, const Shard& shard);

}  // namespace moexray
