#include "moexray/report/plot.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "figure_cases.h"
#include "support/files.h"
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

// A program named gnuplot that does this, in a directory to be put into PATH.
fs::path fake_gnuplot(const TemporaryDirectory& place, const std::string& commands) {
  const fs::path directory = place.path() / "bin";
  fs::create_directory(directory);
  std::ofstream(directory / "gnuplot") << "#!/bin/sh\n" << commands << '\n';
  fs::permissions(directory / "gnuplot", fs::perms::owner_all);
  return directory;
}

fs::path output(const TemporaryDirectory& place) {
  fs::create_directory(place.path() / "out");
  return place.path() / "out";
}

bool has_gnuplot() {
  return std::system("command -v gnuplot >/dev/null 2>&1") == 0;  // NOLINT
}

const std::vector<Figure> one_figure = {{"f", "Title", "Caption.", LineChart{{1, 2}}}};
const std::vector<std::string> undrawn = {"f.tsv", "f.gp"};

TEST(WritePlots, WritesDataAndScriptsWithoutGnuplot) {
  const TemporaryDirectory place;
  const Variable path("PATH", place.path() / "empty");
  const fs::path out = output(place);
  const PlotFiles files = write_plots(out, one_figure);
  EXPECT_EQ(files.names, undrawn);
  ASSERT_EQ(files.notices.size(), 1U);
  EXPECT_NE(files.notices[0].find("gnuplot-nox"), std::string::npos) << files.notices[0];
  EXPECT_EQ(file_content(out / "f.tsv"), plot_data(one_figure[0]));
  EXPECT_EQ(file_content(out / "f.gp"), plot_script(one_figure[0]));
  EXPECT_TRUE(write_plots(out, {}).notices.empty()) << "nothing to draw, nothing missed";
}

TEST(WritePlots, IgnoresRelativePartsOfPath) {
  const TemporaryDirectory place;
  const fs::path out = output(place);
  std::ofstream(out / "gnuplot") << "#!/bin/sh\ntouch pwned\n";
  fs::permissions(out / "gnuplot", fs::perms::owner_all);
  const Variable path("PATH", ".:");
  EXPECT_EQ(write_plots(out, one_figure).names, undrawn);
  EXPECT_FALSE(fs::exists(out / "pwned"));
}

TEST(WritePlots, TellsWhatGnuplotSaysWhenItFails) {
  const TemporaryDirectory place;
  const Variable path("PATH",
                      fake_gnuplot(place,
                                   "touch f.svg\n"
                                   "printf '\\nplot nonsense\\n     ^\\n\"f.gp\" line 7: "
                                   "warning: odd\\n\"f.gp\" line 9: no such\\033thing\\n' >&2\n"
                                   "exit 1"));
  const fs::path out = output(place);
  const PlotFiles files = write_plots(out, one_figure);
  EXPECT_EQ(files.names, undrawn);
  EXPECT_EQ(files.notices,
            std::vector<std::string>{"f is not drawn: \"f.gp\" line 9: no such\\x1bthing"});
  EXPECT_FALSE(fs::exists(out / "f.svg")) << "may be half a drawing";
}

TEST(WritePlots, SurvivesAGnuplotThatCrashesOrHangs) {
  for (const auto& [commands, message] :
       {std::pair{"kill -SEGV $$", "f is not drawn: gnuplot died: Segmentation fault"},
        std::pair{"exec sleep 60", "f is not drawn: gnuplot took longer than 1 s"},
        std::pair{"exit 3", "f is not drawn: gnuplot ended with status 3"},
        std::pair{"exit 0", "f is not drawn: this gnuplot draws no .svg.png.pdf"},
        std::pair{"head -c 1000000 /dev/zero >&2; exec 2>&-; sleep 60",
                  "f is not drawn: gnuplot took longer than 1 s"}}) {
    SCOPED_TRACE(commands);
    const TemporaryDirectory place;
    const Variable path("PATH", fake_gnuplot(place, commands));
    PlotOptions options;
    options.time_limit = std::chrono::seconds(1);
    const PlotFiles files = write_plots(output(place), one_figure, options);
    EXPECT_EQ(files.names, undrawn);
    EXPECT_EQ(files.notices, std::vector<std::string>{message});
  }
}

