#include "moexray/report/plot.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <thread>
#include <utility>

#include "fonts.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/system.h"
#include "moexray/report/svg.h"
#include "program.h"

namespace moexray::report {
namespace fs = std::filesystem;
namespace {

// Names are arguments of a program.
void check_name(const std::string& name) {
  const bool is_plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (!is_plain) {
    throw Error(ErrorKind::runtime,
                {"the name of a figure", {}, "lower-case letters, digits and \"_\"", name});
  }
}

struct Format {
  const char* suffix;
  std::vector<std::string> arguments;
};

const std::array<Format, 2>& formats() {
  static const std::array<Format, 2> all{
      {{".png", {"--format=png", "--dpi-x=300", "--dpi-y=300"}}, {".pdf", {"--format=pdf"}}}};
  return all;
}

// What is made of one drawing.
struct Converted {
  std::string problem;
  std::vector<std::string> names;
};

Converted convert(const fs::path& program, const fs::path& directory, const std::string& name,
                  const PlotOptions& options) {
  Converted result;
  for (const Format& format : formats()) {
    const std::string output = name + format.suffix;
    ProgramRun run{program, format.arguments, directory, options.time_limit, options.stop};
    run.arguments.insert(run.arguments.end(), {"--unlimited", "--output=" + output, name + ".svg"});
    std::string problem = run_program(run).problem;
    std::error_code code;
    const auto size = fs::file_size(directory / output, code);
    if (problem.empty() && (code || size == 0)) problem = "rsvg-convert wrote nothing";
    if (problem.empty()) {
      result.names.push_back(output);
      continue;
    }
    fs::remove(directory / output, code);  // may be half a drawing
    result.problem = output + " is missing: " + problem;
    if (options.stop && options.stop->load()) break;
  }
  return result;
}

// One after the other, on as many threads as there are processors.
std::vector<Converted> convert_all(const fs::path& program, const fs::path& directory,
                                   std::span<const Figure> figures, const PlotOptions& options) {
  std::vector<Converted> results(figures.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < figures.size(); i = next++) {
      try {
        results[i] = convert(program, directory, figures[i].name, options);
      } catch (const std::exception& error) {
        results[i].problem = error.what();
      }
    }
  };
  const auto n_threads =
      std::min(figures.size(), static_cast<std::size_t>(std::max(1, available_threads())));
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < n_threads; ++i) threads.emplace_back(work);
  work();
  return results;
}

}  // namespace

PlotFiles write_plots(const fs::path& directory, std::span<const Figure> figures,
                      const PlotOptions& options) {
  PlotFiles result;
  if (figures.empty()) return result;
  std::vector<std::string> drawings;
  for (const Figure& figure : figures) {
    check_name(figure.name);
    drawings.push_back(svg_file(figure));
    write_file_atomically(directory / (figure.name + ".tsv"), plot_data(figure));
    write_file_atomically(directory / (figure.name + ".svg"), drawings.back());
  }
  std::vector<Converted> converted(figures.size());
  if (const auto program = find_program("rsvg-convert")) {
    if (std::string notice = font_notice(drawings, options); !notice.empty()) {
      result.notices.push_back(std::move(notice));
    }
    converted = convert_all(*program, directory, figures, options);
  } else {
    result.notices.emplace_back(
        "figures are written as SVG alone: PNG and PDF need rsvg-convert (Debian's package "
        "librsvg2-bin)");
  }
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const std::string& name = figures[i].name;
    result.names.insert(result.names.end(), {name + ".tsv", name + ".svg"});
    result.names.insert(result.names.end(), converted[i].names.begin(), converted[i].names.end());
    if (!converted[i].problem.empty()) result.notices.push_back(converted[i].problem);
  }
  return result;
}

}  // namespace moexray::report
