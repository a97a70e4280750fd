#include "moexray/core/file_kind.h"

#include <gtest/gtest.h>

#include <string>

#include "moexray/core/file.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray {
namespace {

using namespace std::string_literals;
using test::expect_error;

TEST(FileKind, KnowsNothingAboutWhatIsRight) {
  for (const std::string& text :
       {R"({"a":1})"s, "[1]"s, ""s, "\xEF\xBB\xBF{}"s, "id,prompt\n"s, "\x0A\x0E\x0A\x05<unk>"s,
        "{% if x %}<|user|>"s, "BZh"s, "\x1F"s}) {
    EXPECT_EQ(static_cast<int>(recognise_file(text).group),
              static_cast<int>(FileKind::Group::unknown))
        << text;
  }
}

TEST(FileKind, RecognisesByTheFirstBytes) {
  EXPECT_EQ(recognise_file("version https://git-lfs.github.com/spec/v1\n").name,
            "a Git LFS pointer");
  EXPECT_EQ(recognise_file("GGUF\x03").name, "a GGUF file");
  EXPECT_EQ(recognise_file("\xFF\xFE\0\0{\0\0\0"s).name, "text in UTF-32");
  EXPECT_EQ(recognise_file("\xFF\xFE{\0"s).name, "text in UTF-16");
  EXPECT_EQ(recognise_file("\x80\x02}q").name, "a pickled Python object");
  EXPECT_EQ(recognise_file("a.txt"s + std::string(252, '\0') + "ustar\0"s).name, "a tar archive");
}

TEST(FileKind, RefusesWhatAFailedDownloadLeaves) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "config.json";
  const auto refuse = [&](const std::string& bytes, const std::string& part) {
    write_file_atomically(path, bytes);
    expect_error(ErrorKind::data, path.string() + ": " + part,
                 [&] { read_downloaded_file(path, 1000); });
  };
  refuse("", "the file is empty; download it again");
  refuse("version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
         "the file is a Git LFS pointer, which stands in place of the file itself; download it "
         "again, with hf download, say, or with git lfs pull in a clone");
  refuse("<!doctype html><title>404</title>", "the file is an HTML page");
  refuse("\x1F\x8B\x08\0"s, "the file is compressed with gzip, not what its name says");
  write_file_atomically(path, "{}");
  EXPECT_EQ(read_downloaded_file(path, 1000), "{}");
}

}  // namespace
}  // namespace moexray
