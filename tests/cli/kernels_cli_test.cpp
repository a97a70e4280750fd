// The two kinds of kernels on the shipped prompts with the bundled model: what a user's numbers
// depend on.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/run_command.h"
#include "cli/trace_fixture.h"
#include "moexray/runtime/kernels.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/similarity.h"
#include "moexray/trace/reader.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;

// Every expert choice of a trace, and the signatures of its prompts.
struct Routing {
  std::string kernels;
  std::vector<TokenId> token_ids;             // [records]
  std::vector<std::vector<ExpertId>> chosen;  // [records][k], ascending
  stats::Signatures signatures;
};

class RoutingVisitor : public EventVisitor {
 public:
  RoutingVisitor(Routing& routing, stats::SignatureAccumulator& signatures)
      : routing_(routing), signatures_(signatures) {}

  void on_record(std::size_t prompt, const RoutingRecord& record) override {
    routing_.token_ids.push_back(record.token_id);
    auto& chosen = routing_.chosen.emplace_back(record.experts.begin(), record.experts.end());
    std::sort(chosen.begin(), chosen.end());
    signatures_.add(prompt, record);
  }

 private:
  Routing& routing_;
  stats::SignatureAccumulator& signatures_;
};

// The prompt tokens alone: what is generated may part after a near-tie of two tokens.
Routing trace_with(const std::string& kernels, const fs::path& output) {
  const fs::path root = fs::path(MOEXRAY_TEST_DATA) / "../..";
  const CommandResult result =
      run_moexray({"trace", (root / "prompts/paper80.jsonl").string(), "--model",
                   (root / "models/mini-olmoe").string(), "--max-new-tokens", "0", "--dtype",
                   "bfloat16", "--kernels", kernels, "-o", output.string(), "--quiet"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ReadOptions options;
  options.n_threads = 1;  // records in order
  const TraceSet traces = open_traces(std::span(&output, 1), options);
  std::vector<stats::PromptLabel> labels;
  for (const TracePrompt& prompt : traces.prompts) labels.push_back({prompt.id, prompt.category});
  Routing routing;
  routing.kernels = traces.manifests.front().kernels;
  stats::SignatureAccumulator signatures(traces.shape, std::move(labels), {});
  RoutingVisitor visitor(routing, signatures);
  read_events(traces, visitor, options);
  routing.signatures = std::move(signatures).finish();
  return routing;
}

double share_of_common_choices(const Routing& a, const Routing& b) {
  std::size_t n = 0;
  std::vector<ExpertId> common;
  for (std::size_t i = 0; i < a.chosen.size(); ++i) {
    std::set_intersection(a.chosen[i].begin(), a.chosen[i].end(), b.chosen[i].begin(),
                          b.chosen[i].end(), std::back_inserter(common));
    n += a.chosen[i].size();
  }
  return static_cast<double>(common.size()) / static_cast<double>(n);
}

TEST(Kernels, FastAndPlainRouteTheShippedPromptsAlike) {
  if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  const TemporaryDirectory directory;
  const Routing fast = trace_with("fast", directory.path() / "fast");
  const Routing plain = trace_with("plain", directory.path() / "plain");
  ASSERT_EQ(fast.kernels, kernels_in_use({}, {}).name);
  ASSERT_EQ(plain.kernels, "plain");
  ASSERT_EQ(fast.token_ids, plain.token_ids);
  ASSERT_GT(fast.token_ids.size(), 80U * 16 * 20);
  EXPECT_GE(share_of_common_choices(fast, plain), 0.99);

  const stats::SimilarityResult a = stats::similarity(fast.signatures);
  const stats::SimilarityResult b = stats::similarity(plain.signatures);
  ASSERT_EQ(a.within.n_pairs, 760);
  ASSERT_EQ(a.across.n_pairs, 2400);
  EXPECT_NEAR(a.within.mean, b.within.mean, 0.002);
  EXPECT_NEAR(a.across.mean, b.across.mean, 0.002);
  EXPECT_NEAR(a.cohens_d, b.cohens_d, 0.002);
  RecordProperty("common_choices", std::to_string(share_of_common_choices(fast, plain)));
  RecordProperty("difference_of_cohens_d", std::to_string(a.cohens_d - b.cohens_d));
}

}  // namespace
}  // namespace moexray::test
