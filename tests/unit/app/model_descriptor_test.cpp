#include "model_descriptor.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "moexray/checkpoint/config.h"
#include "support/double_architecture.h"

namespace moexray::app {
namespace {

ModelSpec double_spec() {
  return parse_model_config(test::double_config_json(), "c", test::double_table()).spec;
}

TEST(ModelDescriptor, SaysWhatDiffersBetweenLayers) {
  ModelSpec spec = double_spec();
  spec.layers[1].attention.clip = 2.5;
  std::map<std::string, std::string> rows;
  for (const auto& [label, text] : descriptor_rows(spec)) rows[label] = text;
  EXPECT_EQ(rows["dense layers"], "1 of 3 (layer 0), width 26");
  EXPECT_EQ(rows["router"], "softmax over all experts, then the top 2, scaled to sum 1");
  EXPECT_EQ(rows["shared experts"], "width 14, sees every token");
  EXPECT_EQ(rows["attention"],
            "layer 0: 4 heads of 6, 2 key-value heads; "
            "layer 1: 4 heads of 6, 2 key-value heads, clipped to 2.5; "
            "layer 2: 4 heads of 6, 2 key-value heads");
  EXPECT_EQ(rows["query and key norm"], "RMS of each head, eps 0.0001");
  EXPECT_EQ(rows["rotary embedding"],
            "layer 0: 4 of 6 values a head, half-split, theta 100; "
            "layer 1: 4 of 6 values a head, half-split, theta 200; "
            "layer 2: 4 of 6 values a head, half-split, theta 300");
  EXPECT_EQ(rows["norms"], "RMS before attention and network, eps 1e-06");
}

TEST(ModelDescriptor, NamesRunsOfLayers) {
  ModelSpec spec = double_spec();
  spec.layers.insert(spec.layers.begin(), spec.layers.front());
  for (LayerSpec& layer : spec.layers) {
    layer.attention.qk_norm.reset();
    layer.attention.rotary.dim = 0;
  }
  std::map<std::string, std::string> rows;
  for (const auto& [label, text] : descriptor_rows(spec)) rows[label] = text;
  EXPECT_EQ(rows["dense layers"], "2 of 4 (layers 0-1), width 26");
  EXPECT_EQ(rows["query and key norm"], "none");
  EXPECT_EQ(rows["rotary embedding"], "none");
  std::get<FeedForwardSpec>(spec.layers[1].mlp).width = 30;
  rows.clear();
  for (const auto& [label, text] : descriptor_rows(spec)) rows[label] = text;
  EXPECT_EQ(rows["dense layers"], "2 of 4 (layers 0-1), layer 0: width 26; layer 1: width 30");
}

TEST(ModelDescriptor, IsDataToo) {
  const std::string json = layers_json(double_spec()).dump();
  EXPECT_NE(json.find("\"dense\""), std::string::npos);
  EXPECT_NE(json.find("\"shared_width\": 14"), std::string::npos) << json;
  EXPECT_NE(json.find("\"over\": \"head\""), std::string::npos) << json;
}

}  // namespace
}  // namespace moexray::app
