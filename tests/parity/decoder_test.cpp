// The decoder on an architecture that is one file and one row of the tests' own
// (support/double_architecture.cpp), against plain loops in double precision.

#include "decoder.h"

#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "inference_ops.h"
#include "loader.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/runtime/generate.h"
#include "support/double_architecture.h"
#include "support/double_kernels.h"
#include "support/every_logit.h"
#include "support/expect_error.h"
#include "support/fused_checkpoint.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"
#include "torch_model.h"
#include "training/parameters.h"

namespace moexray::torch_runtime {
namespace {

using Row = std::vector<double>;

// The formula of moexray/architecture/model_spec.h for one sequence.
class Naive {
 public:
  explicit Naive(const Checkpoint& checkpoint)
      : checkpoint_(checkpoint), spec_(checkpoint.config().spec) {
    for (const WeightSlot& slot : checkpoint.weights()) {
      slots_[{slot.role, slot.layer, slot.expert}] = &slot;
    }
  }

  struct Output {
    std::vector<Row> logits;                                  // [tokens]
    std::vector<std::vector<std::vector<ExpertId>>> experts;  // [MoE layers][tokens][k]
  };

  Output run(const std::vector<TokenId>& ids) const {
    Output output;
    std::vector<Row> x;
    for (const TokenId id : ids) x.push_back(weight_row(WeightRole::embedding, -1, -1, id));
    for (int l = 0; l < static_cast<int>(spec_.layers.size()); ++l) {
      const LayerSpec& layer = spec_.layers[static_cast<std::size_t>(l)];
      add(x, attention(layer.attention, l, normed(x, layer.norm, WeightRole::attention_norm, l)));
      const auto h = normed(x, layer.norm, WeightRole::mlp_norm, l);
      if (const MoeSpec* moe = layer.moe()) {
        std::vector<std::vector<ExpertId>> chosen;
        std::vector<Row> out;
        for (const Row& row : h) out.push_back(mixture(*moe, l, row, chosen));
        output.experts.push_back(chosen);
        add(x, out);
      } else {
        std::vector<Row> out;
        for (const Row& row : h)
          out.push_back(network({WeightRole::gate, WeightRole::up, WeightRole::down}, l, -1, row));
        add(x, out);
      }
    }
    for (const Row& row : normed(x, spec_.final_norm, WeightRole::final_norm, -1)) {
      output.logits.push_back(product(WeightRole::head, -1, -1, row));
    }
    return output;
  }

 private:
  struct Network {
    WeightRole gate, up, down;
  };

  static void add(std::vector<Row>& x, const std::vector<Row>& y) {
    for (std::size_t t = 0; t < x.size(); ++t) {
      for (std::size_t i = 0; i < x[t].size(); ++i) x[t][i] += y[t][i];
    }
  }

  const WeightSlot& slot(WeightRole role, int layer, int expert) const {
    return *slots_.at({role, layer, expert});
  }

  Row weight_row(WeightRole role, int layer, int expert, std::int64_t row) const {
    const WeightSlot& own = slot(role, layer, expert);
    const std::int64_t width = own.shape.back();
    std::vector<float> values(static_cast<std::size_t>(width));
    std::memcpy(values.data(), checkpoint_.tensor(own.name).bytes.data() + row * width * 4,
                values.size() * 4);
    return {values.begin(), values.end()};
  }

  static double dot(const Row& a, const Row& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  }

  Row product(WeightRole role, int layer, int expert, const Row& x) const {
    Row y;
    for (std::int64_t i = 0; i < slot(role, layer, expert).shape[0]; ++i) {
      y.push_back(dot(weight_row(role, layer, expert, i), x));
    }
    return y;
  }

  static Row normed(const Row& x, double eps, const Row& w) {
    const double scale = 1 / std::sqrt(dot(x, x) / static_cast<double>(x.size()) + eps);
    Row y;
    for (std::size_t i = 0; i < x.size(); ++i) y.push_back(x[i] * scale * w[i]);
    return y;
  }

  std::vector<Row> normed(const std::vector<Row>& x, const NormSpec& norm, WeightRole role,
                          int layer) const {
    const Row w = weight_row(role, layer, -1, 0);
    std::vector<Row> y;
    for (const Row& row : x) y.push_back(normed(row, norm.eps, w));
    return y;
  }

