#pragma once

#include <filesystem>
#include <string_view>

namespace moexray {

class Runtime;

/// The directory of the modules that belong to the running program: `BIN/../lib/moexray`, in the
/// build tree as in the install tree. moexray's programs never look for modules anywhere else.
std::filesystem::path module_directory();

/// The directory of read-only data that belongs to the running program: `BIN/../share/moexray`.
std::filesystem::path data_directory();

/// Opens `DIRECTORY/NAME` with dlopen(RTLD_NOW | RTLD_LOCAL), checks its version string
/// (`extern "C" const char* moexray_module_version()`) and returns the address of `symbol`.
/// A module is never closed.
/// @throws Error (runtime) if the module is missing, of another version, or lacks the symbol.
void* open_module(const std::filesystem::path& directory, std::string_view name,
                  const char* symbol);

/// Sets how long OpenMP's threads spin while they wait, unless the environment already does. To be
/// called before the libtorch module is opened, while the process has one thread; load_runtime()
/// does.
void prepare_for_threads();

/// The libtorch runtime. A program that is installed elsewhere names the `directory` of moexray's
/// modules, `PREFIX/lib/moexray`. @throws Error (runtime) as open_module does.
Runtime& load_runtime(const std::filesystem::path& directory = module_directory());

}  // namespace moexray
