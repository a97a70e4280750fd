#include "gradients.h"

#include <algorithm>
#include <cmath>

#include "kernels/row_kernels.h"

namespace moexray::torch_runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& w,
                            double eps) {
    const auto x = input.contiguous();
    const std::int64_t n = x.size(0), d = x.size(1);
    auto y = at::empty_like(x);
    auto inverse = at::empty({n}, x.options());
    const auto* px = x.data_ptr<float>();
    const auto* pw = w.data_ptr<float>();
    auto* py = y.data_ptr<float>();
    auto* pi = inverse.data_ptr<float>();
    const auto& kernels = kernels::row_kernels();
    at::parallel_for(0, n, 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const float* row = px + r * d;
        pi[r] = 1.0F / std::sqrt(kernels.dot(row, row, d) / static_cast<float>(d) +
                                 static_cast<float>(eps));
        for (std::int64_t i = 0; i < d; ++i) py[r * d + i] = row[i] * pi[r] * pw[i];
      }
    });
    context->save_for_backward({x, w, inverse});
    return y;
  }

  // With x̂ = x · inverse and u = g · w: dx = inverse · (u − x̂ · mean(u · x̂)), dw = Σ_rows g · x̂.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &w = saved[1], &inverse = saved[2];
    const auto g = gradients[0].contiguous();
    const std::int64_t n = x.size(0), d = x.size(1);
    auto dx = at::empty_like(x);
    auto dw = at::zeros_like(w);
    const auto *px = x.data_ptr<float>(), *pw = w.data_ptr<float>(),
               *pi = inverse.data_ptr<float>(), *pg = g.data_ptr<float>();
    auto *pdx = dx.data_ptr<float>(), *pdw = dw.data_ptr<float>();
    const auto& kernels = kernels::row_kernels();
    // Sums over rows are formed block by block and added in order, whatever the number of threads.
    constexpr std::int64_t block_rows = 256;
    const std::int64_t n_blocks = (n + block_rows - 1) / block_rows;
    auto partial = at::zeros({n_blocks, d}, x.options());
    auto* pp = partial.data_ptr<float>();
    at::parallel_for(0, n_blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> u(static_cast<std::size_t>(d));
      for (std::int64_t r = begin * block_rows; r < std::min(end * block_rows, n); ++r) {
        const float *row = px + r * d, *gr = pg + r * d;
        float* part = pp + r / block_rows * d;
        for (std::int64_t i = 0; i < d; ++i) {
          u[i] = gr[i] * pw[i];
          part[i] += gr[i] * row[i] * pi[r];
        }
        const float mean = kernels.dot(u.data(), row, d) * pi[r] / static_cast<float>(d);
        for (std::int64_t i = 0; i < d; ++i) {
          pdx[r * d + i] = pi[r] * (u[i] - row[i] * pi[r] * mean);
        }
      }
    });
    for (std::int64_t block = 0; block < n_blocks; ++block) {
      for (std::int64_t i = 0; i < d; ++i) pdw[i] += pp[block * d + i];
    }
    return {dx, dw, at::Tensor()};
  }
};

struct CrossEntropy : Function<CrossEntropy> {
  static constexpr std::int64_t block_rows = 512;

  // The gradients come for the price of the products, so they are formed here and only scaled
  // later.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& w,
                            const at::Tensor& targets, bool with_gradients) {
    const at::NoGradGuard no_grad;
    const auto h = input.contiguous();
    const std::int64_t n = h.size(0), V = w.size(0);
    auto dh = with_gradients ? at::empty_like(h) : at::Tensor();
    auto dw = with_gradients ? at::zeros_like(w) : at::Tensor();
    auto logits = at::empty({std::min(block_rows, n), V}, h.options());
    std::vector<double> losses(static_cast<std::size_t>(n));
    const auto* target = targets.data_ptr<TokenId>();
    for (std::int64_t first = 0; first < n; first += block_rows) {
      const std::int64_t rows = std::min(block_rows, n - first);
      auto block = logits.narrow(0, 0, rows);
      at::mm_out(block, h.narrow(0, first, rows), w.t());
      float* block_data = block.data_ptr<float>();
      at::parallel_for(0, rows, 16, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
          losses[first + r] = row_loss(block_data + r * V, V, target[first + r], n);
        }
      });
      if (!with_gradients) continue;
      auto dh_block = dh.narrow(0, first, rows);
      at::mm_out(dh_block, block, w);
      dw.addmm_(block.t(), h.narrow(0, first, rows));
    }
    double loss = 0;
    for (const double value : losses) loss += value;
    if (with_gradients) context->save_for_backward({dh, dw});
    return at::full({}, loss / static_cast<double>(n), at::kFloat);
  }

  // Turns a row of logits into (softmax − one-hot) / n and returns its loss.
  static double row_loss(float* row, std::int64_t V, TokenId target, std::int64_t n) {
    const float largest = kernels::row_kernels().max(row, V);
    const double shifted = row[target] - largest;
    const float sum = kernels::row_kernels().exp_sum(row, V, largest);
    const float scale = 1.0F / (sum * static_cast<float>(n));
    for (std::int64_t i = 0; i < V; ++i) row[i] *= scale;
    row[target] -= 1.0F / static_cast<float>(n);
    return std::log(static_cast<double>(sum)) - shifted;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto scale = gradients[0];
    return {saved[0] * scale, saved[1] * scale, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor TrainingOps::linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  return at::linear(x, w, bias);
}

at::Tensor TrainingOps::rms_norm(const NormSpec& spec, const at::Tensor& x, const at::Tensor& w) {
  return RmsNorm::apply(x, w, spec.eps);
}

at::Tensor TrainingOps::silu_times(const at::Tensor& gate, const at::Tensor& up) {
  return at::silu(gate) * up;
}

at::Tensor TrainingOps::sigmoid_times(const at::Tensor& z, const at::Tensor& x) {
  return at::sigmoid(z) * x;
}

at::Tensor cross_entropy(const at::Tensor& h, const at::Tensor& w, const at::Tensor& targets) {
  return CrossEntropy::apply(h, w, targets, at::GradMode::is_enabled());
}

}  // namespace moexray::torch_runtime
