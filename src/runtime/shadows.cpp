#include "moexray/runtime/shadows.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <numeric>
#include <set>
#include <utility>

#include "kernels/kernel_sets.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/random.h"
#include "moexray/core/sha256.h"
#include "moexray/core/shuffle.h"
#include "moexray/routing/load_match.h"

namespace moexray {
namespace {

constexpr std::size_t max_specs = 1'000;
constexpr const char* plain_form = "plain";
constexpr const char* matched_form = "load matched";

[[noreturn]] void refuse(const std::string& found) {
  throw Error(ErrorKind::usage,
              {"wrong value", "--shadow",
               "random, random:SEED[,…], permuted-dims:SEED[,…] or router:CHECKPOINT",
               '"' + printable(found, 200) + '"'});
}

void add_seeds(ShadowSpec::Kind kind, std::string_view seeds, const std::string& text,
               std::vector<ShadowSpec>& specs) {
  while (true) {
    const std::string_view one = seeds.substr(0, seeds.find(','));
    std::uint64_t seed = 0;
    const auto [end, code] = std::from_chars(one.data(), one.data() + one.size(), seed);
    if (code != std::errc() || end != one.data() + one.size()) refuse(text);
    specs.push_back({kind, seed, {}});
    if (one.size() == seeds.size()) return;
    seeds.remove_prefix(one.size() + 1);
  }
}

float float_of_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

float float_of_f16(std::uint16_t bits) {
  const int exponent = bits >> 10 & 0x1F;
  const int fraction = bits & 0x3FF;
  const float value = exponent == 0
                          ? std::ldexp(static_cast<float>(fraction), -24)
                          : std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
  return (bits & 0x8000) != 0 ? -value : value;
}

// The values of a matrix, widened. [E · d]
std::vector<float> values_of(const TensorView& view) {
  const std::size_t n = view.bytes.size() / size_of(view.type);
  std::vector<float> values(n);
  if (view.type == WeightType::f32) {
    std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
    return values;
  }
  for (std::size_t i = 0; i < n; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, view.bytes.data() + 2 * i, 2);
    values[i] = view.type == WeightType::bf16 ? float_of_bf16(bits) : float_of_f16(bits);
  }
  return values;
}

// Made routers have the type of the model's own, but that float16 becomes float32, which holds it.
WeightType made_type(const TensorView& own) {
  return own.type == WeightType::bf16 ? WeightType::bf16 : WeightType::f32;
}

std::vector<std::byte> bytes_of(const std::vector<float>& values, WeightType type) {
  std::vector<std::byte> bytes(values.size() * size_of(type));
  if (type == WeightType::bf16) {
    std::vector<std::uint16_t> rounded(values.size());
    kernels::round_to_bf16(values.data(), std::ssize(values), rounded.data());
    std::memcpy(bytes.data(), rounded.data(), bytes.size());
  } else {
    std::memcpy(bytes.data(), values.data(), bytes.size());
  }
  return bytes;
}

std::string layer_name(std::string_view kind, int layer) {
  return std::string(kind) + " layer " + std::to_string(layer);
}

std::vector<TensorView> own_routers(const Checkpoint& checkpoint) {
  std::vector<TensorView> views;
  for (const WeightSlot& slot : checkpoint.weights()) {
    if (slot.role == WeightRole::router) views.push_back(checkpoint.tensor(slot.name));
  }
  return views;
}

// As the shapes of routers are told: "16 layers of 64 experts, hidden size 2048".
std::string shape_text(const std::vector<TensorView>& routers) {
  const TensorView& first = routers.front();
  return std::to_string(routers.size()) + " layers of " + std::to_string(first.shape.at(0)) +
         " experts, hidden size " + std::to_string(first.shape.at(1));
}

void check_fit(const std::vector<TensorView>& own, const std::vector<TensorView>& others,
               const std::filesystem::path& directory) {
  const bool fits = own.size() == others.size() && own.front().shape == others.front().shape;
  if (fits) return;
  throw Error(ErrorKind::data,
              {"the routers of this checkpoint cannot watch the model: their shape is another",
               directory.string(), shape_text(own), shape_text(others)});
}

// How often each of E experts was chosen.
std::vector<std::int64_t> loads_of(std::span<const ExpertId> experts, int n_experts) {
  std::vector<std::int64_t> loads(static_cast<std::size_t>(n_experts), 0);
  for (const ExpertId expert : experts) ++loads[static_cast<std::size_t>(expert)];
  return loads;
}

}  // namespace

