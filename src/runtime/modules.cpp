#include "moexray/runtime/modules.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <string>
#include <system_error>

#include "moexray/core/error.h"
#include "moexray/core/version.h"
#include "moexray/runtime/model.h"

namespace moexray {
namespace {

std::filesystem::path program_directory() {
  std::error_code code;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", code);
  if (code) throw Error(ErrorKind::runtime, "cannot find the running program: " + code.message());
  return program.parent_path();
}

void* find_symbol(void* handle, const std::string& path, const char* symbol) {
  void* address = ::dlsym(handle, symbol);
  if (address == nullptr) {
    throw Error(ErrorKind::runtime,
                {"not a moexray module", path, std::string("symbol ") + symbol, "none"});
  }
  return address;
}

}  // namespace

std::filesystem::path module_directory() {
  return (program_directory() / "../lib/moexray").lexically_normal();
}

std::filesystem::path data_directory() {
  return (program_directory() / "../share/moexray").lexically_normal();
}

void* open_module(const std::filesystem::path& directory, std::string_view name,
                  const char* symbol) {
  const std::string path = (directory / name).string();
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    throw Error(ErrorKind::runtime,
                {"cannot open a module of moexray", path, {}, reason == nullptr ? "" : reason});
  }
  using VersionFunction = const char* (*)();
  const auto module_version =
      reinterpret_cast<VersionFunction>(find_symbol(handle, path, "moexray_module_version"));
  if (version() != module_version()) {
    throw Error(ErrorKind::runtime,
                {"module of another version", path, std::string(version()), module_version()});
  }
  return find_symbol(handle, path, symbol);
}

void prepare_for_threads() {
  // GNU OpenMP reads this when it is loaded, which is now. Threads that wait for each other then
  // spin for tens of microseconds rather than milliseconds: on a machine that others use too,
  // spinning cost ten times the work.
  ::setenv("GOMP_SPINCOUNT", "20000", 0);
}

Runtime& load_runtime(const std::filesystem::path& directory) {
  prepare_for_threads();
  using RuntimeFunction = Runtime* (*)();
  const auto runtime = reinterpret_cast<RuntimeFunction>(
      open_module(directory, "moexray_torch.so", "moexray_torch_runtime"));
  return *runtime();
}

}  // namespace moexray
