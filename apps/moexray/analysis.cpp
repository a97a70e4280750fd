#include "analysis.h"

#include <fmt/core.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/file.h"
#include "moexray/core/version.h"
#include "moexray/core/wording.h"
#include "moexray/report/output.h"
#include "moexray/report/plot.h"
#include "moexray/report/visible.h"
#include "notices.h"

namespace moexray::app {
namespace {

using report::Json;

// Feeds the routing records of a trace to what is computed from them.
class AnalysisVisitor : public EventVisitor {
 public:
  // `tokens` may be null.
  AnalysisVisitor(stats::SignatureAccumulator& signatures, stats::TokenAccumulator* tokens,
                  const std::atomic<bool>& stop)
      : signatures_(signatures), tokens_(tokens), stop_(stop) {}

  void on_record(std::size_t prompt_index, const RoutingRecord& record) override {
    if (stop_.load(std::memory_order_relaxed)) throw Error(ErrorKind::interrupted, "interrupted");
    signatures_.add(prompt_index, record);
    if (tokens_ != nullptr) tokens_->add(prompt_index, record);
  }

 private:
  stats::SignatureAccumulator& signatures_;
  stats::TokenAccumulator* tokens_;
  const std::atomic<bool>& stop_;
};

report::OutputPlace output_place(const std::string& command, const AnalysisSettings& settings) {
  return {*settings.output, command, settings.force, settings.traces};
}

void check_outputs(const std::string& command, const AnalysisSettings& settings) {
  if (settings.output) report::check_output_directory(output_place(command, settings));
  if (!settings.json.empty() && settings.json != "-") {
    report::check_output_file(settings.json, settings.force);
  }
}

void add_category_notice(TraceSet& traces) {
  std::vector<std::string> categories;
  for (const TracePrompt& prompt : traces.prompts) categories.push_back(prompt.category);
  std::string notice = report::similar_names_notice("categories", categories);
  if (!notice.empty()) traces.notices.push_back(std::move(notice));
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

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

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
  if (run.summary != nullptr) return run.summary(input, sections, width);
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
  report::OutputDirectory directory(output_place(run.command, settings));
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
  if (run.closing_files != nullptr) {
    names += write_files(run.closing_files(input, sections, written), directory.path(), console);
  }
  write_file_atomically(directory.path() / "report.json", report.dump());
  directory.commit();
  console.notice(fmt::format("wrote {}: {}report.json", settings.output->string(), names));
}

}  // namespace

AnalysisInput read_analysis_input(
    AnalysisSettings settings, bool needs_tokens, Console& console,
    const std::function<void(const AnalysisSettings&)>& check_outputs) {
  AnalysisInput input;
  input.traces = open_traces(settings.traces, settings.reading);
  add_category_notice(input.traces);
  check_outputs(settings);
  for (const std::string& notice : input.traces.notices) console.notice(notice);
  std::vector<stats::PromptLabel> labels;
  for (const TracePrompt& prompt : input.traces.prompts) {
    labels.push_back({prompt.id, prompt.category});
  }
  stats::SignatureAccumulator signatures(input.traces.shape, std::move(labels), settings.selection);
  std::optional<stats::TokenAccumulator> tokens;
  if (needs_tokens) {
    tokens.emplace(input.traces.shape, input.traces.prompts.size(), settings.selection);
  }
  AnalysisVisitor visitor(signatures, tokens ? &*tokens : nullptr, console.stop_requested());
  read_events(input.traces, visitor, settings.reading);
  input.signatures = std::move(signatures).finish();
  if (tokens) input.tokens = std::move(*tokens).finish(input.signatures);
  if (!settings.reading.group_key.empty()) {
    for (const std::size_t index : input.signatures.prompt_indices) {
      input.groups.push_back(input.traces.prompts[index].group);
    }
  }
  if (tokens) {
    input.compared =
        stats::compared_prompts(input.tokens, input.signatures, input.groups,
                                settings.selection.tokens, {.n_tokens = settings.common_tokens});
  }
  input.settings = std::move(settings);
  input.stop = &console.stop_requested();
  input.console = &console;
  return input;
}

Json analysis_head(const std::string& command, const AnalysisInput& input) {
  const stats::Selection& selection = input.settings.selection;
  Json result = Json::object();
  result.set(
      "moexray",
      Json::object({{"version", version()}, {"command", command}, {"seed", input.settings.seed}}));
  result.set("trace", Json::object({{"model", text_or_null(input.traces.model_name)},
                                    {"n_prompts", input.traces.prompts.size()},
                                    {"n_layers", input.traces.shape.n_layers},
                                    {"n_experts", input.traces.shape.n_experts},
                                    {"top_k", input.traces.shape.top_k}}));
  result.set("selection", Json::object({{"tokens", name_of(selection.tokens)},
                                        {"exclude_template", selection.exclude_template},
                                        {"weighted", selection.weighted},
                                        {"category_key", text_or_null(selection.category_key)}}));
  return result;
}

OutputFile text_file(std::string name, std::string content) {
  return {std::move(name), [content = std::move(content)](const std::filesystem::path& path) {
            write_file_atomically(path, content);
          }};
}

std::string trace_line(const AnalysisInput& input) {
  const TraceSet& traces = input.traces;
  const stats::Selection& selection = input.settings.selection;
  const std::size_t n = input.signatures.size();
  const std::size_t n_all = traces.prompts.size();
  std::string tokens(name_of(selection.tokens));
  if (selection.tokens == stats::TokenSelection::generation) tokens = "generated";
  return fmt::format("{}{} {}, {} × {}, top-{}; {} tokens{}{}",
                     traces.model_name.empty() ? "" : printable(traces.model_name, 60) + ": ",
                     n == n_all ? std::to_string(n) : fmt::format("{} of {}", n, n_all),
                     noun_for(n_all, "prompt"), counted(traces.shape.n_layers, "layer"),
                     counted(traces.shape.n_experts, "expert"), traces.shape.top_k, tokens,
                     selection.exclude_template ? " without template" : "",
                     selection.weighted ? ", weighted by the router" : "");
}

void run_analysis(const AnalysisRun& run, const Arguments& arguments, Console& console) {
  const AnalysisInput input = read_analysis_input(
      analysis_settings(arguments), run.needs_tokens, console,
      [&](const AnalysisSettings& settings) { check_outputs(run.command, settings); });
  tell_left_out(input.signatures.left_out, console);
  std::vector<Section> sections;
  for (const SectionFunction function : run.sections) {
    sections.push_back(function(input, arguments));
    if (console.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
  }
  if (run.closing_section != nullptr) sections.push_back(run.closing_section(input, sections));
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