std::string ShadowSpec::text() const {
  switch (kind) {
    case Kind::random:
      return "random:" + std::to_string(seed);
    case Kind::permuted_dims:
      return "permuted-dims:" + std::to_string(seed);
    case Kind::checkpoint:
      break;
  }
  const std::filesystem::path path = checkpoint.lexically_normal();
  return "router:" + (path.has_filename() ? path : path.parent_path()).filename().string();
}

std::vector<ShadowSpec> parse_shadows(std::span<const std::string> texts) {
  std::vector<ShadowSpec> specs;
  for (const std::string& text : texts) {
    const std::string_view all = text;
    const auto rest = [&](std::string_view prefix) { return all.substr(prefix.size()); };
    if (text == "random") {
      for (int seed = 1; seed <= n_default_shadows; ++seed) {
        specs.push_back({ShadowSpec::Kind::random, static_cast<std::uint64_t>(seed), {}});
      }
    } else if (all.starts_with("random:")) {
      add_seeds(ShadowSpec::Kind::random, rest("random:"), text, specs);
    } else if (all.starts_with("permuted-dims:")) {
      add_seeds(ShadowSpec::Kind::permuted_dims, rest("permuted-dims:"), text, specs);
    } else if (all.starts_with("router:") && !rest("router:").empty()) {
      specs.push_back({ShadowSpec::Kind::checkpoint, 0, rest("router:")});
    } else {
      refuse(text);
    }
  }
  std::set<std::string> known;
  for (const ShadowSpec& spec : specs) {
    if (!known.insert(spec.text()).second) {
      throw Error(ErrorKind::usage,
                  {"a router is given twice", "--shadow", {}, printable(spec.text(), 200)});
    }
  }
  if (specs.size() > max_specs) {
    throw Error(ErrorKind::usage,
                {"too many routers", "--shadow", "at most " + std::to_string(max_specs),
                 std::to_string(specs.size())});
  }
  return specs;
}

std::vector<std::byte> random_router(const TensorView& own, int layer, std::uint64_t seed) {
  std::vector<float> values = values_of(own);
  const auto d = static_cast<std::size_t>(own.shape.at(1));
  RandomStream random(seed, layer_name("random router", layer));
  std::vector<double> row(d);
  for (std::size_t first = 0; first < values.size(); first += d) {
    double own_squares = 0, squares = 0;
    for (std::size_t i = 0; i < d; ++i) {
      own_squares += double{values[first + i]} * double{values[first + i]};
      row[i] = random.normal();
      squares += row[i] * row[i];
    }
    const double scale = std::sqrt(own_squares / squares);
    for (std::size_t i = 0; i < d; ++i) values[first + i] = static_cast<float>(scale * row[i]);
  }
  return bytes_of(values, made_type(own));
}

std::vector<std::byte> permuted_router(const TensorView& own, int layer, std::uint64_t seed) {
  const std::vector<float> values = values_of(own);
  const auto d = static_cast<std::size_t>(own.shape.at(1));
  RandomStream random(seed, layer_name("permuted dimensions", layer));
  std::vector<std::size_t> order(d);
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(order, random);
  std::vector<float> permuted(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) permuted[i] = values[i / d * d + order[i % d]];
  return bytes_of(permuted, made_type(own));
}

