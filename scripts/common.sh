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

# Shows the command, so that it can be repeated by hand, and runs it.
run() {
  printf '$ %s\n' "$*" >&2
  "$@"
}

# Prints where moexray is: the built one, else an installed one.
find_moexray() {
  local built
  built=$(dirname "${BASH_SOURCE[0]}")/../build/bin/moexray
  if [[ -x $built ]]; then
    realpath "$built"
  else
    command -v moexray || fail "moexray is neither built nor installed; scripts/quickstart.sh builds it"
  fi
}

# draw_figure FIGURE TITLE COMMAND… -- ARGUMENTS…: draws one figure with a moexray command. The arguments are
# those of the calling script: [TRACES…] [-o DIR] and flags of the command.
draw_figure() {
  local figure=$1 title=$2 output=figures/$1 command=() arguments=() moexray
  shift 2
  while [[ $1 != -- ]]; do
    command+=("$1")
    shift
  done
  shift
  while (($# > 0)); do
    case $1 in
      -h | --help)
        cat <<END
Usage: scripts/$(basename "$0") [TRACES…] [-o DIR] [FLAGS]

Draws $title from trace directories (default: traces) into DIR
(default: $output): $figure.svg, .png and .pdf, with the data beside them.
Older results of moexray in DIR are replaced. FLAGS are those of moexray ${command[0]}, --exclude-template say.
END
        return
        ;;
      -o)
        (($# > 1)) || fail "-o needs a directory"
        output=$2
        shift
        ;;
      *) arguments+=("$1") ;;
    esac
    shift
  done
  moexray=$(find_moexray)
  mkdir -p "$(dirname "$output")"
  run "$moexray" "${command[@]}" "${arguments[@]}" -o "$output" --force
  printf '%s\n' "$output/$figure".*
}
