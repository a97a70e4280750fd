#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/run_command.h"
#include "moexray/core/file.h"
#include "moexray/core/version.h"
#include "support/fused_checkpoint.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray {
namespace {

using nlohmann::json;
using test::CommandResult;
using test::run_moexray;

const std::string real_config = MOEXRAY_TEST_DATA "/olmoe-1b-7b";

// The line of the table that starts with `label`, without the label.
std::string row(const CommandResult& result, const std::string& label) {
  const std::size_t begin = result.out.find("\n" + label + "  ");
  if (begin == std::string::npos) return {};
  const std::size_t end = result.out.find('\n', begin + 1);
  const std::string line = result.out.substr(begin + 1, end - begin - 1);
  const std::size_t text = line.find_first_not_of(' ', label.size());
  return text == std::string::npos ? std::string() : line.substr(text);
}

TEST(ModelCommand, DescribesThePublishedConfigWithoutWeights) {
  const CommandResult result = run_moexray({"model", real_config});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(row(result, "architecture"), "OlmoeForCausalLM");
  EXPECT_EQ(row(result, "MoE layers"), "16");
  EXPECT_EQ(row(result, "experts"), "64 per layer, 8 selected, weights not renormalised");
  EXPECT_EQ(row(result, "dense layers"), "none");
  EXPECT_EQ(row(result, "router"), "softmax over all experts, then the top 8");
  EXPECT_EQ(row(result, "shared experts"), "none");
  EXPECT_EQ(row(result, "attention"), "16 heads of 128, 16 key-value heads");
  EXPECT_EQ(row(result, "query and key norm"), "RMS of all heads together, eps 1e-05");
  EXPECT_EQ(row(result, "rotary embedding"), "whole heads, half-split, theta 10000");
  EXPECT_EQ(row(result, "norms"), "RMS before attention and network, eps 1e-05");
  EXPECT_EQ(row(result, "parameters"), "6,919,161,856");
  EXPECT_EQ(row(result, "active for a token"), "1,282,017,280 (18.5%)");
  EXPECT_EQ(row(result, "weights"), "absent: described from config.json alone");
  EXPECT_EQ(row(result, "memory for bfloat16"),
            "13.8 GB weights, key-value cache 131 kB a token, 537 MB a full context");
  EXPECT_EQ(row(result, "memory for float32"),
            "27.7 GB weights, key-value cache 262 kB a token, 1.07 GB a full context");
  EXPECT_EQ(row(result, "tokenizer"),
            "absent: neither tokenizer.json nor tokenizer.model is there");
}

TEST(ModelCommand, WritesJsonAndNothingElseToStdout) {
  const CommandResult result = run_moexray({"model", real_config, "--json", "-"});
  EXPECT_EQ(result.exit_code, 0);
  const json facts = json::parse(result.out);
  EXPECT_EQ(facts["moexray"]["version"], std::string(version()));
  EXPECT_EQ(facts["moexray"]["command"], "model");
  EXPECT_EQ(facts["model"]["n_layers"], 16);
  EXPECT_EQ(facts["model"]["n_experts"], 64);
  EXPECT_EQ(facts["model"]["top_k"], 8);
  EXPECT_EQ(facts["model"]["eos_token_id"], json::array({50279}));
  ASSERT_EQ(facts["model"]["moe_layers"].size(), 16U);
  EXPECT_EQ(facts["model"]["moe_layers"][15], 15);
  ASSERT_EQ(facts["model"]["layers"].size(), 16U);
  EXPECT_EQ(facts["model"]["layers"][15], json::parse(R"({
    "norm_eps": 1e-05,
    "norm_place": "before",
    "attention": {"n_heads": 16, "n_kv_heads": 16, "head_dim": 128, "clip": null,
                  "qk_norm": {"over": "all heads", "eps": 1e-05}, "scale": null, "window": null,
                  "qkv_bias": false, "output_bias": false,
                  "rotary": {"dim": 128, "theta": 10000.0, "scaling": null}},
    "mlp": {"kind": "moe", "n_experts": 64, "top_k": 8, "scores": "softmax",
            "normalise": false, "expert_width": 1024, "shared_width": null,
            "shared_gated": null}})"));
  EXPECT_EQ(facts["parameters"], (json{{"total", 6919161856}, {"active", 1282017280}}));
  EXPECT_EQ(facts["memory"]["bfloat16"]["weights_bytes"], 13838323712);
  EXPECT_EQ(facts["memory"]["bfloat16"]["kv_cache_bytes_per_token"], 131072);
  EXPECT_TRUE(facts["weights"].is_null());
  EXPECT_TRUE(facts["tokenizer"].is_null());
  EXPECT_TRUE(facts["model"]["router_sha256"].is_null());
}

TEST(ModelCommand, DescribesWeights) {
  const test::TemporaryDirectory directory;
  const std::filesystem::path model = directory.path() / "tiny";
  test::OlmoeConfig config = test::tiny_config();
  config.norm_topk_prob = true;
  config.tie_word_embeddings = true;
  test::write_tiny_checkpoint(model, config, {.type = WeightType::bf16, .n_shards = 2});
  const CommandResult text = run_moexray({"model", model});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_TRUE(text.out.starts_with("model                tiny\n")) << text.out;
  const Checkpoint checkpoint(model);
  const ParameterCount n = count_parameters(test::model_config(config));
  EXPECT_EQ(row(text, "weights"), "18.2 kB in BF16, 68 tensors in 2 files");
  EXPECT_EQ(row(text, "experts"), "8 per layer, 2 selected, weights renormalised");
  EXPECT_EQ(row(text, "vocabulary"), "64 tokens, tied embeddings");
  const json facts = json::parse(run_moexray({"model", model, "--json", "-"}).out);
  EXPECT_EQ(facts["weights"]["n_bytes"], 2 * n.total);
  EXPECT_EQ(facts["weights"]["tensors_of_type"], (json{{"BF16", 68}}));
  EXPECT_EQ(facts["model"]["router_sha256"], checkpoint.router_sha256());
  EXPECT_EQ(facts["model"]["config_sha256"], checkpoint.config().sha256);
}

TEST(ModelCommand, SaysWhatIsOutOfTheOrdinary) {
  const test::TemporaryDirectory directory;
  test::OlmoeConfig config = test::tiny_config();
  config.clip_qkv = 8.0;
  config.norm_topk_prob = true;
  config.rope_theta = 5e5;
  test::write_tiny_checkpoint(directory.path(), config);
  const CommandResult result = run_moexray({"model", directory.path()});
  EXPECT_EQ(row(result, "attention"), "4 heads of 4, 2 key-value heads, clipped to 8");
  EXPECT_EQ(row(result, "router"), "softmax over all experts, then the top 2, scaled to sum 1");
  EXPECT_EQ(row(result, "rotary embedding"), "whole heads, half-split, theta 500000");
}

TEST(ModelCommand, KeepsAnExistingFileWithoutForce) {
  const test::TemporaryDirectory directory;
  const std::string file = directory.path() / "facts.json";
  EXPECT_EQ(run_moexray({"model", real_config, "--json", file}).exit_code, 0);
  const std::string first = read_file(file, 1 << 20);
  EXPECT_EQ(json::parse(first)["parameters"]["active"], 1282017280);
  EXPECT_EQ(run_moexray({"model", real_config, "--json", file}).exit_code, 1);
  EXPECT_EQ(run_moexray({"model", real_config, "--json", file, "--force"}).exit_code, 0);
  EXPECT_EQ(read_file(file, 1 << 20), first);
}

TEST(ModelCommand, NamesWhatIsWrong) {
  const test::TemporaryDirectory directory;
  CommandResult result = run_moexray({"model", directory.path() / "nothing"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("nothing: no such directory"), std::string::npos) << result.err;
  EXPECT_EQ(result.out, "");

  test::write_tiny_checkpoint(directory.path(), test::tiny_config());
  const std::filesystem::path weights = directory.path() / "model.safetensors";
  const std::string bytes = read_file(weights, 1 << 24);
  write_file_atomically(weights, bytes.substr(0, bytes.size() - 1));
  result = run_moexray({"model", directory.path()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("outside the file"), std::string::npos) << result.err;
  EXPECT_EQ(run_moexray({"model"}).exit_code, 2);
  EXPECT_EQ(run_moexray({"model", "a", "b"}).exit_code, 2);
}

TEST(ModelCommand, NamesAFailedDownload) {
  const test::TemporaryDirectory directory;
  test::write_tiny_checkpoint(directory.path(), test::tiny_config());
  write_file_atomically(directory.path() / "model.safetensors",
                        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  const CommandResult result = run_moexray({"model", directory.path()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("model.safetensors: the file is a Git LFS pointer"), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("git lfs pull"), std::string::npos) << result.err;
}

TEST(ModelCommand, EndTokensOutsideTheVocabularyAreANotice) {
  const test::TemporaryDirectory directory;
  test::write_tiny_checkpoint(directory.path(), test::tiny_config());
  std::string notices;
  const auto model_json = [&](const std::string& generation) {
    write_file_atomically(directory.path() / "generation_config.json", generation);
    const CommandResult result = run_moexray({"model", directory.path(), "--json", "-"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    notices = result.err;
    return json::parse(result.out)["model"]["eos_token_id"];
  };
  EXPECT_EQ(model_json(R"({"eos_token_id":[1,99999,1]})"), json::array({1}));
  EXPECT_NE(notices.find("\"eos_token_id\": 99999 is no token of the model (0 to 63)"),
            std::string::npos)
      << notices;
  EXPECT_EQ(model_json(R"({"eos_token_id":-1,"pad_token_id":-1})"), json::array());
  EXPECT_EQ(notices, "");
}

TEST(ModelCommand, NamesTheRepositoryOfACachedModel) {
  const test::TemporaryDirectory directory;
  const auto model = directory.path() / "models--org--some-moe";
  test::write_tiny_checkpoint(model / "snapshots" / "0123abcd", test::tiny_config());
  for (const auto& given : {model, model / "snapshots" / "0123abcd"}) {
    const CommandResult result = run_moexray({"model", given});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(result.out.starts_with("model                org/some-moe\n")) << result.out;
  }
}

TEST(ModelCommand, DescribesFusedExperts) {
  const test::TemporaryDirectory directory;
  test::write_tiny_checkpoint(directory.path() / "separate", test::tiny_config());
  test::write_fused_checkpoint(directory.path() / "separate", directory.path() / "fused");
  const CommandResult text = run_moexray({"model", directory.path() / "fused"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_TRUE(row(text, "weights").ends_with("in F32, 25 tensors in 1 file, fused experts"))
      << text.out;
  const json fused =
      json::parse(run_moexray({"model", directory.path() / "fused", "--json", "-"}).out);
  const json separate =
      json::parse(run_moexray({"model", directory.path() / "separate", "--json", "-"}).out);
  EXPECT_EQ(fused["weights"]["fused_experts"], true);
  EXPECT_EQ(separate["weights"]["fused_experts"], false);
  EXPECT_EQ(fused["weights"]["tensors_of_type"], (json{{"F32", 25}}));
  EXPECT_EQ(fused["weights"]["n_bytes"], separate["weights"]["n_bytes"]);
  EXPECT_EQ(fused["parameters"], separate["parameters"]);
  EXPECT_EQ(fused["model"]["router_sha256"], separate["model"]["router_sha256"]);
}

TEST(ModelCommand, SaysWhyThereAreNoWeights) {
  const test::TemporaryDirectory directory;
  test::write_tiny_checkpoint(directory.path(), test::tiny_config());
  std::filesystem::rename(directory.path() / "model.safetensors",
                          directory.path() / "pytorch_model.bin");
  const CommandResult result = run_moexray({"model", directory.path()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("pickled weights (pytorch_model.bin)"), std::string::npos)
      << result.err;
}

TEST(ModelCommand, DescribesTheRestWhenTheTokenizerIsBroken) {
  const test::TemporaryDirectory directory;
  test::write_tiny_checkpoint(directory.path(), test::tiny_config());
  write_file_atomically(directory.path() / "tokenizer.json", "{");
  const CommandResult result = run_moexray({"model", directory.path()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("tokenizer.json"), std::string::npos) << result.err;
  EXPECT_EQ(row(result, "tokenizer"), "not usable (see the message)");
}

// The totals that transformers counts for the same configs; how far those are verified is in
// tests/data/configs/README.md.
TEST(ModelCommand, CountsTheParametersOfPublishedCheckpoints) {
  struct Published {
    const char* config;
    const char* total;
    const char* router;
  };
  constexpr const char* all_8 = "softmax over all experts, then the top 8, scaled to sum 1";
  const Published table[] = {
      {"granite-3.0-1b-a400m", "1,334,628,352", "the top 8 logits, then softmax over these"},
      {"granite-3.1-3b-a800m", "3,298,793,472", "the top 8 logits, then softmax over these"},
      {"qwen1.5-moe-a2.7b", "14,315,784,192", "softmax over all experts, then the top 4"},
      {"qwen2-57b-a14b", "57,408,658,944", "softmax over all experts, then the top 8"},
      {"qwen3-30b-a3b", "30,532,122,624", all_8},
      {"qwen3-235b-a22b", "235,093,634,560", all_8},
      {"mixtral-8x7b", "46,702,792,704",
       "softmax over all experts, then the top 2, scaled to sum 1"},
      {"mixtral-8x22b", "140,620,634,112",
       "softmax over all experts, then the top 2, scaled to sum 1"},
      {"flexolmo-7x7b-1t", "33,270,665,216", "softmax over all experts, then the top 5"},
  };
  for (const Published& model : table) {
    SCOPED_TRACE(model.config);
    const test::TemporaryDirectory directory;
    std::filesystem::copy_file(std::string(MOEXRAY_TEST_DATA "/configs/") + model.config + ".json",
                               directory.path() / "config.json");
    const CommandResult result = run_moexray({"model", directory.path().string()});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(row(result, "parameters"), model.total);
    EXPECT_EQ(row(result, "router"), model.router);
  }
}

TEST(ModelCommand, DescribesWhatOtherFamiliesHave) {
  const CommandResult granite =
      run_moexray({"model", MOEXRAY_TEST_DATA "/parity/granitemoeshared"});
  EXPECT_EQ(granite.exit_code, 0);
  EXPECT_EQ(row(granite, "experts"), "7 per layer, 3 selected, weights of the selected alone");
  EXPECT_EQ(row(granite, "shared experts"), "width 14, sees every token");
  EXPECT_EQ(row(granite, "attention"), "4 heads of 6, 2 key-value heads, scaled by 0.3");
  EXPECT_EQ(row(granite, "multipliers"), "attention and network times 0.7");
  EXPECT_NE(row(granite, "weights").find("fused experts"), std::string::npos);
  const CommandResult qwen = run_moexray({"model", MOEXRAY_TEST_DATA "/parity/qwen2_moe"});
  EXPECT_EQ(row(qwen, "dense layers"), "1 of 4 (layer 1), width 20");
  EXPECT_EQ(row(qwen, "shared experts"), "width 14, sees every token, times a sigmoid gate");
  EXPECT_EQ(row(qwen, "attention"), "4 heads of 6, 2 key-value heads, biases of q, k and v");
  EXPECT_EQ(row(qwen, "attention window"), "layer 0: 4 tokens; layers 1-3: none");
  const CommandResult flex = run_moexray({"model", MOEXRAY_TEST_DATA "/parity/flex_olmo"});
  EXPECT_EQ(row(flex, "norms"), "RMS after attention and network, eps 0.5");
  const CommandResult mixtral = run_moexray({"model", MOEXRAY_TEST_DATA "/parity/mixtral"});
  EXPECT_EQ(row(mixtral, "rotary embedding"),
            "whole heads, half-split, theta 10000, llama3 scaling by 8 from 32 tokens");
}

}  // namespace
}  // namespace moexray