TEST(WritePlots, EndsEarlyWhenItIsNotWantedAnyMore) {
  const TemporaryDirectory place;
  const Variable path("PATH", fake_gnuplot(place, "exec sleep 60"));
  const std::atomic<bool> stop = true;
  PlotOptions options;
  options.stop = &stop;
  EXPECT_EQ(write_plots(output(place), one_figure, options).notices,
            std::vector<std::string>{"f is not drawn: interrupted"});
}

TEST(WritePlots, RunsGnuplotAwayFromTheUsersSettings) {
  const TemporaryDirectory place;
  const Variable path("PATH", fake_gnuplot(place,
                                           "pwd > seen\necho \"$@\" >> seen\ncat >> seen\n"
                                           "env | sort | grep -v '^PWD=' >> seen"));
  const Variable foreign("GNUTERM", "dumb");
  const Variable home("HOME", "/nowhere");
  const fs::path out = output(place);
  write_plots(out, one_figure);
  EXPECT_EQ(file_content(out / "seen"), fs::canonical(out).string() +
                                            "\n--default-settings f.gp\nHOME=/nowhere\n"
                                            "LC_ALL=C.UTF-8\nPATH=/usr/bin:/bin\nTZ=UTC0\n");
}

TEST(WritePlots, DrawsTheSameBytesEveryTime) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryDirectory place;
  fs::create_directory(place.path() / "a");
  fs::create_directory(place.path() / "b");
  const auto figures = test::figures_named({"code", "factual", "math", "story"});
  const PlotFiles files = write_plots(place.path() / "a", figures);
  EXPECT_EQ(files.notices, std::vector<std::string>{});
  EXPECT_EQ(files.names.size(), figures.size() * 5);
  const auto first = directory_contents(place.path() / "a");
  for (const auto& [name, bytes] : first) EXPECT_FALSE(bytes.empty()) << name;
  EXPECT_EQ(first.at("bars.png").substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(first.at("bars.pdf").substr(0, 5), "%PDF-");
  EXPECT_NE(first.at("bars.pdf").find("/CreationDate (D:19700101000000"), std::string::npos);
  EXPECT_NE(first.at("bars.svg").find("factual</text>"), std::string::npos);
  const Variable zone("TZ", "Asia/Tokyo");
  const Variable language("LC_ALL", "C");
  write_plots(place.path() / "b", figures);
  EXPECT_EQ(first, directory_contents(place.path() / "b"));
}

TEST(WritePlots, ShowsForeignNamesAsTheyAre) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryDirectory place;
  const fs::path out = output(place);
  const auto figures = test::figures_named(test::hostile_names());
  const PlotFiles files = write_plots(out, figures);
  EXPECT_EQ(files.notices, std::vector<std::string>{});
  for (const auto& entry : fs::directory_iterator(out)) {
    EXPECT_EQ(entry.path().filename().string().find("pwned"), std::string::npos) << entry.path();
  }
  EXPECT_EQ(directory_contents(out).size(), figures.size() * 5);
  const std::string drawing = file_content(out / "numbers.svg");
  for (const char* const text :
       {"<text>`touch pwned-1`</text>", "<text>$(touch pwned-2)</text>",
        "<text>'; system('touch pwned-3');…</text>", "<text>@macro %s %d 100% %%</text>",
        "<text>{/Bold x}_2^3 } {</text>", "<text>ends in a backslash\\</text>",
        "<text>ünï 漢字 😀</text>", "<text>&lt;script>alert(1)&lt;/script> "}) {
    EXPECT_NE(drawing.find(text), std::string::npos) << text;
  }
  EXPECT_EQ(drawing.find("<script>alert"), std::string::npos);
  EXPECT_EQ(drawing.find("\xEF\xBF\xBF"), std::string::npos) << "no character of XML";
}

TEST(WritePlots, DrawsWhateverLittleThereIs) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryDirectory place;
  const fs::path out = output(place);
  const auto figures = test::figures_of_little_data();
  const PlotFiles files = write_plots(out, figures);
  EXPECT_EQ(files.notices, std::vector<std::string>{});
  EXPECT_EQ(files.names.size(), figures.size() * 5);
  EXPECT_NE(file_content(out / "no_value.svg").find("<text>n/a</text>"), std::string::npos);
  EXPECT_NE(file_content(out / "undefined_bar.svg").find("<text>n/a</text>"), std::string::npos);
}

}  // namespace
}  // namespace moexray::report
