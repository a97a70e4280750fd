#!/bin/bash
# Installs a build to a temporary place, runs the installed program, and builds a program of someone else
# against the installed libraries.
#   install_test.sh CMAKE SOURCE_DIR BUILD_DIR VERSION
set -euo pipefail
cmake=$1 source_dir=$2 build_dir=$3 version=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

expect() {
  if [[ $2 != "$3" ]]; then
    printf '%s: expected "%s", found "%s"\n' "$1" "$2" "$3" >&2
    exit 1
  fi
}

"$cmake" --install "$build_dir" --prefix "$prefix" >"$work/install.log" || {
  cat "$work/install.log"
  exit 1
}

# The program, from another directory and through a symbolic link, as packages set them up.
expect "installed program" "moexray $version" "$("$prefix/bin/moexray" --version | head -n 1)"
mkdir "$work/elsewhere"
ln -s "$prefix/bin/moexray" "$work/elsewhere/moexray"
expect "program behind a link" "moexray $version" "$("$work/elsewhere/moexray" --version | head -n 1)"
if ldd "$prefix/bin/moexray" | grep -E 'torch|sentencepiece'; then
  echo "the program links what only its modules may link" >&2
  exit 1
fi

# Modules and data are where the program looks for them.
for module in "$build_dir"/lib/moexray/*.so; do
  [[ -e $module ]] || continue
  if [[ ! -s $prefix/lib/moexray/$(basename "$module") ]]; then
    echo "not installed: $module" >&2
    exit 1
  fi
done
cmp "$source_dir/prompts/paper80.jsonl" "$prefix/share/moexray/prompts/paper80.jsonl"

# Completions are where shells look for them.
for completion in bash-completion/completions/moexray zsh/site-functions/_moexray fish/vendor_completions.d/moexray.fish; do
  grep -q similarity "$prefix/share/$completion"
done

# So are the manual pages, one for every command, and the documentation that README.md points to.
commands=$("$prefix/bin/moexray" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | grep -v '^moexray$')
for command in $commands; do
  grep -q "^.SH OPTIONS" "$prefix/share/man/man1/moexray-$command.1"
done
grep -q 'moexray\\-similarity' "$prefix/share/man/man1/moexray.1"
doc=$prefix/share/doc/moexray
[[ -e $doc/README.md ]] || doc=$(dirname "$(find "$prefix/share/doc" -name README.md | head -n 1)")
while read -r page; do
  [[ -e $doc/$page ]] || {
    echo "README.md points to $page, which is not installed" >&2
    exit 1
  }
done < <(grep -o '(docs/[^)#]*' "$source_dir/README.md" | cut -c 2-)

flags=()
[[ -z ${MOEXRAY_SANITIZE:-} ]] || flags+=("-DCMAKE_CXX_FLAGS=-fsanitize=$MOEXRAY_SANITIZE")
if command -v ccache >/dev/null; then flags+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
"$cmake" -S "$source_dir/tests/install/consumer" -B "$work/consumer" -G Ninja "-DCMAKE_PREFIX_PATH=$prefix" \
  "-DEXPECTED_VERSION=$version" "-DINSTALLED_HEADERS=$prefix/include" "${flags[@]}"
"$cmake" --build "$work/consumer" -j 2
expect "consumer" "$version 80" "$("$work/consumer/consumer" "$prefix/share/moexray/prompts/paper80.jsonl")"

# It runs a model with the installed modules, which it is not installed beside.
if [[ -e $prefix/lib/moexray/moexray_torch.so ]]; then
  expect "model of a consumer" "mini-olmoe: 3 tokens, 16 layers, top-8, 384 events, 4096 logits" \
    "$("$work/consumer/run_model" "$prefix/lib/moexray" "$prefix/share/moexray/models/mini-olmoe")"
  if "$work/consumer/run_model" "$work" "$prefix/share/moexray/models/mini-olmoe" 2>"$work/no_module"; then
    echo "a model runs without its module" >&2
    exit 1
  fi
  grep -q "$work/moexray_torch.so: cannot open a module" "$work/no_module"
fi

# Nothing installed remembers where it was built.
if grep -rlF -e "$build_dir" -e "$source_dir" "$prefix/lib/cmake" "$prefix"/lib/*/cmake 2>/dev/null; then
  echo "the CMake package names the build machine's directories" >&2
  exit 1
fi
