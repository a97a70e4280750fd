#include "moexray/trace/import.h"

#include <gtest/gtest.h>
#include <nettle/base64.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "moexray/core/sha256.h"
#include "moexray/trace/reader.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace/importers/json_payload.h"
#include "trace/importers/model_layers.h"
#include "trace/importers/npz.h"
#include "trace/importers/routing_checks.h"
#include "trace/npy.h"
#include "trace_maker.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

constexpr std::string_view gemma_sha256 =
    "eb4106422cf7911ee4860137be4886075d8ba99c8788818fa274ba30b9d12b43";

fs::path data_file(const std::string& name) {
  return fs::path(MOEXRAY_TEST_DATA) / "import" / name;
}

// Ids [tokens][layers][k] as a test writes them.
using Ids = std::vector<std::vector<std::vector<int>>>;

// Rows that differ, of distinct experts, none of them 0, 1, ….
Ids made_ids(int n_tokens, int n_layers, int k, int n_experts, int start = 0) {
  Ids ids;
  for (int t = 0; t < n_tokens; ++t) {
    auto& token = ids.emplace_back();
    for (int layer = 0; layer < n_layers; ++layer) {
      auto& row = token.emplace_back();
      for (int j = 0; j < k; ++j) row.push_back((start + 3 * t + layer + 2 * j + 1) % n_experts);
    }
  }
  return ids;
}

template <typename T>
std::string bytes_of(const Ids& ids) {
  std::string bytes;
  for (const auto& token : ids) {
    for (const auto& row : token) {
      for (const int id : row) {
        const T value = static_cast<T>(id);
        bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
      }
    }
  }
  return bytes;
}

std::string npy_file(const std::string& type, const std::string& shape, const std::string& data,
                     bool is_fortran = false) {
  std::string text = "{'descr': '" + type +
                     "', 'fortran_order': " + (is_fortran ? "True" : "False") + ", 'shape': (" +
                     shape + "), }";
  while ((text.size() + 11) % 64 != 0) text += ' ';
  text += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(text.size() & 0xFF);
  file += static_cast<char>(text.size() >> 8);
  return file + text + data;
}

std::string shape_of(const Ids& ids) {
  return std::to_string(ids.size()) + ", " + std::to_string(ids[0].size()) + ", " +
         std::to_string(ids[0][0].size());
}

std::string npy_of(const Ids& ids) {
  return npy_file("|u1", shape_of(ids), bytes_of<std::uint8_t>(ids));
}

std::string base64(const std::string& bytes) {
  std::string text(BASE64_ENCODE_RAW_LENGTH(bytes.size()), '\0');
  base64_encode_raw(text.data(), bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()));
  return text;
}

std::string numbers(int first, int n) {
  std::string text = "[";
  for (int i = 0; i < n; ++i) text += (i > 0 ? "," : "") + std::to_string(first + i);
  return text + "]";
}

std::string lists_of(const Ids& ids) {
  std::string text = "[";
  for (std::size_t t = 0; t < ids.size(); ++t) {
    text += t > 0 ? ",[" : "[";
    for (std::size_t layer = 0; layer < ids[t].size(); ++layer) {
      text += layer > 0 ? ", [" : "[";
      for (std::size_t j = 0; j < ids[t][layer].size(); ++j) {
        text += (j > 0 ? "," : "") + std::to_string(ids[t][layer][j]);
      }
      text += "]";
    }
    text += "]";
  }
  return text + "]";
}

// A response of vLLM with one choice. @param routed a JSON text
std::string vllm_response(const std::string& id, int n_prompt, int n_generated,
                          const std::string& routed, const std::string& more = "") {
  return R"({"id":")" + id + R"(","object":"text_completion","model":"m","choices":[{"index":0,)" +
         R"("text":"\"routed_experts\": [","prompt_token_ids":)" + numbers(100, n_prompt) +
         R"(,"token_ids":)" + numbers(200, n_generated) + R"(,"finish_reason":"stop",)" +
         R"("routed_experts":)" + routed + R"(}],"usage":{"prompt_tokens":)" +
         std::to_string(n_prompt) + R"(,"completion_tokens":)" + std::to_string(n_generated) + "}" +
         more + "}\n";
}
std::string quoted(const std::string& text) { return '"' + text + '"'; }

class Import : public testing::Test {
 protected:
  Import() {
    options_.kind = "vllm";
    options_.n_experts = 16;
    options_.output = temporary_.path() / "out";
  }

  fs::path write(const std::string& name, const std::string& bytes) {
    const fs::path path = temporary_.path() / name;
    fs::create_directories(path.parent_path());
    test::write_text(path, bytes);
    return path;
  }
  void give(const std::string& name, const std::string& bytes) {
    options_.files = {write(name, bytes)};
  }
  void give_prompts(const std::string& lines) { options_.prompts = write("prompts.jsonl", lines); }
  ImportResult import() { return import_traces(options_); }
  test::ReadTrace read() const { return test::read_trace({options_.output}); }
  void expect_refused(const std::string& part) {
    expect_error(ErrorKind::data, part, [&] { import(); });
    EXPECT_FALSE(fs::exists(options_.output));
  }
  // Of vLLM with one response that holds these ids.
  void expect_ids_refused(const Ids& ids, int n_prompt, int n_generated, const std::string& part) {
    give("r.json", vllm_response("a", n_prompt, n_generated, quoted(base64(npy_of(ids)))));
    expect_refused(part);
  }
  static std::string sha256_of(const std::vector<test::KeptRecord>& records) {
    std::string bytes;
    for (const test::KeptRecord& record : records) {
      for (const ExpertId id : record.experts) {
        bytes.append(reinterpret_cast<const char*>(&id), sizeof(id));
      }
    }
    return sha256_hex(bytes);
  }
  static std::vector<std::vector<int>> experts_of(const std::vector<test::KeptRecord>& records) {
    std::vector<std::vector<int>> rows;
    for (const auto& record : records)
      rows.emplace_back(record.experts.begin(), record.experts.end());
    return rows;
  }
  static std::vector<std::vector<int>> flat(const Ids& ids) {
    std::vector<std::vector<int>> rows;
    for (const auto& token : ids) rows.insert(rows.end(), token.begin(), token.end());
    return rows;
  }

