#!/bin/bash
# Everything that has to hold before a change is good: formatting, scripts, build, tests, sanitizers.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
source scripts/common.sh

if (($# > 0)); then
  cat <<'END'
Usage: scripts/test.sh

Installs what the tests need (as root or through sudo), then: checks the formatting and the shell scripts; builds
with warnings as errors into build-dev/ and runs the unit, parity and command-line tests; looks at the pages of reports
in a browser; builds with
AddressSanitizer and UndefinedBehaviorSanitizer into build-asan/ (without libtorch) and runs its tests, simulations aside; gives the
parsers of foreign files mutated input for a minute each (with clang, into build-fuzz/); and traces as an array job on a
Slurm of this machine. What needs an optional package that is not to be had is skipped. Ends with a summary and status 0
if everything passed.
END
  [[ $1 == -h || $1 == --help ]] && exit 0
  exit 2
fi

jobs=$(build_jobs)
summary=()
failed=0

# step NAME COMMAND…: runs it, remembers how it went; status 77 means that it could not be tried.
step() {
  local name=$1 begin=$SECONDS result status=0
  shift
  heading "$name"
  "$@" || status=$?
  case $status in
    0) result=passed ;;
    77) result=skipped ;;
    *)
      result=FAILED
      failed=1
      ;;
  esac
  summary+=("$(printf '%-7s  %5d s  %s' "$result" $((SECONDS - begin)) "$name")")
  [[ $result == passed ]]
}

skip() {
  summary+=("$(printf '%-7s  %7s  %s' skipped "" "$1")")
}

check_formatting() {
  find include src apps tests -name '*.h' -o -name '*.cpp' | sort |
    xargs clang-format-19 --dry-run --Werror && echo "All C++ files are formatted."
}

check_scripts() {
  local script ok=0
  for script in scripts/*.sh tests/*/*.sh bench/*.sh .ci/run; do
    [[ -e $script ]] || continue
    bash -n "$script" || ok=1
  done
  if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2046 # names without spaces
    shellcheck --external-sources $(find scripts tests bench .ci -name '*.sh' -o -path .ci/run) || ok=1
  else
    echo "Notice: shellcheck is not installed; only the syntax was checked"
  fi
  ((ok == 0)) && echo "All shell scripts are in order."
}

# build PRESET: configures and compiles.
build() {
  # shellcheck disable=SC2046 # nothing at all if there is no ccache
  cmake --preset "$1" $(compiler_launcher) && cmake --build --preset "$1" -j "$jobs"
}

run_tests() {
  ctest --preset "$1" -j "$jobs"
}

if step "Packages" scripts/install_packages.sh --test; then
  # Other versions of clang-format have other opinions.
  if command -v clang-format-19 >/dev/null; then
    step "Formatting" check_formatting
  else
    skip "Formatting: clang-format-19 is not to be had"
  fi
  step "Shell scripts" check_scripts
  if step "Build with warnings as errors" build dev; then
    step "Unit, parity and command-line tests" run_tests dev
    step "The report's pages in a browser" scripts/check_pages.sh --build build-dev
    step "A Slurm array that is interrupted" scripts/try_slurm.sh build-dev
  else
    skip "Unit, parity and command-line tests"
    skip "The report's pages in a browser"
    skip "A Slurm array that is interrupted"
  fi
  if step "Build with AddressSanitizer and UndefinedBehaviorSanitizer" build asan; then
    step "Tests under the sanitizers" run_tests asan
  else
    skip "Tests under the sanitizers"
  fi
  step "Mutated input for every parser, a minute each" scripts/fuzz.sh 60
fi

heading "Summary"
printf '%s\n' "${summary[@]}"
if ((failed)); then
  echo "Some of it failed."
  exit 1
fi
echo "Everything passed."
