// The frame of the analyses, with analyses that only these tests have.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>
#include <utility>

#include "analyses.h"
#include "cli.h"
#include "completions.h"
#include "help.h"
#include "man_page.h"
#include "moexray/core/error.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::app {

Analysis busiest_analysis();  // cmd_busiest.cpp

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::file_content;
using test::TemporaryDirectory;

std::string small_trace() { return fs::path(MOEXRAY_TEST_DATA) / "trace-small"; }

// A trace of one layer of two experts, one for each token.
std::string tiny_trace(const fs::path& directory,
                       const std::vector<const char*>& ids = {"p", "q"}) {
  fs::create_directories(directory);
  std::ofstream(directory / "manifest.json")
      << R"({"format": "moexray-trace", "version": 1,)"
      << R"( "model": {"n_layers": 1, "n_experts": 2, "top_k": 1}})" << '\n';
  std::ofstream prompts(directory / "prompts.jsonl");
  std::ofstream events(directory / "e.jsonl");
  for (const char* id : ids) {
    prompts << R"({"id": ")" << id << R"(", "events_file": "e.jsonl"})" << '\n';
    for (int pos = 0; pos < 3; ++pos) {
      events << R"({"prompt_id": ")" << id << R"(", "layer": 0, "pos": )" << pos
             << R"(, "type": "prompt", "expert": )" << (pos + (*id == 'q' ? 1 : 0)) % 2 << "}\n";
    }
  }
  return directory;
}

// What a table of commands prints for these words.
std::string output_of(std::span<const Command> table, const std::vector<std::string>& words) {
  const std::atomic<bool> stop = false;
  Console console(true, stop);
  const Invocation invocation = CommandLine::parse(words, table);
  if (invocation.command == nullptr) return invocation.text;
  testing::internal::CaptureStdout();
  try {
    invocation.command->run(invocation.arguments, console);
  } catch (const Error&) {
    testing::internal::GetCapturedStdout();
    throw;
  }
  return testing::internal::GetCapturedStdout();
}

