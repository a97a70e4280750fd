#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cli/run_command.h"
#include "cli/trace_fixture.h"
#include "moexray/core/file.h"
#include "moexray/runtime/kernels.h"
#include "moexray/trace/reader.h"
#include "support/fused_checkpoint.h"

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
  expect_failure(2, "--template-date: the chat template \"chatml\" writes no date",
                 {"prompts.jsonl", "--template", "chatml", "--template-date", "2025-01-01"});
  expect_failure(2, "a day as YYYY-MM-DD",
                 {"prompts.jsonl", "--template", "granite-3.1", "--template-date", "tomorrow"});
}

TEST_F(TraceCommand, NamesWhatIsMissing) {
  expect_failure(1, "no-such-file.jsonl", {"no-such-file.jsonl"});
  expect_failure(1, "no-such-model", {"prompts.jsonl", "--model", "no-such-model"});
  EXPECT_FALSE(fs::exists(path("traces")));
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
  expect_failure(1, "standard input:1", {"-"}, "{\"prompt\":1}\n");
  expect_failure(1, "standard input: no prompts: the file is empty", {"-"}, "");
}

TEST_F(TraceCommand, TellsInOneLineWhatIsNoJsonLines) {
  const auto expect_line = [&](const std::string& text, const std::string& part,
                               std::vector<std::string> flags = {}) {
    write("p.jsonl", text);
    for (const std::string name : {"p.jsonl", "-"}) {
      std::vector<std::string> all = flags;
      all.insert(all.begin(), name);
      const CommandResult result = trace(all, name == "-" ? text : "");
      EXPECT_EQ(result.exit_code, 1);
      const std::string where = name == "-" ? "standard input" : name;
      EXPECT_TRUE(result.err.starts_with("moexray trace: " + where + ": ")) << result.err;
      EXPECT_TRUE(holds(result.err, part)) << result.err;
      EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    }
    EXPECT_FALSE(fs::exists(path("traces")));
  };
  expect_line("[\n {\"prompt\": \"Hi\"},\n {\"prompt\": \"Yo\"}\n]\n", "a JSON array");
  expect_line(std::string("\x1F\x8B\x08\0\0", 5), "compressed with gzip");
  expect_line("id,prompt\n1,Hi\n", "a table (CSV)");
  expect_line("{\"question\":\"Hi\"}\n{\"question\":\"Yo\"}\n", "--prompt-key question");
  expect_line("{\"prompt\":\"Hi\"}\n", "\"qid\" (--id-key)", {"--id-key", "qid"});
  expect_failure(1, "found a directory", {"model"});
}

TEST_F(TraceCommand, TellsCategoriesThatLookAlike) {
  write("p.jsonl",
        "{\"prompt\":\"a\",\"category\":\"code\"}\n{\"prompt\":\"b\",\"category\":\"Code \"}\n");
  // The context is too short for so many new tokens: nothing is run.
  const CommandResult result = trace({"p.jsonl", "--max-new-tokens", "1000"});
  EXPECT_TRUE(holds(result.err,
                    "white space or Unicode form count as different: \"code\" and "
                    "\"Code \"\n"))
      << result.err;
}

TEST_F(TraceCommand, TellsAHubIdFromADirectory) {
  expect_failure(1, "run \"hf download org/name --local-dir name\"",
                 {"prompts.jsonl", "--model", "org/name"});
}

TEST_F(TraceCommand, FusedExpertsGiveTheSameBytes) {
  if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  write_fused_checkpoint(model(), path("fused"));
  fs::copy_file(model() / "tokenizer.json", path("fused/tokenizer.json"));
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const std::vector<std::string> flags = {"prompts.jsonl", "--force",          "--dtype",
                                            dtype,           "--max-new-tokens", "4"};
    std::vector<std::string> one = flags;
    one.insert(one.end(), {"-o", "a"});
    std::vector<std::string> other = flags;
    other.insert(other.end(), {"-o", "b", "--model", path("fused").string()});
    ASSERT_EQ(trace(one).exit_code, 0);
    ASSERT_EQ(trace(other).exit_code, 0);
    for (const char* name : {"prompts.jsonl", "events-00000.jsonl"}) {
      EXPECT_TRUE(file_content(path("a") / name) == file_content(path("b") / name)) << name;
    }
  }
}

