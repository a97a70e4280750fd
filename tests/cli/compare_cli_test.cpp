// Two routings of the same tokens, compared as a user does.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "made_trace.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CompareCommand : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (place_.path() / name).string(); }

  // A copy of the trace `from` whose events `change` has passed.
  void copy_changed(const std::string& from, const std::string& to,
                    const std::function<void(json&)>& change) const {
    fs::create_directories(path(to));
    for (const char* file : {"manifest.json", "prompts.jsonl"}) {
      fs::copy_file(fs::path(path(from)) / file, fs::path(path(to)) / file);
    }
    std::ifstream in(fs::path(path(from)) / "e.jsonl");
    std::ofstream out(fs::path(path(to)) / "e.jsonl");
    for (std::string line; std::getline(in, line);) {
      json event = json::parse(line);
      change(event);
      out << event.dump() << '\n';
    }
  }

  TemporaryDirectory place_;
};

TEST_F(CompareCommand, TheSameRoutingAgreesWhollyAndAChangedLayerAsFarAsItsSetsDo) {
  write_made_trace(path("first"), two_kinds());
  double n_common = 0;
  double n_events = 0;
  copy_changed("first", "second", [&](json& event) {
    if (event.at("layer") != 1) return;
    const auto before = event.at("experts").get<std::vector<int>>();
    std::vector<int> after = before;
    for (int& expert : after) expert = (expert + 1) % 8;
    for (const int expert : after) {
      n_common += static_cast<double>(std::count(before.begin(), before.end(), expert));
    }
    ++n_events;
    event["experts"] = after;
  });

  const json compared = run_for_json({"compare", path("first"), "--with", path("first")});
  EXPECT_EQ(compared.at("aligned").at("prompts"), 20);
  EXPECT_EQ(compared.at("aligned").at("tokens"), 240);
  EXPECT_EQ(compared.at("aligned").at("share"), 1.0);
  for (const json& layer : compared.at("agreement").at("layers")) {
    EXPECT_EQ(layer.at("overlap").at("estimate"), 1.0);
    EXPECT_EQ(layer.at("identical"), 1.0);
    EXPECT_LT(layer.at("chance").at("uniform"), 0.26);
  }

  const json changed =
      run_for_json({"compare", path("first"), "--with", path("second"), "--floor", path("first")});
  const json& layers = changed.at("agreement").at("layers");
  EXPECT_EQ(layers.at(0).at("overlap").at("estimate"), 1.0);
  const double expected = n_common / (2 * n_events);
  EXPECT_NEAR(layers.at(1).at("overlap").at("estimate"), expected, 1e-12);
  EXPECT_LT(layers.at(1).at("overlap").at("ci95").at(0), expected);
  EXPECT_GT(layers.at(1).at("overlap").at("ci95").at(1), expected);
  EXPECT_EQ(changed.at("agreement").at("floor").at(1).at("estimate"), 1.0);
}

TEST_F(CompareCommand, ShowsCategoriesGeometryAndExperts) {
  write_made_trace(path("first"), two_kinds());
  // The second calls expert e of layer 1 by another number.
  copy_changed("first", "renamed", [&](json& event) {
    if (event.at("layer") != 1) return;
    for (json& expert : event["experts"]) expert = (expert.get<int>() * 3 + 1) % 8;
  });
  const json same = run_for_json({"compare", path("first"), "--with", path("first")});
  for (const char* name : {"gap", "cohens_d", "auc", "r_squared"}) {
    const json& number = same.at("structure").at(name);
    EXPECT_EQ(number.at("a"), number.at("b")) << name;
    EXPECT_EQ(number.at("p_value"), 1.0) << name;
    EXPECT_TRUE(number.at("difference").at("ci95").is_null()) << name;
  }
  EXPECT_EQ(same.at("structure").at("common_positions").at("m"), 12);
  ASSERT_EQ(same.at("transfer").size(), 4U);
  EXPECT_EQ(same.at("transfer").at(1).at("accuracy"), same.at("transfer").at(0).at("accuracy"));
  EXPECT_EQ(same.at("transfer").at(1).at("features"), "signatures");
  EXPECT_EQ(same.at("rsa").at("same_tokens").at("estimate"), 1.0);
  EXPECT_TRUE(same.at("rsa").at("random_router").is_null());
  EXPECT_NEAR(same.at("cka").at("value").at(1).at(1).get<double>(), 1, 1e-9);
  EXPECT_TRUE(same.at("matching").at("same_experts").get<bool>());

  const json renamed = run_for_json({"compare", path("first"), "--with", path("renamed")});
  const json& layer = renamed.at("matching").at("layers").at(1);
  EXPECT_EQ(layer.at("heldout_overlap").at("estimate"), 1.0);
  EXPECT_EQ(layer.at("others"), json::parse("[1,4,7,2,5,0,3,6]"));
  EXPECT_LT(layer.at("identity"), 0.5);
  // Similarities do not know what experts are called.
  EXPECT_NEAR(renamed.at("rsa").at("same_tokens").at("estimate").get<double>(), 1, 1e-9);

  const CommandResult written =
      run_moexray({"compare", path("first"), "--with", path("renamed"), "-o", path("out")});
  EXPECT_EQ(written.exit_code, 0) << written.err;
  for (const char* text :
       {"categories  first  second", "classifier trained on", "geometry: r 1.00 of the same tokens",
        "CKA without bias", "own number"}) {
    EXPECT_NE(written.out.find(text), std::string::npos) << text << written.out;
  }
  for (const char* file : {"compare_cka.tsv", "compare_matching.tsv", "compare_cka.svg"}) {
    EXPECT_TRUE(fs::exists(fs::path(path("out")) / file)) << file;
  }
}

TEST_F(CompareCommand, SaysWhatCannotBeCompared) {
  write_made_trace(path("first"), two_kinds());
  copy_changed("first", "other-tokens",
               [](json& event) { event["token_id"] = event.at("token_id").get<int>() + 100; });
  expect_failure({"compare", path("first"), "--with", path("other-tokens")}, 1,
                 "too few tokens are the same in both");
  MadeTrace wider = two_kinds();
  wider.n_experts = 16;
  write_made_trace(path("wider"), wider);
  // The tokens are drawn between the experts: only some prefixes are the same.
  const CommandResult result =
      run_moexray({"compare", path("first"), "--with", path("wider"), "--quiet"});
  EXPECT_NE(result.err.find("too few tokens"), std::string::npos) << result.err;
  expect_failure({"compare", path("first"), "--with", path("first"), "--weighted"}, 1, "weights");
  expect_failure({"compare", path("first")}, 2, "--with");
}

}  // namespace
}  // namespace moexray::test
