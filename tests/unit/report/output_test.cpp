#include "moexray/report/output.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "moexray/core/checksum.h"
#include "moexray/core/file.h"
#include "output_support.h"
#include "support/expect_error.h"
#include "support/file_size_limit.h"
#include "support/temporary_directory.h"

namespace moexray::report {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::file_content;
using test::output_list;
using test::result_text;
using test::tree;
using test::write_outputs;
using test::write_text;
using Names = std::vector<std::string>;

TEST(OutputDirectory, ListsWhatItHolds) {
  const test::TemporaryDirectory place;
  const fs::path target = place.path() / "deep" / "out";
  write_outputs(target, false, {{"a.tsv", "a\n"}, {"sub/b.html", "bb"}});
  EXPECT_EQ(tree(place.path()),
            (Names{"deep/", "deep/out/", "deep/out/a.tsv", "deep/out/outputs.json", "deep/out/sub/",
                   "deep/out/sub/b.html"}));
  const nlohmann::json list = output_list(target);
  EXPECT_EQ(list.at("moexray").at("command"), "similarity");
  EXPECT_EQ(list.at("complete"), true);
  EXPECT_EQ(list.at("files"),
            nlohmann::json(
                {{{"path", "a.tsv"}, {"n_bytes", 2}, {"checksum", checksum_text("a\n")}},
                 {{"path", "sub/b.html"}, {"n_bytes", 2}, {"checksum", checksum_text("bb")}}}));
  EXPECT_FALSE(list.contains("before"));
}

TEST(OutputDirectory, IsUnfinishedUntilItIsCommitted) {
  const test::TemporaryDirectory place;
  write_outputs(place.path(), false, {{"a.tsv", "old"}});
  OutputDirectory directory({place.path(), "similarity", true});
  write_text(directory.path() / "a.tsv", "new");
  EXPECT_EQ(file_content(place.path() / "a.tsv"), "old");
  EXPECT_EQ(output_list(place.path()).at("complete"), false);
  EXPECT_EQ(output_list(place.path()).at("before").at(0).at("path"), "a.tsv");
  directory.commit();
  EXPECT_EQ(file_content(place.path() / "a.tsv"), "new");
  EXPECT_EQ(output_list(place.path()).at("complete"), true);
}

TEST(OutputDirectory, LeavesEverythingAsItWasWhenGivenUp) {
  const test::TemporaryDirectory place;
  {
    OutputDirectory directory({place.path() / "deep" / "out", "similarity"});
    write_text(directory.path() / "a.tsv", "a\n");
  }
  EXPECT_EQ(tree(place.path()), Names{});
  write_outputs(place.path(), false, {{"a.tsv", "old"}});
  const std::string list = file_content(place.path() / "outputs.json");
  {
    OutputDirectory directory({place.path(), "similarity", true});
    write_text(directory.path() / "b.tsv", "new");
  }
  EXPECT_EQ(tree(place.path()), (Names{"a.tsv", "outputs.json"}));
  EXPECT_EQ(file_content(place.path() / "outputs.json"), list);
}

TEST(OutputDirectory, LeavesEverythingAsItWasOnAFullDisk) {
  const test::TemporaryDirectory place;
  write_outputs(place.path(), false, {{"a.tsv", "old"}});
  const std::string list = file_content(place.path() / "outputs.json");
  {
    OutputDirectory directory({place.path(), "similarity", true});
    const test::FileSizeLimit limit(1000);
    expect_error(ErrorKind::runtime, "cannot write: File too large",
                 [&] { write_text(directory.path() / "a.tsv", std::string(2000, 'x')); });
  }
  EXPECT_EQ(tree(place.path()), (Names{"a.tsv", "outputs.json"}));
  EXPECT_EQ(file_content(place.path() / "a.tsv"), "old");
  EXPECT_EQ(file_content(place.path() / "outputs.json"), list);
  // Not even the list fits.
  const test::FileSizeLimit limit(10);
  expect_error(ErrorKind::runtime, "cannot write: File too large",
               [&] { write_outputs(place.path(), true, {{"a.tsv", "new"}}); });
  EXPECT_EQ(file_content(place.path() / "outputs.json"), list);
}

TEST(OutputDirectory, FillsAnEmptyDirectory) {
  const test::TemporaryDirectory place;
  fs::create_directory(place.path() / "out");
  write_outputs(place.path() / "out/", false, {{"report.json", result_text}});
  EXPECT_EQ(tree(place.path() / "out"), (Names{"outputs.json", "report.json"}));
}

TEST(OutputDirectory, ReplacesOlderResultsOnlyByForce) {
  const test::TemporaryDirectory place;
  const fs::path target = place.path() / "out";
  write_outputs(target, false,
                {{"report.json", "1"}, {"fig.svg", "s"}, {"p/1", "x"}, {"p/2", "x"}});
  expect_error(ErrorKind::data, "--force to replace it, found results of moexray similarity",
               [&] { write_outputs(target, false, {{"report.json", "2"}}); });
  EXPECT_EQ(file_content(target / "report.json"), "1");
  // What is not written again goes, with its folder.
  write_outputs(target, true, {{"report.json", "2"}});
  EXPECT_EQ(tree(target), (Names{"outputs.json", "report.json"}));
  EXPECT_EQ(file_content(target / "report.json"), "2");
}

TEST(OutputDirectory, NeverReplacesResultsOfAnotherCommand) {
  const test::TemporaryDirectory place;
  write_outputs(place.path(), false, {{"report.json", "1"}, {"a", "1"}}, "analyze");
  const std::string list = file_content(place.path() / "outputs.json");
  expect_error(ErrorKind::data,
               "not replaced even with --force: results of moexray analyze (a, report.json)",
               [&] { write_outputs(place.path(), true, {{"report.json", "2"}}); });
  EXPECT_EQ(file_content(place.path() / "outputs.json"), list);
  // Its list alone is no result.
  fs::remove(place.path() / "report.json");
  fs::remove(place.path() / "a");
  write_outputs(place.path(), true, {{"b", "2"}});
  EXPECT_EQ(tree(place.path()), (Names{"b", "outputs.json"}));
}

TEST(OutputDirectory, NeverReplacesTheInput) {
  const test::TemporaryDirectory place;
  const fs::path input = place.path() / "runs" / "traces";
  write_text(input / "report.json", result_text);
  fs::create_directory_symlink(input, place.path() / "link");
  const std::vector<fs::path> kept{input};
  const auto check = [&](const fs::path& target) {
    check_output_directory({target, "similarity", true, kept});
  };
  for (const fs::path& target : {input, place.path() / "link", input / "."}) {
    expect_error(ErrorKind::data, "would replace the input", [&] { check(target); });
  }
  // Beside the input nothing is lost, not even if it is listed.
  write_outputs(input.parent_path(), true, {{"traces/extra", "1"}, {"b", "1"}});
  OutputDirectory directory({input.parent_path(), "similarity", true, kept});
  directory.commit();
  EXPECT_EQ(tree(input.parent_path()),
            (Names{"outputs.json", "traces/", "traces/extra", "traces/report.json"}));
}

TEST(OutputDirectory, RefusesWhatCannotBeWritten) {
  const test::TemporaryDirectory place;
  write_text(place.path() / "file", "x");
  expect_error(ErrorKind::data, "a directory or nothing",
               [&] { check_output_directory({place.path() / "file", "similarity", true}); });
  expect_error(ErrorKind::runtime, "not a directory",
               [&] { check_output_directory({place.path() / "file" / "out", "similarity"}); });
}

TEST(OutputDirectory, HasOneWriterAtATime) {
  const test::TemporaryDirectory place;
  OutputDirectory first({place.path(), "similarity"});
  expect_error(ErrorKind::runtime, "another program is writing",
               [&] { write_outputs(place.path(), true, {{"a", "2"}}); });
  write_text(first.path() / "a", "1");
  first.commit();
  EXPECT_EQ(file_content(place.path() / "a"), "1");
}

TEST(OutputFile, KeepsWhatIsThere) {
  const test::TemporaryDirectory place;
  const fs::path file = place.path() / "r.json";
  EXPECT_NO_THROW(check_output_file(file, false));
  write_output_file(file, result_text);
  expect_error(ErrorKind::data, "--force to replace", [&] { check_output_file(file, false); });
  EXPECT_NO_THROW(check_output_file(file, true));
  write_output_file(file, "notes");
  expect_error(ErrorKind::data, "not replaced even with --force: not written by moexray",
               [&] { check_output_file(file, true); });
  expect_error(ErrorKind::data, "expected a file, found a directory",
               [&] { check_output_file(place.path(), true); });
  expect_error(ErrorKind::runtime, "no such directory",
               [&] { check_output_file(place.path() / "no" / "r.json", true); });
}

TEST(OutputFile, KeepsWhatWasChanged) {
  const test::TemporaryDirectory place;
  const fs::path file = place.path() / "result";
  const std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"generator\" content=\"moexray\">\n</html>\n";
  for (const std::string& text : {std::string(result_text), page}) {
    write_text(file, text);  // as version 0.1.0 did, without a checksum
    EXPECT_NO_THROW(check_output_file(file, true));
    write_output_file(file, text);
    EXPECT_NO_THROW(check_output_file(file, true));
    const std::string written = file_content(file);
    EXPECT_NE(written, text);
    if (text == result_text) {
      EXPECT_EQ(nlohmann::json::parse(written).at("checksum"), checksum_text(text));
    }
    std::string edited = written;
    edited[edited.find("moexray") + 17] = '!';
    for (const std::string& changed : {edited, written + "mine\n"}) {
      write_text(file, changed);
      expect_error(ErrorKind::data, "changed since moexray wrote it",
                   [&] { check_output_file(file, true); });
      EXPECT_EQ(file_content(file), changed);
    }
  }
}

TEST(OutputFile, KeepsPartsOfAnOutputDirectory) {
  const test::TemporaryDirectory place;
  write_outputs(place.path(), false, {{"report.json", result_text}, {"p/1.json", result_text}});
  for (const char* name : {"report.json", "p/1.json", "p/../report.json", "outputs.json"}) {
    const fs::path file = place.path() / name;
    expect_error(ErrorKind::data, "belongs to the results", [&] { check_output_file(file, true); });
    expect_error(ErrorKind::data, "belongs to", [&] { write_output_file(file, result_text); });
  }
  EXPECT_NO_THROW(check_output_file(place.path() / "other.json", true));
}

TEST(OutputFile, WritesThroughLinksAndToDevices) {
  const test::TemporaryDirectory place;
  write_output_file(place.path() / "real", "old");
  fs::create_symlink("real", place.path() / "link");
  write_output_file(place.path() / "link", "new");
  EXPECT_TRUE(fs::is_symlink(place.path() / "link"));
  EXPECT_EQ(read_file(place.path() / "real", 10), "new");
  EXPECT_NO_THROW(check_output_file("/dev/null", false));
  write_output_file("/dev/null", "text");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  expect_error(ErrorKind::runtime, "No space left", [] { write_output_file("/dev/full", "text"); });
}

}  // namespace
}  // namespace moexray::report
