#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace/event_check.h"
#include "trace_maker.h"

namespace moexray {
namespace {

using test::expect_error;
using test::KeptRecord;
using test::TemporaryDirectory;

// A trace directory as another program may write it.
class Foreign {
 public:
  std::string manifest =
      R"({"format":"moexray-trace","version":1,"model":{"n_layers":2,"n_experts":4,"top_k":2}})";
  std::string prompts =
      "{\"id\":\"a\",\"category\":\"x\",\"events_file\":\"e.jsonl\"}\n"
      "{\"id\":\"b\",\"category\":\"y\",\"events_file\":\"e.jsonl\"}\n";
  std::string events = record("a", 0, 0, "[0,1]") + record("a", 1, 0, "[1,2]") +
                       record("b", 0, 0, "[3,2]") + record("b", 1, 0, "[2,0]");

  static std::string record(const std::string& id, int layer, long pos, const std::string& experts,
                            const std::string& more = "", const std::string& type = "prompt") {
    return R"({"prompt_id":")" + id + R"(","layer":)" + std::to_string(layer) + R"(,"pos":)" +
           std::to_string(pos) + R"(,"type":")" + type + R"(","experts":)" + experts + more + "}\n";
  }
  static std::string flat(const std::string& id, int layer, long pos, int expert,
                          const std::string& more = "") {
    return R"({"prompt_id":")" + id + R"(","layer":)" + std::to_string(layer) + R"(,"pos":)" +
           std::to_string(pos) + R"(,"type":"prompt","expert":)" + std::to_string(expert) + more +
           "}\n";
  }

  std::vector<std::vector<KeptRecord>> read() const {
    test::write_text(directory() / "manifest.json", manifest);
    test::write_text(directory() / "prompts.jsonl", prompts);
    test::write_text(directory() / "e.jsonl", events);
    return test::read_trace({directory()}).records;
  }
  void expect_refused(const std::string& part) const {
    expect_error(ErrorKind::data, part, [&] { read(); });
  }
  const std::filesystem::path& directory() const { return temporary_.path(); }

