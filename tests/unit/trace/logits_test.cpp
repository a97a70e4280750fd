#include "moexray/trace/logits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace_maker.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::MadeRun;
using test::TemporaryDirectory;

class KeptLogits : public LogitVisitor {
 public:
  void on_logits(std::size_t prompt, const RoutingRecord& record,
                 std::span<const float> logits) override {
    const std::lock_guard lock(mutex_);
    const bool is_new = rows.emplace(std::tuple(prompt, record.layer, record.pos),
                                     std::vector<float>(logits.begin(), logits.end()))
                            .second;
    EXPECT_TRUE(is_new);
  }
  std::map<std::tuple<std::size_t, int, std::int64_t>, std::vector<float>> rows;

 private:
  std::mutex mutex_;
};

TraceSet open(const fs::path& directory) { return open_traces(std::vector{directory}, {}); }

TEST(RouterLogits, AreReadAsTheyWereWritten) {
  for (const EventsForm form : {EventsForm::grouped, EventsForm::flat}) {
    const TemporaryDirectory place;
    MadeRun run;
    run.router_logits = true;
    run.events = form;
    run.compress = form == EventsForm::flat;
    write_trace(place.path() / "t", run);
    const TraceSet traces = open(place.path() / "t");
    EXPECT_TRUE(has_router_logits(traces));
    KeptLogits kept;
    ReadOptions options;
    options.n_threads = 2;
    read_router_logits(traces, kept, options);
    const std::vector<Prompt> prompts = make_prompts(run);
    std::size_t n_rows = 0;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const FinishedPrompt made = make_finished(run, prompts[i], i);
      for (int layer = 0; layer < run.shape.n_layers; ++layer) {
        for (std::int64_t pos = 0; pos < made.routing.n_positions(); ++pos, ++n_rows) {
          const auto expected = made.routing.logits(layer, pos);
          const std::vector<float>& found = kept.rows.at({i, layer, pos});
          ASSERT_EQ(found.size(), expected.size());
          for (std::size_t e = 0; e < found.size(); ++e) {
            EXPECT_NEAR(found[e], expected[e], 1e-5 * (1 + std::abs(expected[e])));
          }
        }
      }
    }
    EXPECT_EQ(kept.rows.size(), n_rows);
  }
}

TEST(RouterLogits, AreMissedWhereThereAreNone) {
  const TemporaryDirectory place;
  write_trace(place.path() / "t", MadeRun{});
  const TraceSet traces = open(place.path() / "t");
  EXPECT_FALSE(has_router_logits(traces));
  KeptLogits kept;
  expect_error(ErrorKind::data, "router_logits", [&] { read_router_logits(traces, kept, {}); });
}

}  // namespace
}  // namespace moexray
