#include "moexray/trace/counts.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "moexray/core/file.h"
#include "moexray/core/npy.h"
#include "moexray/trace/import.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace/importers/gguf.h"
#include "trace_maker.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

template <typename T>
std::string npy_of_counts(const char* type, std::vector<std::int64_t> sizes,
                          const std::vector<T>& values) {
  return npy_header(type, sizes)
      .append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// Two layers of four experts, five tokens that take two each.
const std::vector<std::int64_t> two_layers{5, 3, 2, 0, 1, 2, 3, 4};

class Counts : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return directory_.path() / name; }

  void put(const std::string& name, std::string_view text) { test::write_text(path(name), text); }

  ImportResult import(std::vector<std::string> files, ImportOptions options = {}) {
    for (const std::string& file : files) options.files.push_back(path(file));
    options.output = path("counts");
    options.force = true;
    return import_traces(options);
  }
  ImportResult import(const std::string& file, const std::string& kind = "counts") {
    ImportOptions options;
    options.kind = kind;
    return import(std::vector{file}, options);
  }
  void expect_refused(const std::string& name, std::string_view text, std::string_view part,
                      const std::string& kind = "counts") {
    put(name, text);
    expect_error(ErrorKind::data, part, [&] { import(name, kind); });
    EXPECT_FALSE(fs::exists(path("counts")));
  }

  TraceSet read() { return open_traces(std::vector{path("counts")}, {}); }
  std::vector<std::int64_t> row(std::size_t prompt) {
    return CountsReader(read_ = read()).read(prompt);
  }

  test::TemporaryDirectory directory_;
  TraceSet read_;
};

TEST_F(Counts, APoolIsNoPrompt) {
  put("experts.json", "{\"logical_count\": [[5,3,2,0],[1,2,3,4]]}");
  const ImportResult result = import("experts.json", "");  // recognised
  EXPECT_EQ(result.kind, "counts");
  EXPECT_TRUE(has_pool(read()));
  EXPECT_EQ(row(0), two_layers);
  EXPECT_EQ(read().shape, (RoutingShape{2, 4, 0}));  // nobody said how many experts a token takes
  put("experts.json", "[[5,3,2,0],[1,2,3,4]]");
  import("experts.json");
  EXPECT_EQ(row(0), two_layers);
}

TEST_F(Counts, SeveralFilesAreAPromptEach) {
  put("code_01.json", "{\"logical_count\": [[5,3,2,0],[1,2,3,4]]}");
  put("math_01.json", "{\"logical_count\": [[0,0,2,2],[1,1,1,1]]}");
  ImportOptions options;
  options.category_from_name = true;
  options.top_k = 2;
  EXPECT_EQ(import({"code_01.json", "math_01.json"}, options).n_tokens, 7);
  const TraceSet set = read();
  EXPECT_FALSE(has_pool(set));
  EXPECT_TRUE(has_counts(set));
  ASSERT_EQ(set.prompts.size(), 2U);
  EXPECT_EQ(set.prompts[0].id, "code_01");
  EXPECT_EQ(set.prompts[1].category, "math");
  EXPECT_EQ(row(1), (std::vector<std::int64_t>{0, 0, 2, 2, 1, 1, 1, 1}));
  options.top_k = 3;
  expect_error(ErrorKind::data, "no whole number of tokens",
               [&] { import({"code_01.json", "math_01.json"}, options); });
  // Labels of a prompts file are joined by the names.
  put("prompts.jsonl", "{\"id\":\"math_01\",\"category\":\"m\"}\n{\"id\":\"code_01\"}\n");
  ImportOptions joined;
  joined.prompts = path("prompts.jsonl");
  import({"code_01.json", "math_01.json"}, joined);
  EXPECT_EQ(read().prompts[1].category, "m");
  put("prompts.jsonl", "{\"id\":\"math_01\",\"category\":\"m\"}\n{\"id\":\"code_02\"}\n");
  expect_error(ErrorKind::data, "code_01", [&] { import({"code_01.json"}, joined); });
}

