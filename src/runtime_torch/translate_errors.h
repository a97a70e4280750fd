#pragma once

#include <new>
#include <string>
#include <string_view>

#include "moexray/core/error.h"
#include "torch_api.h"

namespace moexray::torch_runtime {

/// Runs `f` at an edge of the module. libtorch's exceptions end here: callers know moexray::Error
/// alone.
template <typename F>
auto with_translated_errors(std::string_view what, F f) {
  try {
    return f();
  } catch (const c10::Error& error) {
    throw Error(
        ErrorKind::runtime,
        {"libtorch failed to " + std::string(what), {}, {}, error.what_without_backtrace()});
  } catch (const std::bad_alloc&) {
    throw Error(ErrorKind::runtime, "not enough memory to " + std::string(what));
  }
}

}  // namespace moexray::torch_runtime
