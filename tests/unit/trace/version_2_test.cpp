// What version 2 of the format adds: where a trace comes from, and routing that is not whole.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "moexray/trace/origin.h"
#include "moexray/trace/stream_writer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace_maker.h"

namespace moexray {
namespace {

using test::expect_error;

constexpr RoutingShape shape{2, 4, 2};

TraceManifest imported_manifest() {
  TraceManifest manifest = bare_manifest(shape);
  manifest.version = 2;
  manifest.source.system = "vllm";
  manifest.source.version = "0.33.0";
  manifest.source.importer = "moexray 0.1.0";
  manifest.source.files = {{"responses.jsonl", std::string(64, 'a')}};
  manifest.source.joined = "order";
  manifest.recorded = {ManifestRecorded::Order::unknown, ManifestRecorded::Weights::none, false,
                       false};
  manifest.model.moe_layers = {1, 3};
  manifest.absent.erase("model.moe_layers");
  manifest.model.top_k_of_model = 4;
  return manifest;
}

class Version2 : public testing::Test {
 protected:
  Version2() { prompt_.id = "a"; }

  FinishedPrompt prompt(std::int64_t n_prompt_tokens, std::int64_t n_generated_tokens,
                        std::vector<PositionRange> positions) {
    FinishedPrompt finished;
    finished.prompt = &prompt_;
    finished.n_prompt_tokens = n_prompt_tokens;
    finished.n_generated_tokens = n_generated_tokens;
    finished.positions = std::move(positions);
    finished.routing = RoutingBuffer(shape, false, false);
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      for (std::int64_t i = 0; i < n_positions(finished.positions); ++i) {
        const auto first = static_cast<ExpertId>(i % 4);
        finished.routing.append(layer, 1, std::vector<ExpertId>{first, (first + 1) % 4});
      }
    }
    return finished;
  }
  void write(const FinishedPrompt& finished, const TraceManifest& manifest = imported_manifest(),
             const ManifestComplete& complete = {}) {
    TraceStreamWriter writer = TraceStreamWriter::create(directory(), manifest, true);
    writer.append(finished);
    TraceManifest facts = manifest;
    facts.complete = complete;
    writer.finish(facts);
  }
  test::ReadTrace read() const { return test::read_trace({directory()}); }
  std::filesystem::path directory() const { return temporary_.path() / "t"; }
  std::string file(const std::string& name) const { return test::snapshot(directory()).at(name); }
  void replace(const std::string& name, const std::string& from, const std::string& to) const {
    std::string text = file(name);
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    test::write_text(directory() / name, text.replace(at, from.size(), to));
  }

