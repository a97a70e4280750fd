#include "moexray/report/plot.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <limits>
#include <string_view>
#include <thread>
#include <utility>

#include "gnuplot_process.h"
#include "moexray/core/file.h"
#include "moexray/core/system.h"

namespace moexray::report {
namespace fs = std::filesystem;
namespace {

constexpr std::array<const char*, 3> drawings = {".svg", ".png", ".pdf"};

// cairo writes the time into a PDF. The date becomes that of the Unix epoch, the length stays.
void remove_date(const fs::path& pdf) {
  constexpr std::string_view key = "/CreationDate (D:";
  constexpr std::string_view epoch = "19700101000000";
  std::string bytes = read_file(pdf, std::numeric_limits<std::uint64_t>::max());
  std::size_t at = bytes.rfind(key);
  if (at == std::string::npos) return;
  at += key.size();
  for (std::size_t i = 0; i < epoch.size() && std::isdigit(static_cast<unsigned char>(bytes[at]));
       ++i) {
    bytes[at++] = epoch[i];
  }
  write_file_atomically(pdf, bytes);
}

// What one run of gnuplot left behind.
struct Drawn {
  std::string problem;
  std::vector<std::string> names;
};

Drawn draw(const fs::path& program, const fs::path& directory, const std::string& name,
           const PlotOptions& options) {
  Drawn result;
  result.problem = run_gnuplot(program, directory, name + ".gp", options);
  std::string missing;
  for (const char* const suffix : drawings) {
    const fs::path file = directory / (name + suffix);
    std::error_code ignored;
    if (!result.problem.empty()) {
      fs::remove(file, ignored);  // may be half a drawing
    } else if (const auto size = fs::file_size(file, ignored); !ignored && size > 0) {
      result.names.push_back(name + suffix);
    } else {
      missing += suffix;
    }
  }
  if (!missing.empty() && result.problem.empty())
    result.problem = "this gnuplot draws no " + missing;
  if (fs::exists(directory / (name + ".pdf"))) remove_date(directory / (name + ".pdf"));
  return result;
}

// One after the other, on as many threads as there are processors: gnuplot uses one each.
std::vector<Drawn> draw_all(const fs::path& program, const fs::path& directory,
                            std::span<const Figure> figures, const PlotOptions& options) {
  std::vector<Drawn> results(figures.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < figures.size(); i = next++) {
      try {
        results[i] = draw(program, directory, figures[i].name, options);
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
  for (const Figure& figure : figures) {
    write_file_atomically(directory / (figure.name + ".gp"), plot_script(figure));
    write_file_atomically(directory / (figure.name + ".tsv"), plot_data(figure));
  }
  const auto program = find_gnuplot();
  std::vector<Drawn> drawn(figures.size());
  if (program) {
    drawn = draw_all(*program, directory, figures, options);
  } else {
    result.notices.push_back(
        "figures are not drawn, because gnuplot is not installed (Debian's package gnuplot-nox); "
        "their data and scripts are written");
  }
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const std::string& name = figures[i].name;
    result.names.insert(result.names.end(), {name + ".tsv", name + ".gp"});
    result.names.insert(result.names.end(), drawn[i].names.begin(), drawn[i].names.end());
    if (!drawn[i].problem.empty()) {
      result.notices.push_back(name + " is not drawn: " + drawn[i].problem);
    }
  }
  return result;
}

}  // namespace moexray::report