  ImportOptions options_;
  test::TemporaryDirectory temporary_;
};

TEST_F(Import, ReadsARealResponse) {
  options_.kind = "";
  options_.n_experts = 128;
  options_.files = {data_file("vllm-0.33-completion.json")};
  const ImportResult result = import();
  EXPECT_EQ(result.kind, "vllm");
  EXPECT_EQ(result.n_tokens, 157);
  EXPECT_EQ(result.shape, (RoutingShape{30, 128, 6}));
  const test::ReadTrace trace = read();
  EXPECT_EQ(sha256_of(trace.records.at(0)), gemma_sha256);
  EXPECT_EQ(trace.set.prompts[0].id, "cmpl-gemma");
  EXPECT_EQ(trace.set.prompts[0].n_prompt_tokens, 29);
  EXPECT_EQ(trace.set.prompts[0].n_generated_tokens, 129);
  EXPECT_EQ(trace.set.prompts[0].token_ids.at(30), 1030);
  const TraceManifest manifest = trace.set.manifests[0];
  EXPECT_EQ(manifest.version, 2);
  EXPECT_EQ(manifest.source.system, "vllm");
  EXPECT_EQ(manifest.source.interface, "/v1/completions");
  EXPECT_EQ(manifest.source.files.at(0).name, "vllm-0.33-completion.json");
  EXPECT_EQ(manifest.source.files.at(0).sha256,
            sha256_hex(test::snapshot(data_file("")).at("vllm-0.33-completion.json")));
  EXPECT_EQ(manifest.recorded.order, ManifestRecorded::Order::unknown);
  EXPECT_EQ(manifest.recorded.weights, ManifestRecorded::Weights::none);
  EXPECT_TRUE(manifest.recorded.token_ids);
  // The same again gives the same bytes.
  const test::Snapshot first = test::snapshot(options_.output);
  options_.force = true;
  import();
  EXPECT_EQ(test::snapshot(options_.output), first);
}

TEST_F(Import, ReadsARealArchive) {
  options_.n_experts = 128;
  options_.files = {data_file("vllm-offline.npz")};
  give_prompts(R"({"id":"vllm-offline","category":"x","n_prompt_tokens":29})"
               "\n");
  import();
  const test::ReadTrace trace = read();
  EXPECT_EQ(sha256_of(trace.records.at(0)), gemma_sha256);
  EXPECT_EQ(trace.set.prompts[0].category, "x");
  EXPECT_EQ(trace.set.prompts[0].n_prompt_tokens, 29);
  options_.output = temporary_.path() / "none";
  options_.prompts.clear();
  expect_refused("how many tokens the prompt has is not known");
  options_.all_prompt_tokens = true;
  import();
  EXPECT_EQ(test::read_trace({options_.output}).set.prompts[0].n_prompt_tokens, 157);
}

TEST_F(Import, ReadsEveryFormOfVllm) {
  const Ids ids = made_ids(5, 3, 2, 16);
  const std::string encoded = quoted(base64(npy_of(ids)));
  const std::string one = vllm_response("cmpl-a", 3, 3, encoded);
  const std::string two = vllm_response("cmpl-b", 3, 3, lists_of(ids));
  const auto expect_read = [&](std::size_t n) {
    options_.force = true;
    import();
    const test::ReadTrace trace = read();
    ASSERT_EQ(trace.records.size(), n);
    for (const auto& records : trace.records) EXPECT_EQ(experts_of(records), flat(ids));
  };
  give("r.jsonl", one + two);
  expect_read(2);
  give("r.json", "[" + one + ",\n" + two + "]");
  expect_read(2);
  // The output of a batch.
  const std::string line = one.substr(0, one.size() - 1);
  give("batch.jsonl", R"({"id":"vllm-1","custom_id":"q1","response":{"status_code":200,"body":)" +
                          line + R"(},"error":null})" + "\n");
  expect_read(1);
  EXPECT_EQ(read().set.prompts[0].id, "q1");
  // 0.21: rows of the prompt beside the choices.
  const Ids first(ids.begin(), ids.begin() + 3);
  const Ids rest(ids.begin() + 3, ids.end());
  give("r.json",
       vllm_response("a", 3, 3, lists_of(rest), ",\"prompt_routed_experts\":" + lists_of(first)));
  expect_read(1);
  // uint16, Fortran order.
  std::string columns;
  for (std::size_t j = 0; j < 2; ++j) {
    for (std::size_t layer = 0; layer < 3; ++layer) {
      for (std::size_t t = 0; t < 5; ++t) {
        columns += static_cast<char>(ids[t][layer][j]);
        columns += '\0';
      }
    }
  }
  give("r.json",
       vllm_response("a", 3, 3, quoted(base64(npy_file("<u2", "5, 3, 2", columns, true)))));
  expect_read(1);
}

