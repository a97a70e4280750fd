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

TEST_F(CompareCommand, ShowsHowASeriesComesToTheFirst) {
  write_made_trace(path("final"), two_kinds());
  write_made_trace(path("again"), two_kinds());
  // At layer 0 the first step has other experts, the second those of the final one.
  for (const std::string step : {"early", "late"}) {
    copy_changed("final", step, [&](json& event) {
      if (event.at("layer") != (step == "early" ? 0 : 1)) return;
      for (json& expert : event["experts"]) expert = (expert.get<int>() + 3) % 8;
    });
  }
  const json compared = run_for_json({"compare", path("final"), "--with", path("early"), "--with",
                                      path("late"), "--floor", path("again"), "-o", path("out")});
  EXPECT_EQ(keys_of(compared), (std::vector<std::string>{"comparisons", "moexray", "saturated_at",
                                                         "saturation", "selection", "traces"}));
  ASSERT_EQ(compared.at("comparisons").size(), 2U);
  const json& early = compared.at("comparisons").at(0);
  EXPECT_EQ(early.at("with"), "early");
  EXPECT_EQ(early.at("agreement").at("floor").at(0).at("estimate"), 1.0);
  EXPECT_LT(early.at("agreement").at("layers").at(0).at("overlap").at("estimate"), 0.5);
  EXPECT_EQ(early.at("agreement").at("layers").at(1).at("overlap").at("estimate"), 1.0);
  EXPECT_EQ(compared.at("saturated_at"), json::array({"late", "early"}));
  const json& step = compared.at("saturation").at(1);
  EXPECT_EQ(step.at("step"), "late");
  EXPECT_EQ(step.at("layers").at(0).at("overlap").at("estimate"), 1.0);
  EXPECT_LT(step.at("layers").at(1).at("kappa").at("same_prompt").at("ci95").at(1), 0.5);
  for (const char* file :
       {"compare_1.tsv", "compare_2.tsv", "compare_usage_2.tsv", "compare_series.tsv",
        "compare_saturation.svg", "compare_saturation_layers.svg", "compare_shifts_1.svg",
        "compare_agreement_1.svg"}) {
    EXPECT_TRUE(fs::exists(fs::path(path("out")) / file)) << file;
  }
  const CommandResult text =
      run_moexray({"compare", path("final"), "--with", path("early"), path("late"), "--quiet"});
  EXPECT_EQ(text.exit_code, 1);  // the parts of one trace must not have the same prompts
  const CommandResult lines =
      run_moexray({"compare", path("final"), "--with", path("early"), "--with", path("late")});
  EXPECT_NE(lines.out.find("first with κ ≥ 0.5"), std::string::npos) << lines.out;
  EXPECT_NE(lines.out.find("with early:"), std::string::npos) << lines.out;
}

TEST_F(CompareCommand, NamesTheExpertsThatAreUsedLess) {
  write_made_trace(path("first"), two_kinds());
  copy_changed("first", "second", [&](json& event) {
    if (event.at("layer") != 1) return;
    for (json& expert : event["experts"]) {
      if (expert == 0) {
        const json& experts = event["experts"];
        for (int next = 7; expert == 0; --next) {
          if (std::find(experts.begin(), experts.end(), next) == experts.end()) expert = next;
        }
      }
    }
  });
  const json usage = run_for_json({"compare", path("first"), "--with", path("second")}).at("usage");
  EXPECT_EQ(usage.at("units"), 20);
  EXPECT_EQ(usage.at("tokens"), 240);
  EXPECT_EQ(usage.at("experts").size(), 3U);  // 0, 7, and 6 where that was taken
  const json& none = usage.at("experts").at(0);
  EXPECT_EQ(none.at("layer"), 1);
  EXPECT_EQ(none.at("expert"), 0);
  EXPECT_EQ(none.at("second"), 0.0);
  EXPECT_EQ(none.at("delta").get<double>(), -none.at("first").get<double>());
  EXPECT_LE(none.at("p_adjusted"), 0.05);
  EXPECT_EQ(usage.at("entropy").size(), 6U);
  EXPECT_EQ(usage.at("by_category").at("compared"), "first 12 prompt tokens");
  EXPECT_GT(usage.at("n_significant"), 0);
  const CommandResult text =
      run_moexray({"compare", path("first"), "--with", path("second"), "--quiet"});
  EXPECT_NE(text.out.find(" of 16 experts shifted"), std::string::npos) << text.out;
}

TEST_F(CompareCommand, ComparesTheFirstExpertsOfAWiderRouting) {
  MadeTrace wide = two_kinds();
  wide.top_k = 3;
  write_made_trace(path("wide"), wide);
  fs::create_directories(path("narrow"));
  copy_changed("wide", "narrow", [](json& event) { event["experts"].erase(2); });
  std::ifstream in(fs::path(path("wide")) / "manifest.json");
  json manifest = json::parse(in);
  manifest["model"]["top_k"] = 2;
  std::ofstream(fs::path(path("narrow")) / "manifest.json") << manifest.dump() << '\n';
  for (const auto& [first, second] : {std::pair{"wide", "narrow"}, std::pair{"narrow", "wide"}}) {
    const json compared = run_for_json({"compare", path(first), "--with", path(second)});
    EXPECT_EQ(compared.at("agreement").at("layers").at(0).at("overlap").at("estimate"), 1.0);
    EXPECT_EQ(compared.at("usage").at("n_significant"), 0);
    EXPECT_NE(compared.at("notices").dump().find("the first 2 of both are compared"),
              std::string::npos);
  }
}

