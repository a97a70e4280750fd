#include "moexray/trace/shadows.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/trace/reader.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace_maker.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using texts = std::vector<std::string>;
using test::MadeRun;
using test::Snapshot;
using test::snapshot;

class Shadows : public testing::Test {
 protected:
  Shadows() { run_.n_shadows = 4; }
  fs::path directory(const std::string& name = "t") const { return temporary_.path() / name; }
  static TraceSet open(const std::vector<fs::path>& directories) {
    return open_traces(directories, {});
  }
  ShadowReader read(const std::string& name = "t") const {
    return ShadowReader(open({directory(name)}));
  }
  // The file with a change, and what reading it says.
  template <typename Change>
  void expect_refused(const std::vector<std::string_view>& parts, Change change) const {
    Snapshot files = snapshot(directory());
    change(files.at("shadows.bin"));
    test::restore(directory("changed"), files);
    const auto read_all = [&] {
      const TraceSet set = open({directory("changed")});
      const ShadowReader reader(set);
      for (std::size_t i = 0; i < set.prompts.size(); ++i) {
        for (std::size_t s = 0; s < reader.shadows().size(); ++s) reader.read(i, s);
      }
    };
    try {
      read_all();
      ADD_FAILURE() << "nothing was refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      const std::string what = error.what();
      EXPECT_NE(what.find("shadows.bin"), std::string::npos) << what;
      for (const std::string_view part : parts) {
        EXPECT_NE(what.find(part), std::string::npos) << what;
      }
    }
  }

  MadeRun run_;
  test::TemporaryDirectory temporary_;
};

TEST_F(Shadows, AreReadAsTheyWereWritten) {
  test::write_trace(directory(), run_);
  const ShadowReader reader = read();
  const std::vector<Prompt> prompts = test::make_prompts(run_);
  EXPECT_EQ(reader.shadows(), test::make_manifest(run_).shadows);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const FinishedPrompt finished = test::make_finished(run_, prompts[i], i);
    for (std::size_t s = 0; s < 4; ++s) {
      EXPECT_EQ(reader.read(i, s).bytes(), finished.shadows[s].bytes());
    }
  }
  const auto header = read_shadow_header(directory());
  ASSERT_TRUE(header);
  EXPECT_EQ(header->biases, test::writer_options(run_).shadow_biases);
  EXPECT_FALSE(read_shadow_header(directory("nowhere")));
}

TEST_F(Shadows, LeaveTheTraceItselfAsItIs) {
  test::write_trace(directory(), run_);
  MadeRun plain = run_;
  plain.n_shadows = 0;
  test::write_trace(directory("plain"), plain);
  Snapshot with = snapshot(directory());
  Snapshot without = snapshot(directory("plain"));
  EXPECT_EQ(with.erase("shadows.bin"), 1U);
  with.erase("manifest.json");
  without.erase("manifest.json");
  EXPECT_EQ(with, without);
}

TEST_F(Shadows, AManifestNamesThem) {
  const TraceManifest manifest = test::make_manifest(run_);
  const std::string json = manifest_to_json(manifest);
  EXPECT_NE(json.find("\"shadows\": {\"file\": \"shadows.bin\""), std::string::npos) << json;
  const TraceManifest read = manifest_from_json(json, "m");
  EXPECT_EQ(read.shadows, manifest.shadows);
  EXPECT_TRUE(read.absent.empty());
  run_.n_shadows = 0;
  const std::string plain = manifest_to_json(test::make_manifest(run_));
  EXPECT_EQ(plain.find("shadow"), std::string::npos);
  EXPECT_TRUE(manifest_from_json(plain, "m").absent.empty());
}

TEST_F(Shadows, AnInterruptedRunEndsWithTheSameBytes) {
  test::write_trace(directory("whole"), run_);
  const std::vector<Prompt> prompts = test::make_prompts(run_);
  for (std::size_t n_batches = 0; n_batches < run_.plan.size(); ++n_batches) {
    const fs::path part = directory("part" + std::to_string(n_batches));
    {
      TraceWriter writer =
          TraceWriter::create(part, test::make_manifest(run_), false, test::writer_options(run_));
      test::commit_rest(writer, run_, prompts, n_batches);
    }
    // What a stopped run may leave behind the last whole record; without any, instead of the file.
    Snapshot files = snapshot(part);
    EXPECT_EQ(files.contains("shadows.bin"), n_batches > 0);
    files["shadows.bin"] += "{\"prompt_id\":\"cut";
    test::restore(part, files);
    test::finish_trace(part, run_);
    EXPECT_EQ(snapshot(part), snapshot(directory("whole"))) << n_batches << " batches";
  }
}