TEST_F(Import, ReadsCompressedFiles) {
  const Ids ids = made_ids(5, 3, 2, 16);
  const std::string text = vllm_response("a", 3, 3, lists_of(ids));
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), 1));
  give("r.json", frame);
  import();
  EXPECT_EQ(experts_of(read().records.at(0)), flat(ids));
  const fs::path path = temporary_.path() / "r.gz";
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  options_.files = {path};
  options_.force = true;
  import();
  EXPECT_EQ(experts_of(read().records.at(0)), flat(ids));
  std::string half = test::snapshot(temporary_.path()).at("r.gz");
  half.resize(half.size() / 2);
  options_.output = temporary_.path() / "none";
  give("half.gz", half);
  expect_refused("truncated");
  frame.resize(frame.size() - 3);
  give("half.zst", frame);
  expect_refused("truncated");
}

TEST_F(Import, SglangNeedsTheModelsShape) {
  options_.kind = "sglang";
  const Ids ids = made_ids(4, 3, 2, 16);
  const std::string payload = quoted(base64(bytes_of<std::int32_t>(ids)));
  const std::string start = R"({"text":"x","output_ids":[7,8],"meta_info":{"id":"r1",)"
                            R"("prompt_tokens":3,"completion_tokens":2,"routed_experts":)";
  give("r.json", start + payload + "}}");
  expect_error(ErrorKind::usage, "--config", [&] { import(); });
  options_.n_layers = 3;
  options_.top_k = 2;
  import();
  EXPECT_EQ(experts_of(read().records.at(0)), flat(ids));
  EXPECT_EQ(read().set.prompts[0].id, "r1");
  EXPECT_EQ(read().set.prompts[0].n_generated_tokens, 2);
  options_.force = true;
  give("r.json", R"({"id":"c","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":3,)"
                 R"("completion_tokens":2},"sglext":{"routed_experts":)" +
                     payload + "}}");
  import();
  EXPECT_EQ(read().set.manifests[0].source.interface, "/v1/chat/completions");
  options_.output = temporary_.path() / "none";
  give("r.json", start + payload + "}}");
  options_.n_layers = 5;
  expect_refused("a multiple of 40 bytes");
  options_.n_layers = 2;  // divides, and gives another number of rows
  expect_refused("6 rows of routed experts, 4 expected");
  options_.n_layers = 3;
  give("r.json", start + quoted("AAAA*") + "}}");
  expect_refused("not valid base64");
}

// The checks, in the order of the documentation.

TEST_F(Import, RowsAreTokensWithoutTheLast) {
  expect_ids_refused(made_ids(4, 3, 2, 16), 3, 3, "4 rows of routed experts, 5 expected");
  expect_ids_refused(made_ids(6, 3, 2, 16), 3, 3, "6 rows of routed experts, 5 expected");
  options_.prompt_start = 2;
  give("r.json", vllm_response("a", 3, 3, lists_of(made_ids(3, 3, 2, 16))));
  import();
  const test::ReadTrace trace = read();
  EXPECT_EQ(trace.records[0].front().pos, 2);
  EXPECT_EQ(trace.records[0].back().pos, 4);
  EXPECT_EQ(trace.records[0].back().type, TokenType::generation);
  EXPECT_EQ(trace.set.manifests[0].complete.first_pos, 2);
  EXPECT_FALSE(trace.set.manifests[0].complete.prompt);
}

TEST_F(Import, IdsAreInRange) {
  Ids ids = made_ids(5, 3, 2, 16);
  ids[2][1][0] = 17;
  expect_ids_refused(ids, 3, 3,
                     "position 2, layer 1: an id of an expert is out of range (physical");
  give("r.json", vllm_response("a", 3, 3, lists_of(made_ids(5, 3, 2, 2000))));
  ids[2][1][0] = 2000;
  give("r.json", vllm_response("a", 3, 3, lists_of(ids)));
  expect_error(ErrorKind::data, "out of range: expected 0 to 15", [&] { import(); });
}

TEST_F(Import, IdsOfARowAreDistinct) {
  Ids ids = made_ids(5, 3, 2, 16);
  ids[3][2] = {5, 5};
  expect_ids_refused(ids, 3, 3, "position 3, layer 2: an expert is given twice");
  ids[3][2] = {0, 0};
  expect_ids_refused(ids, 3, 3, "position 3, layer 2: a row of zeros");
}

TEST_F(Import, ALayerOfZerosIsDenseOnlyWhereThatIsSaid) {
  Ids ids = made_ids(5, 3, 2, 16);
  for (auto& token : ids) token[0] = {0, 0};
  expect_ids_refused(ids, 3, 3, "layer 0 is zero in every row");
  options_.moe_layers = {1, 2};
  give("r.json", vllm_response("a", 3, 3, lists_of(ids)));
  const ImportResult result = import();
  EXPECT_EQ(result.moe_layers, (std::vector<int>{1, 2}));
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("1 layer of 3 without experts left out: 0"), std::string::npos);
  EXPECT_EQ(read().set.shape.n_layers, 2);
  // The layers with experts alone are the other right axis.
  for (auto& token : ids) token.erase(token.begin());
  give("r.json", vllm_response("a", 3, 3, lists_of(ids)));
  options_.force = true;
  import();
  EXPECT_EQ(read().set.manifests[0].model.moe_layers, (std::vector<int>{1, 2}));
  options_.output = temporary_.path() / "none";
  options_.n_layers = 3;
  give("r.json", vllm_response("a", 3, 3, lists_of(made_ids(5, 4, 2, 16))));
  expect_refused("expected 2 (those with experts) or 3 (all), found 4");
  give("r.json", vllm_response("a", 3, 3, lists_of(made_ids(5, 3, 2, 16))));
  expect_refused("a layer without experts (by the config or --moe-layers) has routing");
}

