#include "standard_input.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "moexray/core/error.h"

namespace moexray::app {
namespace {

constexpr std::size_t max_bytes = std::size_t{4} << 30;

}  // namespace

std::string read_standard_input(const Console& console) {
  std::string text;
  std::array<char, 65536> buffer{};
  while (true) {
    // poll() returns when a signal arrives, read() would go on waiting.
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int n_ready = ::poll(&input, 1, -1);
    if (console.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
    if (n_ready < 0 && errno == EINTR) continue;
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      throw Error(ErrorKind::data,
                  {std::string("cannot read: ") + std::strerror(errno), "standard input", {}, {}});
    }
    if (n == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(n));
    if (text.size() > max_bytes) {
      throw Error(ErrorKind::data, {"too long", "standard input", "at most 4 GiB", {}});
    }
  }
}

}  // namespace moexray::app
