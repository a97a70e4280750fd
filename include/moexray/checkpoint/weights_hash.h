#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "moexray/checkpoint/checkpoint.h"

namespace moexray {

struct WeightsHashOptions {
  int n_threads = 0;  ///< 0: all this process may use
  /// Looked at every few megabytes; may be null.
  const std::atomic<bool>* stop = nullptr;
  /// Told every few megabytes how many bytes have been hashed in all; one call at a time, from
  /// whichever thread comes by.
  std::function<void(std::uint64_t)> on_bytes = {};
};

/// The identity of a model's weights: every byte of every tensor counts, and nothing else. For each
/// tensor, in byte order of the names, a line "NAME DTYPE [D0,D1,…] HASH\n", where DTYPE is that of
/// safetensors and HASH the XXH3 128-bit hash (seed 0) of the tensor's bytes in 32 hexadecimal
/// digits; the result is "xxh3-128:" and the same hash of all these lines. How the tensors are
/// spread over files, and their order in them, changes nothing.
/// @throws Error (interrupted) once `stop` is set.
std::string weights_xxh3(const std::map<std::string, TensorView, std::less<>>& tensors,
                         const WeightsHashOptions& options = {});

/// The bytes of all tensors together.
std::uint64_t n_weight_bytes(const std::map<std::string, TensorView, std::less<>>& tensors);

}  // namespace moexray