TEST_F(Counts, ArraysOfPrompts) {
  // A row that nothing filled is zero, as in MoE-Infinity's tables of a fixed size.
  std::vector<float> values(two_layers.begin(), two_layers.end());
  values.resize(16);
  put("eam.npy", npy_of_counts<float>("<f4", {2, 2, 4}, values));
  const ImportResult result = import("eam.npy");
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("1 row of zeros"), std::string::npos);
  EXPECT_EQ(read().prompts.at(0).id, "eam-0");
  EXPECT_EQ(row(0), two_layers);
  put("pool.npy", npy_of_counts<std::int64_t>("<i8", {2, 4}, two_layers));
  import("pool.npy");
  EXPECT_TRUE(has_pool(read()));
  fs::remove_all(path("counts"));
  values[3] = 0.5F;
  expect_refused("eam.npy", npy_of_counts<float>("<f4", {2, 2, 4}, values), "no count");
  values[3] = 16777216.0F;
  expect_refused("eam.npy", npy_of_counts<float>("<f4", {2, 2, 4}, values), "no count");
  expect_refused("eam.npy", npy_of_counts<float>("<f4", {1LL << 40, 0, 4}, {}), "without counts");
}

TEST_F(Counts, UsageFilesAndLists) {
  put("a_1.txt", "-1 3 4\n-2 1 3841822045\n1 0 5\n1 1 3\n1 2 2\n2 0 1\n2 1 2\n2 2 3\n2 3 4\n");
  const ImportResult usage = import("a_1.txt", "");
  EXPECT_EQ(usage.moe_layers, (std::vector{1, 2}));
  EXPECT_EQ(row(0), two_layers);
  // A line a selection, or with a count; how many experts there are is not in the lines.
  put("list.csv", "layer,expert\n1,0\n1,2\n0,3\n0,3\n");
  ImportOptions options;
  options.kind = "counts";
  options.n_experts = 4;
  import({"list.csv"}, options);
  EXPECT_EQ(row(0), (std::vector<std::int64_t>{0, 0, 0, 2, 1, 0, 1, 0}));
  put("list.csv", "layer_id,expert_id,count\n0,3,2\n1,0,1\n1,2,1\n");
  import({"list.csv"}, options);
  EXPECT_EQ(row(0), (std::vector<std::int64_t>{0, 0, 0, 2, 1, 0, 1, 0}));
  expect_error(ErrorKind::usage, "--experts", [&] { import("list.csv"); });
  options.n_experts = 3;
  expect_error(ErrorKind::data, "an expert that the model does not have",
               [&] { import({"list.csv"}, options); });
}

TEST_F(Counts, WhatIsNoCountIsRefused) {
  expect_refused("a.json", "{\"1\": {\"0\": 0.0411}}", "averages, shares and rankings");
  expect_refused("a.json", "{\"logical_count\": [[0.5,0.5],[1,0]]}", "no count");
  expect_refused("a.json", "{\"logical_count\": [[1,2],[1,-1]]}", "no count");
  expect_refused("a.json", "{\"logical_count\": [[1,2],[3]]}", "rows of different lengths");
  expect_refused("a.json", "{\"logical_count\": [[[1,2]]]}", "not the shape of counts");
  expect_refused("a.json", "{\"logical_count\": [[1,2],[0,0]]}", "a layer without counts");
  expect_refused("a.json", "{\"logical_count\": [[1,2],[1,1]]}", "add up to another number");
  expect_refused("a.txt", "-1 2 4\n0 0 x\n", "not a line of counts");
  expect_refused("a.txt", "-1 2 4\n0 4 1\n", "does not have");
  expect_refused("a.txt", "IKU1....", "binary usage file");
  expect_refused("a.csv", "layer,rank,share\n0,1,2\n", "not the head of a list");
  expect_refused("a.csv", "layer,expert\n0\n", "not a line of counts");
}

