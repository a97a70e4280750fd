#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "cli/run_command.h"
#include "cli/trace_fixture.h"
#include "moexray/core/file.h"
#include "moexray/runtime/kernels.h"
#include "moexray/trace/reader.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;

TEST_F(TraceCommand, RefusesWrongUsage) {
  expect_failure(2, "missing argument PROMPTS", {});
  expect_failure(2, "either PROMPTS or --prompt", {"prompts.jsonl", "--prompt", "x"});
  expect_failure(2, "unexpected argument \"b\"", {"prompts.jsonl", "b"});
  expect_failure(2, "--shard: wrong value", {"prompts.jsonl", "--shard", "2/2"});
  expect_failure(2, "--shard: wrong value", {"prompts.jsonl", "--shard", "-1/2"});
  expect_failure(2, "--shard: wrong value", {"prompts.jsonl", "--shard", "1"});
  expect_failure(2, "--shard: wrong value", {"prompts.jsonl", "--shard", "0/2x"});
  expect_failure(2, "--batch: wrong value", {"prompts.jsonl", "--batch", "0"});
  expect_failure(2, "--memory: wrong value", {"prompts.jsonl", "--memory", "lots"});
  expect_failure(2, "--memory: the longest prompt", {"prompts.jsonl", "--memory", "1K"});
  expect_failure(2, "--device: wrong value", {"prompts.jsonl", "--device", "tpu"});
  expect_failure(2, "--dtype: wrong value", {"prompts.jsonl", "--dtype", "int8"});
  expect_failure(2, "--max-new-tokens: wrong value", {"prompts.jsonl", "--max-new-tokens", "-1"});
  expect_failure(2, "--top-p: wrong value", {"prompts.jsonl", "--do-sample", "--top-p", "1.5"});
  expect_failure(2, "--temperature: wrong value",
                 {"prompts.jsonl", "--do-sample", "--temperature", "0"});
  expect_failure(2, "--temperature needs --do-sample", {"prompts.jsonl", "--temperature", "2"});
  expect_failure(2, "either --resume or --force", {"prompts.jsonl", "--resume", "--force"});
  expect_failure(2, "--seed: given more than once",
                 {"prompts.jsonl", "--seed", "1", "--seed", "1"});
  expect_failure(2, "--seed: a value is missing", {"prompts.jsonl", "--seed"});
  expect_failure(2, "none", {"prompts.jsonl", "--template", "no-such-template"});
}

TEST_F(TraceCommand, NamesWhatIsMissing) {
  expect_failure(1, "no-such-file.jsonl", {"no-such-file.jsonl"});
  expect_failure(1, "no-such-model", {"prompts.jsonl", "--model", "no-such-model"});
  EXPECT_FALSE(fs::exists(path("traces")));
}

TEST_F(TraceCommand, RefusesExistingOutputBeforeAnythingElse) {
  fs::create_directory(path("traces"));
  write("traces/manifest.json", "{}");
  expect_failure(2, "--resume to continue it or --force", {"no-such-file.jsonl"});
  EXPECT_EQ(read_file(path("traces/manifest.json"), 10), "{}");
}

TEST_F(TraceCommand, ListsAllBadPrompts) {
  write("long.jsonl", prompts(2) + R"({"id":"x","prompt":")" + std::string(200, 'x') + "\"}\n" +
                          R"({"id":"y","prompt":")" + std::string(120, 'y') + "\"}\n");
  const std::string expected =
      "moexray trace: 2 prompts cannot be traced:\n"
      "  long.jsonl:3: prompt \"x\": too long: expected at most 128 tokens, found 200 and 32 new "
      "ones\n"
      "  long.jsonl:4: prompt \"y\": too long: expected at most 128 tokens, found 120 and 32 new "
      "ones\n";
  EXPECT_EQ(trace({"long.jsonl"}).err, expected);
  write("bad.jsonl", "{\"prompt\":1}\n{\"prompt\":\"fine\"}\n{\n");
  expect_failure(1, "bad.jsonl:1", {"bad.jsonl"});
  expect_failure(1, "bad.jsonl:3", {"bad.jsonl"});
  expect_failure(1, "standard input:1", {"-"}, "[]\n");
  expect_failure(1, "standard input", {"-"}, "");
}

TEST_F(TraceCommand, FailsWhereItCannotWrite) {
  if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  write("file", "in the way");
  expect_failure(1, "file/traces", {"prompts.jsonl", "-o", "file/traces"});
  fs::create_directory(path("mine"));
  write("mine/notes.txt", "keep me");
  expect_failure(2, "not empty", {"prompts.jsonl", "-o", "mine"});
  expect_failure(2, "not empty", {"prompts.jsonl", "-o", "mine", "--force"});
  EXPECT_EQ(read_file(path("mine/notes.txt"), 10), "keep me");
}

