#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "moexray/report/document.h"
#include "moexray/report/figure.h"
#include "moexray/report/json.h"
#include "results.h"

namespace moexray::app {

struct AnalysisInput;
struct Section;
struct Site;

/// A file of the output directory. It is written to the path given, while the input still exists.
struct OutputFile {
  std::string name;
  std::function<void(const std::filesystem::path&)> write;
};

/// A file with this content.
OutputFile text_file(std::string name, std::string content);

/// A number that readers of report.html look for: a row of the tables at its head. Plain text.
struct Headline {
  std::string quantity;       ///< "classification accuracy"
  std::string value;          ///< "0.925 ± 0.061"
  std::string interval = {};  ///< 95%: "0.84 to 0.97"; empty: none
  std::string remark = {};    ///< of what, and against what
  bool is_first = false;      ///< among the numbers to look at first
};

/// The chapters of report.html that analyses fill.
enum class Chapter {
  experts,
  inference,  ///< intervals, tests, nulls and confounds
  classification,
  own  ///< one that only this analysis has, behind the others
};

/// What an analysis adds to report.html beside its figures and its headlines.
struct PagePart {
  Chapter chapter = Chapter::own;
  /// The title of the chapter if that is its own, else of the part within it. Plain text; empty: no
  /// title.
  std::string title = {};
  /// Makes the part, once it is known what lies beside the page. None: the section's document.
  std::function<std::string(const Section&, const AnalysisInput&, const Site&)> html = {};
  bool holds_figures = false;  ///< it shows the section's figures: not among those of all others
};

/// The outcome of one analysis: what an analysis command shows and writes, and a part of `analyze`.
/// An analysis fills in what it has, and leaves the name and the row to the frame.
struct Section {
  std::string name = {};               ///< the command's; its key in report.json
  int row = 0;                         ///< of the table of analyses: the order of the headlines
  report::Json json = {};              ///< an object, or null if the analysis was left out
  report::Document document = {};      ///< for people
  std::vector<OutputFile> files = {};  ///< a name that another section wrote already is skipped
  std::vector<std::string> notices = {};
  std::vector<report::Figure> figures = {};
  std::vector<Headline> headlines = {};
  std::optional<PagePart> page_part = {};
  report::Document summary = {};  ///< a few lines among those that `analyze` prints
  Results results = {};           ///< what is said of several analyses together
  std::string left_out = {};      ///< why it computed nothing; empty: it did
};

/// What all sections computed.
Results results_of(const std::vector<Section>& sections);

}  // namespace moexray::app
