// The trainer: a stopped run continues as if nothing had happened, its parts do what they say.

#include "training/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "loader.h"
#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/safetensors.h"
#include "support/every_logit.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"
#include "torch_model.h"
#include "training/adamw.h"
#include "training/batches.h"
#include "training/gradients.h"
#include "training/training_state.h"

namespace moexray::torch_runtime {
namespace {

test::OlmoeConfig small_olmoe() {
  test::OlmoeConfig config = test::tiny_config();
  config.vocab_size = 30;
  config.num_experts = 4;
  config.max_position_embeddings = 16;
  config.eos_token_ids = {0};
  return config;
}

ModelConfig small_config() { return test::model_config(small_olmoe()); }

TokenDocuments random_documents(int n_documents) {
  RandomStream random(3);
  TokenDocuments documents;
  for (int i = 0; i < n_documents; ++i) {
    for (std::uint64_t n = 5 + random.below(20); n > 0; --n) {
      documents.tokens.push_back(static_cast<TokenId>(random.below(30)));
    }
    documents.starts.push_back(static_cast<std::int64_t>(documents.tokens.size()));
  }
  return documents;
}

class TrainerTest : public ::testing::Test {
 protected:
  TrainingOptions options(const std::string& name) const {
    TrainingOptions options;
    options.n_steps = 6;
    options.n_sequences = 3;
    options.n_positions = 8;
    options.n_warmup_steps = 2;
    options.n_threads = 2;
    options.evaluate_every = 4;
    options.save_every = 2;
    options.state_file = directory_.path() / (name + ".safetensors");
    options.log_file = directory_.path() / (name + ".jsonl");
    return options;
  }

  void train(const TrainingOptions& options, std::int64_t stop_after = 0) {
    std::atomic<bool> stop{false};
    trainer().train(
        small_config(), documents_, {{"all", documents_}}, options,
        [&](const StepReport& step) { stop = step.step == stop_after; }, stop);
  }

  static std::string content(const std::filesystem::path& path) { return read_file(path, 1 << 26); }

