#include "cli.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "help.h"
#include "joined.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"

namespace moexray::app {
namespace {

std::string quoted_word(std::string_view text) { return '"' + printable(text, 60) + '"'; }

// The whole of `text` as a number, written the same way whatever the locale.
template <typename Number>
std::optional<Number> parse_whole(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// An unset bound is far beyond what any flag means; it is left out of messages.
std::string range_text(const Flag& flag, std::string_view noun) {
  const bool has_min = flag.min > -1e15;
  const bool has_max = flag.max < 1e15;
  std::string text(noun);
  if (has_min && has_max) return text + fmt::format(" from {} to {}", flag.min, flag.max);
  if (has_min) return text + fmt::format(" of at least {}", flag.min);
  if (has_max) return text + fmt::format(" of at most {}", flag.max);
  return text;
}

// Letters added, left out, replaced, or exchanged with their neighbour ("quite" for "quiet").
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);  // the row before the last
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, last);
    std::swap(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substituted});
      const bool is_exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (is_exchanged) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

const Command* find_command(std::string_view name, std::span<const Command> table) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Command& c) { return c.name == name; });
  return found == table.end() ? nullptr : &*found;
}

[[noreturn]] void refuse_command(const std::string& word, std::span<const Command> table) {
  std::vector<std::string> names;
  for (const Command& command : table) names.push_back(command.name);
  const std::string meant = closest_name(word, names);
  const bool is_flag = word.starts_with('-');
  std::string message = is_flag ? "expected a command before " + quoted_word(word)
                                : "unknown command " + quoted_word(word);
  if (!meant.empty()) message += ": did you mean \"" + meant + "\"?";
  throw Error(ErrorKind::usage, message);
}

[[noreturn]] void refuse_word(const Command& command, const std::string& word) {
  if (!word.starts_with("-") || word == "-" || word == "--") {
    throw Error(ErrorKind::usage, "unexpected argument " + quoted_word(word));
  }
  std::vector<std::string> names;
  for (const Flag& flag : command.flags) names.push_back("--" + flag.key());
  for (const Flag& flag : common_flags()) names.push_back("--" + flag.key());
  const std::string meant = closest_name(word.substr(0, word.find('=')), names);
  throw Error(ErrorKind::usage, "unknown flag " + quoted_word(word) +
                                    (meant.empty() ? "" : ": did you mean " + meant + "?"));
}

// CLI11 does the splitting into flags, values and positionals; meaning and limits are checked here.
class Parser {
 public:
  explicit Parser(const Command& command)
      : command_(command), app_(command.description, command.name) {
    app_.set_help_flag();
    app_.allow_extras();
    for (const Flag& flag : command.flags) add(flag);
    for (const Flag& flag : common_flags()) add(flag);
  }

  void run(std::vector<std::string> words) {
    // CLI11 takes whatever follows a flag as its value: only the last flag of a line can lack one.
    const std::string last = words.empty() ? std::string() : words.back();
    words = spread(words);
    std::reverse(words.begin(), words.end());  // as CLI::App::parse takes them
    try {
      app_.parse(std::move(words));
    } catch (const CLI::ArgumentMismatch& error) {
      if (valued_flag(last) != nullptr)
        throw Error(ErrorKind::usage, last + ": a value is missing");
      throw Error(ErrorKind::usage, error.what());
    } catch (const CLI::ParseError& error) {
      throw Error(ErrorKind::usage, error.what());
    }
  }

  // The words that are neither flags of the command nor their values: its positionals. What looks
  // like a flag before a "--" is a mistake.
  std::vector<std::string> positionals() const {
    std::vector<std::string> words;
    bool flags_may_follow = true;
    for (const std::string& word : app_.remaining()) {
      if (flags_may_follow && word == "--") {
        flags_may_follow = false;
      } else if (flags_may_follow && word.starts_with('-') && word != "-") {
        refuse_word(command_, word);
      } else {
        words.push_back(word);
      }
    }
    return words;
  }

  // None if the flag was not given.
  std::vector<std::string> values(const Flag& flag) const {
    const CLI::Option* option = app_.get_option("--" + flag.key());
    if (option->count() == 0) return {};
    if (flag.type == FlagType::on_off) return {"true"};
    if (option->count() > 1 && flag.type != FlagType::texts && !flag.repeated) {
      throw Error(ErrorKind::usage, "--" + flag.key() + ": given more than once");
    }
    return option->results();
  }

  // How many values a flag of several texts had each time it was given.
  const std::vector<std::size_t>& group_sizes(const Flag& flag) { return group_sizes_[flag.key()]; }