 private:
  TemporaryDirectory temporary_;
};

TEST(ForeignTrace, NeedsLittle) {
  const Foreign trace;
  const auto records = trace.read();
  ASSERT_EQ(records.size(), 2U);
  ASSERT_EQ(records[1].size(), 2U);
  EXPECT_EQ(records[1][0].experts, (std::vector<ExpertId>{3, 2}));
  EXPECT_TRUE(records[1][0].weights.empty());
  EXPECT_EQ(records[1][0].token_id, -1);
}

TEST(ForeignTrace, RecordsComeInAnyOrder) {
  Foreign trace;
  trace.events = Foreign::record("b", 1, 0, "[2,0]") +
                 Foreign::record("a", 1, 1, "[1,2]", "", "generation") +
                 Foreign::record("a", 1, 0, "[1,2]") + Foreign::record("b", 0, 0, "[3,2]") +
                 Foreign::record("a", 0, 0, "[0,1]", ",\"x\":[[{}]]") +
                 Foreign::record("a", 0, 1, "[0,1]", ",\"weights\":[0.5,5e-1]", "generation");
  const auto records = trace.read();
  EXPECT_EQ(records[0].size(), 4U);
  EXPECT_EQ(records[0].back().weights, (std::vector<float>{0.5F, 0.5F}));
  EXPECT_EQ(records[1].size(), 2U);
}

TEST(ForeignTrace, FlatEventsComeInAnyOrder) {
  Foreign trace;
  trace.events = Foreign::flat("a", 0, 0, 1, ",\"rank\":1") + Foreign::flat("b", 0, 0, 3) +
                 Foreign::flat("a", 1, 0, 2) + Foreign::flat("b", 0, 0, 2) +
                 Foreign::flat("a", 0, 0, 0, ",\"rank\":0") + Foreign::flat("a", 1, 0, 3) +
                 Foreign::record("b", 1, 0, "[2,0]");
  const auto records = trace.read();
  ASSERT_EQ(records[0].size(), 2U);
  EXPECT_EQ(records[0][0].experts, (std::vector<ExpertId>{0, 1}));
  EXPECT_EQ(records[0][1].experts, (std::vector<ExpertId>{2, 3}));
  EXPECT_EQ(records[1][0].experts, (std::vector<ExpertId>{3, 2}));
}

TEST(ForeignTrace, RangesWithoutChecksumsWork) {
  Foreign trace;
  const std::size_t half = trace.events.size() / 2;
  trace.prompts = R"({"id":"b","events_file":"e.jsonl","offset":)" + std::to_string(half) +
                  R"(,"n_bytes":)" + std::to_string(half) + "}\n" +
                  R"({"id":"a","events_file":"e.jsonl"})";
  EXPECT_EQ(trace.read()[0][0].experts, (std::vector<ExpertId>{3, 2}));
  trace.prompts.replace(trace.prompts.find("n_bytes") + 9, 3, "999999999999");
  trace.expect_refused("too short");
}

TEST(ForeignTrace, NamesTheLineOfABadRecord) {
  const auto expect_bad = [](const std::string& line, const std::string& part) {
    Foreign trace;
    trace.events += line;
    trace.expect_refused("e.jsonl:5: ");
    trace.expect_refused(part);
  };
  expect_bad("x\n", "not a valid record");
  expect_bad("\n", "not a valid record");
  expect_bad("[]\n", "not a valid record");
  expect_bad("{\"prompt_id\":\"a\"\n", "not a valid record");
  expect_bad("{\"prompt_id\":\"a\"}\n", "missing");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]").substr(0, 40), "not a valid record");
  expect_bad(R"({"prompt_id":"a","layer":0,"pos":1,"type":"prompt","experts":[0,1]} {})",
             "follows");
  expect_bad(Foreign::record("c", 0, 0, "[0,1]"), "not in prompts.jsonl");
  expect_bad(Foreign::record("a", 2, 0, "[0,1]"), "key \"layer\"");
  expect_bad(Foreign::record("a", -1, 0, "[0,1]"), "key \"layer\"");
  expect_bad(Foreign::record("a", 0, -1, "[0,1]"), "key \"pos\"");
  expect_bad(Foreign::record("a", 0, 99999999999, "[0,1]"), "key \"pos\"");
  expect_bad(Foreign::record("a", 0, 1, "[0,4]"), "key \"experts\"");
  expect_bad(Foreign::record("a", 0, 1, "[0,-1]"), "key \"experts\"");
  expect_bad(Foreign::record("a", 0, 1, "[0.0,1]"), "key \"experts\"");
  expect_bad(Foreign::record("a", 0, 1, "[0,1,2]"), "key \"experts\"");
  expect_bad(Foreign::record("a", 0, 1, "[0]"), "key \"experts\"");
  expect_bad(Foreign::record("a", 0, 1, "[1,1]"), "given twice");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", ",\"weights\":[0.5]"), "key \"weights\"");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", ",\"weights\":[0.5,NaN]"), "key \"weights\"");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", ",\"weights\":[0.5,Infinity]"), "key \"weights\"");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", ",\"weights\":[0.5,1e99]"), "key \"weights\"");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", ",\"weights\":[0.5,1e999]"), "key \"weights\"");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", ",\"weights\":[0.5,-0.1]"), "key \"weights\"");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", ",\"layer\":1"), "\"layer\" given twice");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", ",\"rank\":1"), "both forms");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", "", "other"), "key \"type\"");
  expect_bad(Foreign::record("a", 0, 0, "[0,1]"), "given twice");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]", ",\"template\":true", "generation"), "template");
  expect_bad(Foreign::flat("a", 0, 1, 1, ",\"rank\":2"), "key \"rank\"");
  expect_bad(Foreign::flat("a", 0, 0, 1), "more than top_k");
  expect_bad(Foreign::flat("a", 0, 1, 1), "fewer than top_k");
  expect_bad(Foreign::record("a", 0, 1, "[0,1]"), "position 1, layer 1: no record");
  expect_bad("{\"\xff\":1}\n", "not a valid record");
}

TEST(ForeignTrace, FindsContradictions) {
  Foreign trace;
  trace.events += Foreign::record("a", 0, 1, "[0,1]", "", "generation") +
                  Foreign::record("a", 1, 1, "[0,1]", "", "prompt");
  trace.expect_refused("behind a generated one");

  Foreign types;
  types.prompts =
      R"({"id":"a","events_file":"e.jsonl","n_prompt_tokens":0,"n_generated_tokens":2})"
      "\n"
      R"({"id":"b","events_file":"e.jsonl","n_prompt_tokens":1,"n_generated_tokens":1})";
  types.expect_refused("e.jsonl:1: wrong value of key \"type\"");

  Foreign counts;
  counts.prompts =
      R"({"id":"a","events_file":"e.jsonl","n_prompt_tokens":2,"n_generated_tokens":1})"
      "\n"
      R"({"id":"b","events_file":"e.jsonl"})";
  counts.expect_refused("prompt \"a\", position 1, layer 0: no record");

  Foreign ids;
  ids.prompts = R"({"id":"a","events_file":"e.jsonl","token_ids":[4]})"
                "\n"
                R"({"id":"b","events_file":"e.jsonl","token_ids":[5]})";
  ids.events = Foreign::record("a", 0, 0, "[0,1]", ",\"token_id\":4") +
               Foreign::record("a", 1, 0, "[0,1]", ",\"token_id\":5");
  ids.expect_refused("e.jsonl:2: wrong value of key \"token_id\": expected 4");

  Foreign none;
  none.events = Foreign::record("a", 0, 0, "[0,1]") + Foreign::record("a", 1, 0, "[0,1]");
  none.expect_refused("prompt \"b\" has no events");
}

