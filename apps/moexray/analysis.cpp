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
#include "moexray/report/output.h"
#include "moexray/report/plot.h"

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

void check_outputs(const AnalysisSettings& settings) {
  if (settings.output) {
    report::check_output_directory(*settings.output, settings.force, settings.traces);
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
  console.notice(fmt::format("{} prompt{} left out: {} ({})", left_out.size(),
                             left_out.size() == 1 ? "" : "s", names, left_out[0].reason));
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

std::string report_text(const AnalysisInput& input, const std::vector<Section>& sections) {
  const TraceSet& traces = input.traces;
  const stats::Selection& selection = input.settings.selection;
  const std::size_t n = input.signatures.size();
  const std::size_t n_all = traces.prompts.size();
  std::string tokens(name_of(selection.tokens));
  if (selection.tokens == stats::TokenSelection::generation) tokens = "generated";
  std::string text = fmt::format(
      "{}{} prompt{}, {} layer{} × {} experts, top-{}; {} tokens{}{}\n",
      traces.model_name.empty() ? "" : printable(traces.model_name, 60) + ": ",
      n == n_all ? std::to_string(n) : fmt::format("{} of {}", n, n_all), n_all == 1 ? "" : "s",
      traces.shape.n_layers, traces.shape.n_layers == 1 ? "" : "s", traces.shape.n_experts,
      traces.shape.top_k, tokens, selection.exclude_template ? " without template" : "",
      selection.weighted ? ", weighted by the router" : "");
  for (const Section& section : sections) text += "\n" + section.document.text();
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
    names += fmt::format("{}/ ({} page{}), ", folder, n, n == 1 ? "" : "s");
  }
  return names;
}

void write_directory(const AnalysisInput& input, const std::vector<Section>& sections,
                     FilesFunction closing_files, const Json& report, Console& console) {
  const AnalysisSettings& settings = input.settings;
  report::OutputDirectory directory(*settings.output, settings.force, settings.traces);
  std::set<std::string> written;
  std::string names;
  for (const Section& section : sections) {
    for (const OutputFile& file : section.files) {
      if (!written.insert(file.name).second) continue;
      file.write(directory.path() / file.name);
      names += file.name + ", ";
    }
  }
  const std::vector<std::string> figures = write_figures(sections, directory.path(), console);
  names += names_of_figures(figures);
  written.insert(figures.begin(), figures.end());
  if (closing_files != nullptr) {
    names += write_files(closing_files(input, sections, written), directory.path(), console);
  }
  write_file_atomically(directory.path() / "report.json", report.dump());
  directory.commit();
  console.notice(fmt::format("wrote {}: {}report.json", settings.output->string(), names));
}

}  // namespace

AnalysisInput read_analysis_input(AnalysisSettings settings, bool needs_tokens, Console& console) {
  AnalysisInput input;
  input.traces = open_traces(settings.traces, settings.reading);
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

void run_analysis(const AnalysisRun& run, const Arguments& arguments, Console& console) {
  AnalysisSettings settings = analysis_settings(arguments);
  check_outputs(settings);
  const AnalysisInput input = read_analysis_input(std::move(settings), run.needs_tokens, console);
  tell_left_out(input.signatures.left_out, console);
  std::vector<Section> sections;
  std::set<std::string> told;
  for (const SectionFunction function : run.sections) {
    sections.push_back(function(input, arguments));
    // Sections that look at the same data may have the same to say.
    for (const std::string& notice : sections.back().notices) {
      if (told.insert(notice).second) console.notice(notice);
    }
    if (console.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
  }
  if (input.settings.output) {
    write_directory(input, sections, run.closing_files, report_json(run.command, input, sections),
                    console);
  }
  if (input.settings.json.empty()) {
    console.print(report_text(input, sections));
    return;
  }
  const std::string json = command_json(run.command, input, sections).dump();
  if (input.settings.json == "-") {
    console.print(json);
  } else {
    report::write_output_file(input.settings.json, json);
    console.print(report_text(input, sections));
  }
}

}  // namespace moexray::app