TEST_F(Counts, SumsOverRanksAreWarnedOf) {
  put("experts.json", "{\"logical_count\": [[8,8],[12,4]]}");
  const ImportResult result = import("experts.json");
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_NE(result.warnings[0].find("multiples of 4"), std::string::npos);
}

// A GGUF file as llama-imatrix writes it.
class GgufText {
 public:
  template <typename T>
  GgufText& add(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  GgufText& add_text(std::string_view value) {
    add<std::uint64_t>(value.size());
    text_ += value;
    return *this;
  }
  GgufText& key(std::string_view name, std::uint32_t type) { return add_text(name).add(type); }
  GgufText& pad() {
    text_.resize((text_.size() + 31) / 32 * 32);
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_ = "GGUF";
};

std::string imatrix(const std::vector<std::vector<float>>& matrices,
                    const std::string& type = "imatrix", std::uint32_t n_chunks = 1) {
  GgufText file;
  file.add<std::uint32_t>(3).add<std::uint64_t>(matrices.size()).add<std::uint64_t>(4);
  file.key("general.type", 8).add_text(type);
  file.key("imatrix.datasets", 9).add<std::uint32_t>(8).add<std::uint64_t>(1).add_text("a.txt");
  file.key("imatrix.chunk_count", 4).add<std::uint32_t>(n_chunks);
  file.key("imatrix.chunk_size", 4).add<std::uint32_t>(5);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    file.add_text("blk." + std::to_string(1 + i / 2) + (i % 2 == 0 ? ".ffn_up" : ".ffn_down") +
                  "_exps.weight.counts");
    file.add<std::uint32_t>(2).add<std::uint64_t>(1).add<std::uint64_t>(matrices[i].size());
    file.add<std::uint32_t>(0).add<std::uint64_t>(32 * i);
  }
  file.pad();
  for (const std::vector<float>& matrix : matrices) {
    for (const float value : matrix) file.add(value);
    file.pad();
  }
  return file.text();
}

const std::vector<float> first_layer{5, 3, 2, 0};
const std::vector<float> second_layer{1, 2, 3, 4};

TEST_F(Counts, ImportanceMatrices) {
  put("model.gguf", imatrix({first_layer, first_layer, second_layer, second_layer}));
  const ImportResult result = import("model.gguf", "");
  EXPECT_EQ(result.kind, "imatrix");
  EXPECT_EQ(result.moe_layers, (std::vector{1, 2}));
  EXPECT_EQ(result.n_tokens, 5);
  EXPECT_EQ(row(0), two_layers);
  EXPECT_TRUE(has_pool(read()));
  EXPECT_EQ(read().shape.top_k, 2);  // ten selections of five tokens
  fs::remove_all(path("counts"));
  const auto refused = [&](const std::string& file, std::string_view part) {
    expect_refused("bad.gguf", file, part, "imatrix");
  };
  refused(imatrix({first_layer, second_layer}), "disagree in their counts");
  refused(imatrix({{5, 5, 5, 5}}), "converted from a legacy imatrix");
  refused(imatrix({{10}}), "converted from a legacy imatrix");
  refused(imatrix({{5, 3.5, 1, 0.5}}), "not a count");
  refused(imatrix({{16777216, 3, 1, 0}}), "not a count");
  refused(imatrix({first_layer}, "model"), "no importance matrix");
  refused(imatrix({}), "no counts of experts");
  refused("\x03\0\0\0", "legacy imatrix");
  ImportOptions options;
  options.kind = "imatrix";
  options.top_k = 1;
  put("bad.gguf", imatrix({first_layer}));
  expect_error(ErrorKind::data, "do not fit the number of tokens",
               [&] { import({"bad.gguf"}, options); });
}

TEST(Gguf, ClaimsAreBounded) {
  const std::string whole = imatrix({first_layer, first_layer});
  EXPECT_EQ(imports::parse_gguf(whole, "f").tensors.size(), 2U);
  for (std::size_t n = 0; n < whole.size() - 16; ++n) {
    EXPECT_THROW(imports::parse_gguf(whole.substr(0, n), "f"), Error) << n;
  }
  const auto changed = [&](std::size_t at, std::uint64_t value) {
    std::string file = whole;
    std::memcpy(file.data() + at, &value, sizeof(value));
    return file;
  };
  for (const auto& [at, part] : {std::pair{8UL, "more tensors"}, std::pair{16UL, "more keys"},
                                 std::pair{24UL, "ends in its head"}}) {
    expect_error(ErrorKind::data, part,
                 [&] { imports::parse_gguf(changed(at, ~std::uint64_t{0} >> 8), "f"); });
  }
  const std::size_t sizes = whole.find("_exps.weight.counts") + 19 + 4;
  expect_error(ErrorKind::data, "does not hold the tensor",
               [&] { imports::parse_gguf(changed(sizes, 1000), "f"); });
  expect_error(ErrorKind::data, "overflows",
               [&] { imports::parse_gguf(changed(sizes, std::uint64_t{1} << 62), "f"); });
  const std::string none = changed(sizes, 0);
  const imports::GgufFile head = imports::parse_gguf(none, "f");
  const auto is_empty = [](const auto& tensor) { return tensor.sizes.front() == 0; };
  const auto empty = std::find_if(head.tensors.begin(), head.tensors.end(), is_empty);
  ASSERT_NE(empty, head.tensors.end());
  EXPECT_TRUE(imports::GgufFile::values(*empty, none).empty());
  expect_error(ErrorKind::data, "another version", [&] {
    imports::parse_gguf(std::string("GGUF\x01\0\0\0", 8) + std::string(16, '\0'), "f");
  });
}

TEST_F(Counts, ReadersCheckWhatTheyRead) {
  put("experts.json", "{\"logical_count\": [[5,3,2,0],[1,2,3,4]]}");
  import("experts.json");
  const std::string good = read_file(path("counts/counts.npy"), 10'000);
  EXPECT_EQ(good.size(), 128 + 8 * sizeof(std::int64_t));
  std::string bad = good;
  bad[128] = 6;
  put("counts/counts.npy", bad);
  expect_error(ErrorKind::data, "checksum", [&] { row(0); });
  put("counts/counts.npy", npy_of_counts<std::int64_t>("<i8", {1, 4, 2}, two_layers));
  expect_error(ErrorKind::data, "[1, 2, 4]", [&] { row(0); });
  put("counts/counts.npy", good.substr(0, 150));
  expect_error(ErrorKind::data, "counts.npy", [&] { row(0); });
  // Of other software: no checksums, another type of integers.
  put("counts/counts.npy",
      npy_of_counts<std::uint16_t>("<u2", {1, 2, 4}, {5, 3, 2, 0, 1, 2, 3, 4}));
  put("counts/prompts.jsonl", "{\"id\":\"a\",\"events_file\":\"counts.npy\"}\n");
  put("counts/manifest.json",
      "{\"format\":\"moexray-trace\",\"version\":2,\"model\":{\"n_layers\":2,\"n_experts\":4},"
      "\"recorded\":{\"kind\":\"counts\"}}");
  EXPECT_EQ(row(0), two_layers);
  EXPECT_FALSE(has_pool(read()));
  // Events and counts are two things.
  test::MadeRun run;
  run.shape = {2, 4, 2};
  test::write_trace(path("traces"), run);
  expect_error(ErrorKind::data, "not read together",
               [&] { open_traces(std::vector{path("traces"), path("counts")}, {}); });
  test::KeepingVisitor visitor(1);
  expect_error(ErrorKind::data, "counts, not tokens", [&] { read_events(read(), visitor, {}); });
}

}  // namespace
}  // namespace moexray
