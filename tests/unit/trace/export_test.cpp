#include "moexray/trace/export.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "moexray/core/file.h"
#include "moexray/trace/counts.h"
#include "moexray/trace/import.h"
#include "moexray/trace/stream_writer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace/importers/json_payload.h"
#include "trace/npy.h"
#include "trace_maker.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::KeptRecord;
using test::MadeRun;

constexpr std::uint64_t most_bytes = 1'000'000;

class Export : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return directory_.path() / name; }

  // A trace of a made-up run, read.
  test::ReadTrace made(const MadeRun& run = {}) {
    test::write_trace(path("traces"), run);
    return test::read_trace({path("traces")});
  }

  ExportResult write(const TraceSet& traces, const std::string& format, const std::string& name,
                     ExportOptions options = {}) {
    options.format = format;
    options.output = path(name);
    return export_traces(traces, options);
  }

  ImportResult import(const std::string& kind, const std::string& file, const std::string& to,
                      ImportOptions options = {}) {
    options.kind = kind;
    options.files = {path(file)};
    options.output = path(to);
    return import_traces(options);
  }

  std::string text(const std::string& name) { return read_file(path(name), most_bytes); }

  test::TemporaryDirectory directory_;
};

// What a form without weights and marks of templates keeps.
std::vector<std::vector<KeptRecord>> bare(std::vector<std::vector<KeptRecord>> records) {
  for (auto& of_prompt : records) {
    for (KeptRecord& record : of_prompt) {
      record.weights.clear();
      record.is_template = false;
    }
  }
  return records;
}

void expect_same_prompts(const TraceSet& a, const TraceSet& b) {
  ASSERT_EQ(a.prompts.size(), b.prompts.size());
  EXPECT_EQ(a.shape, b.shape);
  for (std::size_t i = 0; i < a.prompts.size(); ++i) {
    const TracePrompt& x = a.prompts[i];
    const TracePrompt& y = b.prompts[i];
    EXPECT_EQ(x.id, y.id);
    EXPECT_EQ(x.category, y.category);
    EXPECT_EQ(x.text, y.text);
    EXPECT_EQ(x.completion, y.completion);
    EXPECT_EQ(x.token_ids, y.token_ids);
    EXPECT_EQ(x.tokens, y.tokens);
    EXPECT_EQ(x.n_prompt_tokens, y.n_prompt_tokens);
    EXPECT_EQ(x.n_generated_tokens, y.n_generated_tokens);
    EXPECT_EQ(x.n_template_tokens, y.n_template_tokens);
    EXPECT_EQ(x.positions, y.positions);
    EXPECT_EQ(x.finish_reason, y.finish_reason);
    EXPECT_EQ(x.meta_json, y.meta_json);
  }
}

TEST_F(Export, AnArchiveGivesTheSameEventsWithoutFlags) {
  const test::ReadTrace own = made();
  for (const std::string form : {"npz", "safetensors"}) {
    const std::string file = "traces." + form;
    write(own.set, form, file);
    ImportOptions recognised;
    import("", file, form, recognised);
    const test::ReadTrace again = test::read_trace({path(form)});
    expect_same_prompts(own.set, again.set);
    EXPECT_EQ(again.records, own.records) << form;
    const TraceManifest& manifest = again.set.manifests[0];
    EXPECT_EQ(manifest.source.system, "moexray");
    EXPECT_EQ(manifest.recorded.order, ManifestRecorded::Order::router);
    EXPECT_EQ(manifest.recorded.weights, ManifestRecorded::Weights::applied);
    EXPECT_EQ(manifest.model.moe_layers, own.set.manifests[0].model.moe_layers);
    // And again: facts of an imported trace are kept too.
    write(again.set, form, "again." + form);
    import("numpy", "again." + form, form + "-again");
    EXPECT_EQ(test::read_trace({path(form + "-again")}).records, own.records);
  }
}

TEST_F(Export, TheSameTracesGiveTheSameBytes) {
  const test::ReadTrace own = made();
  for (const std::string form : {"npz", "safetensors", "vllm", "replay", "csv", "eplb-json"}) {
    write(own.set, form, "a." + form);
    write(own.set, form, "b." + form);
    EXPECT_EQ(text("a." + form), text("b." + form)) << form;
  }
}

// The numbers of an expert of layer 0: once by looking at the records.
std::vector<std::int64_t> counts_by_hand(const std::vector<KeptRecord>& records,
                                         const RoutingShape& shape) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(shape.n_layers * shape.n_experts));
  for (const KeptRecord& record : records) {
    for (const ExpertId expert : record.experts) {
      ++counts[static_cast<std::size_t>(record.layer * shape.n_experts + expert)];
    }
  }
  return counts;
}