  Prompt prompt_;
  test::TemporaryDirectory temporary_;
};

TEST_F(Version2, KeepsWhereATraceComesFrom) {
  write(prompt(2, 2, {{1, 2}}), imported_manifest(),
        {.prompt = false, .layers_left_out = {5}, .prompts_left_out = 3});
  const TraceManifest found = read_manifest(directory());
  EXPECT_EQ(found.version, 2);
  EXPECT_EQ(found.source.version, "0.33.0");
  ASSERT_EQ(found.source.files.size(), 1U);
  EXPECT_EQ(found.source.files[0].name, "responses.jsonl");
  EXPECT_EQ(found.source.joined, "order");
  EXPECT_EQ(found.recorded.order, ManifestRecorded::Order::unknown);
  EXPECT_EQ(found.recorded.weights, ManifestRecorded::Weights::none);
  EXPECT_FALSE(found.recorded.token_ids);
  EXPECT_FALSE(found.complete.prompt);
  EXPECT_EQ(found.complete.first_pos, 1);
  EXPECT_EQ(found.complete.layers_left_out, std::vector<int>{5});
  EXPECT_EQ(found.complete.prompts_left_out, 3);
  EXPECT_EQ(found.model.top_k_of_model, 4);
  EXPECT_EQ(manifest_to_json(found), file("manifest.json"));
  EXPECT_NE(file("manifest.json").find("\"version\": 2,"), std::string::npos);
  EXPECT_EQ(origin_text(read().set),
            "imported from vllm 0.33.0: no weights, order of experts unknown, no token ids, no "
            "positions before 1, no layer 5, 3 prompts left out, top-2 of a top-4 model");
}

TEST_F(Version2, OfAnUnknownVersionNothingIsSaid) {
  TraceManifest manifest = imported_manifest();
  manifest.source.version.reset();
  write(prompt(2, 2, {{0, 2}}), manifest);
  EXPECT_NE(file("manifest.json").find("\"version\": null"), std::string::npos);
  const TraceManifest found = read_manifest(directory());
  EXPECT_FALSE(found.source.version);
  EXPECT_EQ(manifest_to_json(found), file("manifest.json"));
}

TEST_F(Version2, ReadsTheGeneratedPartAlone) {
  write(prompt(3, 4, {{3, 5}}));
  const test::ReadTrace trace = read();
  ASSERT_EQ(trace.records[0].size(), 6U);
  EXPECT_EQ(trace.records[0][0].pos, 3);
  EXPECT_EQ(trace.records[0][5].pos, 5);
  EXPECT_EQ(trace.records[0][4].experts, (std::vector<ExpertId>{2, 3}));
  for (const test::KeptRecord& record : trace.records[0]) {
    EXPECT_EQ(record.type, TokenType::generation);
  }
  EXPECT_EQ(trace.set.prompts[0].n_events, 12);
  expect_error(ErrorKind::data, "no routing of prompt tokens",
               [&] { check_facts(trace.set, {.prompt_tokens = true}); });
}

TEST_F(Version2, ReadsAroundAHole) {
  write(prompt(5, -1, {{0, 1}, {4, 4}}));
  const test::ReadTrace trace = read();
  ASSERT_EQ(trace.records[0].size(), 6U);
  EXPECT_EQ(trace.records[0][4].pos, 4);
  EXPECT_NO_THROW(check_facts(trace.set, {.prompt_tokens = true}));
}

TEST_F(Version2, RecordsAreCheckedAgainstThePositions) {
  write(prompt(3, 4, {{3, 5}}));
  replace("prompts.jsonl", "\"offset\":0", "\"offset\":0 ");
  expect_error(ErrorKind::data, "checksum", [&] { read(); });
  // As other software may write it, without checksums.
  const std::string lines =
      R"({"id":"a","events_file":"events-00000.jsonl","n_prompt_tokens":3,"positions":)";
  test::write_text(directory() / "prompts.jsonl", lines + "[[3,5]]}\n");
  EXPECT_EQ(read().records[0].size(), 6U);
  test::write_text(directory() / "prompts.jsonl", lines + "[[3,6]]}\n");
  expect_error(ErrorKind::data, "position 6, layer 0: no record", [&] { read(); });
  test::write_text(directory() / "prompts.jsonl", lines + "[[3,4]]}\n");
  expect_error(ErrorKind::data, "events-00000.jsonl:5: wrong value of key \"pos\"",
               [&] { read(); });
  for (const char* wrong : {"[]", "[3,5]", "[[5,3]]", "[[3,4],[5,5]]", "[[3]]", "[[-1,5]]"}) {
    test::write_text(directory() / "prompts.jsonl", lines + wrong + "}\n");
    expect_error(ErrorKind::data, "key \"positions\"", [&] { read(); });
  }
  test::write_text(directory() / "prompts.jsonl", lines + "[[3,5]],\"n_generated_tokens\":3}\n");
  expect_error(ErrorKind::data, "behind the last routed token", [&] { read(); });
  test::write_text(directory() / "prompts.jsonl", lines + "[[3,5]],\"token_ids\":[1,2,3]}\n");
  expect_error(ErrorKind::data, "fewer \"token_ids\"", [&] { read(); });
  // Without the key every position from 0 is meant.
  test::write_text(directory() / "prompts.jsonl",
                   "{\"id\":\"a\",\"events_file\":\"events-00000.jsonl\"}\n");
  expect_error(ErrorKind::data, "position 0, layer 0: no record", [&] { read(); });
}

TEST_F(Version2, PositionsDoNotPassForVersion1) {
  TraceManifest manifest = bare_manifest(shape);
  expect_error(ErrorKind::runtime, "version 2", [&] { write(prompt(3, 4, {{3, 5}}), manifest); });
  write(prompt(3, 4, {{3, 5}}));
  test::write_text(directory() / "manifest.json",
                   R"({"format":"moexray-trace","version":1,"model":)"
                   R"({"n_layers":2,"n_experts":4,"top_k":2}})");
  expect_error(ErrorKind::data, "prompts.jsonl:1: \"positions\" need a trace of version 2",
               [&] { read(); });
}

TEST_F(Version2, TheWriterRefusesContradictions) {
  const auto expect_refused = [&](const FinishedPrompt& wrong, const std::string& part) {
    expect_error(ErrorKind::runtime, part, [&] { write(wrong); });
  };
  expect_refused(prompt(3, 3, {{3, 5}}), "routed tokens");
  FinishedPrompt more = prompt(3, 4, {{3, 5}});
  more.positions = {{3, 6}};
  expect_refused(more, "positions");
  FinishedPrompt ids = prompt(3, -1, {{3, 5}});
  ids.token_ids = {1, 2, 3};
  expect_refused(ids, "token ids");
  ids.token_ids = {1, 2, 3, 4, 5, 6};
  write(ids);
  EXPECT_EQ(read().records[0].front().token_id, 4);
}

TEST_F(Version2, FactsThatAreAbsentAreRefusedByName) {
  write(prompt(2, 2, {{0, 2}}));
  const TraceSet traces = read().set;
  EXPECT_FALSE(has_expert_order(traces));
  EXPECT_NO_THROW(check_facts(traces, {}));
  expect_error(ErrorKind::data, "--weighted needs the router's weights",
               [&] { check_facts(traces, {.weights = true}); });
  expect_error(ErrorKind::data, "does not say it of prompt \"a\"",
               [&] { check_facts(traces, {.template_marks = true}); });
  FinishedPrompt marked = prompt(2, 2, {{0, 2}});
  marked.is_template = {true, false};
  TraceManifest weighted = imported_manifest();
  weighted.recorded = {};
  write(marked, weighted);
  EXPECT_NO_THROW(check_facts(read().set, {.weights = true, .template_marks = true}));
  weighted.recorded.weights = ManifestRecorded::Weights::selection_scores;
  write(marked, weighted);
  expect_error(ErrorKind::data, "selection scores in place of weights",
               [&] { check_facts(read().set, {.weights = true}); });
}

TEST_F(Version2, RefusesAManifestThatIsWrong) {
  const std::string start =
      R"({"format":"moexray-trace","version":2,"model":{"n_layers":2,"n_experts":4,"top_k":1},)";
  for (const auto& [member, part] :
       {std::pair{R"("recorded":{"order":"any"})", "\"router\", \"unknown\""},
        {R"("recorded":{"weights":1})", "recorded.weights"},
        {R"("source":{"version":"1"})", "source.system"},
        {R"("source":{"system":"x","files":[{"name":"a","sha256":"0"}]})", "sha256"},
        {R"("source":{"system":"x","files":[{"sha256":"0"}]})", "\"name\""},
        {R"("complete":{"first_pos":-1})", "complete.first_pos"},
        {R"("complete":{"prompt":"yes"})", "complete.prompt"}}) {
    expect_error(ErrorKind::data, part,
                 [&] { manifest_from_json(start + member + "}", "manifest.json"); });
  }
  EXPECT_EQ(manifest_from_json(start + R"("x":1})", "m").recorded.order,
            ManifestRecorded::Order::router);
}

}  // namespace
}  // namespace moexray