TEST_F(Import, RowsOfZerosAreHoles) {
  Ids ids = made_ids(5, 3, 2, 16);
  for (const std::size_t t : {0, 1}) ids[t].assign(3, {0, 0});
  expect_ids_refused(ids, 3, 3, "positions 0 to 1: no routing (zeros at every layer)");
  ids.assign(5, std::vector<std::vector<int>>(3, {0, 0}));
  expect_ids_refused(ids, 3, 3, "nothing was captured: every row of every layer is 0,0");
  options_.drop_prompts_with_holes = true;
  Ids holes = made_ids(5, 3, 2, 16);
  holes[4].assign(3, {0, 0});
  give("r.jsonl", vllm_response("a", 3, 3, lists_of(holes)) +
                      vllm_response("b", 3, 3, lists_of(made_ids(5, 3, 2, 16))));
  const ImportResult result = import();
  EXPECT_EQ(result.n_prompts, 1U);
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("1 prompt left out"), std::string::npos);
  EXPECT_EQ(read().set.manifests[0].complete.prompts_left_out, 1);
  options_.output = temporary_.path() / "none";
  give("r.jsonl", vllm_response("a", 3, 3, lists_of(holes)));
  expect_refused("every prompt has holes");
}

TEST_F(Import, PaddingIsNoRouting) {
  Ids ids = made_ids(5, 3, 2, 16);
  ids[4].assign(3, {0, 1});
  expect_ids_refused(ids, 3, 3, "position 4: padding (0 to 1 at every layer)");
  ids[4].assign(3, {-1, -1});
  give("r.json", vllm_response("a", 3, 3, lists_of(ids)));
  expect_refused("position 4: no routing (-1 stands there)");
}

TEST_F(Import, WithOneExpertATokenZerosAreLookedAt) {
  Ids ids = made_ids(12, 8, 1, 16);
  ids[4].assign(8, {0});
  give("r.json", vllm_response("a", 10, 3, lists_of(ids)));
  const ImportResult result = import();
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("cannot be told from a row"), std::string::npos);
  ids[5].assign(8, {0});
  options_.output = temporary_.path() / "none";
  expect_ids_refused(ids, 10, 3, "up to 2 positions in a row");
  // By chance, with few layers and experts.
  Ids few = made_ids(12, 2, 1, 4);
  few[4] = few[5] = {{0}, {0}};
  options_.n_experts = 4;
  give("r.json", vllm_response("a", 10, 3, lists_of(few)));
  EXPECT_NO_THROW(import());
}

TEST_F(Import, RepeatedRowsAreWarnedOf) {
  Ids ids = made_ids(5, 3, 2, 16);
  ids[2] = ids[3] = ids[1];
  give("r.json", vllm_response("a", 3, 3, lists_of(ids)));
  const ImportResult result = import();
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_NE(result.warnings[0].find("up to position 3"), std::string::npos);
}

TEST_F(Import, TokenIdsTellAWrongOrder) {
  const std::string routed = lists_of(made_ids(5, 3, 2, 16));
  give("r.jsonl", vllm_response("x1", 3, 3, routed) + vllm_response("x2", 3, 3, routed));
  options_.join_by_order = true;
  give_prompts(R"({"id":"a","prompt":"p","prompt_token_ids":[100,101,102]})"
               "\n"
               R"({"id":"b","prompt":"q","prompt_token_ids":[100,101,103]})"
               "\n");
  expect_refused("r.jsonl:2: the record has other token ids than prompt \"b\"");
  give_prompts(R"({"id":"a","prompt":"p"})"
               "\n"
               R"({"id":"b","prompt":"q"})"
               "\n");
  import();
  EXPECT_EQ(read().set.prompts[1].id, "b");
  EXPECT_EQ(read().set.manifests[0].source.joined, "order");
}

TEST_F(Import, ATokenizerTellsAWrongOrderToo) {
  const std::string routed = lists_of(made_ids(5, 3, 2, 16));
  give("r.jsonl", vllm_response("x1", 3, 3, routed) + vllm_response("x2", 3, 3, routed));
  options_.join_by_order = true;
  give_prompts(R"({"id":"a","prompt":"p"})"
               "\n"
               R"({"id":"b","messages":[{"role":"user","content":"q"}]})"
               "\n");
  int n_asked = 0;
  options_.tokenise = [&](const Prompt& prompt) {
    ++n_asked;
    return prompt.messages.empty() ? std::vector<TokenId>{100, 101, 102}
                                   : std::vector<TokenId>{100, 101, 103};
  };
  expect_refused("r.jsonl:2: the record has other token ids than prompt \"b\"");
  EXPECT_EQ(n_asked, 2);
  // A prompt that is a token longer was another one, too.
  options_.tokenise = [](const Prompt&) { return std::vector<TokenId>{100, 101, 102, 103}; };
  expect_refused("r.jsonl:1: the record has other token ids than prompt \"a\"");
  options_.tokenise = [](const Prompt&) { return std::vector<TokenId>{100, 101}; };
  expect_refused("r.jsonl:1: the record has other token ids than prompt \"a\"");
  options_.tokenise = [](const Prompt&) { return std::vector<TokenId>{100, 101, 102}; };
  import();
}

