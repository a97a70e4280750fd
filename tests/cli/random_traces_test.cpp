// Random small traces through every analysis command. `random_traces_test --traces=3000` tries more
// than the 200 of the test; `--first=N` begins at the trace of that number, to see one again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/run_command.h"
#include "command.h"
#include "random_trace.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;

int n_traces = 200;
int first_trace = 0;
constexpr int n_parts = 4;  // tests that can run side by side

// The commands that read traces.
std::vector<const app::Command*> analysis_commands() {
  std::vector<const app::Command*> commands;
  for (const app::Command& command : app::command_table()) {
    const bool reads_traces =
        std::any_of(command.positionals.begin(), command.positionals.end(),
                    [](const app::Positional& p) { return p.name == "TRACES"; });
    if (reads_traces) commands.push_back(&command);
  }
  return commands;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// JSON is strict: a parser of it refuses NaN and Infinity.
void expect_json(const std::string& text, const std::string& what) {
  EXPECT_TRUE(nlohmann::json::accept(text)) << what << " is no JSON: " << text.substr(0, 300);
}

// No number that is none is shown as one: no word is "nan" or "inf", with or without a sign.
void expect_no_nan(const std::string& text, const std::string& what) {
  const auto is_letter = [&](std::size_t i) {
    return i < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[i])) != 0 || text[i] == '_');
  };
  for (const std::string_view word : {"nan", "NaN", "inf", "Infinity", "infinity"}) {
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
      const bool whole = (at == 0 || !is_letter(at - 1)) && !is_letter(at + word.size());
      EXPECT_FALSE(whole) << what << " shows " << word << ": "
                          << text.substr(at < 80 ? 0 : at - 80, 160);
      if (whole) return;
    }
  }
}

class Trial {
 public:
  explicit Trial(int number)
      : random_(static_cast<std::uint64_t>(number), "random trace"),
        trace_(write_random_trace(place_.path() / "trace", random_)) {}

  // The analysis of everything, and some of the other commands.
  void run() {
    const auto commands = analysis_commands();
    for (const app::Command* command : commands) {
      if (command->name == "analyze" || random_.below(3) == 0) run(*command);
      if (testing::Test::HasFailure()) return;
    }
  }

 private:
  void run(const app::Command& command) {
    const fs::path work = place_.path() / "work";
    fs::create_directory(work);
    const std::vector<std::string> words = random_words(command, trace_, work, random_);
    SCOPED_TRACE("moexray " + joined(words));
    const CommandResult result = run_moexray(words);
    EXPECT_TRUE(result.exit_code >= 0 && result.exit_code <= 2) << result.exit_code << result.err;
    EXPECT_EQ(result.err.find("internal error"), std::string::npos) << result.err;
    if (result.exit_code == 0) {
      EXPECT_NE(result.out, "");
    } else {
      EXPECT_NE(result.err, "") << "a silent error";
      EXPECT_EQ(result.out, "");
    }
    check_output(words, result);
    check_files(work, result.exit_code);
    if (random_.below(8) == 0) {
      fs::remove_all(work);
      fs::create_directory(work);
      // The file that --folds-file may name is there again.
      std::ofstream(work / "folds.tsv") << folds_;
      const CommandResult again = run_moexray(words);
      EXPECT_EQ(again.exit_code, result.exit_code);
      EXPECT_EQ(again.out, result.out) << "the same input, not the same bytes";
    }
    fs::remove_all(work);
  }

  void check_output(const std::vector<std::string>& words, const CommandResult& result) {
    const auto json = std::find(words.begin(), words.end(), "--json");
    if (result.exit_code == 0 && json != words.end() && json[1] == "-") {
      expect_json(result.out, "standard output");
    } else {
      expect_no_nan(result.out, "standard output");
    }
    expect_no_nan(result.err, "standard error");
  }

  // Whatever lies there was asked for and is whole.
  void check_files(const fs::path& work, int exit_code) {
    folds_.clear();
    for (const auto& entry : fs::recursive_directory_iterator(work)) {
      const std::string name = entry.path().filename();
      EXPECT_EQ(name.find(".tmp"), std::string::npos) << "left behind: " << name;
      if (name == "folds.tsv" && entry.path().parent_path() == work) {
        folds_ = file_content(entry.path());
        continue;
      }
      EXPECT_EQ(exit_code, 0) << "a run that failed left " << name;
      if (!entry.is_regular_file()) continue;
      const std::string content = file_content(entry.path());
      EXPECT_NE(content, "") << name;
      if (name.ends_with(".json")) expect_json(content, name);
      if (name.ends_with(".html")) expect_no_nan(content, name);
      if (name.ends_with(".svg")) {
        EXPECT_EQ(content.find("\"nan\""), std::string::npos) << name;
        EXPECT_EQ(content.find("\"inf\""), std::string::npos) << name;
      }
    }
  }

  TemporaryDirectory place_;
  RandomStream random_;
  RandomTrace trace_;
  std::string folds_;
};

class RandomTraces : public testing::TestWithParam<int> {};

TEST_P(RandomTraces, NeverCrashStayNeverSilentAndGiveNumbers) {
  // Programs that figures are drawn with take longer than all the rest, and have tests of their
  // own: only some traces find them.
  const char* path = std::getenv("PATH");
  const std::string all_programs = path == nullptr ? "" : path;
  for (int i = GetParam(); i < n_traces; i += n_parts) {
    const int number = first_trace + i;
    SCOPED_TRACE("random trace " + std::to_string(number) + ": --first=" + std::to_string(number) +
                 " --traces=1");
    ::setenv("PATH", number % 40 == 0 ? all_programs.c_str() : "/nonexistent", 1);
    Trial(number).run();
    if (HasFailure()) break;
  }
  ::setenv("PATH", all_programs.c_str(), 1);
}

INSTANTIATE_TEST_SUITE_P(Parts, RandomTraces, testing::Range(0, n_parts));

// --NAME=N among the arguments.
void read_option(std::string_view argument, std::string_view name, int& value) {
  if (!argument.starts_with(name)) return;
  value = std::max(0, std::atoi(std::string(argument.substr(name.size())).c_str()));
}

}  // namespace
}  // namespace moexray::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    moexray::test::read_option(argv[i], "--traces=", moexray::test::n_traces);
    moexray::test::read_option(argv[i], "--first=", moexray::test::first_trace);
  }
  return RUN_ALL_TESTS();
}