  // Head h of a row, with its norm and its rotation.
  Row head(const AttentionSpec& spec, int layer, WeightRole norm, const Row& row, int h,
           std::size_t pos) const {
    const auto d = static_cast<std::ptrdiff_t>(spec.head_dim);
    Row values(row.begin() + h * d, row.begin() + (h + 1) * d);
    if (spec.qk_norm) {
      values = normed(values, spec.qk_norm->norm.eps, weight_row(norm, layer, -1, 0));
    }
    const int half = spec.rotary.dim / 2;
    for (int i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(pos) * std::pow(spec.rotary.theta, -2.0 * i / spec.rotary.dim);
      const auto a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(i + half);
      const double first = values[a], second = values[b];
      values[a] = first * std::cos(angle) - second * std::sin(angle);
      values[b] = second * std::cos(angle) + first * std::sin(angle);
    }
    return values;
  }

  std::vector<Row> attention(const AttentionSpec& spec, int layer,
                             const std::vector<Row>& x) const {
    std::vector<Row> q, k, v, out;
    for (const Row& row : x) {
      q.push_back(product(WeightRole::query, layer, -1, row));
      k.push_back(product(WeightRole::key, layer, -1, row));
      v.push_back(product(WeightRole::value, layer, -1, row));
    }
    for (std::size_t t = 0; t < x.size(); ++t) {
      Row all;
      for (int h = 0; h < spec.n_heads; ++h) {
        const int kv = h / (spec.n_heads / spec.n_kv_heads);
        const Row query = head(spec, layer, WeightRole::query_norm, q[t], h, t);
        Row scores;
        for (std::size_t s = 0; s <= t; ++s) {
          const Row key = head(spec, layer, WeightRole::key_norm, k[s], kv, s);
          scores.push_back(std::exp(dot(query, key) / std::sqrt(spec.head_dim)));
        }
        const double total = std::accumulate(scores.begin(), scores.end(), 0.0);
        for (int i = 0; i < spec.head_dim; ++i) {
          double sum = 0;
          for (std::size_t s = 0; s <= t; ++s) {
            sum += scores[s] / total * v[s][static_cast<std::size_t>(kv * spec.head_dim + i)];
          }
          all.push_back(sum);
        }
      }
      out.push_back(product(WeightRole::output, layer, -1, all));
    }
    return out;
  }

  Row network(const Network& roles, int layer, int expert, const Row& x) const {
    Row hidden = product(roles.gate, layer, expert, x);
    const Row up = product(roles.up, layer, expert, x);
    for (std::size_t i = 0; i < hidden.size(); ++i) {
      hidden[i] = hidden[i] / (1 + std::exp(-hidden[i])) * up[i];
    }
    return product(roles.down, layer, expert, hidden);
  }

  Row mixture(const MoeSpec& spec, int layer, const Row& x,
              std::vector<std::vector<ExpertId>>& chosen) const {
    Row p = product(WeightRole::router, layer, -1, x);
    for (double& value : p) value = std::exp(value);
    std::vector<ExpertId> order(p.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](ExpertId a, ExpertId b) {
      return p[static_cast<std::size_t>(a)] > p[static_cast<std::size_t>(b)];
    });
    order.resize(static_cast<std::size_t>(spec.router.top_k));
    double total = 0;
    for (const ExpertId e : order) total += p[static_cast<std::size_t>(e)];
    Row out(x.size(), 0.0);
    const auto mix = [&](double weight, const Row& y) {
      for (std::size_t i = 0; i < y.size(); ++i) out[i] += weight * y[i];
    };
    for (const ExpertId e : order) {
      mix(p[static_cast<std::size_t>(e)] / total,
          network({WeightRole::gate, WeightRole::up, WeightRole::down}, layer, e, x));
    }
    mix(1, network({WeightRole::shared_gate, WeightRole::shared_up, WeightRole::shared_down}, layer,
                   -1, x));
    chosen.push_back(order);
    return out;
  }