std::string error_of(std::span<const Command> table, const std::vector<std::string>& words) {
  try {
    return "no error, but " + output_of(table, words);
  } catch (const Error& error) {
    return error.what();
  }
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

const std::vector<Analysis>& table_with_busiest() {
  static const std::vector<Analysis> table = {signatures_analysis(), busiest_analysis()};
  return table;
}

std::vector<Command> commands_with_busiest() {
  std::vector<Command> commands = {analyze_command(table_with_busiest())};
  for (const Analysis& analysis : table_with_busiest()) commands.push_back(command_of(analysis));
  return commands;
}

TEST(AnalysisFrame, HelpPagesAndCompletionsFollowFromARow) {
  const std::vector<Command> commands = commands_with_busiest();
  EXPECT_TRUE(contains(program_help(commands, 80), "The expert that a layer uses most"));
  const std::string help = output_of(commands, {"busiest", "--help"});
  for (const char* part :
       {"moexray busiest: The expert that a layer uses most", "--of-layer L", "--exclude-template",
        "moexray busiest traces --of-layer 3", "[TRACES…]", "the layer to look at [default: 0]"}) {
    EXPECT_TRUE(contains(help, part)) << part << " in " << help;
  }
  const std::string page = command_man_page(commands.back());
  EXPECT_TRUE(contains(page, "moexray\\-busiest \\- The expert that a layer uses most"));
  EXPECT_TRUE(contains(page, "\\fB\\-\\-of\\-layer\\fR"));
  for (const auto completions : {bash_completions, zsh_completions, fish_completions}) {
    EXPECT_TRUE(contains(completions(commands), "of-layer"));
  }
  const std::string analyze = command_help(commands.front(), 80);
  EXPECT_TRUE(
      contains(command_help(commands.front(), 100), "runs busiest (of one layer) and signatures."));
  EXPECT_TRUE(contains(analyze, "--of-layer L"));
}

TEST(AnalysisFrame, ACommandShowsAndWritesItsSection) {
  const std::vector<Command> commands = commands_with_busiest();
  EXPECT_EQ(output_of(commands, {"busiest", small_trace(), "--of-layer", "1"}),
            "small: 12 prompts, 2 layers × 8 experts, top-2; all tokens\n\n"
            "busiest expert: 1/5, share 0.202\n");
  const TemporaryDirectory place;
  const fs::path out = place.path() / "out";
  const json found = json::parse(
      output_of(commands, {"busiest", small_trace(), "--json", "-", "-o", out.string()}));
  EXPECT_EQ(found.at("moexray").at("report_format"), 1);
  EXPECT_EQ(found.at("moexray").at("command"), "busiest");
  EXPECT_EQ(found.at("layer"), 0);
  const json report = json::parse(file_content(out / "report.json"));
  EXPECT_EQ(report.at("busiest").at("expert"), found.at("expert"));
  EXPECT_EQ(report.at("moexray"), found.at("moexray"));
  EXPECT_EQ(file_content(out / "busiest.tsv"), "layer\texpert\n");
}

TEST(AnalysisFrame, AnalyzeHasItsSectionItsNumbersAndItsPartOfThePage) {
  const std::vector<Command> commands = commands_with_busiest();
  const TemporaryDirectory place;
  const fs::path out = place.path() / "out";
  const std::string text =
      output_of(commands, {"analyze", small_trace(), "--of-layer", "1", "-o", out.string()});
  EXPECT_TRUE(contains(text, "\nThe busiest expert is 1/5.\n")) << text;
  const json report = json::parse(file_content(out / "report.json"));
  EXPECT_EQ(report.at("busiest").at("expert"), 5);
  std::vector<std::string> keys;
  const auto ordered = nlohmann::ordered_json::parse(file_content(out / "report.json"));
  for (const auto& [key, value] : ordered.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"moexray", "trace", "selection", "busiest",
                                            "signatures", "verdict"}));
  const std::string page = file_content(out / "report.html");
  EXPECT_TRUE(contains(page, "<section id=\"busiest\""));
  EXPECT_TRUE(contains(page, "The busiest expert</h2>"));
  EXPECT_TRUE(contains(page, "<p>Most tokens go to 1/5.</p>"));
  // The first number stands among those to look at, the other behind "All other numbers".
  const std::size_t first = page.find("busiest expert</th>");
  const std::size_t others = page.find("All other numbers");
  EXPECT_LT(first, others);
  EXPECT_LT(others, page.find("its share</th>"));
  EXPECT_TRUE(fs::exists(out / "busiest.tsv"));
}

TEST(AnalysisFrame, AnalyzeLeavesOutWhatTheDataDoNotAllow) {
  const TemporaryDirectory place;
  const std::string out = (place.path() / "out").string();
  std::vector<Analysis> table = table_with_busiest();
  const std::vector<std::string> words = {"analyze", small_trace(), "--of-layer", "9", "-o", out};
  const std::vector<Command> lenient = {analyze_command(table)};
  output_of(lenient, words);
  const json report = json::parse(file_content(fs::path(out) / "report.json"));
  EXPECT_TRUE(report.at("busiest").is_null());
  EXPECT_FALSE(fs::exists(fs::path(out) / "busiest.tsv"));
  const std::string page = file_content(fs::path(out) / "report.html");
  EXPECT_TRUE(contains(page, "busiest left out: there is no layer 9</p>"));
  EXPECT_FALSE(contains(page, "<section id=\"busiest\""));
  // Alone it fails, and so does `analyze` where it must not.
  EXPECT_EQ(error_of(commands_with_busiest(), {"busiest", small_trace(), "--of-layer", "9"}),
            "there is no layer 9");
  table.back().in_analyze->is_required = always;
  const std::vector<Command> strict = {analyze_command(table)};
  EXPECT_EQ(error_of(strict, {"analyze", small_trace(), "--of-layer", "9", "-o", out + "2"}),
            "there is no layer 9");
}

