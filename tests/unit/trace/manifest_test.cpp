#include "moexray/trace/manifest.h"

#include <gtest/gtest.h>

#include <string>

#include "moexray/core/error.h"
#include "support/expect_error.h"
#include "trace_maker.h"

namespace moexray {
namespace {

using test::expect_error;

const std::string minimal =
    R"({"format":"moexray-trace","version":1,"model":{"n_layers":2,"n_experts":4,"top_k":1}})";

std::string with(const std::string& from, const std::string& to, std::string text = minimal) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expect_manifest_error(const std::string& json, const std::string& part) {
  expect_error(ErrorKind::data, part, [&] { manifest_from_json(json, "m.json"); });
}

TEST(Manifest, RoundTripsEveryKey) {
  TraceManifest m = test::make_manifest({});
  m.model.norm_topk_prob = true;
  m.generation = {7, true, 0.7, 0.95, ~std::uint64_t{0}, "olmoe", "2025-01-31", true, {3, 99}};
  m.shard = {1, 4};
  m.events = EventsForm::flat;
  m.router_logits = true;
  m.compress = true;
  const std::string json = manifest_to_json(m);
  const TraceManifest read = manifest_from_json(json, "m.json");
  EXPECT_EQ(manifest_to_json(read), json);
  EXPECT_NO_THROW(check_same_run(m, read, "m.json"));
  EXPECT_EQ(read.generation.seed, ~std::uint64_t{0});
  EXPECT_EQ(read.plan, m.plan);
  EXPECT_EQ(read.generation.eos_token_ids, (std::vector<TokenId>{3, 99}));
  EXPECT_TRUE(read.absent.empty());
  for (const char* key : {"format",
                          "version",
                          "tool",
                          "model",
                          "name",
                          "architecture",
                          "hidden_size",
                          "n_layers",
                          "n_experts",
                          "top_k",
                          "norm_topk_prob",
                          "dtype",
                          "moe_layers",
                          "config_sha256",
                          "router_sha256",
                          "tokenizer",
                          "kind",
                          "vocab_size",
                          "sha256",
                          "n_prompts",
                          "instruction_set",
                          "generation",
                          "max_new_tokens",
                          "do_sample",
                          "temperature",
                          "top_p",
                          "seed",
                          "template",
                          "ignore_eos",
                          "batch",
                          "plan",
                          "kernels",
                          "prompts_sha256",
                          "shard",
                          "weights_xxh3",
                          "deciding_config_sha256",
                          "device",
                          "backend",
                          "eos_token_ids",
                          "prompt_ids_sha256",
                          "bits"}) {
    EXPECT_NE(json.find('"' + std::string(key) + "\": "), std::string::npos) << key;
  }
}

TEST(Manifest, NeedsOnlyFormatVersionAndShape) {
  const TraceManifest m = manifest_from_json(minimal, "m.json");
  EXPECT_EQ(m.model.shape, (RoutingShape{2, 4, 1}));
  EXPECT_EQ(m.n_prompts, -1);
  EXPECT_TRUE(m.absent.contains("model.norm_topk_prob"));
  EXPECT_TRUE(m.absent.contains("shard.n_prompts"));
  EXPECT_FALSE(m.absent.contains("model.top_k"));
  // Manifests of earlier versions lack the key, and their routers decided alone.
  EXPECT_FALSE(m.absent.contains("routing_policy"));
  EXPECT_EQ(m.routing_policy, "none");
  expect_manifest_error(with("\"format\"", "\"f\""), "missing key \"format\"");
  expect_manifest_error(with("\"version\"", "\"v\""), "missing key \"version\"");
  expect_manifest_error(with("\"n_layers\"", "\"n\""), "missing key \"model.n_layers\"");
  expect_manifest_error(with("\"n_experts\"", "\"n\""), "missing key \"model.n_experts\"");
  expect_manifest_error(with("\"top_k\"", "\"n\""), "missing key \"model.top_k\"");
  expect_manifest_error("[]", "missing key");
  expect_manifest_error("", "not valid JSON");
}

TEST(Manifest, RefusesWrongValues) {
  expect_manifest_error(with("moexray-trace", "x"), "expected \"moexray-trace\", found \"x\"");
  expect_manifest_error(with(":1,", ":3,"), "key \"version\": expected 1 or 2");
  expect_manifest_error(with(":2,", ":0,"), "n_layers");
  expect_manifest_error(with(":2,", ":-1,"), "n_layers");
  expect_manifest_error(with(":2,", ":2.5,"), "n_layers");
  expect_manifest_error(with(":2,", ":99999999999,"), "n_layers");
  expect_manifest_error(with(":2,", ":18446744073709551615,"), "n_layers");
  expect_manifest_error(with(":2,\"n_experts\":4", ":4096,\"n_experts\":65536"), "n_experts");
  expect_manifest_error(with("\"top_k\":1", "\"top_k\":5"), "an integer from 1 to 4, found 5");
  expect_manifest_error(with("1}", "1,\"moe_layers\":[1]}"), "model.moe_layers");
  expect_manifest_error(with("1}", "1,\"moe_layers\":[1,-1]}"), "model.moe_layers");
  expect_manifest_error(with("1}", "1,\"name\":3}"), "model.name");
  expect_manifest_error(with("1}}", "1},\"n_prompts\":\"8\"}"), "n_prompts");
  expect_manifest_error(with("1}}", "1},\"events\":\"both\"}"), "\"grouped\" or \"flat\"");
  expect_manifest_error(with("1}}", "1},\"compress\":1}"), "true or false");
  const std::string digits(32, 'a');
  EXPECT_NO_THROW(
      manifest_from_json(with("1}", R"(1,"weights_xxh3":"xxh3-128:)" + digits + "\"}"), "m.json"));
  for (const std::string& hash :
       {digits, "xxh3-128:" + digits + "a", "xxh3-128:" + digits.substr(1),
        "xxh3-128:A" + digits.substr(1), std::string("x"), "xxh3-64:a" + digits}) {
    expect_manifest_error(with("1}", R"(1,"weights_xxh3":")" + hash + "\"}"),
                          "model.weights_xxh3\": expected \"xxh3-128:\" and 32 hexadecimal");
  }
  expect_manifest_error(with("1}", "1,\"weights_xxh3\":1}"), "model.weights_xxh3");
  expect_manifest_error(with("1}", R"(1,"deciding_config_sha256":"0"})"),
                        "model.deciding_config_sha256");
  expect_manifest_error(with("1}}", "1},\"prompt_ids_sha256\":\"x\"}"), "prompt_ids_sha256");
  expect_manifest_error(with("1}}", "1},\"shard\":{\"index\":2,\"count\":2}}"),
                        "an integer below the count, 2, found 2");
  expect_manifest_error(with("1}}", "1},\"shard\":{\"n_prompts\":-1}}"), "shard.n_prompts");
  expect_manifest_error(with("1}}", "1},\"generation\":{\"eos_token_ids\":[-1]}}"),
                        "generation.eos_token_ids");
  std::string many = "0";
  for (int i = 0; i < 256; ++i) many += ",0";
  expect_manifest_error(with("1}}", "1},\"generation\":{\"eos_token_ids\":[" + many + "]}}"),
                        "at most 256 ids, found 257");
  expect_manifest_error(with("1}}", "1},\"checksum\":\"xxh3:00\"}"), "checksum");
}

