// What --force and unusual places do to an output directory, and to what else is in it.

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class OutputSafety : public testing::Test {
 protected:
  CommandResult run(std::vector<std::string> words, const fs::path& from = {}) const {
    words.insert(words.begin() + 1, small_trace());
    return run_moexray(words,
                       {.input = {}, .working_directory = from.empty() ? place_.path() : from});
  }
  // The words of a failing command, and what it says.
  void expect_refusal(const std::vector<std::string>& words, std::string_view part) const {
    const CommandResult result = run(words);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((place_.path() / name).parent_path());
    std::ofstream(place_.path() / name) << text;
  }
  std::string read(const std::string& name) const { return file_content(place_.path() / name); }
  bool is_complete(const std::string& name) const {
    return json::parse(read(name + "/outputs.json")).at("complete");
  }
  // Runs moexray in a shell that may mount file systems; 77: that is not allowed here.
  CommandResult run_mounted(const std::string& script, const std::string& arguments) const {
    return run_command({"unshare", "--map-root-user", "--mount", "sh", "-c",
                        "mount -t tmpfs none . && cd \"$PWD\" || exit 77\n" + script +
                            " || exit 77\n'" + program_path().string() + "' similarity '" +
                            small_trace().string() + "' " + arguments},
                       {.input = {}, .working_directory = place_.path()});
  }

  TemporaryDirectory place_;
};

TEST_F(OutputSafety, ForceKeepsTheFilesOfTheUser) {
  ASSERT_EQ(run({"similarity", "-o", "out"}).exit_code, 0);
  for (const char* name : {"out/notes.txt", "out/sub/data.txt", "out/.git/HEAD"}) {
    write(name, "mine");
  }
  ASSERT_EQ(run({"similarity", "-o", "out", "--force"}).exit_code, 0);
  for (const char* name : {"out/notes.txt", "out/sub/data.txt", "out/.git/HEAD"}) {
    EXPECT_EQ(read(name), "mine");
  }
  write("out/fig1_similarity.svg", "redrawn by hand");
  expect_refusal({"similarity", "-o", "out", "--force"},
                 "fig1_similarity.svg (changed since moexray wrote it)");
  EXPECT_EQ(read("out/fig1_similarity.svg"), "redrawn by hand");
}

TEST_F(OutputSafety, ForceReplacesOnlyResultsOfTheSameCommand) {
  ASSERT_EQ(run({"layers", "-o", "out"}).exit_code, 0);
  const auto files = directory_contents(place_.path() / "out");
  expect_refusal({"layers", "-o", "out"}, "--force to replace it, found results of moexray layers");
  expect_refusal({"similarity", "-o", "out", "--force"}, "results of moexray layers (fig3_layers.");
  EXPECT_EQ(directory_contents(place_.path() / "out"), files);
}

TEST_F(OutputSafety, OfADirectoryThatHoldsOtherThings) {
  write("out/thesis.txt", "years of work");
  expect_refusal({"similarity", "-o", "out"}, "files that moexray did not write: thesis.txt");
  EXPECT_EQ(run({"similarity", "-o", "out", "--force"}).exit_code, 0);
  EXPECT_EQ(read("out/thesis.txt"), "years of work");
  write("taken/labels.tsv", "mine");
  expect_refusal({"signatures", "-o", "taken", "--force"},
                 "labels.tsv (not written by moexray): expected these files moved away");
  EXPECT_EQ(read("taken/labels.tsv"), "mine");
  EXPECT_EQ(std::distance(fs::directory_iterator(place_.path() / "taken"), {}), 1);
}

TEST_F(OutputSafety, IntoTheCurrentDirectory) {
  const fs::path here = place_.path() / "here";
  fs::create_directory(here);
  for (const char* force : {"--quiet", "--force"}) {
    const CommandResult result = run({"similarity", "-o", ".", force}, here);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(fs::exists(here / "report.json"));
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(place_.path()), {}), 1);
}

TEST_F(OutputSafety, AFigureThatIsNoLongerDrawnGoes) {
  const fs::path trace = place_.path() / "t";
  write_tiny_trace(trace, 2, {{"p", "a", {0, 1}}, {"q", "a", {0, 0}}, {"r", "b", {1, 1}}});
  const auto out = place_.path() / "out";
  ASSERT_EQ(run_moexray({"analyze", trace, "-o", out}).exit_code, 0);
  EXPECT_TRUE(fs::exists(out / "fig3_layers.tsv"));
  write_tiny_trace(trace, 2, {{"p", "", {0, 1}}, {"q", "a", {0, 0}}});
  ASSERT_EQ(run_moexray({"analyze", trace, "-o", out, "--force"}).exit_code, 0);
  for (const auto& entry : fs::directory_iterator(out)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("fig3_layers")) << entry.path();
  }
}

TEST_F(OutputSafety, OnAMountPointBelowADirectoryThatCannotBeWritten) {
  const CommandResult result =
      run_mounted("mkdir out && mount -t tmpfs none out && mount -o remount,ro .",
                  "-o out --quiet && ls out && touch new");
  if (result.exit_code == 77) GTEST_SKIP() << "no file system can be mounted here";
  EXPECT_NE(result.out.find("outputs.json\nreport.json\n"), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("Read-only"), std::string::npos) << "the directory above is writable";
  // And one that cannot be written itself is known before the work.
  const CommandResult refused =
      run_mounted("mkdir out && mount -o remount,ro .", "-o out/new --quiet");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("out: cannot write: Read-only"), std::string::npos) << refused.err;
}

