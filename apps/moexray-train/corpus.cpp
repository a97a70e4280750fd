#include "corpus.h"

#include <zstd.h>

#include <memory>

#include "core/json/json.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/text/chat_template.h"

namespace moexray::train {
namespace {

constexpr std::uint64_t max_compressed_bytes = std::uint64_t{1} << 30;
constexpr std::size_t max_line_bytes = std::size_t{16} << 20;

// Calls `visit(line)` for the lines of a zstd-compressed text.
void for_each_line(const std::string& compressed, const std::string& where,
                   const std::function<void(std::string_view)>& visit) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  std::string block(ZSTD_DStreamOutSize(), '\0'), pending;
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  std::size_t left = 1;
  while (in.pos < in.size || left == 0) {
    ZSTD_outBuffer out{block.data(), block.size(), 0};
    left = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(left))
      throw Error(ErrorKind::data, {"damaged zstd data", where, {}, ZSTD_getErrorName(left)});
    pending.append(block, 0, out.pos);
    std::size_t begin = 0;
    for (std::size_t end = pending.find('\n'); end != std::string::npos;
         end = pending.find('\n', begin)) {
      visit(std::string_view(pending).substr(begin, end - begin));
      begin = end + 1;
    }
    pending.erase(0, begin);
    if (pending.size() > max_line_bytes)
      throw Error(ErrorKind::data, {"line longer than 16 MB", where, {}, {}});
    if (left == 0 && in.pos == in.size) break;
  }
  if (left != 0) throw Error(ErrorKind::data, {"truncated zstd data", where, {}, {}});
  if (!pending.empty()) visit(pending);
}

CorpusRecord parse_record(std::string_view line, const std::string& where) {
  const auto record = parse_json(line, where);
  CorpusRecord result;
  for (const auto& [key, target] :
       {std::pair{"prompt", &result.prompt}, std::pair{"text", &result.text}}) {
    if (!record.is_object() || !record.contains(key) || !record[key].is_string()) {
      throw Error(ErrorKind::data,
                  {"bad corpus record", where, std::string("a string \"") + key + "\"", {}});
    }
    *target = record[key].get<std::string>();
  }
  return result;
}

}  // namespace

void for_each_record(const std::filesystem::path& corpus, const std::string& split,
                     const std::string& category,
                     const std::function<void(const CorpusRecord&)>& visit) {
  const auto path = corpus / split / (category + ".jsonl.zst");
  std::int64_t n_lines = 0;
  for_each_line(read_file(path, max_compressed_bytes), path.string(), [&](std::string_view line) {
    ++n_lines;
    if (!line.empty()) visit(parse_record(line, path.string() + ":" + std::to_string(n_lines)));
  });
}

std::vector<CorpusRecord> read_records(const std::filesystem::path& corpus,
                                       const std::string& split, const std::string& category,
                                       const RecordSelection& selection) {
  std::vector<CorpusRecord> records;
  for_each_record(corpus, split, category, [&](const CorpusRecord& record) {
    const bool fits = !record.prompt.empty() && record.text.size() >= selection.min_answer_bytes;
    if (selection.min_answer_bytes == 0 || fits) records.push_back(record);
  });
  const std::size_t n = records.size();
  if (selection.max_records == 0 || n <= selection.max_records) return records;
  for (std::size_t i = 0; i < selection.max_records; ++i) {
    std::swap(records[i], records[i * n / selection.max_records]);
  }
  records.resize(selection.max_records);
  return records;
}

TokenDocuments tokenize_records(const std::filesystem::path& corpus, const std::string& split,
                                const std::string& category, const Tokenizer& tokenizer,
                                const RecordSelection& selection) {
  const auto chat = make_chat_template("olmoe", tokenizer);
  const auto eos = tokenizer.id_of(tokenizer.eos_token());
  const auto bos = tokenizer.id_of(tokenizer.bos_token());
  if (!eos || !bos) throw Error(ErrorKind::data, "the tokenizer has no begin or no end token");
  TokenDocuments documents;
  const auto append = [&](const std::vector<TokenId>& ids) {
    documents.tokens.insert(documents.tokens.end(), ids.begin(), ids.end());
  };
  for (const CorpusRecord& record : read_records(corpus, split, category, selection)) {
    if (record.prompt.empty()) {
      documents.tokens.push_back(*bos);
    } else {
      const ChatMessage message{"user", record.prompt};
      append(tokenize_chat(*chat, tokenizer, std::span(&message, 1)).ids);
    }
    append(tokenizer.encode(record.text).ids);
    documents.tokens.push_back(*eos);
    documents.starts.push_back(static_cast<std::int64_t>(documents.tokens.size()));
  }
  return documents;
}

}  // namespace moexray::train