 private:
  // The flag that takes a value and is called so; null: there is none.
  const Flag* valued_flag(std::string_view word) const {
    const auto is_it = [&](const Flag& flag) {
      const std::string short_form = flag.name.substr(0, flag.name.find(','));
      return flag.type != FlagType::on_off && (word == "--" + flag.key() || word == short_form);
    };
    const auto found = std::find_if(command_.flags.begin(), command_.flags.end(), is_it);
    return found == command_.flags.end() ? nullptr : &*found;
  }

  // A flag of several texts before each of them: CLI11 would look for lists in the texts.
  std::vector<std::string> spread(const std::vector<std::string>& words) {
    std::vector<std::string> result;
    std::string flag;          // whose texts these are
    bool needs_value = false;  // the word before is a flag that this one is the value of
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      if (needs_value) {
        needs_value = false;
      } else if (word == "--") {
        result.insert(result.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
        break;
      } else if (word.starts_with('-') && word != "-") {
        const Flag* named = valued_flag(word.substr(0, word.find('=')));
        needs_value = named != nullptr && word.find('=') == std::string::npos;
        const bool takes_several = named != nullptr && named->type == FlagType::texts;
        flag = takes_several ? "--" + named->key() : "";
        if (takes_several) group_sizes_[named->key()].push_back(1);
      } else if (!flag.empty()) {
        result.push_back(flag);
        ++group_sizes_[flag.substr(2)].back();
      }
      result.push_back(word);
    }
    return result;
  }

  void add(const Flag& flag) {
    if (flag.type == FlagType::on_off) {
      app_.add_flag(flag.name)->disable_flag_override()->multi_option_policy(
          CLI::MultiOptionPolicy::TakeLast);
    } else {
      app_.add_option(flag.name, values_[flag.key()])
          ->allow_extra_args(false)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
  }

  const Command& command_;
  CLI::App app_;
  std::map<std::string, std::string> values_;
  std::map<std::string, std::vector<std::size_t>> group_sizes_;
};

void check_positionals(const Command& command, const std::vector<std::string>& given) {
  std::size_t n_required = 0;
  bool repeated = false;
  for (const Positional& positional : command.positionals) {
    n_required += positional.required ? 1 : 0;
    repeated = repeated || positional.repeated;
  }
  if (given.size() < n_required) {
    throw Error(ErrorKind::usage, "missing argument " + command.positionals[given.size()].name);
  }
  if (!repeated && given.size() > command.positionals.size())
    refuse_word(command, given[command.positionals.size()]);
  for (std::size_t i = 0; i < std::min(given.size(), command.positionals.size()); ++i) {
    const Positional& positional = command.positionals[i];
    const std::vector<std::string>& choices = positional.choices;
    if (choices.empty() || std::find(choices.begin(), choices.end(), given[i]) != choices.end()) {
      continue;
    }
    throw Error(ErrorKind::usage, {"wrong value", positional.name,
                                   "one of " + joined(choices, ", "), quoted_word(given[i])});
  }
}

}  // namespace

std::span<const Flag> common_flags() {
  static const std::vector<Flag> flags = {
      {.name = "-q,--quiet",
       .type = FlagType::on_off,
       .help = "no progress and no notices on stderr"},
      {.name = "-h,--help", .type = FlagType::on_off, .help = "print this help"},
  };
  return flags;
}

