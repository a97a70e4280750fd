#include <algorithm>
#include <set>
#include <utility>

#include "commands.h"
#include "expert_categories_output.h"
#include "expert_view.h"
#include "html_report.h"
#include "moexray/core/error.h"
#include "nested_flags.h"
#include "prompt_pages.h"
#include "sections.h"
#include "summary.h"
#include "verdict.h"

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
    section.left_out = error.what();
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
  return or_left_out("confounds", affordable_confounds_section, input, arguments);
}

Section information_part(const AnalysisInput& input, const Arguments& arguments) {
  return or_left_out("information", affordable_information_section, input, arguments);
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
                   .help = "confounds, information and the classifier's interval with as many "
                           "repetitions as the commands alone have: takes minutes"});
  flags.push_back(
      {.name = "--quick", .type = FlagType::on_off, .help = "leave out confounds and information"});
  flags.push_back({.name = "--verbose",
                   .type = FlagType::on_off,
                   .help = "print the tables of all analyses, whole, in place of the main ones"});
  return flags;
}

// What all sections together say.
Section verdict_section(const AnalysisInput& input, const std::vector<Section>& sections) {
  const stats::Signatures& signatures = input.signatures;
  VerdictFacts facts;
  facts.n_prompts = signatures.size();
  facts.categories = signatures.categories;
  std::sort(facts.categories.begin(), facts.categories.end());
  facts.n_without_category =
      static_cast<std::size_t>(std::count(facts.categories.begin(), facts.categories.end(), ""));
  facts.categories.erase(std::unique(facts.categories.begin(), facts.categories.end()),
                         facts.categories.end());
  std::erase(facts.categories, "");
  for (const char* skipped : {"confounds", "information"})
    facts.left_out[skipped] = "left out by --quick";
  facts.grouped = !input.settings.reading.group_key.empty();
  Results results;
  for (const Section& section : sections) {
    results.merge(section.results);
    if (!section.left_out.empty()) facts.left_out[section.name] = section.left_out;
  }
  const Verdict verdict = judge(facts, results);
  return {"verdict", verdict_json(verdict), verdict_document(verdict), {}, {}};
}

// The pages of the experts that the report names, of the first of each category first.
std::vector<ExpertPage> pages_of_experts(const AnalysisInput& input, const Results& results) {
  constexpr std::size_t max_pages = 100;
  if (results.expert_categories == nullptr) return {};
  const stats::ExpertCategoriesResult& found = *results.expert_categories;
  std::vector<stats::ExpertName> experts;
  for (std::size_t rank = 0; rank < found.cells.size(); ++rank) {
    bool any = false;
    for (std::size_t c = 0; c < found.significant.size(); ++c) {
      const std::vector<std::size_t> named = named_cells(found, c);
      if (rank >= named.size()) continue;
      any = true;
      const stats::ExpertCell& cell = found.cells[named[rank]];
      const stats::ExpertName name{cell.layer, cell.expert};
      const bool is_known = std::find(experts.begin(), experts.end(), name) != experts.end();
      if (!is_known && experts.size() < max_pages) experts.push_back(name);
    }
    if (!any) break;
  }
  return expert_pages(input, found, experts);
}

// report.html and what it links to.
std::vector<OutputFile> site_files(const AnalysisInput& input, const std::vector<Section>& sections,
                                   const std::set<std::string>& written) {
  const Results results = results_of(sections);
  PromptPages prompts = prompt_pages(input);
  Site site{written, prompts.names, prompts.files.size(), {}};
  std::vector<OutputFile> files = std::move(prompts.files);
  for (ExpertPage& page : pages_of_experts(input, results)) {
    const std::string name = "experts/" + page.name;
    site.expert_pages[{page.expert.layer, page.expert.expert}] = name;
    files.push_back(text_file(name, std::move(page.html)));
  }
  files.push_back(text_file("report.html", html_report(input, sections, site)));
  return files;
}

void run(const Arguments& arguments, Console& console) {
  AnalysisRun analysis{
      .command = "analyze",
      .sections = {signatures_section, similarity_part, baselines_part, layers_part, stats_part,
                   projections_section, classify_part, experts_section},
      .closing_files = site_files,
      .needs_tokens = true,
      .closing_section = verdict_section};
  if (arguments.on("quick") && arguments.on("full")) {
    throw Error(ErrorKind::usage, "--quick and --full exclude each other");
  }
  if (!arguments.on("quick")) {
    analysis.sections.push_back(confounds_part);
    analysis.sections.push_back(information_part);
  }
  if (!arguments.on("verbose")) analysis.summary = summary_text;
  run_analysis(analysis, arguments, console);
}

}  // namespace

Command analyze_command() {
  return {
      .name = "analyze",
      .summary = "All analyses in one pass over a trace",
      .description =
          "Reads the routing events once and runs signatures, similarity, baselines, layers, "
          "stats (with fewer draws), project (both methods), classify, experts, confounds and "
          "information. Writes their data files, figures, report.html, a page to read, and "
          "report.json, one section per command. Prints the main numbers and, last, a verdict: "
          "what they say in words, and what was not tested; 60 lines at most, unless --verbose."
          "\nRepetitions are fewer than in the commands alone, and fewer still for large inputs, "
          "as the sizes of the input decide, never a clock: confounds has 199 permutations and "
          "10 repetitions, information 25 repetitions, the classifier's interval 25, and none "
          "with more than 100 prompts; what would take minutes is left out and said. "
          "--nested-repetitions sets all three.",
      .positionals = trace_positionals(),
      .flags = with_analysis_flags(section_flags(), "analysis"),
      .examples = {{"moexray analyze traces", "everything, into analysis/"},
                   {"moexray analyze part-0 part-1 -o analysis --force",
                    "two parts of a sharded run, in place of older results"},
                   {"moexray analyze traces --quick", "in seconds, without confounds"},
                   {"moexray analyze traces --full",
                    "everything that can be said, in a few minutes"}},
      .run = run};
}

}  // namespace moexray::app
