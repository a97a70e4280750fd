// What is in an output directory and not moexray's: it is kept, or refused by name.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "moexray/core/checksum.h"
#include "moexray/report/output.h"
#include "output_support.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray::report {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::file_content;
using test::Files;
using test::output_list;
using test::result_text;
using test::tree;
using test::write_outputs;
using test::write_text;
using Names = std::vector<std::string>;

class KeptFiles : public testing::Test {
 protected:
  // A second run over the first must fail with `message` and change nothing at all.
  void expect_refusal(const std::string& message, const Files& files) const {
    const Names before = tree(out_);
    const std::string list = file_content(out_ / "outputs.json");
    expect_error(ErrorKind::data, message, [&] { write_outputs(out_, true, files); });
    EXPECT_EQ(tree(out_), before);
    EXPECT_EQ(file_content(out_ / "outputs.json"), list);
  }

  test::TemporaryDirectory place_;
  fs::path out_ = place_.path() / "out";
};

TEST_F(KeptFiles, OfTheUser) {
  write_outputs(out_, false, {{"report.json", "1"}, {"experts/1.html", "1"}});
  for (const char* name : {"notes.txt", ".git/HEAD", "sub/deep/data", "experts/mine.html"}) {
    write_text(out_ / name, "mine");
  }
  fs::create_directory(out_ / "empty");
  fs::create_symlink("/etc", out_ / "link");
  write_outputs(out_, true, {{"report.json", "2"}});
  EXPECT_EQ(tree(out_), (Names{".git/", ".git/HEAD", "empty/", "experts/", "experts/mine.html",
                               "link", "notes.txt", "outputs.json", "report.json", "sub/",
                               "sub/deep/", "sub/deep/data"}));
  EXPECT_EQ(file_content(out_ / "report.json"), "2");
  EXPECT_EQ(output_list(out_).at("files").size(), 1U);
}

TEST_F(KeptFiles, OfTheUserBeforeAnythingWasWritten) {
  write_text(out_ / "notes.txt", "mine");
  expect_error(ErrorKind::data, "files that moexray did not write: notes.txt",
               [&] { write_outputs(out_, false, {{"report.json", "1"}}); });
  write_outputs(out_, true, {{"report.json", "1"}});
  EXPECT_EQ(tree(out_), (Names{"notes.txt", "outputs.json", "report.json"}));
  write_outputs(out_, true, {{"report.json", "2"}});
  EXPECT_EQ(file_content(out_ / "notes.txt"), "mine");
}

TEST_F(KeptFiles, ThatWereChanged) {
  write_outputs(out_, false, {{"fig.gp", "set title 1"}, {"a", "1"}});
  write_text(out_ / "fig.gp", "set title 2");
  expect_refusal("not replaced even with --force: fig.gp (changed since moexray wrote it)",
                 {{"fig.gp", "set title 3"}});
  EXPECT_EQ(file_content(out_ / "fig.gp"), "set title 2");
  fs::remove(out_ / "fig.gp");  // the way out
  write_outputs(out_, true, {{"fig.gp", "set title 3"}});
  EXPECT_EQ(file_content(out_ / "fig.gp"), "set title 3");
}

TEST_F(KeptFiles, InTheWayOfNewOnes) {
  write_outputs(out_, false, {{"report.json", "1"}});
  write_text(out_ / "layers.tsv", "mine");
  write_text(out_ / "a", "mine");
  fs::create_directory(out_ / "b");
  expect_refusal(
      "a (not written by moexray), b (not written by moexray), layers.tsv (not written by moexray)",
      {{"report.json", "2"}, {"layers.tsv", "2"}, {"a", "2"}, {"b", "2"}});
  EXPECT_EQ(file_content(out_ / "report.json"), "1");
  // A file in place of a folder.
  expect_refusal("a/1.html (not written by moexray)", {{"a/1.html", "2"}});
}

