#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/markup.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string page_of(const fs::path& trace, const fs::path& out,
                    const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"analyze", trace, "-o", out, "--quiet"};
  words.insert(words.end(), more.begin(), more.end());
  const CommandResult result = run_moexray(words);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return file_content(out / "report.html");
}

// The part of a page that a link of its contents leads to.
std::string part_of(const std::string& page, const std::string& id) {
  const std::size_t begin = page.find("<section id=\"" + id + "\">");
  if (begin == std::string::npos) return {};
  return page.substr(begin, page.find("</section>", begin) - begin);
}

TEST(ReportPage, NeedsNothingButItself) {
  const TemporaryDirectory place;
  const std::string page = page_of(small_trace(), place.path() / "a", {"--folds", "4"});
  EXPECT_EQ(markup_fault(page), "");
  for (const char* never : {"<script", "http://", "https://", "url(", "@import", "<link", "<img"}) {
    EXPECT_FALSE(holds(page, never)) << never;
  }
  for (const char* section : {"headline", "figures", "inference", "classification", "experts-usage",
                              "prompts", "limits", "definitions", "provenance"}) {
    EXPECT_NE(part_of(page, section), "") << section;
  }
  EXPECT_FALSE(holds(page, place.path().string()));
  // The same input gives the same bytes.
  EXPECT_EQ(page, page_of(small_trace(), place.path() / "b", {"--folds", "4", "--threads", "1"}));
}

TEST(ReportPage, HoldsEveryPromptAndTheHeadline) {
  const TemporaryDirectory place;
  const std::string page = page_of(small_trace(), place.path() / "a", {"--folds", "4"});
  const json report = json::parse(file_content(place.path() / "a" / "report.json"));
  std::size_t n_wrong = 0;
  for (const json& prediction : report.at("classify").at("predictions")) {
    const std::string id = prediction.at("id");
    const bool is_wrong = prediction.at("category") != prediction.at("predicted");
    n_wrong += is_wrong ? 1 : 0;
    const std::string row = "<tr><td class=\"id\">" + id + "</td>";
    EXPECT_EQ(count_of(part_of(page, "prompts"), row), 1U) << id;
    EXPECT_EQ(count_of(part_of(page, "classification"), row), is_wrong ? 1U : 0U) << id;
  }
  ASSERT_GT(n_wrong, 0U) << "this test wants a trace with errors";
  EXPECT_TRUE(holds(page, "Misclassified: " + std::to_string(n_wrong) + " of 12 prompts"));
  EXPECT_TRUE(holds(page, "<td>0.7214 ± 0.0923</td>")) << "similarity within";
  EXPECT_TRUE(holds(page, "<td>0.44</td>")) << "Cohen's d";
  const json& gap = report.at("stats").at("bootstrap").at("gap").at("ci95");
  char interval[64];
  std::snprintf(interval, sizeof interval, "<td>%.4f to %.4f</td>", gap[0].get<double>(),
                gap[1].get<double>());
  EXPECT_TRUE(holds(part_of(page, "headline"), interval)) << interval;
  EXPECT_TRUE(holds(part_of(page, "headline"), "; uniform routing 0.7161, popular experts 0."));
  EXPECT_TRUE(holds(part_of(page, "inference"), "PERMANOVA: pseudo-F 1.57"));
  EXPECT_TRUE(holds(page, "not recorded")) << "the small trace tells little of its model";
}

TEST(ReportPage, ForeignTextIsEscaped) {
  const TemporaryDirectory place;
  const auto trace = place.path() / "t";
  const std::string evil = "</td><script>alert('1')</script>\"&";
  write_tiny_trace(
      trace, 2,
      {{evil + "1", evil, {0, 1}}, {evil + "2", evil, {0}}, {"r", "b", {1}}, {"s", "b", {1, 1}}});
  json manifest = json::parse(file_content(trace / "manifest.json"));
  manifest["model"]["name"] = evil;
  manifest["model"]["architecture"] = evil;
  std::ofstream(trace / "manifest.json") << manifest.dump();
  const std::string page = page_of(trace, place.path() / "a", {"--folds", "2"});
  EXPECT_EQ(markup_fault(page), "");
  EXPECT_FALSE(holds(page, "<script"));
  EXPECT_TRUE(holds(page, "&lt;script&gt;"));
}

TEST(ReportPage, SaysWhyAPartIsMissing) {
  const TemporaryDirectory place;
  const auto trace = place.path() / "t";
  write_tiny_trace(trace, 2, {{"p", "", {0, 1}}, {"q", "a", {0}}});
  const std::string page = page_of(trace, place.path() / "a");
  EXPECT_EQ(markup_fault(page), "");
  EXPECT_TRUE(holds(page, "<p class=\"note\">similarity left out: "));
  EXPECT_TRUE(holds(page, "<p class=\"note\">classify left out: "));
}

// HTML as others see it, where the checker is installed.
TEST(ReportPage, TidyFindsNoError) {
  if (run_command({"sh", "-c", "command -v tidy"}).exit_code != 0) {
    GTEST_SKIP() << "tidy is not installed";
  }
  const TemporaryDirectory place;
  page_of(small_trace(), place.path() / "a", {"--folds", "4"});
  const auto shown = place.path() / "p.html";
  EXPECT_EQ(run_moexray({"show", "code-2", small_trace(), "--html", shown}).exit_code, 0);
  for (const fs::path& page : {place.path() / "a" / "report.html", shown}) {
    const CommandResult result = run_command({"tidy", "-e", "-q", page});
    EXPECT_EQ(result.exit_code, 0) << page << "\n" << result.err.substr(0, 4000);
  }
}

}  // namespace
}  // namespace moexray::test