TEST_F(Import, PrefixesThatAreRoutedDifferentlyAreWarnedOf) {
  // Twelve tokens of the prompt and two generated ones that are routed, all in common.
  const Ids first = made_ids(14, 3, 2, 16);
  Ids second = first;
  const auto give_both = [&] {
    give("r.jsonl",
         vllm_response("a", 12, 3, lists_of(first)) + vllm_response("b", 12, 3, lists_of(second)));
  };
  options_.check_prefixes = true;
  options_.check_only = true;
  give_both();
  EXPECT_TRUE(import().warnings.empty());
  // One row of 42 is below the line of 5%.
  std::swap(second[5][1][0], second[5][1][1]);  // the order of a row means nothing
  second[6][0][0] = 15;
  give_both();
  EXPECT_TRUE(import().warnings.empty());
  // Rows that are shifted by one, as those of another request may be.
  second.insert(second.begin(), made_ids(1, 3, 2, 16, 11)[0]);
  second.pop_back();
  give_both();
  const std::vector<std::string> warnings = import().warnings;
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("prompt \"b\" begins with the 14 tokens of \"a\""), std::string::npos)
      << warnings[0];
  options_.check_prefixes = false;
  EXPECT_TRUE(import().warnings.empty());
}

TEST_F(Import, JoinsById) {
  const std::string routed = lists_of(made_ids(5, 3, 2, 16));
  give("r.jsonl", vllm_response("cmpl-b", 3, 3, routed) +
                      vllm_response("x", 3, 3, routed, ",\"custom_id\":\"a\""));
  give_prompts(R"({"id":"a","category":"A","prompt":"p"})"
               "\n"
               R"({"custom_id":"b","method":"POST","url":"/v1/completions","body":{"prompt":"q"}})"
               "\n");
  import();
  const TraceSet set = read().set;
  EXPECT_EQ(set.prompts[0].id, "b");
  EXPECT_EQ(set.prompts[0].text, "q");
  EXPECT_EQ(set.prompts[1].category, "A");
  EXPECT_EQ(set.manifests[0].source.joined, "id");
  options_.output = temporary_.path() / "none";
  give("r.jsonl", vllm_response("cmpl-b", 3, 3, routed));
  expect_refused("1 prompt of 2 has no record: \"a\"");
  give("r.jsonl", vllm_response("cmpl-c", 3, 3, routed));
  expect_refused("has the id of this record");
  options_.join_by_order = true;
  expect_refused("has no record");
  give("r.jsonl", vllm_response("1", 3, 3, routed) + vllm_response("2", 3, 3, routed) +
                      vllm_response("3", 3, 3, routed));
  expect_refused("more records than prompts");
}

TEST_F(Import, ChoicesStandApartAndIdsAreUnique) {
  const std::string routed = lists_of(made_ids(5, 3, 2, 16));
  std::string text = vllm_response("a", 3, 3, routed);
  const std::string second = R"({"index":1,"text":"y","prompt_token_ids":[100,101,102],)"
                             R"("token_ids":[200],"routed_experts":)" +
                             lists_of(made_ids(3, 3, 2, 16, 5)) + "},";
  text.insert(text.find("{\"index\":0"), second);
  give("r.json", text);
  import();
  EXPECT_EQ(read().set.prompts[0].id, "a#1");
  EXPECT_EQ(read().set.prompts[1].id, "a#0");
  options_.output = temporary_.path() / "none";
  give("r.jsonl", vllm_response("a", 3, 3, routed) + vllm_response("a", 3, 3, routed));
  expect_refused("r.jsonl:2: a second record of prompt \"a\"");
}

TEST_F(Import, RefusesWhatIsNoResponse) {
  const auto expect_bad = [&](const std::string& text, const std::string& part) {
    give("r.jsonl", text);
    expect_refused(part);
  };
  expect_bad("data: {\"id\":\"a\"}\n\ndata: [DONE]\n", "a saved stream");
  expect_bad(R"({"object":"chat.completion.chunk","choices":[]})", "a piece of a stream");
  expect_bad(R"({"custom_id":"a","response":{"status_code":500,"body":{}}})", "status_code 200");
  expect_bad(R"({"custom_id":"a","response":null,"error":{"message":"no"}})", "request failed");
  expect_bad(vllm_response("a", 3, 3, "null"), "no routed_experts: the request was aborted");
  expect_bad(vllm_response("a", 3, 3, "7"), "wrong value of key \"routed_experts\"");
  expect_bad(vllm_response("a", 3, 3, "[[[1,2],[3]]]"), "lists of unequal length");
  expect_bad(vllm_response("a", 3, 3, "[[[1,2.5]]]"), "not a list of integers");
  expect_bad(vllm_response("a", 3, 3, "\"AAAA\""), "not a .npy file");
  expect_bad(vllm_response("a", 3, 3, lists_of(made_ids(5, 3, 2, 16))) + "x",
             "not a JSON object: it begins with 'x'");
  expect_bad(R"({"id":"a")", "is not closed");
  expect_bad("[{\"id\":\"a\",\"choices\":[{}]}", "no routed_experts");
  give("a.pt", "x");
  expect_refused("a pickle");
  give("a", std::string("PAR1") + std::string(20, '\0'));
  expect_refused("a Parquet file");
}

