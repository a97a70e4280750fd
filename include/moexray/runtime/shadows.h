#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/runtime/generate.h"
#include "moexray/runtime/model.h"
#include "moexray/trace/manifest.h"

namespace moexray {

/// A router that shall watch a model.
struct ShadowSpec {
  enum class Kind {
    random,         ///< Gaussian rows with the norms of the model's own
    permuted_dims,  ///< the model's own rows with their coordinates permuted, alike for a layer
    checkpoint      ///< of another checkpoint
  };
  Kind kind = Kind::random;
  std::uint64_t seed = 0;            ///< of the first two
  std::filesystem::path checkpoint;  ///< of the last

  /// "random:1", "permuted-dims:3", or "router:NAME" with the name of the checkpoint's directory.
  std::string text() const;
};

/// Routers of `random` without seeds: seeds 1 to 20.
inline constexpr int n_default_shadows = 20;

/// What `--shadow` takes: "random", "random:SEED[,…]", "permuted-dims:SEED[,…]",
/// "router:CHECKPOINT".
/// @throws Error (usage) for anything else, one router twice, or more than 1,000.
std::vector<ShadowSpec> parse_shadows(std::span<const std::string> texts);

/// Weights of a random router: row e of a layer is ‖wₑ‖ · g / ‖g‖, w the model's own and g standard
/// normal from the stream of `seed` and the layer. Rounded to bfloat16 where w are, else float32.
/// @return [E, d] as bytes
std::vector<std::byte> random_router(const TensorView& own, int layer, std::uint64_t seed);

/// The rows of a router, all with the same random permutation of their coordinates: norms, values
/// and the angles between rows stay.
std::vector<std::byte> permuted_router(const TensorView& own, int layer, std::uint64_t seed);

/// The routers that watch a run. A router made of a seed watches in two forms: as it is ("plain"),
/// and "load matched", with a bias for each expert that makes it choose expert e as often as the
/// model's own router chooses its expert e. One of a checkpoint watches as it is.
class ShadowRouters {
 public:
  ShadowRouters() = default;
  /// Makes the weights. @param checkpoint of the model that they watch
  /// @throws Error (data) for a checkpoint whose routers do not have the model's shape.
  ShadowRouters(std::span<const ShadowSpec> specs, const Checkpoint& checkpoint);

  bool empty() const { return shadows_.empty(); }
  /// [shadows] for a manifest.
  const std::vector<ManifestShadow>& shadows() const { return shadows_; }

  /// Readies them for a model, of the same checkpoint.
  void prepare(Model& model);

  /// Fits the biases of load-matched forms in the pass that it is given to, whose shadows are those
  /// of watching(), called behind this. What comes out depends on the tokens of the pass and the
  /// model's arithmetic alone. Valid as long as this object stays where it is.
  BiasFit fitting();

  /// The same in a pass of its own with the prompts given. Hidden states and own choices are those
  /// of `policy`.
  /// @throws Error as Model::forward() does.
  void calibrate(Model& model, std::span<const std::vector<TokenId>> prompts,
                 const RoutingPolicy* policy);

  /// [shadows] of load-matched ones [L, E], empty for others; all empty before calibrate(),
  /// and zeros between fitting() and the pass that fits.
  const std::vector<std::vector<float>>& biases() const { return biases_; }
  /// Those of an earlier calibration. @throws Error (data) if they do not fit.
  void set_biases(std::vector<std::vector<float>> biases);

  /// For GenerationOptions; valid as long as this object stays where it is.
  std::vector<WatchingRouter> watching() const;

 private:
  struct Router {
    std::unique_ptr<Checkpoint> checkpoint;      // where they are another's
    std::vector<std::vector<std::byte>> layers;  // where they were made
    ShadowWeights weights;
    std::unique_ptr<ShadowRouter> ready;
  };

  std::size_t n_biases() const;  // of a load-matched form

  RoutingShape shape_;
  RouterSpec rule_;
  std::vector<Router> routers_;
  std::vector<ManifestShadow> shadows_;
  std::vector<std::size_t> router_of_;  // [shadows]
  std::vector<std::vector<float>> biases_;
};

/// Tokens that biases are fitted on, at most, and of one prompt.
inline constexpr std::int64_t max_calibration_tokens = 2048;
inline constexpr std::int64_t max_calibration_prompt_tokens = 64;

/// The order in which prompts are taken for a calibration: 0 … n − 1 with their bits reversed, so
/// that any first few are spread evenly over all.
std::vector<std::size_t> spread_order(std::size_t n);

}  // namespace moexray