ShadowRouters::ShadowRouters(std::span<const ShadowSpec> specs, const Checkpoint& checkpoint)
    : shape_(checkpoint.config().routing_shape()), rule_(checkpoint.config().spec.router()) {
  const std::vector<TensorView> own = own_routers(checkpoint);
  for (const ShadowSpec& spec : specs) {
    Router router;
    if (spec.kind == ShadowSpec::Kind::checkpoint) {
      router.checkpoint = std::make_unique<Checkpoint>(spec.checkpoint);
      router.weights.layers = own_routers(*router.checkpoint);
      check_fit(own, router.weights.layers, spec.checkpoint);
    } else {
      const auto make = spec.kind == ShadowSpec::Kind::random ? random_router : permuted_router;
      for (std::size_t layer = 0; layer < own.size(); ++layer) {
        router.layers.push_back(make(own[layer], static_cast<int>(layer), spec.seed));
      }
      for (std::size_t layer = 0; layer < own.size(); ++layer) {
        router.weights.layers.push_back(
            {made_type(own[layer]), own[layer].shape, router.layers[layer]});
      }
    }
    Sha256 hash;
    for (const TensorView& layer : router.weights.layers) hash.update(layer.bytes);
    const std::string sha256 = hash.finish_hex();
    shadows_.push_back({spec.text(), plain_form, sha256});
    router_of_.push_back(routers_.size());
    if (spec.kind != ShadowSpec::Kind::checkpoint) {
      shadows_.push_back({spec.text(), matched_form, sha256});
      router_of_.push_back(routers_.size());
    }
    routers_.push_back(std::move(router));
  }
  biases_.resize(shadows_.size());
}

void ShadowRouters::prepare(Model& model) {
  for (Router& router : routers_) router.ready = model.prepare_shadow(router.weights);
}

BiasFit ShadowRouters::fitting() {
  for (std::size_t i = 0; i < shadows_.size(); ++i) {
    if (shadows_[i].form == matched_form) biases_[i].assign(n_biases(), 0.0F);
  }
  return [this](std::size_t shadow, int layer, std::span<const ExpertId> own,
                std::span<const float> logits) {
    const std::vector<float> fitted =
        load_matching_biases(rule_, logits, loads_of(own, rule_.n_experts));
    std::ranges::copy(fitted, biases_[shadow].begin() + std::ptrdiff_t{layer} * rule_.n_experts);
  };
}

void ShadowRouters::calibrate(Model& model, std::span<const std::vector<TokenId>> prompts,
                              const RoutingPolicy* policy) {
  const BiasFit fit = fitting();
  // Without prompts nothing will be traced either.
  if (prompts.empty()) return;
  std::vector<Shadow> shadows;
  for (const WatchingRouter& watching : watching()) {
    shadows.push_back({watching.router, watching.biases, nullptr});
  }
  std::vector<std::int64_t> capacities;
  std::vector<SequenceChunk> chunks;
  for (const std::vector<TokenId>& prompt : prompts) {
    chunks.push_back({static_cast<int>(chunks.size()), prompt});
    capacities.push_back(static_cast<std::int64_t>(prompt.size()));
  }
  const auto session = model.new_session(capacities);
  model.forward(*session, chunks, {nullptr, policy, {}, shadows, fit});
}

std::size_t ShadowRouters::n_biases() const {
  return static_cast<std::size_t>(shape_.n_layers) * static_cast<std::size_t>(shape_.n_experts);
}

void ShadowRouters::set_biases(std::vector<std::vector<float>> biases) {
  bool fits = biases.size() == shadows_.size();
  for (std::size_t i = 0; fits && i < biases.size(); ++i) {
    fits = biases[i].size() == (shadows_[i].form == matched_form ? n_biases() : 0);
  }
  if (!fits) throw Error(ErrorKind::data, "biases that do not fit the shadow routers");
  biases_ = std::move(biases);
}

std::vector<WatchingRouter> ShadowRouters::watching() const {
  std::vector<WatchingRouter> watching;
  for (std::size_t i = 0; i < shadows_.size(); ++i) {
    watching.push_back({routers_[router_of_[i]].ready.get(), biases_[i]});
  }
  return watching;
}

std::vector<std::size_t> spread_order(std::size_t n) {
  const int n_bits = std::bit_width(n);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < std::size_t{1} << n_bits; ++i) {
    std::size_t reversed = 0;
    for (int bit = 0; bit < n_bits; ++bit) reversed |= (i >> bit & 1U) << (n_bits - 1 - bit);
    if (reversed < n) order.push_back(reversed);
  }
  return order;
}

}  // namespace moexray
