# shellcheck shell=bash
# Shared by the other scripts, which source it.

# A heading that stands out in a long log.
heading() {
  printf '\n==> %s\n' "$*"
}

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# How many compilers to run at once: one per processor this process may use, and no more than memory
# allows, since a file that includes libtorch takes more than one gigabyte to compile.
build_jobs() {
  local processors memory_kb by_memory
  processors=$(nproc)
  memory_kb=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
  by_memory=$((memory_kb / 1500000))
  ((by_memory >= 1)) || by_memory=1
  echo $((processors < by_memory ? processors : by_memory))
}

# Prints the CMake option that puts ccache before the compiler, where ccache is installed.
compiler_launcher() {
  if command -v ccache >/dev/null; then
    echo "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"
  fi
}