TEST(ForeignTrace, RefusesBadPromptLines) {
  const auto expect_bad = [](const std::string& line, const std::string& part) {
    Foreign trace;
    trace.prompts += line;
    trace.expect_refused("prompts.jsonl:3: ");
    trace.expect_refused(part);
  };
  expect_bad("\n", "not valid JSON");
  expect_bad("3\n", "an object");
  expect_bad(R"({"events_file":"e.jsonl"})", "\"id\"");
  expect_bad(R"({"id":"c"})", "\"events_file\"");
  expect_bad(R"({"id":"a","events_file":"e.jsonl"})", "already used in");
  expect_bad(R"({"id":3,"events_file":"e.jsonl"})", "a string");
  expect_bad(R"({"id":"c\u0007","events_file":"e.jsonl"})", "control character");
  for (const char* name : {"../e.jsonl", "/etc/passwd", "", ".", "..", "e\\u0000"}) {
    expect_bad("{\"id\":\"c\",\"events_file\":\"" + std::string(name) + "\"}", "name of a file");
  }
  expect_bad(R"({"id":"c","events_file":"none.jsonl"})", "no such events file");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","offset":0})", "together");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","offset":-1,"n_bytes":5})", "offset");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","offset":1e3,"n_bytes":5})", "offset");
  expect_bad(
      R"({"id":"c","events_file":"e.jsonl","offset":1152921504606846976,"n_bytes":1152921504606846976})",
      "too short");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","offset":18446744073709551615,"n_bytes":1})",
             "offset");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","checksum":"xxh3:0123456789abcdef"})", "offset");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","checksum":"md5:0"})", "xxh3");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","token_ids":[1,-1]})", "token_ids");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","token_ids":[1],"tokens":["a","b"]})", "length");
  expect_bad(
      R"({"id":"c","events_file":"e.jsonl","token_ids":[1],"n_prompt_tokens":1,"n_generated_tokens":1})",
      "token_ids");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","n_prompt_tokens":3000000000})", "n_prompt");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","n_prompt_tokens":1,"n_template_tokens":2})",
             "template");
  expect_bad(
      R"({"id":"c","events_file":"e.jsonl","n_prompt_tokens":1,"n_generated_tokens":0,"n_events":5})",
      "expected 4");
  expect_bad(R"({"id":"c","id":"d","events_file":"e.jsonl"})", "given twice");
  expect_bad(R"({"id":"c","line_checksum":"xxh3:0123456789abcdef","events_file":"e.jsonl"})",
             "last key");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","line_checksum":"xxh3:0123456789abcdef"})",
             "damaged");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","x":)" + std::string(100, '[') +
                 std::string(100, ']') + "}",
             "not valid JSON");
  expect_bad(R"({"id":"c","events_file":"e.jsonl","meta":[]})", "meta");
  expect_bad("{\"id\":\"\xff\",\"events_file\":\"e.jsonl\"}", "not valid JSON");
}

TEST(ForeignTrace, RefusesMoreOrFewerPromptsThanPlanned) {
  Foreign trace;
  trace.manifest.insert(trace.manifest.size() - 1, ",\"n_prompts\":3");
  trace.expect_refused("expected 3, found 2");
  trace.manifest.replace(trace.manifest.size() - 2, 1, "1");
  trace.expect_refused("more prompts");
  trace.manifest.replace(trace.manifest.size() - 2, 1, "2");
  EXPECT_NO_THROW(trace.read());
}

TEST(ForeignTrace, PipesAndDirectoriesAreNotRead) {
  Foreign trace;
  trace.read();
  std::filesystem::remove(trace.directory() / "e.jsonl");
  ASSERT_EQ(mkfifo((trace.directory() / "e.jsonl").c_str(), 0600), 0);
  expect_error(ErrorKind::data, "no such events file",
               [&] { test::read_trace({trace.directory()}); });
  std::filesystem::remove(trace.directory() / "prompts.jsonl");
  ASSERT_EQ(mkfifo((trace.directory() / "prompts.jsonl").c_str(), 0600), 0);
  expect_error(ErrorKind::data, "no such file", [&] { test::read_trace({trace.directory()}); });
}

TEST(ForeignTrace, LongLinesAreRefused) {
  Foreign trace;
  trace.events += std::string(17'000'000, ' ');
  trace.expect_refused("e.jsonl:5: line longer than 16 MB");
  Foreign prompts;
  prompts.prompts += std::string(17'000'000, ' ');
  prompts.expect_refused("prompts.jsonl:3: line longer than 16 MB");
}

TEST(ForeignTrace, ScatteredPositionsTakeLittleMemory) {
  trace::SeenSet seen;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(seen.insert(i * 87'178'291'199U));
    ASSERT_FALSE(seen.insert(i * 87'178'291'199U));
  }
  EXPECT_EQ(seen.size(), 100'000U);
  EXPECT_EQ(seen.first_missing(), 1U);
  for (std::uint64_t i = 2000; i > 1; --i) seen.insert(i);
  EXPECT_EQ(seen.first_missing(), 1U);
  seen.insert(1);
  EXPECT_EQ(seen.first_missing(), 2001U);
}

}  // namespace
}  // namespace moexray
