#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "importer.h"
#include "moexray/trace/prompts.h"

namespace moexray::imports {

/// The prompts that records belong to: by their ids, or by their order where that is asked for.
class PromptJoin {
 public:
  /// Reads the prompts that the options name: a prompts file, or the input of a batch
  /// (`custom_id` and `body`). Without one every record is its own prompt.
  /// @throws Error (data).
  explicit PromptJoin(const ImportOptions& options);

  bool has_prompts() const { return has_prompts_; }

  /// The prompt of a record, whose id is made unique by the record's suffix; what the prompts say
  /// of numbers of tokens, where the record does not, goes to the record.
  /// @throws Error (data) if there is none, if it has a record already, or if token ids or text of
  /// the record are those of another prompt.
  Prompt take(RecordedPrompt& record);

  /// Checks that every prompt has a record. @throws Error (data) that names those without.
  void check_all_found() const;

 private:
  struct Row {
    Prompt prompt;
    std::vector<TokenId> token_ids;  ///< of the prompt, if its line has them
    std::int64_t n_prompt_tokens = -1;
    std::int64_t n_generated_tokens = -1;
    bool is_found = false;
  };

  std::size_t find(const RecordedPrompt& record);
  void verify(const Row& row, const RecordedPrompt& record) const;

  const ImportOptions& options_;
  bool has_prompts_ = false;
  std::vector<Row> rows_;
  std::map<std::string, std::size_t, std::less<>> row_of_id_;
  std::size_t n_taken_ = 0;                  // records, in order
  std::map<std::string, std::string> seen_;  // ids of the trace, and where they came from
};

}  // namespace moexray::imports