TEST_F(Export, CountsAreThoseOfTheEvents) {
  const test::ReadTrace own = made();
  write(own.set, "counts", "counts");
  const TraceSet counts = open_traces(std::vector{path("counts")}, {});
  ASSERT_TRUE(has_counts(counts));
  EXPECT_FALSE(has_pool(counts));
  EXPECT_EQ(counts.shape, own.set.shape);
  const CountsReader reader(counts);
  for (std::size_t i = 0; i < own.records.size(); ++i) {
    EXPECT_EQ(reader.read(i), counts_by_hand(own.records[i], own.set.shape));
    EXPECT_EQ(counts.prompts[i].category, own.set.prompts[i].category);
    EXPECT_EQ(counts.prompts[i].n_prompt_tokens, own.set.prompts[i].n_prompt_tokens);
  }
  // Counts can be written again, and as a matrix, but not as what needs tokens.
  write(counts, "counts", "again");
  EXPECT_EQ(text("again/counts.npy"), text("counts/counts.npy"));
  expect_error(ErrorKind::data, "counts, not tokens", [&] { write(counts, "npz", "no.npz"); });
  EXPECT_FALSE(fs::exists(path("no.npz")));
}

TEST_F(Export, PlacementHasARowOfEveryTransformerLayer) {
  const test::ReadTrace own = made();
  TraceSet set = own.set;
  set.manifests[0].model.moe_layers = {1, 2, 4};
  ExportOptions options;
  options.n_layers = 6;
  write(set, "eplb-json", "experts.json", options);
  // Layers without experts are zero: import takes the other three, and makes the same sums.
  ImportOptions all;
  all.moe_layers = {1, 2, 4};
  all.n_layers = 6;
  all.top_k = 2;
  import("counts", "experts.json", "pool", all);
  const TraceSet pool = open_traces(std::vector{path("pool")}, {});
  EXPECT_TRUE(has_pool(pool));
  EXPECT_EQ(pool.manifests[0].model.moe_layers, set.manifests[0].model.moe_layers);
  std::vector<std::int64_t> sum(24);
  for (const auto& records : own.records) {
    const std::vector<std::int64_t> counts = counts_by_hand(records, own.set.shape);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += counts[i];
  }
  EXPECT_EQ(CountsReader(pool).read(0), sum);
  expect_error(ErrorKind::data, "a layer without counts", [&] {
    import("counts", "experts.json", "guessed");  // what is zero is not known
  });
  // EPLB's own matrix has the layers with experts alone.
  write(set, "eplb-json", "matrix.npy");
  import("counts", "matrix.npy", "matrix");
  EXPECT_EQ(CountsReader(open_traces(std::vector{path("matrix")}, {})).read(0), sum);
  options.n_layers = 4;
  expect_error(ErrorKind::usage, "fewer layers", [&] { write(set, "eplb-json", "x", options); });
}

TEST_F(Export, ResponsesAreThoseOfAServer) {
  const test::ReadTrace own = made();
  TraceSet set = own.set;
  set.manifests[0].model.moe_layers = {1, 2, 4};
  write(set, "vllm", "responses.jsonl");
  ImportOptions options;
  options.prompts = path("traces/prompts.jsonl");
  options.n_experts = 8;
  options.moe_layers = {1, 2, 4};
  import("vllm", "responses.jsonl", "vllm", options);
  const test::ReadTrace again = test::read_trace({path("vllm")});
  EXPECT_EQ(again.records, bare(own.records));
  for (std::size_t i = 0; i < own.set.prompts.size(); ++i) {
    EXPECT_EQ(again.set.prompts[i].token_ids, own.set.prompts[i].token_ids);
    EXPECT_EQ(again.set.prompts[i].category, own.set.prompts[i].category);
    EXPECT_EQ(again.set.prompts[i].n_generated_tokens, own.set.prompts[i].n_generated_tokens);
  }
}

TEST_F(Export, ReplayHoldsTheIdsOfEveryLayer) {
  const test::ReadTrace own = made();
  write(own.set, "replay", "replay.jsonl");
  const std::string line = text("replay.jsonl").substr(0, text("replay.jsonl").find('\n'));
  const std::size_t n_rows = own.records[0].size() / 3;
  const std::vector<int>& numbers = own.set.manifests[0].model.moe_layers;
  const auto n_layers = static_cast<std::size_t>(numbers.empty() ? 3 : numbers.back() + 1);
  const std::string head =
      "\"nrlre1:int8:" + std::to_string(n_rows) + "x" + std::to_string(n_layers) + "x2:";
  const std::size_t at = line.find(head);
  ASSERT_NE(at, std::string::npos) << line;
  const std::size_t begin = at + head.size();
  const std::string ids = imports::decode_base64(
      "\"" + line.substr(begin, line.find('"', begin) - begin) + "\"", "line");
  ASSERT_EQ(ids.size(), n_rows * n_layers * 2);
  for (const KeptRecord& record : own.records[0]) {
    const auto layer = static_cast<std::size_t>(
        numbers.empty() ? record.layer : numbers[static_cast<std::size_t>(record.layer)]);
    const std::size_t first = (static_cast<std::size_t>(record.pos) * n_layers + layer) * 2;
    EXPECT_EQ(ids[first], record.experts[0]);
    EXPECT_EQ(ids[first + 1], record.experts[1]);
  }
}