TEST(AnalysisFrame, QuickLeavesOutWhatItsRowSays) {
  const TemporaryDirectory place;
  const fs::path out = place.path() / "out";
  std::vector<Analysis> table = table_with_busiest();
  table.back().in_analyze->left_out_by_quick = true;
  const std::vector<Command> commands = {analyze_command(table)};
  EXPECT_TRUE(contains(command_help(commands.front(), 80), "leave out busiest"));
  output_of(commands, {"analyze", small_trace(), "--quick", "-o", out.string()});
  EXPECT_FALSE(json::parse(file_content(out / "report.json")).contains("busiest"));
}

// Two sides.

static_assert(std::is_move_constructible_v<Side> && !std::is_copy_constructible_v<Side>);

// What the two-sided analysis has seen last: sides' signatures where they lie, when it ran and when
// its file was written.
struct Seen {
  std::vector<const Side*> sides;
  std::vector<const double*> run;
  std::vector<const double*> written;
};
Seen seen;

Section run_contrast(const AnalysisInput& input, const Arguments&) {
  seen = {};
  Section section{.json = report::Json::object({})};
  for (const Side& side : input.sides) {
    seen.sides.push_back(&side);
    seen.run.push_back(side.signatures.values.data());
    section.json.set(side.name, report::Json::array(side.signatures.ids));
    section.document.paragraph(side.name + ": " + std::to_string(side.tokens.tokens.size()));
  }
  section.files.push_back({"contrast.tsv", [&input](const fs::path& path) {
                             for (const Side& side : input.sides) {
                               seen.written.push_back(side.signatures.values.data());
                             }
                             std::ofstream(path) << "side\n";
                           }});
  return section;
}

Analysis contrast_analysis() {
  return {.name = "contrast",
          .summary = "Two traces",
          .description = "Looks at both.",
          .needs = {.tokens = true},
          .other_sides = {{.name = "--with",
                           .type = FlagType::texts,
                           .value_name = "DIR",
                           .help = "the other trace"}},
          .run = run_contrast};
}

TEST(AnalysisFrame, AnAnalysisOfTwoSidesGetsBoth) {
  const TemporaryDirectory place;
  const std::string tiny = tiny_trace(place.path() / "tiny");
  const std::vector<Command> commands = {command_of(contrast_analysis())};
  EXPECT_TRUE(contains(command_help(commands.front(), 80), "--with DIR…"));
  EXPECT_EQ(output_of(commands, {"contrast", small_trace(), "--with", tiny}),
            "trace-small: small: 12 prompts, 2 layers × 8 experts, top-2; all tokens\n"
            "tiny: 2 prompts, 1 layer × 2 experts, top-1; all tokens\n\n"
            "trace-small: 87\n\ntiny: 6\n");
  const json found = json::parse(
      output_of(commands, {"contrast", small_trace(), "--with", tiny + "/", "--json", "-"}));
  EXPECT_EQ(found.at("traces").at(0).at("name"), "trace-small");
  EXPECT_EQ(found.at("traces").at(1).at("n_experts"), 2);
  EXPECT_EQ(found.at("tiny"), (json{"p", "q"}));
  EXPECT_FALSE(found.contains("trace"));
  EXPECT_EQ(error_of(commands, {"contrast", small_trace()}), "missing flag --with DIR…");
}

TEST(AnalysisFrame, SidesAreReadOnceAndNeverCopied) {
  const TemporaryDirectory place;
  const std::string tiny = tiny_trace(place.path() / "tiny");
  const std::vector<Command> commands = {command_of(contrast_analysis())};
  output_of(commands,
            {"contrast", small_trace(), "--with", tiny, "-o", (place.path() / "out").string()});
  ASSERT_EQ(seen.run.size(), 2U);
  EXPECT_NE(seen.run[0], seen.run[1]);
  EXPECT_EQ(seen.written, seen.run);
  // Where a vector of sides grows, they are moved.
  std::vector<Side> sides(1);
  sides[0].signatures.values = stats::Matrix::Ones(3, 4);
  sides[0].tokens.experts = {1, 2, 3};
  const double* values = sides[0].signatures.values.data();
  const std::uint16_t* experts = sides[0].tokens.experts.data();
  sides.resize(10);
  EXPECT_EQ(sides[0].signatures.values.data(), values);
  EXPECT_EQ(sides[0].tokens.experts.data(), experts);
}

