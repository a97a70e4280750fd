// What a killed program, a full disk and a great number of prompts do to a trace, and how large it
// is.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "cli/run_command.h"
#include "cli/trace_fixture.h"
#include "moexray/core/random.h"
#include "moexray/trace/reader.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;

class TraceFaults : public TraceCommand {
 protected:
  void SetUp() override {
    if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  }

  CommandOptions here() const { return {.input = {}, .working_directory = temporary_.path()}; }

  // `words` with the program in front.
  std::vector<std::string> command(const std::vector<std::string>& flags) const {
    std::vector<std::string> all = words(flags);
    all.insert(all.begin(), program_path().string());
    return all;
  }

  // The prompts of an unfinished trace that count as complete, all of which must read back.
  // Of prompts.jsonl, which a program may be writing.
  std::size_t n_lines(const std::string& name) const {
    std::ifstream file(path(name) / "prompts.jsonl");
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
  }

  std::size_t n_readable_prompts(const std::string& name) const {
    const fs::path directory = path(name);
    if (!fs::exists(directory / "manifest.json")) return 0;
    struct Ignore : EventVisitor {
      void on_record(std::size_t, const RoutingRecord&) override {}
    } ignore;
    ReadOptions options;
    options.allow_partial = true;
    const TraceSet set = open_traces(std::span(&directory, 1), options);
    read_events(set, ignore, options);
    return set.prompts.size();
  }
};

