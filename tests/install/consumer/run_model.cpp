#include <cstdint>
#include <cstdio>
#include <exception>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/runtime/model.h"
#include "moexray/runtime/modules.h"

namespace {

// Counts what the routers choose.
class Counter : public moexray::RouterTap {
 public:
  void on_router(const moexray::RouterBatch& batch) override {
    ++n_layers;
    top_k = batch.top_k;
    for (const moexray::ExpertId expert : batch.experts) {
      if (expert >= 0 && expert < batch.n_experts) ++n_events;
    }
  }

  int n_layers = 0;
  int top_k = 0;
  std::int64_t n_events = 0;
};

}  // namespace

// Runs three tokens through a checkpoint with the modules of an installed moexray, and prints what
// the routers did.
//   run_model MODULES CHECKPOINT
int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    moexray::Runtime& runtime = moexray::load_runtime(argv[1]);
    const moexray::Checkpoint checkpoint(argv[2]);
    const auto model = runtime.load(checkpoint, {});
    const std::vector<moexray::TokenId> tokens{1, 2, 3};
    const auto capacity = static_cast<std::int64_t>(tokens.size());
    const auto session = model->new_session({&capacity, 1});
    const moexray::SequenceChunk chunk{0, tokens};
    Counter counter;
    const std::vector<float> logits = model->forward(*session, {&chunk, 1}, {.tap = &counter});
    std::printf("%s: %lld tokens, %d layers, top-%d, %lld events, %zu logits\n",
                model->config().name.c_str(), static_cast<long long>(session->length(0)),
                counter.n_layers, counter.top_k, static_cast<long long>(counter.n_events),
                logits.size());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