TEST_F(Import, NumbersOfExpertsHaveToBeKnownAndAgree) {
  options_.n_experts = 0;
  give("r.json", vllm_response("a", 3, 3, lists_of(made_ids(5, 3, 2, 16))));
  expect_error(ErrorKind::usage, "--experts E", [&] { import(); });
  options_.config = write("config.json", R"({"model_type":"x","num_hidden_layers":3,)"
                                         R"("num_experts":16,"num_experts_per_tok":4})");
  expect_refused("another number of experts per token");
  options_.config =
      write("config.json", R"({"text_config":{"model_type":"x","num_hidden_layers":3,)"
                           R"("num_experts":16,"num_experts_per_tok":2}})");
  import();
  EXPECT_EQ(read().set.manifests[0].model.moe_layers, (std::vector<int>{0, 1, 2}));
  options_.n_experts = 8;
  expect_error(ErrorKind::usage, "--experts", [&] { import(); });
}

TEST_F(Import, NothingIsReplacedUnasked) {
  give("r.json", vllm_response("a", 3, 3, lists_of(made_ids(5, 3, 2, 16))));
  import();
  expect_error(ErrorKind::usage, "--force", [&] { import(); });
  test::write_text(options_.output / "mine.txt", "x");
  options_.force = true;
  import();
  EXPECT_TRUE(fs::exists(options_.output / "mine.txt"));
  const test::Snapshot before = test::snapshot(options_.output);
  give("r.json", "{}");
  EXPECT_THROW(import(), Error);
  EXPECT_EQ(test::snapshot(options_.output), before);
  options_.check_only = true;
  options_.output.clear();
  give("r.json", vllm_response("a", 3, 3, lists_of(made_ids(5, 3, 2, 16))));
  EXPECT_EQ(import().n_tokens, 5);
  for (const auto& entry : fs::directory_iterator(temporary_.path())) {
    EXPECT_EQ(entry.path().filename().string().find("import-"), std::string::npos);
  }
}

TEST_F(Import, ReadsLayoutsOfRecords) {
  options_.kind = "";
  const auto record = [](int pos, int layer, const char* experts, const char* weights) {
    return R"({"request_id":0,"sample_id":"s","phase":")" +
           std::string(pos < 2 ? "prefill" : "decode") + R"(","token_position":)" +
           std::to_string(pos) + R"(,"input_token_id":)" + std::to_string(50 + pos) +
           R"(,"layer_id":)" + std::to_string(layer) + R"(,"selected_expert_ids":)" + experts +
           R"(,"selected_expert_weights":)" + weights + R"(,"domain":"d"})" + "\n";
  };
  std::string text;
  for (int pos = 0; pos < 3; ++pos) {
    text += record(pos, 1, "[3,5,4]", "[0.2,0.5,0.2]") + record(pos, 4, "[7,8,9]", "[0.5,0.3,0.2]");
  }
  give("r.jsonl", text);
  EXPECT_EQ(import().kind, "jsonl");
  const test::ReadTrace trace = read();
  EXPECT_EQ(trace.set.prompts[0].category, "d");
  EXPECT_EQ(trace.set.prompts[0].n_prompt_tokens, 2);
  EXPECT_EQ(trace.set.prompts[0].token_ids, (std::vector<TokenId>{50, 51, 52}));
  EXPECT_EQ(trace.set.manifests[0].model.moe_layers, (std::vector<int>{1, 4}));
  EXPECT_EQ(trace.set.manifests[0].recorded.order, ManifestRecorded::Order::router);
  // By weight, of equal ones the lower id first.
  EXPECT_EQ(trace.records[0][0].experts, (std::vector<ExpertId>{5, 3, 4}));
  EXPECT_EQ(trace.records[0][0].weights, (std::vector<float>{0.5F, 0.2F, 0.2F}));
  options_.output = temporary_.path() / "none";
  give("r.jsonl", text.substr(0, text.rfind("{\"request")));
  expect_refused("layer 4 lacks 1 of 3 positions, 2 to 2 (llama.cpp");
  options_.drop_layers = {4};
  import();
  EXPECT_EQ(read().set.manifests[0].complete.layers_left_out, std::vector<int>{4});
  options_.output = temporary_.path() / "none2";
  options_.drop_layers = {9};
  expect_refused("--drop-layers names a layer that is not there");
  options_.drop_layers = {};
  give("r.jsonl", record(0, 1, "[3,4]", "[0.5,-0.1]"));
  expect_refused("wrong router weight");
  give("r.jsonl", R"({"token_scores":{"1":{"0":0.01}}})");
  expect_error(ErrorKind::usage, "no kind that is recognised", [&] { import(); });
  options_.kind = "jsonl";
  expect_refused("records of no known layout");
}

TEST_F(Import, ReadsOlmoeAndAtlas) {
  options_.kind = "jsonl";
  // Token, rank, layer.
  give("c4.jsonl", R"({"input_ids":[7,8],"exp_ids":[[[1,2,3],[4,5,6]],[[7,8,9],[10,11,12]]]})");
  import();
  EXPECT_EQ(experts_of(read().records.at(0)),
            (std::vector<std::vector<int>>{{1, 4}, {2, 5}, {3, 6}, {7, 10}, {8, 11}, {9, 12}}));
  EXPECT_EQ(read().set.prompts[0].id, "line-1");
  EXPECT_FALSE(read().set.manifests[0].complete.generation);
  options_.force = true;
  options_.n_experts = 0;
  give("atlas.jsonl",
       R"({"model_id":"m","num_layers":2,"num_experts":8,"top_k":2,"text":"t","token_ids":[4],)"
       R"("domain":"d","activations":[{"layer":0,"token_idx":0,"expert_idx":3,"gate_weight":0.2},)"
       R"({"layer":0,"token_idx":0,"expert_idx":5,"gate_weight":0.8},)"
       R"({"layer":1,"token_idx":0,"expert_idx":6,"gate_weight":0.6},)"
       R"({"layer":1,"token_idx":0,"expert_idx":7,"gate_weight":0.4}]})");
  import();
  EXPECT_EQ(experts_of(read().records.at(0)), (std::vector<std::vector<int>>{{5, 3}, {6, 7}}));
  EXPECT_EQ(read().set.prompts[0].text, "t");
}

