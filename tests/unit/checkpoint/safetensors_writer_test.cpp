#include "moexray/checkpoint/safetensors_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

#include "moexray/checkpoint/safetensors.h"
#include "moexray/core/file.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray {
namespace {

using test::expect_error;

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const test::TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "out.safetensors";
  const std::array<std::byte, 12> data = {std::byte{1}, std::byte{2}, std::byte{3}};
  const std::array<TensorToWrite, 4> tensors = {{
      {"odd", "U8", {3}, std::span(data).first(3)},
      {"z \"quoted\" ü", "F32", {1, 2}, std::span(data).first(8)},
      {"none", "I64", {0}, {}},
      {"scalar", "F32", {}, std::span(data).subspan(8, 4)},
  }};
  write_safetensors(path, tensors, {{"format", "pt"}, {"step", "12"}});
  const SafetensorsFile file(path);
  EXPECT_EQ(file.header().data_offset % 64, 0U);
  EXPECT_EQ(file.header().metadata.at("step"), "12");
  ASSERT_EQ(file.header().tensors.size(), tensors.size());
  for (const TensorToWrite& tensor : tensors) {
    const SafetensorsEntry& entry = file.at(tensor.name);
    EXPECT_EQ(entry.dtype, tensor.dtype);
    EXPECT_EQ(entry.shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(file.bytes(entry), tensor.bytes)) << tensor.name;
  }
  EXPECT_EQ(file.at("odd").begin, 0U);
  EXPECT_EQ(file.at("scalar").begin, 11U);
}

TEST(SafetensorsWriter, WritesTheSameBytesAgainAndReplacesAFile) {
  const test::TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "out.safetensors";
  write_file_atomically(path, "old");
  const std::array<std::byte, 4> data = {};
  const std::array<TensorToWrite, 1> tensors = {{{"a", "F32", {1}, data}}};
  write_safetensors(path, tensors, {});
  const std::string first = read_file(path, 1000);
  write_safetensors(path, tensors, {});
  EXPECT_EQ(read_file(path, 1000), first);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(SafetensorsWriter, WritesAFileWithoutTensors) {
  const test::TemporaryDirectory directory;
  write_safetensors(directory.path() / "empty", {}, {});
  EXPECT_TRUE(SafetensorsFile(directory.path() / "empty").header().tensors.empty());
}

TEST(SafetensorsWriter, RefusesWhatDoesNotAgree) {
  const test::TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "out";
  const std::array<std::byte, 8> data = {};
  const auto refuse = [&](std::string_view part, std::vector<TensorToWrite> tensors) {
    expect_error(ErrorKind::data, part, [&] { write_safetensors(path, tensors, {}); });
  };
  refuse("bytes do not fit", {{"a", "F32", {3}, data}});
  refuse("unknown dtype", {{"a", "float", {2}, data}});
  refuse("impossible shape", {{"a", "F32", {-2}, data}});
  refuse("impossible shape", {{"a", "F32", {1LL << 40, 1LL << 40}, data}});
  refuse("duplicate name", {{"a", "F32", {2}, data}, {"a", "F32", {2}, data}});
  refuse("duplicate name", {{"__metadata__", "F32", {2}, data}});
  refuse("must be UTF-8", {{"\xFF", "F32", {2}, data}});
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(SafetensorsWriter, SaysWhyAFileCannotBeWritten) {
  expect_error(ErrorKind::runtime, "No such file or directory",
               [] { write_safetensors("/nonexistent/directory/x", {}, {}); });
}

}  // namespace
}  // namespace moexray
