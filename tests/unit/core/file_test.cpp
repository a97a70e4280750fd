#include "moexray/core/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray {
namespace {

TEST(File, WhatIsWrittenAtomicallyReadsBackAndLeavesNothingElse) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  write_file_atomically(path, "old");
  write_file_atomically(path, std::string("new\0text", 8));
  EXPECT_EQ(read_file(path, 100), std::string("new\0text", 8));
  const MappedFile mapped(path);
  EXPECT_EQ(mapped.bytes().size(), 8U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(File, RefusesWhatIsTooLargeMissingOrNoFile) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  write_file_atomically(path, "12345");
  test::expect_error(ErrorKind::data, "at most 4 bytes, found 5 bytes",
                     [&] { read_file(path, 4); });
  test::expect_error(ErrorKind::data, "cannot open", [&] { read_file(directory.path() / "b", 4); });
  test::expect_error(ErrorKind::data, "not a regular file",
                     [&] { read_file(directory.path(), 4); });
}

// A pipe that nobody writes to would block whoever opens it.
TEST(File, DoesNotWaitForPipes) {
  const test::TemporaryDirectory directory;
  const auto pipe = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  test::expect_error(ErrorKind::data, "not a regular file", [&] { read_file(pipe, 100); });
  test::expect_error(ErrorKind::data, "not a regular file", [&] { MappedFile mapped(pipe); });
}

// Renaming over a device would turn it into a file for everybody.
TEST(File, DoesNotReplaceDevicesPipesAndDirectories) {
  const test::TemporaryDirectory directory;
  const auto pipe = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  test::expect_error(ErrorKind::runtime, "a device or pipe",
                     [&] { write_file_atomically(pipe, "text"); });
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  test::expect_error(ErrorKind::runtime, "found a directory",
                     [&] { write_file_atomically(directory.path(), "text"); });
}

TEST(File, SaysWhyItCannotWrite) {
  const test::TemporaryDirectory directory;
  test::expect_error(ErrorKind::runtime, "No such file or directory",
                     [&] { write_file_atomically(directory.path() / "no" / "a", "x"); });
}

TEST(File, PlainNamesHaveNoDirectories) {
  for (const char* name : {"a", "a.b", "...", "events-00000.jsonl"})
    EXPECT_TRUE(is_plain_file_name(name)) << name;
  for (const char* name : {"", ".", "..", "a/b", "/a"})
    EXPECT_FALSE(is_plain_file_name(name)) << name;
}

}  // namespace
}  // namespace moexray