  const Checkpoint& checkpoint_;
  const ModelSpec& spec_;
  std::map<std::tuple<WeightRole, int, int>, const WeightSlot*> slots_;
};

// The logits of all tokens, `chunk_size` of which go through the model at a time.
std::vector<float> logits_of(TorchModel& model, const std::vector<TokenId>& ids,
                             std::size_t chunk_size) {
  const auto capacity = static_cast<std::int64_t>(ids.size());
  const auto session = model.new_session({&capacity, 1});
  std::vector<float> all;
  for (std::size_t begin = 0; begin < ids.size(); begin += chunk_size) {
    const std::size_t n = std::min(chunk_size, ids.size() - begin);
    const SequenceChunk chunk{0, std::span(ids).subspan(begin, n)};
    const auto logits = test::every_logit(model, *session, {&chunk, 1});
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

class DoubleArchitecture : public testing::Test {
 protected:
  static std::filesystem::path written(const std::filesystem::path& directory) {
    test::write_double_checkpoint(directory, {.scale = 0.4});
    return directory;
  }

  static TorchModel load(const Checkpoint& checkpoint, at::ScalarType dtype = at::kFloat,
                         const kernels::KernelSet* set = nullptr) {
    return {
        checkpoint.config(), load_decoder(checkpoint, dtype, at::kCPU), dtype, at::kCPU, 1, set};
  }

  void expect_close(const std::vector<float>& logits, double bound) const {
    const auto& rows = expected_.logits;
    ASSERT_EQ(logits.size(), rows.size() * rows[0].size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      EXPECT_NEAR(logits[i], rows[i / rows[0].size()][i % rows[0].size()], bound) << i;
    }
  }

  test::TemporaryDirectory directory_;
  Checkpoint checkpoint_{written(directory_.path() / "double"), test::double_table()};
  std::vector<TokenId> ids_ = {3, 14, 15, 9, 26, 5, 35, 8, 9, 7};
  Naive::Output expected_ = Naive(checkpoint_).run(ids_);
};

TEST_F(DoubleArchitecture, ComputesWhatItsSpecSays) {
  TorchModel model = load(checkpoint_);
  const auto whole = logits_of(model, ids_, ids_.size());
  expect_close(whole, 2e-5);
  EXPECT_EQ(logits_of(model, ids_, 3), whole) << "chunks matter";
}

TEST_F(DoubleArchitecture, IsTracedByItsMoeLayers) {
  TorchModel model = load(checkpoint_);
  EXPECT_EQ(model.config().spec.moe_layers(), (std::vector<int>{1, 2}));
  GenerationOptions options;
  options.max_new_tokens = 0;
  const GenerationInput input{"p", ids_};
  const std::atomic<bool> stop = false;
  const auto outputs = generate(model, {&input, 1}, options, stop);
  const RoutingBuffer& routing = outputs.at(0).routing;
  EXPECT_EQ(routing.shape(), (RoutingShape{2, 5, 2}));
  for (int layer = 0; layer < 2; ++layer) {
    for (std::size_t pos = 0; pos < ids_.size(); ++pos) {
      const auto experts = routing.experts(layer, static_cast<std::int64_t>(pos));
      const auto& naive = expected_.experts[static_cast<std::size_t>(layer)][pos];
      EXPECT_TRUE(std::equal(experts.begin(), experts.end(), naive.begin(), naive.end()));
    }
  }
}

TEST_F(DoubleArchitecture, LoadsFusedExpertsToo) {
  test::write_fused_checkpoint(directory_.path() / "double", directory_.path() / "fused",
                               test::double_table());
  const Checkpoint fused(directory_.path() / "fused", test::double_table());
  EXPECT_EQ(fused.expert_layout(), ExpertLayout::fused);
  EXPECT_EQ(fused.router_sha256(), checkpoint_.router_sha256());
  TorchModel separate = load(checkpoint_), model = load(fused);
  EXPECT_EQ(logits_of(model, ids_, 4), logits_of(separate, ids_, 4));
}

TEST_F(DoubleArchitecture, RunsOnEveryKernelSet) {
  double plain = 0;
  const auto mean_error = [&](TorchModel model) {
    const auto logits = logits_of(model, ids_, 4);
    const auto& rows = expected_.logits;
    double sum = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      sum += std::abs(logits[i] - rows[i / rows[0].size()][i % rows[0].size()]);
    }
    return sum / static_cast<double>(logits.size());
  };
  plain = mean_error(load(checkpoint_, at::kBFloat16));
  EXPECT_LT(plain, 0.1);
  auto sets = kernels::usable_kernel_sets();
  for (const kernels::KernelSet& set : test::double_kernels()) sets.push_back(&set);
  for (const kernels::KernelSet* set : sets) {
    EXPECT_LT(mean_error(load(checkpoint_, at::kBFloat16, set)), 2 * plain) << set->name;
  }
}

TEST_F(DoubleArchitecture, RunsOnPlainLibtorch) {
  const at::NoGradGuard no_grad;
  const Decoder decoder = load_decoder(checkpoint_, at::kFloat, at::kCPU);
  const auto n = static_cast<std::int64_t>(ids_.size());
  TorchSession session(decoder.spec, 64, {&n, 1}, at::TensorOptions(at::kFloat));
  RaggedBatch batch;
  for (std::int64_t i = 0; i < n; ++i) {
    batch.rows.push_back({0, i, ids_[static_cast<std::size_t>(i)]});
  }
  ReferenceOps ops(session, batch);
  const auto x = decoder.embedding.index_select(0, at::tensor(ids_, at::kInt));
  const auto logits = ops.linear(decoder.forward(x, ops, {}), decoder.head).contiguous();
  expect_close({logits.data_ptr<float>(), logits.data_ptr<float>() + logits.numel()}, 2e-5);
}

TEST_F(DoubleArchitecture, IsNotTrained) {
  test::expect_error(ErrorKind::data,
                     "training is implemented for OLMoE alone: expected [\"OlmoeForCausalLM\"], "
                     "found \"DoubleForCausalLM\"",
                     [&] { make_parameters(checkpoint_.config(), 1); });
}

// Counts libtorch's own products while it lives.
class LibtorchProducts {
 public:
  LibtorchProducts() {
    count() = 0;
    handle_ = at::addGlobalCallback(
        at::RecordFunctionCallback([](const at::RecordFunction& function) {
          const std::string name = function.name();
          for (const char* product : {"linear", "mm", "matmul", "einsum", "mv", "aten::dot"}) {
            if (name.find(product) == std::string::npos) continue;
            ++count();
            break;
          }
          return std::unique_ptr<at::ObserverContext>();
        }).scopes({at::RecordScope::FUNCTION}));
  }
  ~LibtorchProducts() { at::removeCallback(handle_); }
  static std::atomic<int>& count() {
    static std::atomic<int> value = 0;
    return value;
  }

 private:
  at::CallbackHandle handle_;
};

// The best set of kernels, and the matrices that it has multiplied by.
struct Multiplied {
  std::mutex mutex;
  std::set<const void*> matrices;
  const kernels::KernelSet* best = kernels::usable_kernel_sets().front();
};
Multiplied& multiplied() {
  static Multiplied value;
  return value;
}
kernels::KernelSet counting_set() {
  kernels::KernelSet set = *multiplied().best;
  set.linear = [](const std::uint16_t* packed, std::int64_t n_rows, std::int64_t n_in,
                  const kernels::Weights& w, std::int64_t n_out, float* y, bool near) {
    {
      const std::lock_guard lock(multiplied().mutex);
      multiplied().matrices.insert(w.data);
    }
    multiplied().best->linear(packed, n_rows, n_in, w, n_out, y, near);
  };
  return set;
}

bool was_multiplied(const TensorView& matrix) {
  const auto& all = multiplied().matrices;
  const auto at = all.lower_bound(matrix.bytes.data());
  return at != all.end() &&
         *at < static_cast<const void*>(matrix.bytes.data() + matrix.bytes.size());
}

std::vector<std::filesystem::path> parity_checkpoints() {
  std::vector<std::filesystem::path> directories;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(MOEXRAY_TEST_DATA) + "/parity")) {
    directories.push_back(entry.path());
  }
  std::sort(directories.begin(), directories.end());
  return directories;
}

