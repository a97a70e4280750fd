#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "made_trace.h"
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

// What every page of the site has: order in its markup, and nothing from elsewhere.
void expect_sound(const std::string& page, const std::string& name) {
  EXPECT_EQ(markup_fault(page), "") << name;
  EXPECT_TRUE(holds(page, "<html lang=\"en\">")) << name;
  EXPECT_EQ(count_of(page, "<h1>"), 1U) << name;
  for (const char* never : {"<script", "http://", "https://", "url(", "@import", "<link"}) {
    EXPECT_FALSE(holds(page, never)) << name << ": " << never;
  }
  // Headings are no deeper than the one before and one.
  int level = 0;
  for (const std::string& element : element_names(page)) {
    if (element.size() != 2 || element[0] != 'h' || element[1] < '1' || element[1] > '6') continue;
    EXPECT_LE(element[1] - '0', level + 1) << name;
    level = element[1] - '0';
  }
  // Every table says what it shows and what its headings head, and a keyboard reaches its box.
  EXPECT_EQ(count_of(page, "<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\""),
            count_of(page, "<table>"))
      << name;
  // So it does the box of a drawing, which may be wider than the page.
  EXPECT_EQ(count_of(page, "<div class=\"drawing\" tabindex=\"0\">"),
            count_of(page, "<div class=\"drawing\""))
      << name;
  EXPECT_EQ(count_of(page, "<th "), count_of(page, "<th scope=\"")) << name;
  EXPECT_EQ(count_of(page, "<th>"), 0U) << name;
}

// The files that links and images of a page name, without what comes behind '#'.
std::set<std::string> references(const std::string& page) {
  std::set<std::string> names;
  for (const std::string& key : {std::string("href=\""), std::string("src=\"")}) {
    for (std::size_t at = page.find(key); at != std::string::npos; at = page.find(key, at + 1)) {
      const std::size_t begin = at + key.size();
      const std::string name = page.substr(begin, page.find_first_of("#\"", begin) - begin);
      if (!name.empty()) names.insert(name);
    }
  }
  return names;
}

TEST(ReportPage, IsASiteThatNeedsNothingButItself) {
  const TemporaryDirectory place;
  const fs::path out = place.path() / "a";
  const std::string report = page_of(small_trace(), out, {"--folds", "4"});
  std::size_t n_pages = 0;
  for (const auto& [name, bytes] : directory_contents(out)) {
    if (!name.ends_with(".html")) continue;
    ++n_pages;
    expect_sound(bytes, name);
    EXPECT_FALSE(holds(bytes, place.path().string())) << name;
    for (const std::string& reference : references(bytes)) {
      EXPECT_TRUE(fs::exists((out / name).parent_path() / reference)) << name << ": " << reference;
    }
  }
  EXPECT_GE(n_pages, 13U);
  for (const char* section : {"verdict", "headline", "figures", "inference", "classification",
                              "experts-usage", "prompts", "limits", "definitions", "provenance"}) {
    EXPECT_NE(part_of(report, section), "") << section;
  }
  // The same input gives the same bytes.
  page_of(small_trace(), place.path() / "b", {"--folds", "4", "--threads", "1"});
  EXPECT_EQ(directory_contents(out), directory_contents(place.path() / "b"));
}

TEST(ReportPage, EveryFigureHasItsTableAndItsFiles) {
  const TemporaryDirectory place;
  const std::string page = page_of(small_trace(), place.path() / "a", {"--folds", "4"});
  const std::size_t n_figures = count_of(page, "<figure ");
  EXPECT_GE(n_figures, 7U);
  for (std::size_t at = page.find("<figure "); at != std::string::npos;
       at = page.find("<figure ", at + 1)) {
    const std::string figure = page.substr(at, page.find("</figure>", at) - at);
    EXPECT_TRUE(holds(figure, "<table>")) << figure.substr(0, 60);
    EXPECT_TRUE(holds(figure, ".tsv\">TSV</a>")) << figure.substr(0, 60);
    EXPECT_TRUE(holds(figure, "role=\"img\"")) << figure.substr(0, 60);
  }
}