TEST_F(Shadows, BiasesMayComeWithTheFirstBatch) {
  test::write_trace(directory("whole"), run_);
  const std::vector<Prompt> prompts = test::make_prompts(run_);
  WriterOptions options = test::writer_options(run_);
  const auto biases = std::exchange(options.shadow_biases, {});
  TraceWriter writer = TraceWriter::create(directory(), test::make_manifest(run_), false, options);
  writer.set_shadow_biases(biases);
  test::commit_rest(writer, run_, prompts, run_.plan.size());
  EXPECT_EQ(snapshot(directory()), snapshot(directory("whole")));
  expect_error(ErrorKind::runtime, "shadows.bin", [&] { writer.set_shadow_biases(biases); });
}

TEST_F(Shadows, OtherShadowsCannotResume) {
  const std::vector<Prompt> prompts = test::make_prompts(run_);
  {
    TraceWriter writer = TraceWriter::create(directory(), test::make_manifest(run_), false,
                                             test::writer_options(run_));
    test::commit_rest(writer, run_, prompts, 1);
  }
  MadeRun other = run_;
  other.n_shadows = 2;
  expect_error(ErrorKind::data, "shadows.routers", [&] { test::finish_trace(directory(), other); });
  WriterOptions options = test::writer_options(run_);
  options.shadow_biases[1][0] += 1;
  expect_error(ErrorKind::data, texts{"shadows.bin", "not those of this run"}, [&] {
    TraceWriter::resume(directory(), test::make_manifest(run_), prompts, options);
  });
}

TEST_F(Shadows, ShardsAreReadTogether) {
  MadeRun first = run_, second = run_;
  first.shard = {0, 2};
  second.shard = {1, 2};
  first.plan = {2, 2};
  second.plan = {3, 1};
  second.first_prompt = 4;
  test::write_trace(directory("a"), first);
  test::write_trace(directory("b"), second);
  const TraceSet set = open({directory("a"), directory("b")});
  const ShadowReader reader(set);
  const std::vector<Prompt> prompts = test::make_prompts(run_);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(reader.read(i, 3).bytes(),
              test::make_finished(run_, prompts[i], i).shadows[3].bytes());
  }
  second.n_shadows = 2;
  test::write_trace(directory("c"), second);
  expect_error(ErrorKind::data, "different shadows",
               [&] { ShadowReader(open({directory("a"), directory("c")})); });
  second.n_shadows = 0;
  test::write_trace(directory("d"), second);
  expect_error(ErrorKind::data, "trace --shadow random",
               [&] { ShadowReader(open({directory("a"), directory("d")})); });
}

TEST_F(Shadows, DamageIsRefusedWithItsPlace) {
  test::write_trace(directory(), run_);
  const std::string bytes = snapshot(directory()).at("shadows.bin");
  const std::size_t first = bytes.find('\n') + 1;          // the first record's line
  const std::size_t frames = bytes.find('\n', first) + 1;  // its frames
  const std::string place = "byte " + std::to_string(first);
  expect_refused({place, "checksum"}, [&](std::string& file) { file[frames + 5] ^= 1; });
  expect_refused({place, "line_checksum"}, [&](std::string& file) { file[first + 20] ^= 1; });
  expect_refused({"line_checksum"}, [&](std::string& file) { file[20] ^= 1; });
  expect_refused({"bytes, which the file has left"},
                 [&](std::string& file) { file.resize(frames + 3); });
  expect_refused({"cut off"}, [&](std::string& file) { file.resize(first); });
  expect_refused({"cut off"}, [&](std::string& file) { file.resize(first + 10); });
  expect_refused({"cut off"}, [&](std::string& file) { file.clear(); });
}

TEST_F(Shadows, TracesOfAShadowAreNotReadWithItsModel) {
  MadeRun other = run_;
  run_.n_shadows = other.n_shadows = 0;
  run_.plan = other.plan = {2};
  other.first_prompt = 2;
  test::write_trace(directory("own"), run_);
  TraceManifest manifest = test::make_manifest(other);
  manifest.shadow_router = "random:1, plain";
  {
    TraceWriter writer = TraceWriter::create(directory("shadow"), manifest, false);
    test::commit_rest(writer, other, test::make_prompts(other));
  }
  EXPECT_EQ(read_manifest(directory("shadow")).shadow_router, "random:1, plain");
  expect_error(ErrorKind::data, "shadow_router",
               [&] { open({directory("own"), directory("shadow")}); });
}

}  // namespace
}  // namespace moexray