// Written anew with all weights in bfloat16, which is what checkpoints are stored in.
void write_in_bfloat16(const Checkpoint& from, const std::filesystem::path& to) {
  std::vector<std::vector<std::byte>> storage;
  std::vector<TensorToWrite> tensors;
  for (const TensorSpec& spec : expected_tensors(from.config())) {
    storage.push_back(test::random_bytes(spec, {.type = WeightType::bf16, .scale = 0.3}));
    tensors.push_back({spec.name, "BF16", spec.shape, storage.back()});
  }
  std::filesystem::create_directories(to);
  std::filesystem::copy_file(from.directory() / "config.json", to / "config.json");
  write_safetensors(to / "model.safetensors", tensors, {});
}

// Ids that every one of the checkpoints has.
std::vector<TokenId> many_ids() {
  std::vector<TokenId> ids(40);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(3 + i * 7 % 80);
  return ids;
}

TEST(EveryArchitecture, IsMultipliedByTheKernels) {
  const test::TemporaryDirectory directory;
  const kernels::KernelSet set = counting_set();
  const auto ids = many_ids();
  for (const auto& source : parity_checkpoints()) {
    SCOPED_TRACE(source.filename().string());
    const auto copy = directory.path() / source.filename();
    write_in_bfloat16(Checkpoint(source), copy);
    const Checkpoint checkpoint(copy);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const bool is_fast = type == at::kBFloat16;
      TorchModel model(checkpoint.config(), load_decoder(checkpoint, type, at::kCPU), type,
                       at::kCPU, 1, is_fast ? &set : nullptr);
      multiplied().matrices.clear();
      const LibtorchProducts products;
      logits_of(model, ids, 16);
      EXPECT_EQ(LibtorchProducts::count(), 0) << "libtorch multiplied";
      if (!is_fast) continue;
      std::map<std::pair<int, WeightRole>, int> experts;
      for (const WeightSlot& slot : checkpoint.weights()) {
        if (slot.shape.size() != 2) continue;
        const bool found = was_multiplied(checkpoint.tensor(slot.name));
        if (slot.expert >= 0) {
          experts[{slot.layer, slot.role}] += found ? 1 : 0;
        } else if (slot.role != WeightRole::embedding) {
          EXPECT_TRUE(found) << slot.name;
        }
      }
      for (const auto& [place, n] : experts) EXPECT_GE(n, checkpoint.config().spec.router().top_k);
    }
  }
}