TEST(Manifest, NoticesEveryChange) {
  const std::string json = manifest_to_json(test::make_manifest({}));
  for (std::size_t byte = 0; byte < json.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = json;
      changed[byte] = static_cast<char>(changed[byte] ^ (1 << bit));
      try {
        const TraceManifest read = manifest_from_json(changed, "m.json");
        EXPECT_EQ(manifest_to_json(read), json) << "byte " << byte << ", bit " << bit;
      } catch (const Error& error) {
        EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(ErrorKind::data));
      }
    }
  }
}

TEST(Manifest, HoldsTheTemplatesDateWhereThereIsOne) {
  TraceManifest manifest = test::make_manifest({});
  const std::string without = manifest_to_json(manifest);
  EXPECT_EQ(without.find("template_date"), std::string::npos);
  EXPECT_FALSE(manifest_from_json(without, "m.json").absent.contains("generation.template_date"));
  manifest.generation.template_date = "2024-02-29";
  const std::string with = manifest_to_json(manifest);
  EXPECT_NE(with.find("\"template_date\": \"2024-02-29\""), std::string::npos);
  EXPECT_EQ(manifest_from_json(with, "m.json").generation.template_date, "2024-02-29");
}

TEST(Manifest, NamesTheKeyThatDiffers) {
  const TraceManifest recorded = test::make_manifest({});
  const auto expect_key = [&](const std::string& key, auto change) {
    TraceManifest wanted = recorded;
    change(wanted);
    expect_error(ErrorKind::data, "\"" + key + "\"",
                 [&] { check_same_run(recorded, wanted, "m.json"); });
  };
  expect_key("tool", [](TraceManifest& m) { m.tool = "moexray 9"; });
  expect_key("model.name", [](TraceManifest& m) { m.model.name = "x"; });
  expect_key("model.dtype", [](TraceManifest& m) { m.model.dtype = "bfloat16"; });
  expect_key("model.router_sha256", [](TraceManifest& m) { m.model.router_sha256 = "x"; });
  expect_key("model.weights_xxh3", [](TraceManifest& m) { m.model.weights_xxh3.back() = '0'; });
  expect_key("model.deciding_config_sha256",
             [](TraceManifest& m) { m.model.deciding_config_sha256.back() = '0'; });
  expect_key("generation.eos_token_ids",
             [](TraceManifest& m) { m.generation.eos_token_ids = {2, 3}; });
  expect_key("shard.n_prompts", [](TraceManifest& m) { m.n_shard_prompts = 9; });
  expect_key("tokenizer.sha256", [](TraceManifest& m) { m.tokenizer.sha256 = "x"; });
  expect_key("bits", [](TraceManifest& m) { m.bits = "x"; });
  expect_key("routing_policy", [](TraceManifest& m) { m.routing_policy = "mask 0/1"; });
  expect_key("generation.seed", [](TraceManifest& m) { m.generation.seed = 5; });
  expect_key("generation.template", [](TraceManifest& m) { m.generation.template_name = "x"; });
  expect_key("generation.template_date",
             [](TraceManifest& m) { m.generation.template_date = "2025-01-01"; });
  expect_key("prompts_sha256", [](TraceManifest& m) { m.prompts_sha256 = "x"; });
  expect_key("prompt_ids_sha256", [](TraceManifest& m) { m.prompt_ids_sha256.back() = '0'; });
  expect_key("n_prompts", [](TraceManifest& m) { m.n_prompts = 5; });
  expect_key("shard.index", [](TraceManifest& m) { m.shard = {1, 2}; });
  expect_key("compress", [](TraceManifest& m) { m.compress = true; });
  TraceManifest other_plan = recorded;
  other_plan.batch = 99;
  other_plan.plan = {8};
  EXPECT_NO_THROW(check_same_run(recorded, other_plan, "m.json"));
  TraceManifest other_processor = recorded;
  other_processor.instruction_set = "amx_bf16";
  other_processor.device = "cuda";
  other_processor.backend = "libtorch 9";
  other_processor.kernels = "avx2";
  EXPECT_NO_THROW(check_same_run(recorded, other_processor, "m.json"));
}