TEST_F(Import, ReadsRouteCsv) {
  options_.kind = "";
  options_.n_experts = 0;
  const std::string head =
      "# route_trace v1\n# model=/x/m.gguf arch=a n_layer=2 n_expert=8 n_expert_used=2\n"
      "weight,turn,phase,step,layer,slot,expert,residency,expert_bytes\n";
  std::string rows;
  for (const char* place : {"0,0,0", "0,0,1", "0,1,2"}) {
    for (const char* layer : {"0", "1"}) {
      rows += "0.7," + std::string(place) + "," + layer + ",0,5,1,9\n0.3," + place + "," + layer +
              ",1,3,1,9\n";
    }
  }
  give("s.route.csv", head + rows);
  EXPECT_EQ(import().kind, "bmoe");
  const test::ReadTrace trace = read();
  EXPECT_EQ(trace.set.prompts[0].id, "s");
  EXPECT_EQ(trace.set.prompts[0].n_prompt_tokens, 2);
  EXPECT_EQ(trace.set.model_name, "m.gguf");
  EXPECT_EQ(trace.records[0].size(), 6U);
  EXPECT_EQ(trace.records[0][5].experts, (std::vector<ExpertId>{5, 3}));
  options_.output = temporary_.path() / "none";
  give("s.route.csv", head + rows + "nan,0,1,3,0,0,5,1,9\n0.3,0,1,3,0,1,3,1,9\n" +
                          "0.7,0,1,3,1,0,5,1,9\n0.3,0,1,3,1,1,3,1,9\n");
  expect_refused("wrong router weight");
  give("s.route.csv", head + rows + "0.5,0,1,3,0,0,5,1\n");
  expect_refused("s.route.csv:16: another number of fields");
  give("s.route.csv", head + rows + "0.5,0,1,-1,0,0,5,1,9\n");
  expect_refused("wrong position");
  give("s.route.csv", "# route_trace v1\nturn,phase,step,layer,slot,expert\n");
  expect_refused("a column is missing: expected weight");
}

TEST_F(Import, ReadsEsft) {
  options_.kind = "esft";
  options_.n_experts = 0;
  const std::string line =
      "9\t8\t7\t6\t5\t4\t1\t2\t3\t10\t11\t12\t\t"
      "0.1\t0.2\t0.3\t0.15\t0.05\t0.05\t0.2\t0.1\t0.1\t0.3\t0.05\t0.01\n";
  for (const char* layer : {"1", "2", "10"}) {
    write("law/expert_weights_" + std::string(layer) + ".txt", line + line);
  }
  options_.files = {temporary_.path() / "law"};
  import();
  const test::ReadTrace trace = read();
  ASSERT_EQ(trace.records.size(), 2U);
  EXPECT_EQ(trace.set.prompts[0].category, "law");
  EXPECT_EQ(trace.set.prompts[1].id, "law-2");
  EXPECT_EQ(trace.set.manifests[0].model.moe_layers, (std::vector<int>{1, 2, 10}));
  EXPECT_EQ(trace.set.shape.n_experts, 64);
  EXPECT_EQ(trace.records[0][0].experts, (std::vector<ExpertId>{7, 8, 6, 9, 4, 5}));
  EXPECT_EQ(trace.records[0][3].experts, (std::vector<ExpertId>{10, 1, 2, 3, 11, 12}));
  options_.output = temporary_.path() / "none";
  write("law/expert_weights_2.txt", line);
  expect_refused("a line less than");
  write("law/expert_weights_2.txt", line + "1\t2\t3\t4\t5\t\t1\t1\t1\t1\t1\n");
  expect_refused("a multiple of 6");
  write("law/summary.json", "{}");
  expect_refused("summary.json");
}

TEST(ImportFormats, NpyHeadersAreStrict) {
  const std::string good = npy_file("<i4", "2, 1, 3", std::string(24, '\0'));
  EXPECT_EQ(trace::parse_npy(good, "x.npy").shape, (std::vector<std::int64_t>{2, 1, 3}));
  const auto expect_bad = [](const std::string& file, const std::string& part) {
    expect_error(ErrorKind::data, part, [&] { trace::parse_npy(file, "x.npy"); });
  };
  expect_bad(good.substr(0, good.size() - 1), "24 bytes for int32 [2, 1, 3]");
  expect_bad(good + "x", "does not hold the array");
  expect_bad(good.substr(0, 40), "longer than the file");
  expect_bad("\x93NUMPX", "not a .npy file");
  expect_bad(npy_file("|O", "2,", "xx"), "a pickle");
  expect_bad(npy_file(">i4", "2,", std::string(8, '\0')), "big-endian");
  expect_bad(npy_file("<c8", "2,", std::string(16, '\0')), "another type");
  expect_bad(npy_file("<i4", "4611686018427387904, 8", ""), "far too many");
  expect_bad(npy_file("<i4", "-1,", ""), "wrong shape");
  expect_bad(npy_file("<i4", "2,), 'shape': (2,", std::string(8, '\0')), "given twice");
  EXPECT_TRUE(trace::parse_npy(npy_file("<f8", "", std::string(8, '\0')), "x").shape.empty());
}