TEST(AnalysisFrame, SidesOfOneNameAreLettered) {
  const TemporaryDirectory place;
  const std::string one = tiny_trace(place.path() / "1" / "t");
  const std::string other = tiny_trace(place.path() / "2" / "t");
  const std::vector<Command> commands = {command_of(contrast_analysis())};
  EXPECT_TRUE(
      contains(output_of(commands, {"contrast", one, "--with", other}), "\nA: 6\n\nB: 6\n"));
}

TEST(AnalysisFrame, PartsOfASideAreReadAsOne) {
  const TemporaryDirectory place;
  const std::string first = tiny_trace(place.path() / "first", {"p", "q"});
  const std::string second = tiny_trace(place.path() / "second", {"r"});
  const std::vector<Command> commands = {command_of(contrast_analysis())};
  const json found = json::parse(
      output_of(commands, {"contrast", first, second, "--with", second, first, "--json", "-"}));
  EXPECT_EQ(found.at("first"), (json{"p", "q", "r"}));
  EXPECT_EQ(found.at("second"), (json{"r", "p", "q"}));
}

TEST(AnalysisFrame, NeitherSideIsWrittenTo) {
  const TemporaryDirectory place;
  const std::string one = tiny_trace(place.path() / "one");
  const std::string other = tiny_trace(place.path() / "other");
  const std::vector<Command> commands = {command_of(contrast_analysis())};
  for (const std::string& side : {one, other}) {
    const auto before = test::directory_contents(side);
    const std::string error =
        error_of(commands, {"contrast", one, "--with", other, "-o", side, "--force"});
    EXPECT_TRUE(contains(error, side)) << error;
    EXPECT_EQ(test::directory_contents(side), before);
  }
}

// An analysis that reads the events itself.
class Counter : public EventVisitor {
 public:
  void on_record(std::size_t, const RoutingRecord&) override { ++n_records; }
  std::atomic<int> n_records = 0;
};

Section run_count(const AnalysisInput& input, const Arguments&) {
  EXPECT_EQ(input.side().signatures.size(), 0U);
  Counter counter;
  read_events(input.side().traces, counter, input.settings.reading);
  return {.json = report::Json::object({{"n_records", counter.n_records.load()}})};
}

TEST(AnalysisFrame, AnAnalysisMayReadTheEventsItself) {
  const TemporaryDirectory place;
  const std::string tiny = tiny_trace(place.path() / "tiny");
  const std::vector<Command> commands = {command_of({.name = "count",
                                                     .summary = "Records",
                                                     .description = "Counts.",
                                                     .needs = {.signatures = false},
                                                     .run = run_count})};
  const json found = json::parse(output_of(commands, {"count", tiny, "--json", "-"}));
  EXPECT_EQ(found.at("n_records"), 6);
  EXPECT_TRUE(contains(output_of(commands, {"count", tiny}), "2 prompts, 1 layer × 2 experts"));
}

// The table.

TEST(Analyses, HavePlacesOfTheirOwn) {
  std::set<int> places;
  for (const Analysis& analysis : analyses()) {
    SCOPED_TRACE(analysis.name);
    EXPECT_NE(analysis.run, nullptr);
    EXPECT_TRUE(contains(analysis.description, "-o DIR"));
    if (!analysis.in_analyze) continue;
    EXPECT_TRUE(analysis.other_sides.empty()) << "`analyze` has one side";
    EXPECT_TRUE(analysis.needs.signatures);
    EXPECT_TRUE(places.insert(analysis.in_analyze->place).second);
  }
  EXPECT_EQ(places.size(), 12U);
}

}  // namespace
}  // namespace moexray::app