// What an earlier version wrote: all keys but those that came later.
TraceManifest of_an_earlier_version() {
  TraceManifest m = test::make_manifest({});
  m.model.weights_xxh3.clear();
  m.model.deciding_config_sha256.clear();
  m.generation.eos_token_ids.clear();
  m.device.clear();
  m.backend.clear();
  m.bits.clear();
  m.absent = {"model.weights_xxh3",
              "model.deciding_config_sha256",
              "generation.eos_token_ids",
              "device",
              "backend",
              "bits",
              "prompt_ids_sha256",
              "shard.n_prompts"};
  return m;
}

TEST(Manifest, ResumesNothingThatCannotBeCompared) {
  const TraceManifest wanted = test::make_manifest({});
  TraceManifest recorded = of_an_earlier_version();
  const auto expect = [&](std::string_view part) {
    expect_error(ErrorKind::data, part, [&] { check_same_run(recorded, wanted, "m.json"); });
  };
  expect("the manifest has no \"model.weights_xxh3\"");
  // What both have is compared first, for the difference says more.
  recorded.generation.seed = 4;
  expect("\"generation.seed\": expected 4, found 0");
  recorded = of_an_earlier_version();
  recorded.model.config_sha256.back() = 'x';
  expect("\"model.config_sha256\"");
  recorded = wanted;
  recorded.model.weights_xxh3.clear();
  expect("\"model.weights_xxh3\"");
}