TEST_F(TraceCommand, NumbersOfMetaArriveAsTheyWere) {
  if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  const std::string meta = R"("meta":{"big":123456789012345678901234567890,"n":9007199254740993,)"
                           R"("x":[0.1234567890123456789]})";
  write("p.jsonl", "{\"id\":18446744073709551616,\"prompt\":\"a\"," + meta + "}\n");
  const CommandResult result = trace({"p.jsonl", "-o", "t", "--max-new-tokens", "0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::string line = file_content(path("t/prompts.jsonl"));
  EXPECT_TRUE(holds(line, meta)) << line;
  EXPECT_TRUE(holds(line, R"("id":"18446744073709551616")")) << line;
  const fs::path directory = path("t");
  ReadOptions options;
  options.group_key = "meta.big";
  options.category_key = "meta.n";
  const TraceSet set = open_traces(std::span(&directory, 1), options);
  EXPECT_EQ(set.prompts.at(0).group, "123456789012345678901234567890");
  EXPECT_EQ(set.prompts.at(0).category, "9007199254740993");
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
  for (const char* dtype : {"float32", "bfloat16"}) {
    expect_failure(2, "nonsense",
                   {"prompts.jsonl", "--dtype", dtype, "--kernels", "nonsense", "-o", "other"});
  }
  expect_failure(2, "--dtype bfloat16",
                 {"prompts.jsonl", "--dtype", "float32", "--kernels", "portable", "-o", "other"});
}

// No variable of the environment chooses kernels behind the manifest's back.
TEST_F(TraceCommand, TheEnvironmentChangesNoByte) {
  if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  const std::vector<std::string> run = {"prompts.jsonl", "--dtype", "bfloat16", "-o"};
  const auto trace_to = [&](const std::string& name) {
    std::vector<std::string> all = run;
    all.push_back(name);
    EXPECT_EQ(trace(all).exit_code, 0);
    return files(name);
  };
  const auto files_without = trace_to("without");
  const nlohmann::json manifest = nlohmann::json::parse(files_without.at("manifest.json"));
  EXPECT_EQ(manifest.at("device"), "cpu");
  EXPECT_TRUE(manifest.at("backend").get<std::string>().starts_with("libtorch "));
  EXPECT_EQ(manifest.at("kernels"), kernels_in_use({}, {}).name);
  EXPECT_EQ(manifest.at("bits"), kernels_in_use({}, {}).bits);
  for (const char* set : {"portable", "nonsense"}) {
    ::setenv("MOEXRAY_KERNEL_SET", set, 1);
    EXPECT_EQ(trace_to(set), files_without);
  }
  ::unsetenv("MOEXRAY_KERNEL_SET");
}

// Every set computes what its name in the manifest says.
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
    if (name == best) {
      EXPECT_EQ(files(name), files("best"));
    }
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

  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGKILL}) {
    SCOPED_TRACE(number);
    const std::string name = "stopped-" + std::to_string(number);
    std::vector<std::string> command = with({"-o", name});
    command.insert(command.begin(), program_path().string());
    RunningCommand running(command, options);
    EXPECT_TRUE(running.wait_for_stderr("batches of up to 4"));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    running.send_signal(number);
    if (number != SIGKILL) running.send_signal(number);  // as `timeout` does: one request
    const CommandResult stopped = running.wait();
    EXPECT_EQ(stopped.exit_code, 128 + number) << stopped.err;
    if (number != SIGKILL) {
      EXPECT_NE(stopped.err.find("--resume"), std::string::npos) << stopped.err;
    }
    EXPECT_NE(files(name), whole) << "it was not stopped early enough to show anything";
    ASSERT_EQ(run_moexray(with({"-o", name, "--resume"}), options).exit_code, 0);
    EXPECT_EQ(files(name), whole);
  }
}

TEST_F(TraceCommand, HeedsSignalsWhileItWaitsForStandardInput) {
  std::vector<std::string> command = words({"-", "-o", "none"});
  command.insert(command.begin(), program_path().string());
  CommandOptions options;
  options.working_directory = temporary_.path();
  options.keep_stdin_open = true;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    RunningCommand running(command, options);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    running.send_signal(number);
    EXPECT_EQ(running.wait().exit_code, 128 + number);
  }
}

TEST_F(TraceCommand, KeepsSigHupIgnored) {
  std::vector<std::string> command = {"sh", "-c", "trap '' HUP; exec \"$0\" \"$@\"",
                                      program_path().string()};
  const std::vector<std::string> more = words({"-", "-o", "none"});
  command.insert(command.end(), more.begin(), more.end());
  CommandOptions options;
  options.working_directory = temporary_.path();
  options.keep_stdin_open = true;
  RunningCommand running(command, options);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  running.send_signal(SIGHUP);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  running.send_signal(SIGTERM);
  EXPECT_EQ(running.wait().exit_code, 143);
}

}  // namespace
}  // namespace moexray::test