// Of eight experts three are chosen; the logits rank all of them.
TEST_F(CompareCommand, SaysWhichRanksWereGainedWhereLogitsAreRecorded) {
  write_made_trace(path("plain"), two_kinds());
  copy_changed("plain", "ranked", [](json& event) {
    std::vector<double> logits;
    for (int e = 0; e < 8; ++e) logits.push_back(-e);
    logits[event["experts"][0].get<std::size_t>()] = 10;
    logits[event["experts"][1].get<std::size_t>()] = 9;
    event["router_logits"] = logits;
  });
  const json plain = run_for_json({"compare", path("plain"), "--with", path("ranked")});
  EXPECT_TRUE(plain.at("disagreement").at("gained_by_rank").is_null());
  EXPECT_TRUE(plain.at("disagreement").at("near_ties").is_null());
  const CommandResult text =
      run_moexray({"compare", path("plain"), "--with", path("ranked"), "--quiet"});
  EXPECT_NE(text.out.find("--router-logits"), std::string::npos) << text.out;
  // The second has, in place of its last expert, the first of those that were not chosen.
  copy_changed("ranked", "next", [](json& event) {
    const std::vector<int> experts = event.at("experts");
    int next = 0;
    while (std::find(experts.begin(), experts.end(), next) != experts.end()) ++next;
    event["experts"][1] = next;
  });
  const json next = run_for_json({"compare", path("ranked"), "--with", path("next")});
  EXPECT_EQ(next.at("disagreement").at("lost_by_rank"), json::array({0.0, 1.0}));
  EXPECT_EQ(next.at("disagreement").at("gained_by_rank"), json::array({1.0, 0.0, 0.0}));
  EXPECT_EQ(next.at("disagreement").at("near_ties").at(2).at("share"), 0.0);
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
  // What needs the same tokens is left out, what needs the same prompts alone is not.
  const json others = run_for_json({"compare", path("first"), "--with", path("other-tokens")});
  for (const char* key : {"aligned", "agreement", "disagreement", "usage"}) {
    EXPECT_TRUE(others.at(key).is_null()) << key;
  }
  EXPECT_NE(others.at("notices").dump().find("too few tokens are the same in both"),
            std::string::npos)
      << others.at("notices");
  EXPECT_EQ(others.at("rsa").at("same_tokens").at("estimate"), 1.0);
  MadeTrace wider = two_kinds();
  wider.n_experts = 16;
  write_made_trace(path("wider"), wider);
  // The tokens are drawn between the experts: only some prefixes are the same.
  const json wide = run_for_json({"compare", path("first"), "--with", path("wider")});
  EXPECT_NE(wide.at("notices").dump().find("too few tokens"), std::string::npos)
      << wide.at("notices");
  expect_failure({"compare", path("first"), "--with", path("first"), "--weighted"}, 1, "weights");
  expect_failure({"compare", path("first")}, 2, "--with");
  expect_failure({"compare", path("first"), "--with", path("first"), "--floor", path("wider")}, 1,
                 "--floor is another routing by the same model");
}

// Agreement and usage need the same experts; categories, geometry and matching do not.
TEST_F(CompareCommand, SaysWhichPartsLackWhat) {
  write_made_trace(path("first"), two_kinds());
  copy_changed("first", "deeper", [](json&) {});
  const fs::path events = fs::path(path("deeper")) / "e.jsonl";
  std::vector<json> records;
  {
    std::ifstream in(events);
    for (std::string line; std::getline(in, line);) records.push_back(json::parse(line));
  }
  {
    std::ofstream out(events);
    for (json& record : records) {
      out << record.dump() << '\n';
      if (record.at("layer") != 1) continue;
      record["layer"] = 2;
      out << record.dump() << '\n';
    }
  }
  std::ifstream in(fs::path(path("first")) / "manifest.json");
  json manifest = json::parse(in);
  manifest["model"]["n_layers"] = 3;
  std::ofstream(fs::path(path("deeper")) / "manifest.json") << manifest.dump() << '\n';
  const json compared = run_for_json({"compare", path("first"), "--with", path("deeper")});
  for (const char* key : {"agreement", "disagreement", "usage"}) {
    EXPECT_TRUE(compared.at(key).is_null()) << key;
  }
  const std::string notices = compared.at("notices").dump();
  for (const char* part : {"agreement", "usage"}) {
    EXPECT_NE(notices.find(std::string(part) + " needs the same layers and experts"),
              std::string::npos)
        << notices;
  }
  EXPECT_EQ(compared.at("cka").at("value").at(0).size(), 3U);
  EXPECT_EQ(compared.at("transfer").at(1).at("features"), "similarities");
  EXPECT_EQ(compared.at("matching").at("layers").at(1).at("heldout_overlap").at("estimate"), 1.0);
}

}  // namespace
}  // namespace moexray::test