TEST_F(KeptFiles, ReportOfSomethingElseIsKnownAtOnce) {
  write_text(out_ / "report.json", "{}");
  expect_error(ErrorKind::data, "report.json (not written by moexray)",
               [&] { check_output_directory({out_, "similarity", true}); });
}

TEST_F(KeptFiles, BehindLinks) {
  write_text(place_.path() / "elsewhere" / "1.html", "1");
  write_text(place_.path() / "elsewhere" / "data", "1");
  write_outputs(out_, false, {{"p/1.html", "1"}, {"data", "1"}});
  fs::remove_all(out_ / "p");
  fs::remove(out_ / "data");
  fs::create_directory_symlink("../elsewhere", out_ / "p");
  fs::create_symlink("../elsewhere/data", out_ / "data");
  expect_refusal("data (not written by moexray), p/1.html (not written by moexray)",
                 {{"report.json", "2"}});
  fs::remove(out_ / "data");
  fs::remove(out_ / "p");
  write_outputs(out_, true, {{"report.json", "2"}});
  EXPECT_EQ(tree(place_.path() / "elsewhere"), (Names{"1.html", "data"}));
}

TEST_F(KeptFiles, InADirectoryReachedThroughALink) {
  fs::create_directories(place_.path() / "real");
  fs::create_directory_symlink("real", out_);
  write_outputs(out_, false, {{"report.json", "1"}});
  write_text(place_.path() / "real" / "notes.txt", "mine");
  write_outputs(out_, true, {{"report.json", "2"}});
  EXPECT_TRUE(fs::is_symlink(out_));
  EXPECT_EQ(tree(place_.path() / "real"), (Names{"notes.txt", "outputs.json", "report.json"}));
}