TEST_F(Export, CsvHasALineAnEvent) {
  const test::ReadTrace own = made();
  TraceSet set = own.set;
  set.prompts[0].category = "a \"b\", c";
  write(set, "csv", "events.csv");
  const std::string csv = text("events.csv");
  std::size_t n_events = 0;
  for (const auto& records : own.records) n_events += records.size() * 2;
  EXPECT_EQ(static_cast<std::size_t>(std::count(csv.begin(), csv.end(), '\n')), n_events + 1);
  EXPECT_TRUE(csv.starts_with("prompt_id,category,pos,type,token_id,layer,slot,expert,weight\n"));
  const std::string second = csv.substr(csv.find('\n') + 1);
  const KeptRecord& first = own.records[0][0];
  ASSERT_EQ(own.set.prompts[0].id, "häus \"0\"");
  EXPECT_TRUE(second.starts_with("\"häus \"\"0\"\"\",\"a \"\"b\"\", c\",0,prompt," +
                                 std::to_string(first.token_id) + ","))
      << second.substr(0, 80);
  EXPECT_NE(second.find(",0," + std::to_string(first.experts[0]) + ","), std::string::npos);
}

// Generated tokens alone, behind three of the prompt.
void write_late(const fs::path& directory) {
  TraceManifest manifest = bare_manifest({2, 300, 2});
  manifest.version = 2;
  manifest.recorded = {ManifestRecorded::Order::unknown, ManifestRecorded::Weights::none, false,
                       false};
  TraceStreamWriter writer = TraceStreamWriter::create(directory, manifest, false);
  Prompt prompt;
  prompt.id = "später/1";
  FinishedPrompt finished;
  finished.prompt = &prompt;
  finished.n_prompt_tokens = 3;
  finished.n_generated_tokens = 3;
  finished.positions = {{3, 4}};
  finished.routing = RoutingBuffer(manifest.model.shape, false, false);
  const std::vector<ExpertId> ids{299, 0, 256, 255};
  finished.routing.append(0, 2, ids);
  finished.routing.append(1, 2, ids);
  writer.append(finished);
  writer.finish();
}

TEST_F(Export, PositionsAndLargeIdsAreKept) {
  write_late(path("traces"));
  const test::ReadTrace own = test::read_trace({path("traces")});
  for (const std::string form : {"npz", "safetensors"}) {
    write(own.set, form, "late." + form);
    import("numpy", "late." + form, form);
    const test::ReadTrace again = test::read_trace({path(form)});
    expect_same_prompts(own.set, again.set);
    EXPECT_EQ(again.records, own.records);
    EXPECT_EQ(again.set.manifests[0].recorded.order, ManifestRecorded::Order::unknown);
  }
  const ExportResult result = write(own.set, "vllm", "late.jsonl");
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("--prompt-start 3"), std::string::npos);
  ImportOptions options;
  options.n_experts = 300;
  options.prompt_start = 3;
  import("vllm", "late.jsonl", "vllm", options);
  EXPECT_EQ(test::read_trace({path("vllm")}).records, own.records);
}

TEST_F(Export, NothingIsReplacedUnasked) {
  const test::ReadTrace own = made();
  test::write_text(path("there"), "mine");
  expect_error(ErrorKind::usage, "--force", [&] { write(own.set, "csv", "there"); });
  EXPECT_EQ(text("there"), "mine");
  ExportOptions force;
  force.force = true;
  write(own.set, "csv", "there", force);
  EXPECT_NE(text("there"), "mine");
  expect_error(ErrorKind::usage, "directory of a trace",
               [&] { write(own.set, "csv", "traces/events.csv", force); });
  expect_error(ErrorKind::usage, "one of the traces",
               [&] { write(own.set, "counts", "traces", force); });
  expect_error(ErrorKind::usage, "a directory is there",
               [&] { write(own.set, "npz", "traces", force); });
  fs::create_directory(path("full"));
  test::write_text(path("full/file"), "mine");
  expect_error(ErrorKind::usage, "not empty", [&] { write(own.set, "counts", "full", force); });
  expect_error(ErrorKind::usage, "unknown form", [&] { write(own.set, "parquet", "x"); });
}

TEST_F(Export, AStoppedOrDamagedExportLeavesNothing) {
  const test::ReadTrace own = made();
  const std::atomic<bool> stop = true;
  ExportOptions options;
  options.stop = &stop;
  for (const std::string form : {"npz", "safetensors", "counts", "vllm", "csv", "eplb-json"}) {
    expect_error(ErrorKind::interrupted, "interrupted",
                 [&] { write(own.set, form, "stopped", options); });
  }
  std::string events = text("traces/events-00000.jsonl");
  events.replace(events.find("\"experts\":["), 12, "\"experts\":[9");
  test::write_text(path("traces/events-00000.jsonl"), events);
  for (const std::string form : {"npz", "safetensors", "counts", "csv"}) {
    expect_error(ErrorKind::data, "events-00000.jsonl", [&] { write(own.set, form, "damaged"); });
  }
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory_.path())) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_EQ(names, std::vector<std::string>{"traces"});
}

}  // namespace
}  // namespace moexray
