#include "analysis.h"

#include <fmt/core.h>

#include <cstdint>
#include <map>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/wording.h"
#include "moexray/report/output.h"
#include "moexray/report/plot.h"
#include "notices.h"

namespace moexray::app {
namespace {

using report::Json;

void check_outputs(const std::string& command, const AnalysisSettings& settings) {
  if (settings.output) {
    const std::vector<std::filesystem::path> inputs = settings.directories();
    report::check_output_directory({*settings.output, command, settings.force, inputs});
  }
  if (!settings.json.empty() && settings.json != "-") {
    report::check_output_file(settings.json, settings.force);
  }
}

// "3 prompts left out: a, b, c (no generated tokens)".
void tell_left_out(const std::vector<stats::LeftOut>& left_out, Console& console) {
  if (left_out.empty()) return;
  constexpr std::size_t n_named = 20;
  std::string names;
  for (std::size_t i = 0; i < left_out.size() && i < n_named; ++i) {
    names += (i > 0 ? ", " : "") + left_out[i].id;
  }
  if (left_out.size() > n_named) names += ", …";
  console.notice(fmt::format("{} left out: {} ({})", counted(std::ssize(left_out), "prompt"), names,
                             left_out[0].reason));
}

// What the data do not allow is left out and said; the other sections still stand.
Section left_out(const std::string& name, const Error& error) {
  const std::string message = name + " left out: " + error.what();
  Section section{.notices = {message}, .left_out = error.what()};
  section.document.paragraph(message);
  return section;
}

Section run_section(const SectionRun& part, const AnalysisInput& input,
                    const Arguments& arguments) {
  Section section;
  try {
    check_takes(input, part.name, part.needs);
    section = part.run(input, arguments);
  } catch (const Error& error) {
    if (part.is_required || error.kind() != ErrorKind::data) throw;
    section = left_out(part.name, error);
  }
  section.name = part.name;
  section.row = part.row;
  return section;
}

Json report_json(const std::string& command, const AnalysisInput& input,
                 const std::vector<Section>& sections) {
  Json result = analysis_head(command, input);
  for (const Section& section : sections) result.set(section.name, section.json);
  return result;
}

Json command_json(const std::string& command, const AnalysisInput& input,
                  const std::vector<Section>& sections) {
  if (sections.size() > 1) return report_json(command, input, sections);
  Json result = analysis_head(command, input);
  for (const auto& [key, value] : sections.at(0).json.members()) result.set(key, value);
  return result;
}

std::string report_text(const AnalysisRun& run, const AnalysisInput& input,
                        const std::vector<Section>& sections, std::size_t width) {
  if (run.summary) return run.summary(input, sections, width);
  report::Document head;
  head.paragraph(trace_line(input));
  std::string text = head.text(width);
  for (const Section& section : sections) text += "\n" + section.document.text(width);
  return text;
}

// "fig3_layers.{tsv,svg,png}" for the files of each figure.
std::string names_of_figures(const std::vector<std::string>& files) {
  std::string text;
  std::string last;
  for (const std::string& file : files) {
    const std::string stem = file.substr(0, file.rfind('.'));
    if (stem != last) text += (last.empty() ? "" : "}, ") + stem + ".{";
    if (stem == last) text += ",";
    text += file.substr(stem.size() + 1);
    last = stem;
  }
  return last.empty() ? text : text + "}, ";
}

// Draws the figures of all sections; returns the names of their files.
std::vector<std::string> write_figures(const std::vector<Section>& sections,
                                       const std::filesystem::path& directory, Console& console) {
  std::vector<report::Figure> figures;
  for (const Section& section : sections) {
    figures.insert(figures.end(), section.figures.begin(), section.figures.end());
  }
  report::PlotOptions options;
  options.stop = &console.stop_requested();
  const report::PlotFiles plots = report::write_plots(directory, figures, options);
  if (console.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
  for (const std::string& notice : plots.notices) console.notice(notice);
  return plots.names;
}

// Writes files that may lie in folders; returns their names, those of a folder together.
std::string write_files(const std::vector<OutputFile>& files,
                        const std::filesystem::path& directory, Console& console) {
  std::map<std::string, std::size_t> n_in_folder;
  std::string names;
  for (const OutputFile& file : files) {
    if (console.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
    const std::filesystem::path path = directory / file.name;
    std::filesystem::create_directories(path.parent_path());
    file.write(path);
    const std::size_t slash = file.name.find('/');
    if (slash == std::string::npos) {
      names += file.name + ", ";
    } else {
      ++n_in_folder[file.name.substr(0, slash)];
    }
  }
  for (const auto& [folder, n] : n_in_folder) {
    names += fmt::format("{}/ ({}), ", folder, counted(static_cast<std::int64_t>(n), "page"));
  }
  return names;
}

void write_directory(const AnalysisRun& run, const AnalysisInput& input,
                     const std::vector<Section>& sections, const Json& report, Console& console) {
  const AnalysisSettings& settings = input.settings;
  const std::vector<std::filesystem::path> inputs = settings.directories();
  report::OutputDirectory directory({*settings.output, run.command, settings.force, inputs});
  std::set<std::string> written;
  std::vector<OutputFile> files;
  for (const Section& section : sections) {
    for (const OutputFile& file : section.files) {
      if (written.insert(file.name).second) files.push_back(file);
    }
  }
  std::string names = write_files(files, directory.path(), console);
  const std::vector<std::string> figures = write_figures(sections, directory.path(), console);
  names += names_of_figures(figures);
  written.insert(figures.begin(), figures.end());
  if (run.closing_files) {
    names += write_files(run.closing_files(input, sections, written), directory.path(), console);
  }
  write_file_atomically(directory.path() / "report.json", report.dump());
  directory.commit();
  console.notice(fmt::format("wrote {}: {}report.json", settings.output->string(), names));
}

}  // namespace

Command command_of(const Analysis& analysis) {
  std::vector<Flag> flags = analysis.other_sides;
  flags.insert(flags.end(), analysis.optional_sides.begin(), analysis.optional_sides.end());
  flags.insert(flags.end(), analysis.flags.begin(), analysis.flags.end());
  const auto run = [analysis](const Arguments& arguments, Console& console) {
    if (analysis.check != nullptr) analysis.check(arguments);
    std::vector<Flag> other_sides = analysis.other_sides;
    for (const Flag& flag : analysis.optional_sides) {
      if (arguments.has(flag.key())) other_sides.push_back(flag);
    }
    run_analysis(
        {.command = analysis.name,
         .sections = {{.name = analysis.name, .run = analysis.run, .needs = analysis.needs}},
         .needs = analysis.needs,
         .other_sides = std::move(other_sides)},
        arguments, console);
  };
  return {.name = analysis.name,
          .group = analysis.group,
          .summary = analysis.summary,
          .description = analysis.description,
          .positionals = trace_positionals(),
          .flags = with_analysis_flags(std::move(flags)),
          .examples = analysis.examples,
          .run = run};
}

void run_analysis(const AnalysisRun& run, const Arguments& arguments, Console& console) {
  const AnalysisInput input = read_analysis_input(
      analysis_settings(arguments, 0, run.other_sides), run.needs, console,
      [&](const AnalysisSettings& settings) { check_outputs(run.command, settings); });
  for (const Side& side : input.sides) tell_left_out(side.signatures.left_out, console);
  std::vector<Section> sections;
  for (const SectionRun& part : run.sections) {
    sections.push_back(run_section(part, input, arguments));
    if (console.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
  }
  if (run.closing_section) sections.push_back(run.closing_section(input, sections));
  // Sections that look at the same data have the same to say: it is told once, when all have.
  for (const std::string& notice : joined_notices(sections)) console.notice(notice);
  if (input.settings.output) {
    write_directory(run, input, sections, report_json(run.command, input, sections), console);
  }
  if (input.settings.json.empty()) {
    console.print(report_text(run, input, sections, console.width()));
    return;
  }
  const std::string json = command_json(run.command, input, sections).dump();
  if (input.settings.json == "-") {
    console.print(json);
  } else {
    report::write_output_file(input.settings.json, json);
    console.print(report_text(run, input, sections, console.width()));
  }
}

}  // namespace moexray::app
