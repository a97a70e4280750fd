#include "moexray/checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "moexray/core/file.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray {
namespace {

using test::expect_error;

std::string length_field(std::uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xFF);
  return bytes;
}

std::string make_file(std::string_view json, std::size_t n_data_bytes) {
  return length_field(json.size()) + std::string(json) + std::string(n_data_bytes, 'd');
}

SafetensorsHeader parse(std::string_view file) {
  return parse_safetensors_header(std::as_bytes(std::span(file)), "f.safetensors");
}

// One tensor "a" with the given dtype, shape and offsets, as they stand in JSON.
std::string one_tensor(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return R"({"a":{"dtype":")" + std::string(dtype) + R"(","shape":)" + std::string(shape) +
         R"(,"data_offsets":)" + std::string(offsets) + "}}";
}

TEST(SafetensorsHeader, ReadsTensorsAndMetadata) {
  const std::string json = R"({"b":{"data_offsets":[4,12],"shape":[2,2],"dtype":"BF16"},)"
                           R"("__metadata__":{"format":"pt","n":"1"},)"
                           R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                           R"("empty":{"dtype":"I64","shape":[3,0],"data_offsets":[12,12]}}   )";
  const SafetensorsHeader header = parse(make_file(json, 12));
  ASSERT_EQ(header.tensors.size(), 3U);
  EXPECT_EQ(header.tensors[0].name, "a");
  EXPECT_TRUE(header.tensors[0].shape.empty());
  EXPECT_EQ(header.tensors[1].name, "b");
  EXPECT_EQ(header.tensors[1].dtype, "BF16");
  EXPECT_EQ(header.tensors[1].shape, (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(header.tensors[1].begin, 4U);
  EXPECT_EQ(header.tensors[1].end, 12U);
  EXPECT_EQ(header.tensors[2].name, "empty");
  EXPECT_EQ(header.metadata, (std::map<std::string, std::string>{{"format", "pt"}, {"n", "1"}}));
  EXPECT_EQ(header.data_offset, 8 + json.size());
}

TEST(SafetensorsHeader, TakesAFileWithoutTensors) {
  EXPECT_TRUE(parse(make_file("{}", 0)).tensors.empty());
}

TEST(SafetensorsHeader, KnowsEveryDtype) {
  for (const auto& [dtype, n_bytes] :
       {std::pair("F64", 64), std::pair("I64", 64), std::pair("U64", 64), std::pair("F32", 32),
        std::pair("U8", 8), std::pair("BOOL", 8), std::pair("F8_E4M3", 8), std::pair("F4", 4)}) {
    const auto size = static_cast<std::size_t>(n_bytes);
    const std::string end = std::to_string(size);
    EXPECT_EQ(parse(make_file(one_tensor(dtype, "[8]", "[0," + end + "]"), size)).tensors.size(),
              1U)
        << dtype;
  }
  EXPECT_EQ(bits_of_dtype("F6_E2M3"), 6);
  EXPECT_EQ(bits_of_dtype("f32"), std::nullopt);
}

TEST(SafetensorsHeader, RefusesLyingLengths) {
  expect_error(ErrorKind::data, "the file is empty", [] { parse(""); });
  expect_error(ErrorKind::data, "too short", [] { parse("1234567"); });
  expect_error(ErrorKind::data, "longer than the file", [] { parse(length_field(1)); });
  expect_error(ErrorKind::data, "longer than the file", [] { parse(length_field(3) + "{}"); });
  expect_error(ErrorKind::data, "at most 100000000 bytes, found 100000001",
               [] { parse(length_field(100'000'001) + "{}"); });
  expect_error(ErrorKind::data, "header too large", [] { parse(length_field(~0ULL) + "{}"); });
  expect_error(ErrorKind::data, "does not start with '{'", [] { parse(length_field(0)); });
}

TEST(SafetensorsHeader, TellsOtherFilesByTheirFirstBytes) {
  expect_error(ErrorKind::data, "f.safetensors: the file is a Git LFS pointer",
               [] { parse("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"); });
  expect_error(ErrorKind::data, "an HTML page", [] { parse("<!DOCTYPE html><html></html>"); });
  expect_error(ErrorKind::data, "a zip archive", [] { parse("PK\x03\x04 and so on"); });
  // A header of 35,615 bytes begins with the two bytes that mark gzip.
  const std::string json = "{\"__metadata__\":{\"x\":\"" + std::string(0x8B1F - 25, 'y') + "\"}}";
  EXPECT_TRUE(parse(make_file(json, 0)).tensors.empty());
}

TEST(SafetensorsHeader, RefusesWhatIsNoHeader) {
  for (const char* json : {" {}", "[]", "1", "\"a\"", "\xEF\xBB\xBF{}", "\0"}) {
    expect_error(ErrorKind::data, "does not start with", [&] { parse(make_file(json, 0)); });
  }
  for (const char* json :
       {"{", "{}x", "{\"a\"", "{\"a\":{}", "{\"\xFF\":{}}", "{\"a\":{\"dtype\":1e999}}"}) {
    expect_error(ErrorKind::data, "f.safetensors: ", [&] { parse(make_file(json, 0)); });
  }
  const std::string deep = "{\"a\":" + std::string(100'000, '[');
  expect_error(ErrorKind::data, "found an array", [&] { parse(make_file(deep, 0)); });
  const std::string nested = "{\"a\":{\"b\":" + std::string(100'000, '{');
  expect_error(ErrorKind::data, "unknown key", [&] { parse(make_file(nested, 0)); });
}

TEST(SafetensorsHeader, RefusesMissingUnknownAndDuplicateKeys) {
  expect_error(ErrorKind::data, "tensor \"a\": key \"dtype\" is missing",
               [] { parse(make_file(R"({"a":{"shape":[],"data_offsets":[0,4]}})", 4)); });
  expect_error(ErrorKind::data, "key \"shape\" is missing",
               [] { parse(make_file(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4)); });
  expect_error(ErrorKind::data, "key \"data_offsets\" is missing",
               [] { parse(make_file(R"({"a":{"dtype":"F32","shape":[]}})", 4)); });
  expect_error(ErrorKind::data, "unknown key",
               [] { parse(make_file(R"({"a":{"dtype":"F32","size":4}})", 4)); });
  expect_error(ErrorKind::data, "duplicate key",
               [] { parse(make_file(R"({"a":{"dtype":"F32","dtype":"F32"}})", 4)); });
  expect_error(ErrorKind::data, "duplicate key",
               [] { parse(make_file(R"({"__metadata__":{"x":"1","x":"2"}})", 0)); });
  expect_error(ErrorKind::data, "duplicate key",
               [] { parse(make_file(R"({"__metadata__":{},"__metadata__":{}})", 0)); });
  const std::string twin = R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  expect_error(ErrorKind::data, "duplicate tensor: found \"a\"",
               [&] { parse(make_file("{" + twin + "," + twin + "}", 0)); });
}

TEST(SafetensorsHeader, RefusesWrongTypes) {
  for (const char* json : {R"({"a":1})",
                           R"({"a":null})",
                           R"({"a":[]})",
                           R"({"a":"x"})",
                           R"({"a":{"dtype":4}})",
                           R"({"a":{"dtype":null}})",
                           R"({"a":{"dtype":["F32"]}})",
                           R"({"a":{"shape":4}})",
                           R"({"a":{"shape":"4"}})",
                           R"({"a":{"shape":[[1]]}})",
                           R"({"a":{"shape":[{}]}})",
                           R"({"a":{"shape":[true]}})",
                           R"({"a":{"shape":[1.0]}})",
                           R"({"a":{"shape":[-1]}})",
                           R"({"a":{"data_offsets":[-1,4]}})",
                           R"({"a":{"data_offsets":["0","4"]}})",
                           R"({"a":{"data_offsets":{}}})",
                           R"({"__metadata__":[]})",
                           R"({"__metadata__":{"x":1}})",
                           R"({"__metadata__":{"x":{}}})",
                           R"({"a":{"shape":[18446744073709551616]}})"}) {
    expect_error(ErrorKind::data, "unexpected value in the header",
                 [&] { parse(make_file(json, 4)); });
  }
}

TEST(SafetensorsHeader, RefusesOffsetsThatLie) {
  const auto refuse = [](std::string_view part, std::string_view shape, std::string_view offsets,
                         std::size_t n_data_bytes) {
    expect_error(ErrorKind::data, part,
                 [&] { parse(make_file(one_tensor("F32", shape, offsets), n_data_bytes)); });
  };
  refuse("outside the file", "[2]", "[0,8]", 7);
  refuse("outside the file", "[2]", "[0,18446744073709551615]", 8);
  refuse("outside the file", "[2]", "[18446744073709551608,18446744073709551615]", 8);
  refuse("outside the file", "[2]", "[8,0]", 8);
  refuse("leaves a gap", "[1]", "[4,8]", 8);
  refuse("do not fit dtype and shape: expected 8 bytes for F32 [2], found [0, 4]", "[2]", "[0,4]",
         4);
  refuse("do not fit dtype and shape", "[0]", "[0,4]", 4);
  refuse("does not describe all data: expected 4 bytes of data, found 5", "[1]", "[0,4]", 5);
  refuse("too many offsets", "[1]", "[0,4,8]", 8);
  refuse("too few offsets", "[1]", "[0]", 8);
  refuse("too few offsets", "[1]", "[]", 8);
}

TEST(SafetensorsHeader, RefusesSizesThatOverflow) {
  const auto refuse = [](std::string_view dtype, std::string_view shape) {
    expect_error(ErrorKind::data, "size overflows",
                 [&] { parse(make_file(one_tensor(dtype, shape, "[0,0]"), 0)); });
  };
  refuse("F32", "[4611686018427387904]");
  refuse("F32", "[4294967296,4294967296]");
  refuse("U8", "[9223372036854775807,9223372036854775807]");
  refuse("U8", "[9223372036854775808]");
  // 2^61 · 8 bits would be 2^64 bits, which is no size at all modulo 2^64.
  refuse("U8", "[2305843009213693952]");
  std::string many = "[1";
  for (int i = 0; i < 64; ++i) many += ",1";
  expect_error(ErrorKind::data, "too many dimensions",
               [&] { parse(make_file(one_tensor("U8", many + "]", "[0,1]"), 1)); });
}

TEST(SafetensorsHeader, RefusesOverlapUnknownDtypeAndPartBytes) {
  const auto two = [](std::string_view second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":)" +
           std::string(second) + "}}";
  };
  EXPECT_EQ(parse(make_file(two("[4,8]"), 8)).tensors.size(), 2U);
  expect_error(ErrorKind::data, "tensor \"b\": overlaps",
               [&] { parse(make_file(two("[2,6]"), 6)); });
  expect_error(ErrorKind::data, "overlaps", [&] { parse(make_file(two("[0,4]"), 4)); });
  expect_error(ErrorKind::data, "leaves a gap", [&] { parse(make_file(two("[5,9]"), 9)); });
  expect_error(ErrorKind::data, "unknown dtype: found \"Q4\"",
               [] { parse(make_file(one_tensor("Q4", "[1]", "[0,1]"), 1)); });
  expect_error(ErrorKind::data, "no whole number of bytes",
               [] { parse(make_file(one_tensor("F4", "[3]", "[0,1]"), 1)); });
}

TEST(SafetensorsHeader, EscapesForeignNamesInMessages) {
  expect_error(ErrorKind::data, "\\x1b[31m",
               [] { parse(make_file("{\"\\u001b[31m\":{\"dtype\":1}}", 0)); });
}

TEST(SafetensorsFile, GivesBytesByName) {
  const test::TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "x.safetensors";
  const std::string json =
      R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})";
  write_file_atomically(path, length_field(json.size()) + json + "abcDE");
  const SafetensorsFile file(path);
  const auto text = [&](std::string_view name) {
    const auto bytes = file.bytes(file.at(name));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  EXPECT_EQ(text("a"), "abc");
  EXPECT_EQ(text("b"), "DE");
  EXPECT_EQ(file.find("c"), nullptr);
  expect_error(ErrorKind::data, "\"c\"", [&] { file.at("c"); });
}

TEST(SafetensorsFile, RefusesATruncatedFile) {
  const test::TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "x.safetensors";
  const std::string whole = make_file(one_tensor("U8", "[100]", "[0,100]"), 100);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    write_file_atomically(path, whole.substr(0, n));
    EXPECT_THROW(SafetensorsFile file(path), Error) << n << " bytes";
  }
  expect_error(ErrorKind::data, "cannot open", [&] { SafetensorsFile(directory.path() / "none"); });
  expect_error(ErrorKind::data, "not a regular file", [&] { SafetensorsFile(directory.path()); });
}

}  // namespace
}  // namespace moexray