// What the counter is worth: where libtorch multiplies, it counts.
TEST(EveryArchitecture, WouldBeFoundToFallBack) {
  const at::NoGradGuard no_grad;
  const Checkpoint checkpoint(std::string(MOEXRAY_TEST_DATA) + "/parity/base");
  const Decoder decoder = load_decoder(checkpoint, at::kFloat, at::kCPU);
  const std::int64_t capacity = 1;
  TorchSession session(decoder.spec, 64, {&capacity, 1}, at::TensorOptions(at::kFloat));
  const RaggedBatch batch{{{0, 0, 0}}};
  ReferenceOps ops(session, batch);
  const LibtorchProducts products;
  decoder.forward(decoder.embedding.narrow(0, 3, 1), ops, {});
  EXPECT_GT(LibtorchProducts::count(), 10);
}

// Windows, biases, gates and multipliers too: a row's bits depend on its sequence alone.
TEST(EveryArchitecture, DoesNotDependOnChunksInBfloat16) {
  const auto ids = many_ids();
  for (const auto& source : parity_checkpoints()) {
    SCOPED_TRACE(source.filename().string());
    const Checkpoint checkpoint(source);
    for (const kernels::KernelSet* set : kernels::usable_kernel_sets()) {
      TorchModel model(checkpoint.config(), load_decoder(checkpoint, at::kBFloat16, at::kCPU),
                       at::kBFloat16, at::kCPU, 1, set);
      const auto whole = logits_of(model, ids, ids.size());
      EXPECT_EQ(logits_of(model, ids, 3), whole) << set->name;
      EXPECT_EQ(logits_of(model, ids, 1), whole) << set->name;
    }
  }
}

}  // namespace
}  // namespace moexray::torch_runtime