TEST_F(KeptFiles, NamedByAHostileList) {
  write_text(place_.path() / "victim", "1");
  const std::string victim = (place_.path() / "victim").string();
  for (const std::string& path :
       {std::string("../victim"), victim, std::string("a/../../victim"), std::string("a//b"),
        std::string(""), std::string("."), std::string("..\\u0000"), std::string("outputs.json"),
        std::string(5000, 'x')}) {
    write_text(out_ / "outputs.json",
               R"({
  "moexray": {"command": "similarity"}, "complete": true, "files": [{"path": ")" +
                   path + R"(", "n_bytes": 1, "checksum": ")" + checksum_text("1") + "\"}]}");
    expect_refusal("a path inside the directory", {{"report.json", "2"}});
  }
  EXPECT_EQ(file_content(place_.path() / "victim"), "1");
}

TEST_F(KeptFiles, BesideAListThatIsNone) {
  write_text(out_ / "report.json", result_text);
  const std::string start = "{\n  \"moexray\": {\"command\": \"similarity\"}";
  for (
      const std::string& list :
      {std::string("[]"), std::string(), std::string("{\"files\": []}"), start, start + "}",
       start + ", \"complete\": 1, \"files\": []}", start + ", \"complete\": true, \"files\": 3}",
       start + ", \"complete\": false, \"files\": []}",
       start + R"(, "complete": true, "files": [{"path": "report.json"}]})",
       start +
           R"(, "complete": true, "files": [{"path": "report.json", "n_bytes": -1, "checksum": "xxh3:0000000000000000"}]})",
       start +
           R"(, "complete": true, "files": [{"path": "report.json", "n_bytes": 1, "checksum": "x"}]})",
       start + ", \"complete\": true, \"files\": [" + std::string(200'000, '[')}) {
    write_text(out_ / "outputs.json", list);
    expect_refusal("outputs.json", {{"report.json", "2"}});
  }
  EXPECT_EQ(file_content(out_ / "report.json"), result_text);
  fs::remove(out_ / "outputs.json");
  fs::create_symlink(out_ / "report.json", out_ / "outputs.json");
  expect_error(ErrorKind::data, "outputs.json", [&] { write_outputs(out_, true, {{"a", "2"}}); });
}

TEST_F(KeptFiles, InADirectoryOfVersion0_1_0) {
  for (const char* name : {"similarity.npy", "labels.tsv", "fig1_prompts.gp", "fig1_prompts.pdf",
                           "layers.tsv", "notes.txt", "fig1_prompts.txt"}) {
    write_text(out_ / name, "old");
  }
  write_text(out_ / "report.json", result_text);
  expect_error(ErrorKind::data, "--force to replace it, found results of moexray similarity",
               [&] { write_outputs(out_, false, {{"labels.tsv", "new"}}); });
  expect_error(ErrorKind::data, "results of moexray similarity",
               [&] { write_outputs(out_, true, {{"report.json", "new"}}, "layers"); });
  write_outputs(out_, true, {{"labels.tsv", "new"}, {"report.json", "new"}});
  // layers.tsv is none of similarity's names.
  EXPECT_EQ(tree(out_), (Names{"fig1_prompts.txt", "labels.tsv", "layers.tsv", "notes.txt",
                               "outputs.json", "report.json"}));
  EXPECT_EQ(file_content(out_ / "labels.tsv"), "new");
}

// Runs `action` in a process that ends like a killed one, without any clearing up.
template <typename Action>
void run_and_die(const Action& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    action();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
}

TEST_F(KeptFiles, AKilledRunIsMendedByTheNext) {
  const auto die_while_writing = [&](bool force) {
    run_and_die([&] {
      OutputDirectory directory({out_, "similarity", force});
      write_text(directory.path() / "report.json", "half");
      ::_exit(0);
    });
    EXPECT_EQ(output_list(out_).at("complete"), false);
    expect_error(ErrorKind::data, "unfinished results of moexray similarity",
                 [&] { write_outputs(out_, false, {{"report.json", "2"}}); });
  };
  die_while_writing(false);
  write_text(out_ / "outputs.json.tmp-a1B2c3", "half a list");
  write_text(out_ / "outputs.json.tmp-of-mine", "mine");
  write_outputs(out_, true, {{"report.json", "1"}, {"a", "1"}});
  EXPECT_EQ(tree(out_), (Names{"a", "outputs.json", "outputs.json.tmp-of-mine", "report.json"}));
  die_while_writing(true);
  EXPECT_EQ(file_content(out_ / "report.json"), "1");
  write_outputs(out_, true, {{"report.json", "2"}});
  EXPECT_EQ(tree(out_), (Names{"outputs.json", "outputs.json.tmp-of-mine", "report.json"}));
  EXPECT_EQ(output_list(out_).at("complete"), true);
}

// Killed between two renames: some files are new, some old, and all of them are known.
TEST_F(KeptFiles, AHalfReplacedSetIsMendedByTheNext) {
  write_outputs(out_, false, {{"a", "old"}, {"b", "old"}, {"c", "old"}, {"stale", "old"}});
  nlohmann::json list = output_list(out_);
  list["complete"] = false;
  list["before"] = list["files"];
  list["files"].erase(3);
  for (nlohmann::json& entry : list["files"]) entry["checksum"] = checksum_text("new");
  write_text(out_ / "a", "new");
  write_text(out_ / "c", "mine, not old");
  write_text(out_ / ".moexray-tmp-Xy12ab" / "b", "new");
  // As Json::dump() begins.
  std::string text = list.dump();
  text.replace(0, text.size(),
               "{\n  \"moexray\": {\"command\": \"similarity\"}, \"complete\": false, "
               "\"files\": " +
                   list["files"].dump() + ", \"before\": " + list["before"].dump() + "}");
  write_text(out_ / "outputs.json", text);
  expect_refusal("--force: c (changed since moexray wrote it)", {{"a", "3"}});
  write_text(out_ / "c", "old");
  write_outputs(out_, true, {{"a", "3"}, {"b", "3"}});
  EXPECT_EQ(tree(out_), (Names{"a", "b", "outputs.json"}));
}

}  // namespace
}  // namespace moexray::report