// Kills fall anywhere from the start of the program to its end. A directory is killed again and
// again until a run comes through; then the next one begins.
TEST_F(TraceFaults, KilledFiftyTimesItResumesToTheSameBytes) {
  write("many.jsonl", prompts(90));
  std::vector<std::string> flags = {"many.jsonl", "--batch",    "3",           "--max-new-tokens",
                                    "24",         "--compress", "--ignore-eos"};
  const auto in = [&](const std::string& name) {
    std::vector<std::string> all = flags;
    all.insert(all.end(), {"-o", name, "--resume"});
    return command(all);
  };
  ASSERT_EQ(run_command(in("whole"), here()).exit_code, 0);
  const auto whole = files("whole");

  RandomStream random(50);
  int n_kills = 0;
  int n_midway = 0;  // kills that left some batches and not all
  for (int i = 0; n_kills < 50; ++i) {
    const std::string name = "killed-" + std::to_string(i);
    while (true) {
      RunningCommand running(in(name), here());
      // When a random share of what is left is on disk, whatever the speed of the machine.
      const std::size_t n_done = n_lines(name);
      const bool is_killed = n_kills < 50 && n_done < 90;
      const std::size_t target = n_done + random.below(91 - n_done);
      for (int wait = 0; is_killed && wait < 20'000 && n_lines(name) < target; ++wait) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      if (is_killed) running.send_signal(SIGKILL);
      const CommandResult result = running.wait();
      if (result.exit_code == 0) break;
      ASSERT_EQ(result.exit_code, 137) << result.err;
      ++n_kills;
      const std::size_t n_prompts = n_readable_prompts(name);
      n_midway += n_prompts > 0 && n_prompts < 90 ? 1 : 0;
    }
    ASSERT_EQ(files(name), whole) << name;
  }
  EXPECT_GT(n_midway, 5) << "the kills came too early or too late to show much";
}

// On a file system of its own that is too small: it needs the right to mount one.
class FullDisk : public TraceFaults {
 protected:
  // Traces on a disk of `size`, then, if that failed, on the same disk with room.
  CommandResult trace_on_disk(const std::string& size) const {
    std::string line;
    for (const std::string& word :
         command({"../prompts.jsonl", "--batch", "2", "-o", "t", "--resume"})) {
      line += " '" + word + "'";
    }
    return run_command(
        {"unshare", "--map-root-user", "--mount", "sh", "-c",
         "mkdir -p disk && mount -t tmpfs -o size=" + size + " none disk && cd disk || exit 77\n" +
             line + " && exit 3\ncp -r t ../full\nmount -o remount,size=64m . || exit 77\n" + line +
             " && cp -r t ../resumed"},
        here());
  }
};

TEST_F(FullDisk, LosesTheBatchInWorkAndResumesToTheSameBytes) {
  if (trace_on_disk("64m").exit_code != 3) {
    GTEST_SKIP() << "no file system can be mounted here (unshare --map-root-user --mount)";
  }
  ASSERT_EQ(trace({"prompts.jsonl", "--batch", "2", "-o", "whole"}).exit_code, 0);
  const auto whole = files("whole");
  std::size_t n_before = 0;
  for (const std::string size : {"12k", "32k", "64k", "128k"}) {
    SCOPED_TRACE(size);
    const CommandResult result = trace_on_disk(size);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.err.find("No space left on device"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("moexray trace: t/"), std::string::npos) << result.err;
    const std::size_t n_prompts = n_readable_prompts("full");
    EXPECT_LT(n_prompts, 12U);
    EXPECT_GE(n_prompts, n_before);
    n_before = n_prompts;
    EXPECT_EQ(files("resumed"), whole);
    fs::remove_all(path("full"));
    fs::remove_all(path("resumed"));
  }
  EXPECT_GT(n_before, 0U) << "the largest of these disks has room for some batches";
}

// Ten times the prompts make ten times the events, which pass through memory: what grows are the
// prompts themselves.
TEST_F(TraceFaults, MemoryDoesNotGrowWithTheNumberOfPrompts) {
  constexpr int n_few = 400;
  constexpr int n_many = 10 * n_few;
  const auto run = [&](int n) {
    const std::string name = "of-" + std::to_string(n);
    write(name + ".jsonl", prompts(n));
    const CommandResult result = trace(
        {name + ".jsonl", "--max-new-tokens", "0", "--batch", "16", "-o", name, "--router-logits"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.max_resident_bytes;
  };
  const std::int64_t few = run(n_few);
  const std::int64_t many = run(n_many);
  std::int64_t n_event_bytes = 0;
  for (const auto& [name, text] : files("of-4000")) {
    if (name.starts_with("events")) n_event_bytes += std::ssize(text);
  }
  EXPECT_GT(n_event_bytes, 10'000 * (n_many - n_few) / 2);
  EXPECT_LT(many - few, 2'000 * (n_many - n_few)) << "resident bytes: " << few << ", " << many;
}

// The shipped prompts with the bundled model: the bytes do not depend on the machine's speed.
TEST_F(TraceFaults, CompressionIsWorthIt) {
  const fs::path root = fs::path(MOEXRAY_TEST_DATA) / "../..";
  struct Sizes {
    double plain = 0;
    double compressed = 0;
  };
  const auto sizes_of = [&](const std::string& form) {
    const CommandResult result =
        run_moexray({"trace", (root / "prompts/paper80.jsonl").string(), "--model",
                     (root / "models/mini-olmoe").string(), "-o", form, "--compress", "--events",
                     form, "--quiet"},
                    here());
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(n_readable_prompts(form), 80U);  // which checks the plain sizes too
    const fs::path directory = path(form);
    Sizes sizes;
    for (const TracePrompt& prompt : open_traces(std::span(&directory, 1), {}).prompts) {
      sizes.plain += static_cast<double>(prompt.n_bytes);
    }
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (entry.path().extension() == ".zst") {
        sizes.compressed += static_cast<double>(entry.file_size());
      }
    }
    return sizes;
  };
  const Sizes grouped = sizes_of("grouped");
  const Sizes flat = sizes_of("flat");
  EXPECT_GT(grouped.plain / grouped.compressed, 3.5);
  EXPECT_GT(flat.plain / grouped.compressed, 15);
  EXPECT_GT(flat.plain / flat.compressed, 15);
}

}  // namespace
}  // namespace moexray::test