TEST(Manifest, TheTextOfTheConfigDecidesNothing) {
  const TraceManifest recorded = test::make_manifest({});
  TraceManifest wanted = recorded;
  wanted.model.config_sha256.back() = 'x';
  EXPECT_NO_THROW(check_same_run(recorded, wanted, "m.json"));
  EXPECT_FALSE(model_difference(recorded, wanted));
}

TEST(Manifest, TellsModelsApartByWhatBothHave) {
  const TraceManifest first = test::make_manifest({});
  const auto key_of = [&](const TraceManifest& a, auto change) {
    TraceManifest b = a;
    change(b);
    const auto there = model_difference(a, b);
    const auto back = model_difference(b, a);
    EXPECT_EQ(there.has_value(), back.has_value());
    if (there && back) {
      EXPECT_EQ(there->first, back->second);
      EXPECT_EQ(there->key, back->key);
    }
    return there ? there->key : std::string();
  };
  const auto other_name = [](TraceManifest& m) { m.model.name = "other"; };
  const auto other_config = [](TraceManifest& m) { m.model.config_sha256.back() = 'x'; };
  EXPECT_EQ(key_of(first, [](TraceManifest&) {}), "");
  EXPECT_EQ(key_of(first, [](TraceManifest& m) { m.model.weights_xxh3.back() = '0'; }),
            "model.weights_xxh3");
  EXPECT_EQ(key_of(first, [](TraceManifest& m) { m.model.norm_topk_prob = true; }),
            "model.norm_topk_prob");
  EXPECT_EQ(key_of(first, [](TraceManifest& m) { m.model.deciding_config_sha256.back() = '0'; }),
            "model.deciding_config_sha256");
  EXPECT_EQ(key_of(first, other_name), "");
  EXPECT_EQ(key_of(of_an_earlier_version(), other_config), "model.config_sha256");
  EXPECT_EQ(key_of(of_an_earlier_version(), other_name), "");
  TraceManifest foreign = of_an_earlier_version();
  foreign.model.router_sha256.clear();
  EXPECT_EQ(key_of(foreign, other_name), "model.name");
  // Nothing is known of a manifest with the needed keys alone, so nothing contradicts it.
  const TraceManifest bare = manifest_from_json(
      R"({"format":"moexray-trace","version":1,"model":{"n_layers":3,"n_experts":8,"top_k":2}})",
      "m.json");
  EXPECT_FALSE(model_difference(first, bare));
  EXPECT_FALSE(model_difference(bare, first));
}

}  // namespace
}  // namespace moexray
