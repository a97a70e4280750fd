#include <algorithm>
#include <set>
#include <utility>

#include "commands.h"
#include "html_report.h"
#include "moexray/core/error.h"
#include "nested_flags.h"
#include "prompt_pages.h"
#include "sections.h"

namespace moexray::app {
namespace {

// What the data do not allow is left out and said; the other sections still stand.
Section or_left_out(const std::string& name, SectionFunction section, const AnalysisInput& input,
                    const Arguments& arguments) {
  try {
    return section(input, arguments);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    const std::string message = name + " left out: " + error.what();
    Section section{name, {}, {}, {}, {message}};
    section.document.paragraph(message);
    return section;
  }
}

Section similarity_part(const AnalysisInput& input, const Arguments& arguments) {
  return or_left_out("similarity", similarity_section, input, arguments);
}

Section baselines_part(const AnalysisInput& input, const Arguments& arguments) {
  return or_left_out("baselines", baselines_section, input, arguments);
}

Section layers_part(const AnalysisInput& input, const Arguments& arguments) {
  return or_left_out("layers", layers_section, input, arguments);
}

Section stats_part(const AnalysisInput& input, const Arguments& arguments) {
  return or_left_out("stats", affordable_stats_section, input, arguments);
}

Section classify_part(const AnalysisInput& input, const Arguments& arguments) {
  // Who names a folds file wants it used, or to hear what is wrong with it.
  if (arguments.has("folds-file")) return classify_section(input, arguments);
  return or_left_out("classify", classify_section, input, arguments);
}

Section confounds_part(const AnalysisInput& input, const Arguments& arguments) {
  return or_left_out("confounds", confounds_section, input, arguments);
}

Section information_part(const AnalysisInput& input, const Arguments& arguments) {
  return or_left_out("information", information_section, input, arguments);
}

// Draws of the bootstrap and of the permutations, where `stats` alone takes ten times as many.
constexpr int n_draws = 999;

// The flags of all sections; one that several share only once.
std::vector<Flag> section_flags() {
  std::vector<Flag> flags;
  for (const auto& own : {similarity_flags(), baselines_flags(), stats_flags(n_draws, n_draws),
                          project_flags(), classify_flags(), experts_flags()}) {
    for (const Flag& flag : own) {
      const bool known = std::any_of(flags.begin(), flags.end(),
                                     [&](const Flag& other) { return other.name == flag.name; });
      if (!known) flags.push_back(flag);
    }
  }
  flags.push_back(nested_repetitions_flag({}));
  flags.push_back({.name = "--full",
                   .type = FlagType::on_off,
                   .help = "confounds and information as well, which take minutes"});
  return flags;
}

// report.html and what it links to.
std::vector<OutputFile> site_files(const AnalysisInput& input, const std::vector<Section>& sections,
                                   const std::set<std::string>& written) {
  PromptPages pages = prompt_pages(input);
  const Site site{written, pages.names, pages.files.size()};
  std::vector<OutputFile> files = std::move(pages.files);
  files.push_back(text_file("report.html", html_report(input, sections, site)));
  return files;
}

void run(const Arguments& arguments, Console& console) {
  AnalysisRun analysis{
      .command = "analyze",
      .sections = {signatures_section, similarity_part, baselines_part, layers_part, stats_part,
                   projections_section, classify_part, experts_section},
      .closing_files = site_files,
      .needs_tokens = true};
  if (arguments.on("full")) {
    analysis.sections.push_back(confounds_part);
    analysis.sections.push_back(information_part);
  }
  run_analysis(analysis, arguments, console);
}

}  // namespace

Command analyze_command() {
  return {.name = "analyze",
          .summary = "All analyses in one pass over a trace",
          .description =
              "Reads the routing events once and runs signatures, similarity, baselines, layers, "
              "stats (with fewer draws), project (both methods), classify and experts. Writes "
              "their data files, figures, "
              "report.html, a page to read, and report.json, one section per command, and prints a "
              "short report. Nested cross-validation has 25 repetitions, and none with more than "
              "100 prompts, unless --nested-repetitions is given. --full adds confounds and "
              "information.",
          .positionals = trace_positionals(),
          .flags = with_analysis_flags(section_flags(), "analysis"),
          .examples = {{"moexray analyze traces", "everything, into analysis/"},
                       {"moexray analyze part-0 part-1 -o analysis --force",
                        "two parts of a sharded run, in place of older results"},
                       {"moexray analyze traces --full --nested-repetitions 200",
                        "everything that can be said, in a few minutes"}},
          .run = run};
}

}  // namespace moexray::app