TEST_F(TraceCommand, WritesATraceThatReadsBack) {
  if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  const CommandResult result = trace({"prompts.jsonl", "--max-new-tokens", "5"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("12 prompts traced with ")) << result.out;
  EXPECT_NE(result.err.find("tokens/s"), std::string::npos) << result.err;
  const fs::path directory = path("traces");
  const TraceSet traces = open_traces(std::span(&directory, 1), {});
  ASSERT_EQ(traces.prompts.size(), 12U);
  EXPECT_EQ(traces.prompts[3].text, "Number ...3");
  // Quiet, through standard input, in other batches: the same events, and nothing on stderr.
  const CommandResult quiet =
      trace({"-", "--max-new-tokens", "5", "-o", "again", "--batch", "5", "--quiet"}, prompts(12));
  EXPECT_EQ(quiet.exit_code, 0) << quiet.err;
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(files("again").at("events-00000.jsonl"), files("traces").at("events-00000.jsonl"));
  const auto whole = files("traces");
  expect_failure(2, "--force to replace it", {"prompts.jsonl"});
  EXPECT_EQ(files("traces"), whole);
  EXPECT_EQ(trace({"prompts.jsonl", "--max-new-tokens", "5", "--resume"}).exit_code, 0);
  EXPECT_EQ(files("traces"), whole);
  expect_failure(1, "max_new_tokens", {"prompts.jsonl", "--max-new-tokens", "6", "--resume"});
  EXPECT_EQ(trace({"--prompt", "one", "--max-new-tokens", "0", "--force"}).exit_code, 0);
  EXPECT_NE(files("traces"), whole);
}

TEST_F(TraceCommand, RecordsTheKernelsAndRefusesToResumeWithOthers) {
  if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  const std::vector<std::string> run = {"prompts.jsonl", "--dtype", "bfloat16", "--kernels",
                                        "plain"};
  ASSERT_EQ(trace(run).exit_code, 0);
  EXPECT_NE(files("traces").at("manifest.json").find("\"kernels\": \"plain\""), std::string::npos);
  EXPECT_NE(files("traces").at("manifest.json").find("\"bits\": \"libtorch "), std::string::npos);
  expect_failure(1, "--kernels plain", {"prompts.jsonl", "--dtype", "bfloat16", "--resume"});
  expect_failure(2, "--kernels", {"prompts.jsonl", "--kernels", "nonsense", "-o", "other"});
  expect_failure(2, "--dtype bfloat16",
                 {"prompts.jsonl", "--dtype", "float32", "--kernels", "portable", "-o", "other"});
}

// The environment decides nothing, and every set computes what its name in the manifest says.
TEST_F(TraceCommand, ComputesWithTheKernelsThatAreNamed) {
  if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  ASSERT_EQ(trace({"prompts.jsonl", "--dtype", "bfloat16", "-o", "best"}).exit_code, 0);
  const std::string best = kernels_in_use({}, {}).name;
  EXPECT_NE(files("best").at("manifest.json").find("\"kernels\": \"" + best + "\""),
            std::string::npos);
  for (const std::string& name : kernel_names()) {
    if (name == "fast" || name == "plain" || !kernels_run_here(name)) continue;
    ASSERT_EQ(
        trace({"prompts.jsonl", "--dtype", "bfloat16", "--kernels", name, "-o", name}).exit_code,
        0);
    EXPECT_NE(files(name).at("manifest.json").find("\"kernels\": \"" + name + "\""),
              std::string::npos);
    if (name == best) EXPECT_EQ(files(name), files("best"));
  }
}

TEST_F(TraceCommand, StopsAtCtrlCAndResumesToTheSameBytes) {
  if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  write("many.jsonl", prompts(400));
  const std::vector<std::string> flags = {"many.jsonl",       "--batch", "4",
                                          "--max-new-tokens", "40",      "--ignore-eos"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), flags.begin(), flags.end());
    return words(more);
  };
  const CommandOptions options{.input = {}, .working_directory = temporary_.path()};
  ASSERT_EQ(run_moexray(with({"-o", "whole"}), options).exit_code, 0);
  const auto whole = files("whole");

  for (const int number : {SIGINT, SIGTERM, SIGKILL}) {
    SCOPED_TRACE(number);
    const std::string name = "stopped-" + std::to_string(number);
    std::vector<std::string> command = with({"-o", name});
    command.insert(command.begin(), program_path().string());
    RunningCommand running(command, options);
    EXPECT_TRUE(running.wait_for_stderr("batches of up to 4"));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    running.send_signal(number);
    const CommandResult stopped = running.wait();
    EXPECT_EQ(stopped.exit_code, number == SIGKILL ? 137 : 130) << stopped.err;
    if (number != SIGKILL) {
      EXPECT_NE(stopped.err.find("--resume"), std::string::npos) << stopped.err;
    }
    EXPECT_NE(files(name), whole) << "it was not stopped early enough to show anything";
    ASSERT_EQ(run_moexray(with({"-o", name, "--resume"}), options).exit_code, 0);
    EXPECT_EQ(files(name), whole);
  }
}

TEST_F(TraceCommand, HeedsCtrlCWhileItWaitsForStandardInput) {
  std::vector<std::string> command = words({"-", "-o", "none"});
  command.insert(command.begin(), program_path().string());
  CommandOptions options;
  options.working_directory = temporary_.path();
  options.keep_stdin_open = true;
  RunningCommand running(command, options);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  running.send_signal(SIGINT);
  EXPECT_EQ(running.wait().exit_code, 130);
}

}  // namespace
}  // namespace moexray::test
