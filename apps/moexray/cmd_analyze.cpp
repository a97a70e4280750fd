#include <algorithm>
#include <set>
#include <utility>

#include "analysis.h"
#include "expert_categories_output.h"
#include "expert_view.h"
#include "html_report.h"
#include "moexray/core/error.h"
#include "nested_flags.h"
#include "prompt_pages.h"
#include "summary.h"
#include "verdict.h"

namespace moexray::app {
namespace {

// Those of a table that take part, in the order of their sections.
std::vector<const Analysis*> parts_of(std::span<const Analysis> table) {
  std::vector<const Analysis*> parts;
  for (const Analysis& analysis : table) {
    if (analysis.in_analyze) parts.push_back(&analysis);
  }
  std::stable_sort(parts.begin(), parts.end(), [](const auto* a, const auto* b) {
    return a->in_analyze->place < b->in_analyze->place;
  });
  return parts;
}

// "a, b and c".
std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  return text;
}

// Their names, with remarks.
std::string names_of(const std::vector<const Analysis*>& parts) {
  std::vector<std::string> names;
  for (const Analysis* part : parts) {
    const std::string& remark = part->in_analyze->remark;
    names.push_back(part->name + (remark.empty() ? "" : " " + remark));
  }
  return listed(names);
}

std::string names_left_out_by_quick(const std::vector<const Analysis*>& parts) {
  std::vector<std::string> names;
  for (const Analysis* part : parts) {
    if (part->in_analyze->left_out_by_quick) names.push_back(part->name);
  }
  return names.empty() ? "nothing" : listed(names);
}

// The flags of all sections; one that several share only once.
std::vector<Flag> flags_of(const std::vector<const Analysis*>& parts) {
  std::vector<Flag> flags;
  for (const Analysis* part : parts) {
    for (const Flag& flag : part->in_analyze->flags) {
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
  flags.push_back({.name = "--quick",
                   .type = FlagType::on_off,
                   .help = "leave out " + names_left_out_by_quick(parts)});
  flags.push_back({.name = "--verbose",
                   .type = FlagType::on_off,
                   .help = "print the tables of all analyses, whole, in place of the main ones"});
  return flags;
}

// What all sections together say.
Section verdict_section(std::span<const Analysis> table, const AnalysisInput& input,
                        const std::vector<Section>& sections) {
  const stats::Signatures& signatures = input.side().signatures;
  VerdictFacts facts;
  facts.n_prompts = signatures.size();
  facts.categories = signatures.categories;
  std::sort(facts.categories.begin(), facts.categories.end());
  facts.n_without_category =
      static_cast<std::size_t>(std::count(facts.categories.begin(), facts.categories.end(), ""));
  facts.categories.erase(std::unique(facts.categories.begin(), facts.categories.end()),
                         facts.categories.end());
  std::erase(facts.categories, "");
  for (const Analysis& analysis : table) {
    if (analysis.in_analyze && analysis.in_analyze->left_out_by_quick) {
      facts.left_out[analysis.name] = "left out by --quick";
    }
  }
  facts.grouped = !input.settings.reading.group_key.empty();
  for (const Section& section : sections) {
    facts.left_out.erase(section.name);  // it was run
    if (!section.left_out.empty()) facts.left_out[section.name] = section.left_out;
  }
  Verdict verdict = judge(facts, results_of(sections));
  Section section{
      .name = "verdict", .json = verdict_json(verdict), .document = verdict_document(verdict)};
  section.results.verdict = kept(std::move(verdict));
  return section;
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

void run(std::span<const Analysis> table, const Arguments& arguments, Console& console) {
  if (arguments.on("quick") && arguments.on("full")) {
    throw Error(ErrorKind::usage, "--quick and --full exclude each other");
  }
  AnalysisRun analysis{.command = "analyze"};
  for (const Analysis* part : parts_of(table)) {
    const InAnalyze& own = *part->in_analyze;
    if (own.left_out_by_quick && arguments.on("quick")) continue;
    analysis.sections.push_back(
        {.name = part->name,
         .run = own.run != nullptr ? own.run : part->run,
         .is_required = own.is_required != nullptr && own.is_required(arguments),
         .row = static_cast<int>(part - table.data()),
         .needs = part->needs});
    analysis.needs.tokens = analysis.needs.tokens || part->needs.tokens;
  }
  analysis.closing_section = [table](const AnalysisInput& input,
                                     const std::vector<Section>& sections) {
    return verdict_section(table, input, sections);
  };
  analysis.closing_files = site_files;
  if (!arguments.on("verbose")) analysis.summary = summary_text;
  run_analysis(analysis, arguments, console);
}

}  // namespace

Command analyze_command(std::span<const Analysis> table) {
  const std::vector<const Analysis*> parts = parts_of(table);
  return {
      .name = "analyze",
      .summary = "All analyses in one pass over a trace",
      .description =
          "Reads the routing events once and runs " + names_of(parts) +
          ". Writes their data files, figures, report.html, a page to read, and "
          "report.json, one section per command. Prints the main numbers and, last, a verdict: "
          "what they say in words, and what was not tested; 60 lines at most, unless --verbose."
          "\nRepetitions are fewer than in the commands alone, and fewer still for large inputs, "
          "as the sizes of the input decide, never a clock: confounds has 199 permutations and "
          "10 repetitions, information 25 repetitions, the classifier's interval 25, and none "
          "with more than 100 prompts; what would take minutes is left out and said. "
          "--nested-repetitions sets all three.",
      .positionals = trace_positionals(),
      .flags = with_analysis_flags(flags_of(parts), "analysis"),
      .examples = {{"moexray analyze traces", "everything, into analysis/"},
                   {"moexray analyze part-0 part-1 -o analysis --force",
                    "two parts of a sharded run, in place of older results"},
                   {"moexray analyze traces --quick", "in seconds, without confounds"},
                   {"moexray analyze traces --full",
                    "everything that can be said, in a few minutes"}},
      .run = [table](const Arguments& arguments, Console& console) {
        run(table, arguments, console);
      }};
}

}  // namespace moexray::app
