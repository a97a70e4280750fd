#include "moexray/report/output.h"

#include <gtest/gtest.h>

#include <vector>

#include "moexray/core/file.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray::report {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

constexpr const char* result_text = "{\n  \"moexray\": {\n    \"version\": \"1\"\n  }\n}\n";

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

// Writes one file and commits.
void write_output(const fs::path& target, bool force, const std::string& name,
                  const std::string& text = result_text) {
  OutputDirectory directory(target, force);
  write_file_atomically(directory.path() / name, text);
  directory.commit();
}

TEST(OutputDirectory, AppearsWhenItIsComplete) {
  const test::TemporaryDirectory place;
  const fs::path target = place.path() / "deep" / "out";
  {
    OutputDirectory directory(target, false);
    write_file_atomically(directory.path() / "a.tsv", "a\n");
    EXPECT_FALSE(fs::exists(target));
    directory.commit();
  }
  EXPECT_EQ(names_in(target), std::vector<std::string>{"a.tsv"});
  EXPECT_EQ(names_in(target.parent_path()), std::vector<std::string>{"out"});
}

TEST(OutputDirectory, LeavesNothingBehindWhenGivenUp) {
  const test::TemporaryDirectory place;
  {
    OutputDirectory directory(place.path() / "out", false);
    write_file_atomically(directory.path() / "a.tsv", "a\n");
  }
  EXPECT_TRUE(names_in(place.path()).empty());
}

TEST(OutputDirectory, FillsAnEmptyDirectory) {
  const test::TemporaryDirectory place;
  fs::create_directory(place.path() / "out");
  write_output(place.path() / "out/", false, "report.json");
  EXPECT_EQ(names_in(place.path() / "out"), std::vector<std::string>{"report.json"});
}

TEST(OutputDirectory, ReplacesOnlyOlderResultsAndOnlyByForce) {
  const test::TemporaryDirectory place;
  const fs::path target = place.path() / "out";
  write_output(target, false, "report.json");
  expect_error(ErrorKind::data, "--force to replace it",
               [&] { write_output(target, false, "report.json"); });
  write_output(target, true, "other.json");
  EXPECT_EQ(names_in(target), std::vector<std::string>{"other.json"});
  EXPECT_EQ(names_in(place.path()), std::vector<std::string>{"out"});
  // Now it holds no report.
  expect_error(ErrorKind::data, "not replaced even with --force",
               [&] { write_output(target, true, "report.json"); });
  write_file_atomically(target / "report.json", "{\"something\": \"else\"}");
  expect_error(ErrorKind::data, "not replaced even with --force",
               [&] { write_output(target, true, "report.json"); });
  EXPECT_EQ(names_in(target), (std::vector<std::string>{"other.json", "report.json"}));
}

TEST(OutputDirectory, NeverReplacesTheInput) {
  const test::TemporaryDirectory place;
  const fs::path input = place.path() / "runs" / "traces";
  fs::create_directories(input);
  write_file_atomically(input / "report.json", result_text);
  fs::create_directory_symlink(input, place.path() / "link");
  const std::vector<fs::path> kept{input};
  for (const fs::path& target : {input, input.parent_path(), place.path() / "link", input / "."}) {
    expect_error(ErrorKind::data, "would replace the input",
                 [&] { check_output_directory(target, true, kept); });
  }
  EXPECT_NO_THROW(check_output_directory(input / "analysis", true, kept));
  EXPECT_NO_THROW(check_output_directory(place.path() / "runs" / "traces2", true, kept));
}

TEST(OutputDirectory, RefusesWhatIsNoDirectory) {
  const test::TemporaryDirectory place;
  write_file_atomically(place.path() / "file", "x");
  expect_error(ErrorKind::data, "a directory or nothing",
               [&] { check_output_directory(place.path() / "file", true); });
}

TEST(OutputFile, KeepsWhatIsThere) {
  const test::TemporaryDirectory place;
  const fs::path file = place.path() / "r.json";
  EXPECT_NO_THROW(check_output_file(file, false));
  write_output_file(file, result_text);
  expect_error(ErrorKind::data, "--force to replace", [&] { check_output_file(file, false); });
  EXPECT_NO_THROW(check_output_file(file, true));
  write_output_file(file, "notes");
  expect_error(ErrorKind::data, "not replaced even with --force",
               [&] { check_output_file(file, true); });
  expect_error(ErrorKind::data, "expected a file, found a directory",
               [&] { check_output_file(place.path(), true); });
  expect_error(ErrorKind::runtime, "no such directory",
               [&] { check_output_file(place.path() / "no" / "r.json", true); });
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
