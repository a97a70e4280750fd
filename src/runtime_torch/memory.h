#pragma once

namespace moexray::torch_runtime {

/// Lets the allocator keep freed blocks of any size for this process. Activations of a pass are
/// freed and wanted again at once; by default glibc returns large blocks to the kernel, which then
/// clears every page anew.
void keep_freed_memory();

}  // namespace moexray::torch_runtime