TEST(ReportPage, BeginsWithTheDifferenceAndItsTest) {
  const TemporaryDirectory place;
  const std::string page = page_of(small_trace(), place.path() / "a", {"--folds", "4"});
  const json report = json::parse(file_content(place.path() / "a" / "report.json"));
  const std::string headline = part_of(page, "headline");
  const std::string first = headline.substr(headline.find("<tbody>"), 400);
  EXPECT_TRUE(holds(first, ">difference of similarities</th>")) << first;
  EXPECT_TRUE(holds(first, "; not tested: 12 of 12 prompts have 3 prompt tokens")) << first;
  const json& gap = report.at("stats").at("bootstrap").at("gap").at("ci95");
  char interval[64];
  std::snprintf(interval, sizeof interval, ">%.4f to %.4f</td>", gap[0].get<double>(),
                gap[1].get<double>());
  EXPECT_TRUE(holds(first, interval)) << interval;
  // What is no finding by itself stands behind.
  const std::size_t rest = headline.find("<details>");
  EXPECT_GT(headline.find("similarity within categories"), rest);
  EXPECT_TRUE(holds(headline, ">0.7214 ± 0.0923</td>")) << "similarity within";
  EXPECT_TRUE(holds(headline, ">0.44</td>")) << "Cohen's d";
  EXPECT_TRUE(holds(headline, "; uniform routing 0.7161, popular experts 0."));
  EXPECT_FALSE(holds(headline, "n/a"));
  EXPECT_LE(count_of(headline.substr(0, rest), "<tr>"), 8U);
}

// A layer that its test does not support is not named as the finding.
TEST(ReportPage, NamesNoLayerThatChanceGives) {
  const TemporaryDirectory place;
  MadeTrace made = two_kinds();
  made.preference = 0;
  write_made_trace(place.path() / "t", made);
  const std::string page = page_of(place.path() / "t", place.path() / "a", {"--folds", "4"});
  const json report = json::parse(file_content(place.path() / "a" / "report.json"));
  EXPECT_TRUE(holds(part_of(page, "headline"), "relabellings, on the first 12 prompt tokens"));
  double smallest = 1;
  for (const json& layer : report.at("stats").at("layers")) {
    smallest = std::min(smallest, layer.at("p_adjusted").get<double>());
  }
  ASSERT_GT(smallest, 0.05) << "this test wants a trace whose layers are not told apart";
  EXPECT_TRUE(holds(part_of(page, "headline"),
                    ">layer of the largest separation</th><td class=\"short\">none</td>"));
}

TEST(ReportPage, ListsEveryPromptWithItsPage) {
  const TemporaryDirectory place;
  const fs::path out = place.path() / "a";
  const std::string page = page_of(small_trace(), out, {"--folds", "4"});
  const json report = json::parse(file_content(out / "report.json"));
  std::size_t n_wrong = 0;
  std::size_t row = 0;
  for (const json& prediction : report.at("classify").at("predictions")) {
    const std::string id = prediction.at("id");
    const bool is_wrong = prediction.at("category") != prediction.at("predicted");
    n_wrong += is_wrong ? 1 : 0;
    char name[32];
    std::snprintf(name, sizeof name, "prompts/%04zu.html", ++row);
    const std::string cell = "<tr><th scope=\"row\" class=\"id\"><a href=\"" + std::string(name) +
                             "\">" + id + "</a></th>";
    EXPECT_EQ(count_of(part_of(page, "prompts"), cell), 1U) << id;
    EXPECT_EQ(count_of(part_of(page, "classification"), cell), is_wrong ? 1U : 0U) << id;
    // The page is that of `show`, with a way back.
    std::string alone = run_moexray({"show", id, small_trace(), "--html", "-", "--quiet"}).out;
    std::string of_site = file_content(out / name);
    const std::size_t begin = of_site.find("<nav aria-label=\"Report\">");
    ASSERT_NE(begin, std::string::npos);
    of_site.erase(begin, of_site.find("<h1>") - begin);
    EXPECT_EQ(of_site, alone) << id;
  }
  ASSERT_GT(n_wrong, 0U) << "this test wants a trace with errors";
  EXPECT_TRUE(holds(page, "Misclassified: " + std::to_string(n_wrong) + " of 12 prompts"));
  EXPECT_TRUE(holds(part_of(page, "inference"), "PERMANOVA, PERMDISP and layers: not tested: 12"));
  EXPECT_TRUE(holds(page, "not recorded")) << "the small trace tells little of its model";
}