std::string closest_name(std::string_view word, std::span<const std::string> names) {
  std::string best;
  std::size_t best_distance =
      word.size() < 4 ? 2 : std::clamp<std::size_t>(word.size() / 3, 2, 3) + 1;
  if (word.size() > 64) return best;
  for (const std::string& name : names) {
    const std::size_t distance = edit_distance(word, name);
    if (distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  if (!best.empty()) return best;
  // A beginning that fits one name only.
  std::size_t n_fits = 0;
  for (const std::string& name : names) {
    if (word.size() >= 4 && name.starts_with(word)) {
      best = name;
      ++n_fits;
    }
  }
  return n_fits == 1 ? best : std::string();
}

void check_flag_value(const Flag& flag, std::string_view value) {
  const auto refuse = [&](std::string expected) {
    throw Error(ErrorKind::usage,
                {"wrong value", "--" + flag.key(), std::move(expected), quoted_word(value)});
  };
  switch (flag.type) {
    case FlagType::on_off:
      return;
    case FlagType::text:
    case FlagType::texts:
      if (value.empty()) refuse("a value that is not empty");
      if (value.find('\0') != std::string_view::npos) refuse("a text");
      return;
    case FlagType::integer: {
      const auto number = parse_whole<std::int64_t>(value);
      const auto as_double = static_cast<double>(number.value_or(0));
      if (!number || as_double < flag.min || as_double > flag.max)
        refuse(range_text(flag, "an integer"));
      return;
    }
    case FlagType::number: {
      const auto number = parse_whole<double>(value);
      if (!number || !std::isfinite(*number) || *number < flag.min || *number > flag.max) {
        refuse(range_text(flag, "a number"));
      }
      return;
    }
    case FlagType::choice:
      if (std::find(flag.choices.begin(), flag.choices.end(), value) == flag.choices.end()) {
        refuse("one of " + joined(flag.choices, ", "));
      }
      return;
  }
}

Arguments CommandLine::parse_arguments(const Command& command, std::vector<std::string> words,
                                       bool& help) {
  Parser parser(command);
  parser.run(std::move(words));
  Arguments arguments;
  const auto take = [&](const Flag& flag) {
    auto values = parser.values(flag);
    if (!values.empty()) arguments.given_[flag.key()] = std::move(values);
    if (flag.type == FlagType::texts && flag.repeated) {
      arguments.group_sizes_[flag.key()] = parser.group_sizes(flag);
    }
    if (!flag.default_value.empty()) arguments.defaults_[flag.key()] = {flag.default_value};
  };
  for (const Flag& flag : command.flags) take(flag);
  for (const Flag& flag : common_flags()) take(flag);
  help = arguments.on("help");
  if (help) return arguments;
  arguments.positionals_ = parser.positionals();
  for (const Flag& flag : command.flags) {
    if (!arguments.given(flag.key())) continue;
    for (const std::string& value : arguments.texts(flag.key())) check_flag_value(flag, value);
  }
  check_positionals(command, arguments.positionals_);
  return arguments;
}

std::string CommandLine::command_name(const std::vector<std::string>& words,
                                      std::span<const Command> table) {
  const Command* command = words.empty() ? nullptr : find_command(words.front(), table);
  return command == nullptr ? std::string() : command->name;
}

Invocation CommandLine::parse(const std::vector<std::string>& words, std::span<const Command> table,
                              std::size_t width) {
  if (words.empty()) throw Error(ErrorKind::usage, "expected a command");
  const std::string& first = words.front();
  if (first == "--version" || first == "-V") return {.text = version_text()};
  if (first == "--help" || first == "-h" || (first == "help" && words.size() == 1)) {
    return {.text = program_help(table, width)};
  }
  const std::string& name = first == "help" ? words[1] : first;
  const Command* command = find_command(name, table);
  if (command == nullptr) refuse_command(name, table);
  if (first == "help") return {.text = command_help(*command, width)};
  bool help = false;
  Arguments arguments = parse_arguments(*command, {words.begin() + 1, words.end()}, help);
  if (help) return {.text = command_help(*command, width)};
  const bool quiet = arguments.on("quiet");
  return {.command = command, .arguments = std::move(arguments), .quiet = quiet};
}

bool Arguments::given(std::string_view key) const { return given_.find(key) != given_.end(); }

bool Arguments::has(std::string_view key) const {
  return given(key) || defaults_.find(key) != defaults_.end();
}

const std::string& Arguments::text(std::string_view key) const { return texts(key).front(); }

const std::vector<std::string>& Arguments::texts(std::string_view key) const {
  if (const auto found = given_.find(key); found != given_.end()) return found->second;
  const auto found = defaults_.find(key);
  if (found == defaults_.end())
    throw Error(ErrorKind::runtime, {"no value", "--" + std::string(key), {}, {}});
  return found->second;
}

std::vector<std::vector<std::string>> Arguments::groups(std::string_view key) const {
  const std::vector<std::string>& all = texts(key);
  const auto sizes = group_sizes_.find(key);
  if (sizes == group_sizes_.end() || !given(key)) return {all};
  std::vector<std::vector<std::string>> groups;
  auto next = all.begin();
  for (const std::size_t size : sizes->second) {
    groups.emplace_back(next, next + static_cast<std::ptrdiff_t>(size));
    next += static_cast<std::ptrdiff_t>(size);
  }
  return groups;
}

std::int64_t Arguments::integer(std::string_view key) const {
  const auto value = parse_whole<std::int64_t>(text(key));
  if (!value)
    throw Error(ErrorKind::usage,
                {"wrong value", "--" + std::string(key), "an integer", quoted_word(text(key))});
  return *value;
}

double Arguments::number(std::string_view key) const {
  const auto value = parse_whole<double>(text(key));
  if (!value)
    throw Error(ErrorKind::usage,
                {"wrong value", "--" + std::string(key), "a number", quoted_word(text(key))});
  return *value;
}

}  // namespace moexray::app
