#include <algorithm>
#include <cmath>

#include "gradients.h"
#include "kernels/row_kernels.h"

namespace moexray::torch_runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Passes the selected weights through and sends gradients, those of the router losses included, to
// the logits.
struct Route : Function<Route> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& logits,
                            const at::Tensor& probabilities, const at::Tensor& experts,
                            const at::Tensor& weights, const at::Tensor& shares, bool normalise,
                            double load_balancing_weight, double z_weight) {
    context->save_for_backward({logits, probabilities, experts, weights, shares});
    context->saved_data["normalise"] = normalise;
    context->saved_data["load_balancing_weight"] = load_balancing_weight;
    context->saved_data["z_weight"] = z_weight;
    return weights.clone();
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto logits = saved[0].contiguous();
    const auto &probabilities = saved[1], &experts = saved[2], &weights = saved[3],
               &shares = saved[4];
    const bool normalise = context->saved_data["normalise"].toBool();
    const double balance = context->saved_data["load_balancing_weight"].toDouble();
    const double z_weight = context->saved_data["z_weight"].toDouble();
    const auto g = gradients[0].contiguous();
    const std::int64_t n = probabilities.size(0), E = probabilities.size(1), k = experts.size(1);
    auto dlogits = at::empty_like(logits);
    const auto *all_p = probabilities.data_ptr<float>(), *all_g = g.data_ptr<float>(),
               *all_w = weights.data_ptr<float>(), *all_logits = logits.data_ptr<float>(),
               *f = shares.data_ptr<float>();
    const auto* all_ids = experts.data_ptr<ExpertId>();
    auto* all_dlogits = dlogits.data_ptr<float>();
    at::parallel_for(0, n, 64, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> dp(static_cast<std::size_t>(E));
      for (std::int64_t r = begin; r < end; ++r) {
        const float *p = all_p + r * E, *gr = all_g + r * k, *w = all_w + r * k;
        const ExpertId* ids = all_ids + r * k;
        const auto per_row =
            static_cast<float>(balance * static_cast<double>(E) / static_cast<double>(n));
        for (std::int64_t e = 0; e < E; ++e) dp[e] = per_row * f[e];
        float total = 1, mean = 0;
        if (normalise) {
          total = 0;
          for (std::int64_t j = 0; j < k; ++j) total += p[ids[j]], mean += gr[j] * w[j];
        }
        for (std::int64_t j = 0; j < k; ++j) dp[ids[j]] += (gr[j] - mean) / total;
        float projection = 0;
        for (std::int64_t e = 0; e < E; ++e) projection += p[e] * dp[e];
        const float log_partition = all_logits[r * E + ids[0]] - std::log(p[ids[0]]);
        const float z = static_cast<float>(2 * z_weight / static_cast<double>(n)) * log_partition;
        float* out = all_dlogits + r * E;
        for (std::int64_t e = 0; e < E; ++e) out[e] = p[e] * (dp[e] - projection + z);
      }
    });
    return {dlogits,      at::Tensor(), at::Tensor(), at::Tensor(),
            at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// Gathers rows of x [n, d] by entry (row · k + rank).
void gather_rows(const float* x, const std::int64_t* entries, std::int64_t n, std::int64_t k,
                 std::int64_t d, float* out) {
  for (std::int64_t i = 0; i < n; ++i) std::copy_n(x + entries[i] / k * d, d, out + i * d);
}

struct MixExperts : Function<MixExperts> {
  // Rows are sorted by expert; `hidden` [n · k, 2 · I] keeps gate and up before the non-linearity.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weights, const at::Tensor& gate_up,
                            const at::Tensor& down, const at::Tensor& experts) {
    const auto x = input.contiguous();
    const std::int64_t n = x.size(0), H = x.size(1), k = experts.size(1), I = down.size(2),
                       E = down.size(0);
    const auto groups = group_by_expert(experts, static_cast<int>(E));
    auto hidden = at::empty({n * k, 2 * I}, x.options());
    auto parts = at::empty({n * k, H}, x.options());
    const float* w = weights.data_ptr<float>();
    float* parts_data = parts.data_ptr<float>();
    at::parallel_for(0, E, 1, [&](std::int64_t begin, std::int64_t end) {
      const at::NoGradGuard no_grad;
      const auto& kernels = kernels::row_kernels();
      for (std::int64_t e = begin; e < end; ++e) {
        const std::int64_t first = groups.starts[e], rows = groups.starts[e + 1] - first;
        if (rows == 0) continue;
        const std::int64_t* entries = groups.order.data() + first;
        auto xe = at::empty({rows, H}, at::kFloat), activation = at::empty({rows, I}, at::kFloat);
        auto ye = at::empty({rows, H}, at::kFloat);
        gather_rows(x.data_ptr<float>(), entries, rows, k, H, xe.data_ptr<float>());
        auto he = hidden.narrow(0, first, rows);
        at::mm_out(he, xe, gate_up[e].t());
        const float* h = he.data_ptr<float>();
        float* a = activation.data_ptr<float>();
        for (std::int64_t i = 0; i < rows; ++i)
          kernels.silu_mul(h + i * 2 * I, h + i * 2 * I + I, I, a + i * I);
        at::mm_out(ye, activation, down[e].t());
        const float* y = ye.data_ptr<float>();
        for (std::int64_t i = 0; i < rows; ++i) {
          const float weight = w[entries[i]];
          float* target = parts_data + entries[i] * H;
          for (std::int64_t c = 0; c < H; ++c) target[c] = weight * y[i * H + c];
        }
      }
    });
    auto out = at::empty_like(x);
    sum_over_ranks(parts.data_ptr<float>(), n, k, H, out.data_ptr<float>());
    context->save_for_backward({x, weights, gate_up, down, experts, hidden});
    return out;
  }

  // With A = silu(G) ∘ U, Y = A Wdᵀ, out = w · Y: dw = A · (dout Wd), dA = w · dout Wd, and back
  // through silu.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weights = saved[1], &gate_up = saved[2], &down = saved[3],
               &experts = saved[4], &hidden = saved[5];
    const auto g = gradients[0].contiguous();
    const std::int64_t n = x.size(0), H = x.size(1), k = experts.size(1), I = down.size(2),
                       E = down.size(0);
    const auto groups = group_by_expert(experts, static_cast<int>(E));
    auto dweights = at::empty_like(weights), dgate_up = at::zeros_like(gate_up),
         ddown = at::zeros_like(down);
    auto parts = at::empty({n * k, H}, x.options());
    float* parts_data = parts.data_ptr<float>();
    at::parallel_for(0, E, 1, [&](std::int64_t begin, std::int64_t end) {
      const at::NoGradGuard no_grad;
      for (std::int64_t e = begin; e < end; ++e) {
        const std::int64_t first = groups.starts[e], rows = groups.starts[e + 1] - first;
        if (rows == 0) continue;
        const std::int64_t* entries = groups.order.data() + first;
        auto xe = at::empty({rows, H}, at::kFloat), ge = at::empty({rows, H}, at::kFloat);
        auto da = at::empty({rows, I}, at::kFloat), wa = at::empty({rows, I}, at::kFloat);
        auto dh = at::empty({rows, 2 * I}, at::kFloat);
        gather_rows(x.data_ptr<float>(), entries, rows, k, H, xe.data_ptr<float>());
        gather_rows(g.data_ptr<float>(), entries, rows, k, H, ge.data_ptr<float>());
        at::mm_out(da, ge, down[e]);
        activation_backward(hidden.data_ptr<float>() + first * 2 * I, weights.data_ptr<float>(),
                            entries, rows, I, da.data_ptr<float>(), wa.data_ptr<float>(),
                            dh.data_ptr<float>(), dweights.data_ptr<float>());
        auto ddown_e = ddown[e], dgate_up_e = dgate_up[e];
        at::mm_out(ddown_e, ge.t(), wa);
        at::mm_out(dgate_up_e, dh.t(), xe);
        at::mm_out(xe, dh, gate_up[e]);
        const float* dx_rows = xe.data_ptr<float>();
        for (std::int64_t i = 0; i < rows; ++i)
          std::copy_n(dx_rows + i * H, H, parts_data + entries[i] * H);
      }
    });
    auto dx = at::empty_like(x);
    sum_over_ranks(parts.data_ptr<float>(), n, k, H, dx.data_ptr<float>());
    return {dx, dweights, dgate_up, ddown, at::Tensor()};
  }

  // hidden [rows, 2 I] holds gate and up; da = dout · Wd without the routing weight. Fills wa = w ·
  // A, dh and dw.
  static void activation_backward(const float* hidden, const float* weights,
                                  const std::int64_t* entries, std::int64_t rows, std::int64_t I,
                                  const float* da, float* wa, float* dh, float* dweights) {
    const auto& kernels = kernels::row_kernels();
    std::vector<float> sigmoid(static_cast<std::size_t>(I));
    for (std::int64_t i = 0; i < rows; ++i) {
      const float *gate = hidden + i * 2 * I, *up = gate + I, *d = da + i * I,
                  w = weights[entries[i]];
      kernels.sigmoid(gate, I, sigmoid.data());
      float *activation = wa + i * I, *dgate = dh + i * 2 * I, *dup = dgate + I;
      for (std::int64_t c = 0; c < I; ++c) activation[c] = gate[c] * sigmoid[c] * up[c];
      dweights[entries[i]] = kernels.dot(activation, d, I);
      for (std::int64_t c = 0; c < I; ++c) {
        activation[c] *= w;
        dup[c] = w * d[c] * gate[c] * sigmoid[c];
        dgate[c] = w * d[c] * up[c] * sigmoid[c] * (1.0F + gate[c] * (1.0F - sigmoid[c]));
      }
    }
  }
};

}  // namespace

RouterOutput TrainingOps::route(const RouterSpec& spec, int /*moe_layer*/, const at::Tensor& /*h*/,
                                const at::Tensor& logits) {
  const std::int64_t n = logits.size(0), E = logits.size(1), k = spec.top_k;
  const auto values = logits.detach().contiguous();
  const auto probabilities = at::empty_like(values);
  const auto [_, experts, weights] = select_rows(spec, values, &probabilities);
  const auto shares =
      at::bincount(experts.reshape({-1}), {}, E).to(at::kFloat) / static_cast<double>(n * k);
  load_balancing_sum_ +=
      static_cast<double>(E) * (shares * probabilities.mean(0)).sum().item<double>();
  ++n_routers_;
  return {logits, experts,
          Route::apply(logits, probabilities, experts, weights, shares, spec.normalise,
                       losses_.load_balancing_weight, losses_.z_weight)};
}

at::Tensor TrainingOps::mix_experts(const MoeSpec& /*spec*/, const at::Tensor& x,
                                    const RouterOutput& routing, const ExpertWeights& experts) {
  return MixExperts::apply(x, routing.weights, experts.gate_up_stack, experts.down_stack,
                           routing.experts);
}

}  // namespace moexray::torch_runtime