  test::TemporaryDirectory directory_;
  TokenDocuments documents_ = random_documents(40);
};

TEST_F(TrainerTest, AStoppedRunContinuesToTheSameBytes) {
  const auto whole = options("whole"), parts = options("parts");
  train(whole);
  test::expect_error(ErrorKind::interrupted, "stopped at step 3", [&] { train(parts, 3); });
  train(parts);
  EXPECT_EQ(content(whole.state_file), content(parts.state_file));
  EXPECT_EQ(content(whole.log_file), content(parts.log_file));
}

TEST_F(TrainerTest, TheLossFalls) {
  auto long_run = options("long");
  long_run.n_steps = 150;
  long_run.learning_rate = 1e-2;
  double first = 0, last = 0;
  const std::atomic<bool> stop{false};
  TokenDocuments repeated;
  for (int i = 0; i < 40; ++i) {
    for (int j = 0; j < 10; ++j) repeated.tokens.push_back(static_cast<TokenId>(j * 3));
    repeated.starts.push_back(static_cast<std::int64_t>(repeated.tokens.size()));
  }
  trainer().train(
      small_config(), repeated, {}, long_run,
      [&](const StepReport& step) { (step.step == 1 ? first : last) = step.loss; }, stop);
  EXPECT_NEAR(first, std::log(30.0), 0.3);
  EXPECT_LT(last, 0.5 * first);
}

TEST_F(TrainerTest, RefusesTheStateOfAnotherRunAndNamesTheKey) {
  auto first = options("run");
  train(first);
  auto other = first;
  other.learning_rate *= 2;
  test::expect_error(ErrorKind::data, "key \"learning_rate\"", [&] { train(other); });
  documents_.tokens[0] = (documents_.tokens[0] + 1) % 30;
  test::expect_error(ErrorKind::data, "key \"tokens_sha256\"", [&] { train(first); });
}

TEST_F(TrainerTest, RefusesWhatItCannotTrainOn) {
  auto long_sequences = options("a");
  long_sequences.n_positions = 17;
  test::expect_error(ErrorKind::data, "longer than the model's context",
                     [&] { train(long_sequences); });
  documents_.tokens.back() = 30;
  test::expect_error(ErrorKind::data, "outside the model's vocabulary",
                     [&] { train(options("b")); });
  documents_.tokens.back() = 1;
  std::ofstream(options("c").log_file) << "{\"step\":1}\n";
  test::expect_error(ErrorKind::data, "log without its training state",
                     [&] { train(options("c")); });
}

TEST_F(TrainerTest, RefusesADamagedState) {
  const auto run = options("run");
  train(run);
  const std::string bytes = content(run.state_file);
  write_file_atomically(run.state_file, bytes.substr(0, bytes.size() / 2));
  EXPECT_THROW(train(run), Error);
}

TEST_F(TrainerTest, AnExportedCheckpointComputesWhatWasTrained) {
  const auto run = options("run");
  train(run);
  const auto target = directory_.path() / "checkpoint";
  trainer().export_checkpoint(run.state_file, small_config(), target);
  const Checkpoint checkpoint(target);
  EXPECT_EQ(checkpoint.config().routing_shape(), small_config().routing_shape());

  // Rounded to bfloat16, the trained parameters give the logits of the exported model.
  Parameters parameters = make_parameters(small_config(), 0);
  AdamW optimiser{at::zeros_like(parameters.values), at::zeros_like(parameters.values)};
  load_training_state(run.state_file, parameters, optimiser, {});
  parameters.values.copy_(parameters.values.to(at::kBFloat16));
  const std::vector<TokenId> ids = {4, 9, 1, 22, 7};
  const at::NoGradGuard no_grad;
  const RotaryTable table = make_rotary_table(small_config().spec.layers[0].attention.rotary, 8);
  TrainingOps ops(table, {1, 5}, {});
  const auto embedded = parameters.model.embedding.index_select(0, at::tensor(ids, at::kInt));
  const auto expected =
      parameters.model.forward(embedded, ops, {}).matmul(parameters.model.head.t());

  TorchModel model(checkpoint.config(), load_decoder(checkpoint, at::kFloat, at::kCPU), at::kFloat,
                   at::kCPU, 1, nullptr);
  const std::int64_t capacity = 8;
  const auto session = model.new_session({&capacity, 1});
  const SequenceChunk chunk{0, ids};
  const auto logits = test::every_logit(model, *session, {&chunk, 1});
  ASSERT_EQ(static_cast<std::int64_t>(logits.size()), expected.numel());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    EXPECT_NEAR(logits[i], expected.contiguous().data_ptr<float>()[i], 2e-5);
  }
  auto other = small_olmoe();
  other.num_experts_per_tok = 1;
  test::expect_error(ErrorKind::data, "key \"config\"", [&] {
    trainer().export_checkpoint(run.state_file, test::model_config(other), target);
  });
}

TEST_F(TrainerTest, StartsFromACheckpoint) {
  const auto first = options("first");
  train(first);
  const auto exported = directory_.path() / "exported";
  trainer().export_checkpoint(first.state_file, small_config(), exported);

  auto second = options("second");
  second.initial_checkpoint = exported;
  second.n_steps = 1;
  second.learning_rate = 1e-12;  // the weights stay where they are
  train(second);
  const auto again = directory_.path() / "again";
  trainer().export_checkpoint(second.state_file, small_config(), again);
  EXPECT_EQ(content(exported / "model.safetensors"), content(again / "model.safetensors"));

  second.initial_checkpoint.clear();
  test::expect_error(ErrorKind::data, "key \"initial_router_sha256\"", [&] { train(second); });

  test::write_tiny_checkpoint(directory_.path() / "other", test::tiny_config());
  auto third = options("third");
  third.initial_checkpoint = directory_.path() / "other";
  test::expect_error(ErrorKind::data, "another config", [&] { train(third); });
}

TEST(WindowStream, SeekFindsThePlaceOfSoManyWindows) {
  const TokenDocuments documents = random_documents(12);
  WindowStream stream(documents, 8, 5);
  const std::int64_t n = 2 * stream.windows_per_epoch() + 3;
  std::vector<std::vector<TokenId>> windows;
  for (std::int64_t i = 0; i < n; ++i) {
    std::vector<TokenId> inputs(8), targets(8);
    stream.next(inputs.data(), targets.data());
    EXPECT_TRUE(std::equal(inputs.begin() + 1, inputs.end(), targets.begin()));
    windows.push_back(inputs);
  }
  for (const std::int64_t at :
       {std::int64_t{0}, std::int64_t{1}, stream.windows_per_epoch(), n - 1}) {
    WindowStream other(documents, 8, 5);
    other.seek(at);
    std::vector<TokenId> inputs(8), targets(8);
    other.next(inputs.data(), targets.data());
    EXPECT_EQ(inputs, windows[static_cast<std::size_t>(at)]) << at;
  }
  EXPECT_NE(windows[0], windows[static_cast<std::size_t>(stream.windows_per_epoch())])
      << "epochs differ in order";
}

TEST(AdamWTest, FollowsTheFormula) {
  auto values = at::tensor({1.0F, -2.0F}), first = at::zeros({2}), second = at::zeros({2});
  AdamW optimiser{first, second};
  double w[] = {1.0, -2.0}, m[] = {0, 0}, v[] = {0, 0};
  for (int step = 1; step <= 3; ++step) {
    const auto gradients = at::tensor({0.3F * static_cast<float>(step), -0.1F});
    optimiser.update(values, gradients, step, {0.1, 0.9, 0.95, 1e-8, 0.5, 0.5, 1});
    for (int i = 0; i < 2; ++i) {
      const double g = 0.5 * gradients[i].item<double>();
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.95 * v[i] + 0.05 * g * g;
      const double mean = m[i] / (1 - std::pow(0.9, step)),
                   square = v[i] / (1 - std::pow(0.95, step));
      w[i] = w[i] * (i == 0 ? 1 - 0.1 * 0.5 : 1.0) - 0.1 * mean / (std::sqrt(square) + 1e-8);
      EXPECT_NEAR(values[i].item<double>(), w[i], 1e-6) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace moexray::torch_runtime