TEST(ReportPage, ShowsAMatrixThatIsTooLargeAsAnImage) {
  const TemporaryDirectory place;
  const auto trace = place.path() / "t";
  std::vector<TinyPrompt> prompts;
  for (int i = 0; i < 151; ++i) {
    prompts.push_back({"p" + std::to_string(i), i % 2 == 0 ? "a" : "b", {i % 4, i / 4 % 4}});
  }
  write_tiny_trace(trace, 4, prompts);
  const fs::path out = place.path() / "a";
  const std::string page = page_of(
      trace, out, {"--resamples", "9", "--permutations", "9", "--draws", "2", "--null-draws", "2"});
  EXPECT_EQ(markup_fault(page), "");
  EXPECT_TRUE(holds(page, "img-src 'self'"));
  if (!fs::exists(out / "fig1_prompts.svg")) GTEST_SKIP() << "nothing here draws figures";
  EXPECT_TRUE(holds(page, "<img src=\"fig1_prompts."));
}

// Two categories that share no expert.
TEST(ReportPage, NamesExpertsAndHasAPageForEach) {
  const TemporaryDirectory place;
  const auto trace = place.path() / "t";
  std::vector<TinyPrompt> prompts;
  for (int i = 0; i < 20; ++i) {
    std::vector<int> experts;
    for (int t = 0; t < 20; ++t) experts.push_back((t + i) % 3 == 0 ? 2 + t % 2 : i % 2);
    prompts.push_back({"p" + std::to_string(i), i % 2 == 0 ? "a" : "b", experts});
  }
  write_tiny_trace(trace, 4, prompts);
  const fs::path out = place.path() / "out";
  const std::string page = page_of(trace, out, {"--resamples", "9"});
  const std::string part = part_of(page, "experts-usage");
  EXPECT_TRUE(holds(part, "<li>a: <a href=\"experts/L00E000.html\">0/0</a></li>")) << part;
  EXPECT_TRUE(holds(part, "<li>b: <a href=\"experts/L00E001.html\">0/1</a></li>"));
  EXPECT_EQ(page.find("<figure "), page.find("<figure id=\"experts_by_category\""))
      << "the first figure says which experts the categories use";
  for (const char* name : {"experts/L00E000.html", "experts/L00E001.html"}) {
    const std::string expert = file_content(out / name);
    expect_sound(expert, name);
    EXPECT_TRUE(holds(expert, "<a href=\"../report.html#experts-usage\">Report</a>"));
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(out / "experts"), {}), 2);
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
  expect_sound(page, "report.html");
  EXPECT_TRUE(holds(page, "<p class=\"note\">similarity left out: "));
  EXPECT_TRUE(holds(page, "<p class=\"note\">classify left out: "));
  EXPECT_FALSE(holds(page, "href=\"#classification\"")) << "an empty section";
}

// HTML as others see it, where the checker is installed.
TEST(ReportPage, TidyFindsNoError) {
  if (run_command({"sh", "-c", "command -v tidy"}).exit_code != 0) {
    GTEST_SKIP() << "tidy is not installed";
  }
  const TemporaryDirectory place;
  page_of(small_trace(), place.path() / "a", {"--folds", "4"});
  for (const char* page : {"report.html", "prompts/0002.html"}) {
    const CommandResult result = run_command({"tidy", "-e", "-q", place.path() / "a" / page});
    EXPECT_EQ(result.exit_code, 0) << page << "\n" << result.err.substr(0, 4000);
    EXPECT_EQ(result.err, "") << page;
  }
}

}  // namespace
}  // namespace moexray::test
