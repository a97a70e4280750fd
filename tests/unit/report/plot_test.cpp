#include "moexray/report/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "figure_cases.h"
#include "moexray/core/error.h"
#include "moexray/report/svg.h"
#include "support/files.h"
#include "support/markup.h"
#include "support/temporary_directory.h"

namespace moexray::report {
namespace {

namespace fs = std::filesystem;
using test::directory_contents;
using test::file_content;
using test::TemporaryDirectory;

// Sets an environment variable as long as it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    const char* const old = std::getenv(name);
    if (old != nullptr) old_ = old;
    had_value_ = old != nullptr;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (had_value_) {
      ::setenv(name_, old_.c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string old_;
  bool had_value_ = false;
};

// Programs that do this, in a directory to be put into PATH; rsvg-convert and fc-list.
class FakePrograms {
 public:
  void add(const std::string& name, const std::string& commands) const {
    const fs::path file = place_.path() / name;
    std::ofstream(file) << "#!/bin/sh\n" << commands << '\n';
    fs::permissions(file, fs::perms::owner_all);
  }
  std::string path() const { return place_.path(); }

 private:
  TemporaryDirectory place_;
};

fs::path output(const TemporaryDirectory& place) {
  fs::create_directory(place.path() / "out");
  return place.path() / "out";
}

bool has_rsvg_convert() {
  return std::system("command -v rsvg-convert >/dev/null 2>&1") == 0;  // NOLINT
}

const std::vector<Figure> one_figure = {{"f", "Title", "Caption.", LineChart{{1, 2}}}};
const std::vector<std::string> without_copies = {"f.tsv", "f.svg"};
const std::string write_both =
    "for o; do case $o in --output=*) echo x > ${o#--output=};; esac; done";

TEST(PlotData, NamesItsColumns) {
  const auto data = [](auto chart) { return plot_data({"f", "", "", std::move(chart)}); };
  Heatmap map{{"a\tb"}, {"c"}, {0.5}};
  map.row_key = "category";
  map.column_key = "other_category";
  map.value_key = "mean_similarity";
  EXPECT_EQ(data(map), "category\tother_category\tmean_similarity\n\"a\tb\"\tc\t0.5\n");
  BarChart bars{{"a"}, {0.5}, {0.125}};
  bars.label_key = "condition";
  EXPECT_EQ(data(bars), "condition\tvalue\terror\na\t0.5\t0.125\n");
  bars.errors = {};
  bars.lows = {0.25};
  bars.highs = {NAN};
  EXPECT_EQ(data(bars), "condition\tvalue\tci95_low\tci95_high\na\t0.5\t0.25\tnan\n");
  LineChart line{{1, INFINITY}};
  line.x_key = "layer";
  line.value_key = "cohens_d";
  EXPECT_EQ(data(line),
            "layer\tcohens_d\tci95_low\tci95_high\ttested\tnull95\n0\t1\tnan\tnan\tnan\tnan\n"
            "1\tnan\tnan\tnan\tnan\tnan\n");
  line.lows = {0, 0};
  line.highs = {2, 2};
  line.null_limit = 0.5;
  EXPECT_EQ(data(line),
            "layer\tcohens_d\tci95_low\tci95_high\ttested\tnull95\n0\t1\t0\t2\tnan\t0."
            "5\n1\tnan\t0\t2\tnan\t0.5\n");
  ScatterPlot points{{{1, 2, 0, "p"}}, {"code"}};
  points.x_key = "pc1";
  points.y_key = "pc2";
  EXPECT_EQ(data(points), "id\tcategory\tpc1\tpc2\np\tcode\t1\t2\n");
  Distribution shares{0, 1, {{"within", {0.25, 0.75}}}};
  shares.series_key = "pairs";
  shares.value_key = "similarity";
  EXPECT_EQ(data(shares),
            "pairs\tsimilarity_from\tsimilarity_to\tshare\nwithin\t0\t0.5\t0.25\n"
            "within\t0.5\t1\t0.75\n");
}

TEST(WritePlots, WritesDataAndSvgWithoutRsvgConvert) {
  const TemporaryDirectory place;
  const Variable path("PATH", place.path() / "empty");
  const fs::path out = output(place);
  const std::vector<Figure> two{one_figure[0], {"g", "", "", BarChart{}}};
  const PlotFiles files = write_plots(out, two);
  EXPECT_EQ(files.names, (std::vector<std::string>{"f.tsv", "f.svg", "g.tsv", "g.svg"}));
  ASSERT_EQ(files.notices.size(), 1U) << "one for all figures";
  EXPECT_NE(files.notices[0].find("librsvg2-bin"), std::string::npos) << files.notices[0];
  EXPECT_EQ(file_content(out / "f.tsv"), plot_data(one_figure[0]));
  EXPECT_EQ(file_content(out / "f.svg"), svg_file(one_figure[0]));
  EXPECT_TRUE(write_plots(out, {}).notices.empty()) << "nothing to draw, nothing missed";
}

TEST(WritePlots, RefusesNamesThatArePathsOrOptions) {
  const TemporaryDirectory place;
  for (const char* const name : {"", "-o", "../f", "a b", "A"}) {
    EXPECT_THROW(write_plots(place.path(), std::vector<Figure>{{name, "", "", BarChart{}}}), Error);
  }
}

TEST(WritePlots, IgnoresRelativePartsOfPath) {
  const TemporaryDirectory place;
  const fs::path out = output(place);
  std::ofstream(out / "rsvg-convert") << "#!/bin/sh\ntouch pwned\n";
  fs::permissions(out / "rsvg-convert", fs::perms::owner_all);
  const Variable path("PATH", ".:");
  EXPECT_EQ(write_plots(out, one_figure).names, without_copies);
  EXPECT_FALSE(fs::exists(out / "pwned"));
}

TEST(WritePlots, TellsWhatRsvgConvertSaysWhenItFails) {
  const TemporaryDirectory place;
  const FakePrograms programs;
  programs.add("rsvg-convert",
               "touch f.pdf\nprintf '\\nno such\\033thing\\nmore\\n' >&2\n"
               "case $1 in *png) echo x > f.png; exit 0;; esac\nexit 1");
  const Variable path("PATH", programs.path());
  const fs::path out = output(place);
  const PlotFiles files = write_plots(out, one_figure);
  EXPECT_EQ(files.names, (std::vector<std::string>{"f.tsv", "f.svg", "f.png"}));
  EXPECT_EQ(files.notices,
            std::vector<std::string>{"f.pdf is missing: rsvg-convert: no such\\x1bthing"});
  EXPECT_FALSE(fs::exists(out / "f.pdf")) << "may be half a drawing";
}

TEST(WritePlots, SurvivesAnRsvgConvertThatCrashesOrHangs) {
  for (const auto& [commands, message] :
       {std::pair{"kill -SEGV $$", "rsvg-convert died: Segmentation fault"},
        std::pair{"exec sleep 60", "rsvg-convert took longer than 1 s"},
        std::pair{"exit 3", "rsvg-convert ended with status 3"},
        std::pair{"exit 0", "rsvg-convert wrote nothing"},
        std::pair{"head -c 1000000 /dev/zero >&2; exec 2>&-; sleep 60",
                  "rsvg-convert took longer than 1 s"},
        std::pair{"/bin/sleep 60 & exit 3", "rsvg-convert ended with status 3"}}) {
    SCOPED_TRACE(commands);
    const TemporaryDirectory place;
    const FakePrograms programs;
    programs.add("rsvg-convert", commands);
    const Variable path("PATH", programs.path());
    PlotOptions options;
    options.time_limit = std::chrono::seconds(1);
    const PlotFiles files = write_plots(output(place), one_figure, options);
    EXPECT_EQ(files.names, without_copies);
    EXPECT_EQ(files.notices, std::vector<std::string>{std::string("f.pdf is missing: ") + message});
  }
}

TEST(WritePlots, EndsEarlyWhenItIsNotWantedAnyMore) {
  const TemporaryDirectory place;
  const FakePrograms programs;
  programs.add("rsvg-convert", "exec sleep 60");
  const Variable path("PATH", programs.path());
  const std::atomic<bool> stop = true;
  PlotOptions options;
  options.stop = &stop;
  EXPECT_EQ(write_plots(output(place), one_figure, options).notices,
            std::vector<std::string>{"f.png is missing: interrupted"});
}

TEST(WritePlots, RunsRsvgConvertAwayFromTheUsersSettings) {
  const TemporaryDirectory place;
  const FakePrograms programs;
  programs.add("rsvg-convert", write_both +
                                   "\ncase $1 in *png) exit 0;; esac\n"
                                   "pwd > seen\necho \"$@\" >> seen\ncat >> seen\n"
                                   "env | sort | grep -v -e '^PWD=' -e '^XDG' -e '^FONT' >> seen");
  const Variable path("PATH", programs.path());
  const Variable foreign("SOURCE_DATE_EPOCH", "1234567890");
  const Variable home("HOME", "/nowhere");
  const fs::path out = output(place);
  EXPECT_EQ(write_plots(out, one_figure).names,
            (std::vector<std::string>{"f.tsv", "f.svg", "f.png", "f.pdf"}));
  EXPECT_EQ(file_content(out / "seen"),
            fs::canonical(out).string() +
                "\n--format=pdf --unlimited --output=f.pdf f.svg\nHOME=/nowhere\n"
                "LC_ALL=C.UTF-8\nPATH=/usr/bin:/bin\nSOURCE_DATE_EPOCH=0\nTZ=UTC0\n");
}

// Figures with a label.
std::vector<Figure> labelled(const std::string& label) {
  return {{"f", "", "", BarChart{{label}, {1}}}, {"g", "", "", BarChart{{label}, {1}}}};
}

TEST(WritePlots, TellsOnceWhichPackageHasAMissingFont) {
  const TemporaryDirectory place;
  const fs::path out = output(place);
  const FakePrograms programs;
  programs.add("rsvg-convert", write_both);
  // Only what is Latin, Greek and the signs of our own is covered.
  programs.add("fc-list",
               "case $1 in :charset=[2-9a-d][0-9a-f][0-9a-f][0-9a-f]*|:charset=1f*)\n"
               "case $1 in :charset=2[0-2]*|:charset=2026*) echo font;; esac;;\n"
               "*) echo font;; esac");
  const Variable path("PATH", programs.path());
  EXPECT_TRUE(write_plots(out, labelled("café −1 α")).notices.empty());
  for (const auto& [label, package] :
       {std::pair{"数学", "fonts-noto-cjk"}, std::pair{"コード", "fonts-noto-cjk"},
        std::pair{"한국", "fonts-noto-cjk"}, std::pair{"fun 😀", "fonts-noto-color-emoji"}}) {
    const PlotFiles files = write_plots(out, labelled(label));
    ASSERT_EQ(files.notices.size(), 1U) << label;
    EXPECT_NE(files.notices[0].find(package), std::string::npos) << files.notices[0];
    EXPECT_EQ(files.names.size(), 8U) << "and drawn all the same";
  }
  programs.add("fc-list", "exit 1");
  EXPECT_TRUE(write_plots(out, labelled("数学")).notices.empty()) << "cannot tell";
  fs::remove(fs::path(programs.path()) / "fc-list");
  EXPECT_TRUE(write_plots(out, labelled("数学")).notices.empty()) << "cannot ask";
}

TEST(WritePlots, DrawsTheSameBytesEveryTime) {
  if (!has_rsvg_convert()) GTEST_SKIP() << "rsvg-convert is not installed";
  const TemporaryDirectory place;
  fs::create_directory(place.path() / "a");
  fs::create_directory(place.path() / "b");
  const auto figures = test::figures_named({"code", "factual", "math", "story"});
  const PlotFiles files = write_plots(place.path() / "a", figures);
  EXPECT_EQ(files.notices, std::vector<std::string>{});
  EXPECT_EQ(files.names.size(), figures.size() * 4);
  const auto first = directory_contents(place.path() / "a");
  for (const auto& [name, bytes] : first) EXPECT_FALSE(bytes.empty()) << name;
  EXPECT_EQ(first.at("bars.png").substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(first.at("bars.png").substr(18, 2), "\x03\xec") << "8.5 cm at 300 dots an inch: 1004";
  EXPECT_EQ(first.at("bars.pdf").substr(0, 5), "%PDF-");
  const Variable zone("TZ", "Asia/Tokyo");
  const Variable language("LC_ALL", "C");
  const Variable epoch("SOURCE_DATE_EPOCH", "1000000000");
  write_plots(place.path() / "b", figures);
  EXPECT_EQ(first, directory_contents(place.path() / "b"));
}

TEST(WritePlots, ShowsForeignNamesAsTheyAre) {
  const TemporaryDirectory place;
  const fs::path out = output(place);
  const auto figures = test::figures_named(test::hostile_names());
  const PlotFiles files = write_plots(out, figures);
  for (const std::string& notice : files.notices) {
    EXPECT_EQ(notice.find("missing:"), std::string::npos) << notice;
  }
  for (const auto& entry : fs::directory_iterator(out)) {
    EXPECT_EQ(entry.path().filename().string().find("pwned"), std::string::npos) << entry.path();
  }
  EXPECT_FALSE(fs::exists("pwned-1"));
  const std::string drawing = file_content(out / "cells.svg");
  EXPECT_EQ(test::markup_fault(drawing), "");
  for (const char* const text :
       {">`touch pwned-1`</text>", ">$(touch pwned-2)</text>", ">@macro %s %d 100% %%</text>",
        ">{/Bold x}_2^3 } {</text>", ">ends in a backslash\\</text>", ">ünï 漢字 😀</text>",
        ">&lt;script&gt;alert(1)&lt;/script&gt; "}) {
    EXPECT_NE(drawing.find(text), std::string::npos) << text;
  }
}

TEST(WritePlots, DrawsWhateverLittleThereIs) {
  const TemporaryDirectory place;
  const fs::path out = output(place);
  const auto figures = test::figures_of_little_data();
  const PlotFiles files = write_plots(out, figures);
  EXPECT_EQ(files.names.size(), figures.size() * (has_rsvg_convert() ? 4 : 2));
  EXPECT_NE(file_content(out / "no_value.svg").find(">n/a</text>"), std::string::npos);
  EXPECT_NE(file_content(out / "undefined_bar.svg").find(">n/a</text>"), std::string::npos);
}

}  // namespace
}  // namespace moexray::report
