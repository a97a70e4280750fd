#pragma once

#include <memory>
#include <string_view>
#include <vector>

namespace moexray::trace {

/// Compresses texts into one zstd frame each, whose header declares the size of its content.
class FrameCompressor {
 public:
  FrameCompressor();
  ~FrameCompressor();
  FrameCompressor(FrameCompressor&& other) noexcept;
  FrameCompressor& operator=(FrameCompressor&& other) noexcept;

  /// The frame of `text`; valid until the next call.
  std::string_view compress(std::string_view text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moexray::trace
