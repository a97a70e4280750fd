#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "commands.h"
#include "console.h"
#include "core/json/json.h"
#include "moexray/checkpoint/locate.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/runtime/modules.h"
#include "open_tokenizer.h"

namespace moexray::app {
namespace {

using Json = nlohmann::json;

constexpr std::size_t max_line_bytes = 16'000'000;
constexpr int id_width = 8;

// Reads stdin line by line, never holding more than one line and a buffer.
class StandardInput {
 public:
  explicit StandardInput(Console& console) : console_(console) {}

  // The next line without its end; false at the end of the input.
  bool next(std::string& line) {
    line.clear();
    ++line_number_;
    while (true) {
      const auto end = buffer_.find('\n', pos_);
      const auto n_taken = std::min(end, buffer_.size()) - pos_;
      if (line.size() + n_taken > max_line_bytes) {
        throw Error(
            ErrorKind::data,
            {"line too long", where(), "at most " + std::to_string(max_line_bytes) + " bytes", {}});
      }
      line.append(buffer_, pos_, n_taken);
      pos_ += n_taken;
      if (end != std::string::npos) {
        ++pos_;
        return true;
      }
      if (!fill()) return !line.empty();
    }
  }

  // Everything that is left, its line ends included.
  std::string rest() {
    std::string text;
    do {
      text.append(buffer_, pos_);
      pos_ = buffer_.size();
      if (text.size() > max_line_bytes) {
        throw Error(ErrorKind::data, {"text too long",
                                      "standard input",
                                      "at most " + std::to_string(max_line_bytes) + " bytes",
                                      {}});
      }
    } while (fill());
    return text;
  }

  std::string where() const { return "standard input:" + std::to_string(line_number_); }

 private:
  bool fill() {
    constexpr std::size_t block_bytes = 1 << 16;
    buffer_.resize(block_bytes);
    pos_ = 0;
    while (true) {
      if (console_.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
      const ssize_t n_read = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
      if (n_read < 0 && errno == EINTR) continue;
      if (n_read < 0) {
        throw Error(ErrorKind::runtime,
                    {"cannot read", "standard input", {}, std::strerror(errno)});
      }
      buffer_.resize(static_cast<std::size_t>(n_read));
      return n_read > 0;
    }
  }

  Console& console_;
  std::string buffer_;
  std::size_t pos_ = 0;
  std::size_t line_number_ = 0;
};

// Runs `work`, telling in its errors that they are about `where`.
template <typename Work>
auto located(const std::string& where, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    ErrorParts parts = error.parts();
    parts.where = parts.where.empty() ? where : where + ": " + parts.where;
    throw Error(error.kind(), std::move(parts));
  }
}

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  std::vector<std::string> pieces;
  pieces.reserve(ids.size());
  for (const TokenId id : ids) pieces.push_back(tokenizer.piece(id));
  return pieces;
}

void print_table(const Tokenizer& tokenizer, std::string_view text, Console& console) {
  const Encoding encoding = tokenizer.encode(text);
  std::string lines;
  for (const TokenId id : encoding.ids) {
    const std::string number = std::to_string(id);
    lines.append(number.size() < id_width ? id_width - number.size() : 0, ' ');
    lines += number + "  " + printable(tokenizer.piece(id)) + "\n";
  }
  console.print(lines);
  console.notice(counted(std::ssize(encoding.ids), "token"));
}

Json parse_line(const std::string& line) {
  Json json = parse_json(line, {});
  if (!json.is_object()) throw Error(ErrorKind::data, {"not a JSON object", {}, "an object", {}});
  return json;
}

std::string encode_line(const Tokenizer& tokenizer, const std::string& line) {
  const Json json = parse_line(line);
  const auto text = json.find("text");
  if (text == json.end() || !text->is_string()) {
    throw Error(ErrorKind::data, {"no text", "key \"text\"", "a string", {}});
  }
  const Encoding encoding = tokenizer.encode(text->get_ref<const std::string&>());
  nlohmann::ordered_json result;
  result["ids"] = encoding.ids;
  result["tokens"] = pieces_of(tokenizer, encoding.ids);
  return result.dump() + "\n";
}

std::string decode_line(const Tokenizer& tokenizer, const std::string& line) {
  const Json json = parse_line(line);
  const auto list = json.find("ids");
  if (list == json.end() || !list->is_array()) {
    throw Error(ErrorKind::data, {"no ids", "key \"ids\"", "an array of numbers", {}});
  }
  std::vector<TokenId> ids;
  for (const Json& id : *list) {
    if (!id.is_number_integer() || id < 0 || id >= tokenizer.vocab_size()) {
      throw Error(ErrorKind::data,
                  {"token id outside the vocabulary", "key \"ids\"",
                   "0 to " + std::to_string(tokenizer.vocab_size() - 1), id.dump()});
    }
    ids.push_back(id.get<TokenId>());
  }
  return Json{{"text", tokenizer.decode(ids, false)}}.dump() + "\n";
}

void run(const Arguments& arguments, Console& console) {
  const bool decodes = arguments.on("decode");
  const auto& words = arguments.positionals();
  if (decodes && arguments.on("jsonl")) {
    throw Error(ErrorKind::usage, "--jsonl encodes and --decode decodes: choose one");
  }
  if ((decodes || arguments.on("jsonl")) && !words.empty()) {
    throw Error(ErrorKind::usage, "--jsonl and --decode read standard input and take no TEXT");
  }
  const std::filesystem::path model = arguments.has("model")
                                          ? find_checkpoint(arguments.text("model"))
                                          : data_directory() / "models/mini-olmoe";
  const auto tokenizer = open_tokenizer_of(model, console);

  StandardInput input(console);
  if (decodes || arguments.on("jsonl")) {
    std::string line;
    while (input.next(line)) {
      console.print(located(input.where(), [&] {
        return decodes ? decode_line(*tokenizer, line) : encode_line(*tokenizer, line);
      }));
      if (console.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
    }
    return;
  }
  if (words.empty()) {
    const std::string text = input.rest();
    located("standard input", [&] { print_table(*tokenizer, text, console); });
    return;
  }
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  print_table(*tokenizer, text, console);
}

}  // namespace

Command tokenize_command() {
  return {
      .name = "tokenize",
      .group = CommandGroup::tool,
      .summary = "Text to token ids and pieces, and back",
      .description =
          "Encodes text with the tokenizer of a checkpoint, for checking a tokenizer against "
          "another "
          "one. Prints a line per token: its id and its piece as the vocabulary spells it. No "
          "begin or "
          "end token and no chat template is added. TEXT words are joined by single spaces; "
          "without "
          "TEXT the whole standard input is one text, its last line end included.",
      .positionals = {{.name = "TEXT", .help = "the text", .required = false, .repeated = true}},
      .flags =
          {
              {.name = "--model",
               .value_name = "DIR",
               .help = "checkpoint with tokenizer.json (byte-pair encoding) or tokenizer.model "
                       "(SentencePiece) (default: the bundled model)"},
              {.name = "--jsonl",
               .type = FlagType::on_off,
               .help = "read lines {\"text\":…}, write lines {\"ids\":[…],\"tokens\":[…]}"},
              {.name = "--decode",
               .type = FlagType::on_off,
               .help = "read lines {\"ids\":[…]}, write lines {\"text\":…}"},
          },
      .examples = {{"moexray tokenize \"Hello, world\"", "the bundled model's tokens of a text"},
                   {"moexray tokenize --model OLMoE-1B-7B-0125-Instruct --jsonl < texts.jsonl",
                    "many texts, for other programs"}},
      .run = run,
  };
}

}  // namespace moexray::app