TEST_F(OutputSafety, OnAFullDisk) {
  const CommandResult result =
      run_mounted("mkdir out && mount -t tmpfs -o size=16k none out && echo mine >out/notes.txt",
                  "-o out --force --quiet; echo status $?; ls -A out; cat out/notes.txt");
  if (result.exit_code == 77) GTEST_SKIP() << "no file system can be mounted here";
  EXPECT_EQ(result.out, "status 1\nnotes.txt\nmine\n") << result.err;
  EXPECT_NE(result.err.find("No space left on device"), std::string::npos) << result.err;
}

TEST_F(OutputSafety, AKilledRunIsMendedByForce) {
  const fs::path list = place_.path() / "out" / "outputs.json";
  std::vector<std::string> words{program_path(), "analyze", small_trace(), "-o", "out",
                                 "--folds",      "4"};
  bool was_unfinished = false;
  for (int i = 0; i < 3; ++i) {
    RunningCommand running(words, {.input = {}, .working_directory = place_.path()});
    while (!fs::exists(list) || (i > 0 && is_complete("out"))) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    running.send_signal(SIGKILL);
    running.wait();
    was_unfinished = was_unfinished || !is_complete("out");
    if (i == 0) {
      expect_refusal({"analyze", "-o", "out"}, "unfinished results of moexray analyze");
      words.emplace_back("--force");
    }
    ASSERT_EQ(run({"analyze", "-o", "out", "--force", "--folds", "4"}).exit_code, 0);
    EXPECT_TRUE(is_complete("out"));
    for (const auto& entry : fs::directory_iterator(place_.path() / "out")) {
      EXPECT_EQ(entry.path().string().find("tmp-"), std::string::npos) << entry.path();
    }
  }
  EXPECT_TRUE(was_unfinished);
}

TEST_F(OutputSafety, InputIsLookedAtFirst) {
  write("out/notes.txt", "mine");
  write("r.json", "mine");
  for (const std::string command :
       {"analyze", "signatures", "similarity", "baselines", "layers", "stats", "project",
        "classify", "confounds", "information", "experts", "load"}) {
    for (const char* output : {"-o", "--json"}) {
      const std::string target = output[1] == 'o' ? "out" : "r.json";
      expect_failure({command, place_.path() / "none", output, place_.path() / target}, 1,
                     "none: no such directory");
    }
    expect_failure({command, place_.path() / "none", "-o", place_.path() / "new"}, 1, "none");
  }
  expect_failure({"show", "x", place_.path() / "none", "--json", place_.path() / "r.json"}, 1,
                 "none: no such directory");
  expect_failure({"show", "x", small_trace(), "--json", place_.path() / "r.json"}, 1, "\"x\"");
  expect_failure({"model", place_.path() / "none", "--json", place_.path() / "r.json"}, 1, "none");
  EXPECT_FALSE(fs::exists(place_.path() / "new"));
}

TEST_F(OutputSafety, FailuresLeaveNothingBehind) {
  const auto trace = place_.path() / "t";
  write_tiny_trace(trace, 2, {{"p", "a", {0, 9}}});
  expect_failure({"analyze", trace, "-o", place_.path() / "out"}, 1, "e.jsonl:2");
  EXPECT_EQ(std::distance(fs::directory_iterator(place_.path()), {}), 1);
  expect_failure({"similarity", small_trace(), "--json", place_.path() / "no" / "r.json"}, 1,
                 "no such directory");
  expect_failure({"similarity", small_trace(), "-o", "/dev/null/out"}, 1, "/dev/null");
}

// Ids and categories that readers of tables would take for something else.
TEST_F(OutputSafety, TablesHoldAnyIdAndCategory) {
  const std::vector<std::string> ids{"\"a", "b\"", "\"c\"", "#d", "e\\t", "f 'x'", "\"\"", "\""};
  std::vector<TinyPrompt> prompts;
  std::string folds = "prompt_id\tfold\n";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    prompts.push_back({ids[i], i % 2 == 0 ? "\"one" : "#two", {static_cast<int>(i % 2), 0}});
    folds += ids[i] + "\t" + std::to_string(i / 4) + "\n";
  }
  const auto trace = place_.path() / "t";
  write_tiny_trace(trace, 2, prompts);
  const auto out = place_.path() / "out";
  ASSERT_EQ(run_moexray({"signatures", trace, "-o", out}).exit_code, 0);
  EXPECT_EQ(file_content(out / "labels.tsv"),
            "row\tid\tcategory\tn_tokens\n"
            "0\t\"\"\"a\"\t\"\"\"one\"\t2\n1\t\"b\"\"\"\t\"#two\"\t2\n"
            "2\t\"\"\"c\"\"\"\t\"\"\"one\"\t2\n3\t\"#d\"\t\"#two\"\t2\n"
            "4\te\\t\t\"\"\"one\"\t2\n5\tf 'x'\t\"#two\"\t2\n"
            "6\t\"\"\"\"\"\"\t\"\"\"one\"\t2\n7\t\"\"\"\"\t\"#two\"\t2\n");
  // A folds file may quote as moexray and pandas do, or hold ids as they are.
  write("folds.tsv", folds);
  const json plain = run_for_json({"classify", trace, "--folds-file", place_.path() / "folds.tsv"});
  write("quoted.tsv",
        "\"prompt_id\"\t\"fold\"\n\"\"\"a\"\t0\n\"b\"\"\"\t0\n\"\"\"c\"\"\"\t0\n\"#d\"\t0\n"
        "e\\t\t1\n\"f 'x'\"\t1\n\"\"\"\"\"\"\t1\n\"\"\"\"\t1\n");
  EXPECT_EQ(plain, run_for_json({"classify", trace, "--folds-file", place_.path() / "quoted.tsv"}));
}

}  // namespace
}  // namespace moexray::test
