#!/bin/bash
# Installs the Debian packages that moexray needs to build and run, and with --test those its tests need.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

build_packages=(
  cmake g++ ninja-build pkg-config
  libtorch-dev           # runs the models
  libopenblas0-openmp    # matrix products for libtorch: a hundred times faster than the plain BLAS
  libcli11-dev libeigen3-dev libfmt-dev libicu-dev libonig-dev nettle-dev nlohmann-json3-dev
  libsentencepiece-dev libsimdjson-dev libxxhash-dev libzip-dev libzstd-dev zlib1g-dev
  librsvg2-bin           # makes PNG and PDF of the figures
  jq                     # for scripts/reproduce_paper.sh
)
test_packages=(libgtest-dev)
# The tests do without these, and say so.
optional_test_packages=(
  clang-19 libclang-rt-19-dev  # the fuzz targets: compiler and sanitizer runtimes
  chromium                     # looks at the report's pages
  clang-format-19 mandoc munge shellcheck slurm-wlm tidy zsh
)

usage() {
  cat <<'END'
Usage: scripts/install_packages.sh [--test] [--list]

Installs the Debian packages that moexray needs, as root or through sudo. Packages that are there already
are left alone.
  --test   also what the tests need
  --list   only print the names
END
}

packages=("${build_packages[@]}")
optional=()
list_only=false
for argument in "$@"; do
  case $argument in
    --test)
      packages+=("${test_packages[@]}")
      optional=("${optional_test_packages[@]}")
      ;;
    --list) list_only=true ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
done

if $list_only; then
  printf '%s\n' "${packages[@]}" "${optional[@]}"
  exit 0
fi

is_installed() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# libtorch calls whatever library stands behind the name libblas.so.3.
check_blas() {
  local link selected
  link="libblas.so.3-$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)"
  selected=$(update-alternatives --query "$link" 2>/dev/null | sed -n 's/^Value: //p') || return 0
  case $selected in
    *openblas-openmp*) echo "BLAS in use: $selected" ;;
    *)
      echo "Notice: the BLAS in use is ${selected:-unknown}, not OpenBLAS with OpenMP: models will run slowly"
      echo "or on one thread. To change it for the whole system:  sudo update-alternatives --config $link"
      ;;
  esac
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  fail "this system has no apt. moexray is built and tested on Debian 12; elsewhere install the counterparts of:
${packages[*]}"
fi

missing=()
for package in "${packages[@]}" "${optional[@]}"; do
  is_installed "$package" || missing+=("$package")
done
n_wanted=$((${#packages[@]} + ${#optional[@]}))

if ((${#missing[@]} == 0)); then
  echo "All $n_wanted packages are installed."
  check_blas
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null ||
    fail "these packages are missing, and installing them needs root or sudo:
  apt-get install ${missing[*]}"
  as_root=(sudo)
  # Without a terminal nobody can type a password.
  [[ -t 0 ]] || as_root+=(-n)
fi

"${as_root[@]}" apt-get update -qq </dev/null ||
  echo "Notice: apt-get update failed; trying with the package lists at hand"
obtainable=()
for package in "${missing[@]}"; do
  if [[ " ${optional[*]} " == *" $package "* && -z $(apt-cache madison "$package") ]]; then
    echo "Notice: this system offers no package $package; going on without it"
  else
    obtainable+=("$package")
  fi
done
if ((${#obtainable[@]} == 0)); then
  check_blas
  exit 0
fi
echo "Installing ${#obtainable[@]} of $n_wanted packages: ${obtainable[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${obtainable[@]}" </dev/null
check_blas