TEST(ImportFormats, ConfigsAreReadFully) {
  const auto moe_layers = [](const std::string& members) {
    return imports::parse_model_layers(
               "{\"num_hidden_layers\":6,\"n_routed_experts\":8,\"num_experts_per_tok\":2" +
                   members + "}",
               "config.json")
        .moe_layers;
  };
  using Layers = std::vector<int>;
  EXPECT_EQ(moe_layers(""), (Layers{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(moe_layers(",\"first_k_dense_replace\":1,\"moe_layer_freq\":1"),
            (Layers{1, 2, 3, 4, 5}));
  EXPECT_EQ(moe_layers(",\"moe_layer_freq\":2"), (Layers{0, 2, 4}));
  EXPECT_EQ(moe_layers(",\"moe_layer_freq\":[0,0,1,1,1,1]"), (Layers{2, 3, 4, 5}));
  EXPECT_EQ(moe_layers(",\"decoder_sparse_step\":2,\"mlp_only_layers\":[3]"), (Layers{1, 5}));
  EXPECT_EQ(moe_layers(",\"interleave_moe_layer_step\":3"), (Layers{2, 5}));
  EXPECT_EQ(moe_layers(",\"moe_layers\":[1,4]"), (Layers{1, 4}));
  EXPECT_EQ(moe_layers(",\"expert_layer_period\":2,\"expert_layer_offset\":1"), (Layers{1, 3, 5}));
  EXPECT_EQ(moe_layers(",\"moe_layer_start_index\":2,\"moe_layer_end_index\":-1"),
            (Layers{2, 3, 4, 5}));
  EXPECT_EQ(moe_layers(",\"hybrid_override_pattern\":\"MEM*EE\""), (Layers{1, 4, 5}));
  EXPECT_EQ(
      moe_layers(R"(,"mlp_layer_types":["dense","sparse","sparse","dense","sparse","dense"])"),
      (Layers{1, 2, 4}));
  expect_error(ErrorKind::data, "\"moe_layer_plan\" may decide",
               [&] { moe_layers(",\"moe_layer_plan\":3"); });
  expect_error(ErrorKind::data, "moe_layer_freq", [&] { moe_layers(",\"moe_layer_freq\":[1]"); });
  expect_error(ErrorKind::data, "the number of experts", [] {
    imports::parse_model_layers(R"({"num_hidden_layers":2,"num_experts_per_tok":2})", "c");
  });
  EXPECT_EQ(imports::parse_layer_list("0-2,5", "--x"), (Layers{0, 1, 2, 5}));
  for (const char* wrong : {"", "a", "3-1", "2,2", "1-", "-1", "1,,2"}) {
    expect_error(ErrorKind::usage, "--x", [&] { imports::parse_layer_list(wrong, "--x"); });
  }
}

TEST(ImportFormats, ArchivesAreChecked) {
  const imports::NpzFile file(data_file("vllm-offline.npz"));
  EXPECT_EQ(file.names(), std::vector<std::string>{"routed_experts.npy"});
  EXPECT_EQ(trace::parse_npy(file.read("routed_experts.npy"), "x").shape,
            (std::vector<std::int64_t>{157, 30, 6}));
  expect_error(ErrorKind::data, "no such member", [&] { file.read("other.npy"); });
  const test::TemporaryDirectory temporary;
  std::string bytes = test::snapshot(data_file("")).at("vllm-offline.npz");
  bytes[bytes.size() / 2] ^= 0x55;
  test::write_text(temporary.path() / "damaged.npz", bytes);
  expect_error(ErrorKind::data, "damaged", [&] {
    imports::NpzFile(temporary.path() / "damaged.npz").read("routed_experts.npy");
  });
  test::write_text(temporary.path() / "none.npz", "PK\x03\x04nothing");
  expect_error(ErrorKind::data, "not a zip archive",
               [&] { imports::NpzFile(temporary.path() / "none.npz"); });
}

// One byte an id and what a word of such bytes does not hold: 8 or 9 of them, 256 experts or 300.
TEST(RoutingChecks, FindEveryPairOfEqualIdsAndEveryIdOutOfRange) {
  for (const int n_experts : {64, 256, 300}) {
    for (const std::int64_t k : {2, 4, 8, 9}) {
      // The highest ids first, so that rows are not 0, 1, …; three tokens of one layer.
      std::vector<std::int32_t> ids;
      for (std::int32_t i = 0; i < 3 * k; ++i) ids.push_back(n_experts - 1 - i);
      const auto check = [&] {
        std::string bytes(ids.size() * sizeof(std::int32_t), '\0');
        std::memcpy(bytes.data(), ids.data(), bytes.size());
        const imports::IdArray array(bytes, imports::Item::i32, {3, 1, k});
        return imports::check_routing(array, {}, {{0}, {}, {0}}, n_experts, 0, "r");
      };
      EXPECT_EQ(check().hole, "");
      for (std::int64_t j = 0; j < k; ++j) {
        std::int32_t& id = ids[static_cast<std::size_t>(k + j)];
        const std::int32_t own = id;
        for (std::int64_t i = 0; i < k; ++i) {
          if (i == j) continue;
          id = ids[static_cast<std::size_t>(k + i)];
          expect_error(ErrorKind::data, "position 1, layer 0: an expert is given twice", check);
        }
        id = n_experts;
        expect_error(ErrorKind::data, "position 1, layer 0: an id of an expert is out of range",
                     check);
        id = own;
      }
    }
  }
}

}  // namespace
}  // namespace moexray
