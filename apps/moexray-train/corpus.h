#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "moexray/runtime/training.h"
#include "moexray/text/tokenizer.h"

namespace moexray::train {

/// The categories of the corpus, in the order in which they are read.
inline const std::vector<std::string> categories = {"code", "math", "story", "factual"};

/// A record of the corpus: a text, or an instruction and its answer.
struct CorpusRecord {
  std::string prompt;  ///< empty: `text` stands alone
  std::string text;
};

/// Which records of a category are used.
struct RecordSelection {
  /// Only instructions whose answers have at least this many bytes; 0: everything.
  std::size_t min_answer_bytes = 0;
  std::size_t max_records = 0;  ///< that many of them, evenly spaced; 0: all
};

/// Reads `CORPUS/SPLIT/CATEGORY.jsonl.zst`, record by record.
/// @throws Error (data) naming file and line.
void for_each_record(const std::filesystem::path& corpus, const std::string& split,
                     const std::string& category,
                     const std::function<void(const CorpusRecord&)>& visit);

/// The selected records of one category, in the order of the file.
/// @throws Error (data) naming file and line.
std::vector<CorpusRecord> read_records(const std::filesystem::path& corpus,
                                       const std::string& split, const std::string& category,
                                       const RecordSelection& selection);

/// The selected records of one category as token documents. A text becomes BOS text EOS; an
/// instruction becomes the chat template's rendering of it (which starts with BOS), the answer and
/// EOS.
TokenDocuments tokenize_records(const std::filesystem::path& corpus, const std::string& split,
                                const std::string& category, const Tokenizer& tokenizer,
                                const RecordSelection& selection = {});

}  // namespace moexray::train
