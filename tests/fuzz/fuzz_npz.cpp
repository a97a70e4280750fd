// Any bytes as an .npz archive: either an Error, or members of the size that they claim.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "moexray/core/error.h"
#include "trace/importers/npz.h"
#include "trace/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int fd = ::memfd_create("fuzz.npz", 0);
  if (fd < 0 || ::write(fd, data, size) != static_cast<ssize_t>(size)) return 0;
  try {
    const moexray::imports::NpzFile file("/proc/self/fd/" + std::to_string(fd));
    for (const std::string& name : file.names()) {
      try {
        moexray::trace::parse_npy(file.read(name), name);
      } catch (const moexray::Error&) {
      }
    }
  } catch (const moexray::Error&) {
  }
  ::close(fd);
  return 0;
}
