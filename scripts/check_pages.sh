#!/bin/bash
# Looks at pages in a browser without a window, as wide as that of a desktop, a tablet and a telephone, light and dark.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

usage() {
  cat <<'END'
Usage: scripts/check_pages.sh [--build DIR] [PAGE.html…]

Opens pages with headless Chromium in windows of 1280, 768 and 390 pixels, light and dark, and fails if text is cut
off, lies beside the page or has too little contrast, if a table is wider than its box, if no keyboard reaches a box
that scrolls, or if an image does not load. What is folded is unfolded first.

Without pages: first pages made wrong on purpose, each of which has to be found; then the pages that moexray analyze
writes for 80 prompts, for 57 long and Chinese categories, for 61 layers, and more, with the program and the traces
of a build with tests.
  --build DIR   that build (default: build-dev)

Status 77 if there is no Chromium.
END
}

build="build-dev"
pages=()
while (($# > 0)); do
  case $1 in
    --build)
      (($# > 1)) || fail "--build needs a directory"
      build=$2
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    -*)
      usage >&2
      exit 2
      ;;
    *) pages+=("$1") ;;
  esac
  shift
done

find_browser() {
  local name
  for name in chromium chromium-browser google-chrome; do
    command -v "$name" && return
  done
  echo "Notice: Chromium is not installed (Debian's package chromium); the pages are not looked at" >&2
  return 1
}
browser=$(find_browser) || exit 77

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# address PATH: the file: URL of a page, fit to stand in a query.
address() {
  printf 'file://'
  realpath -z "$1" | tr -d '\0' | LC_ALL=C od -An -v -tx1 | tr -d '\n' | sed 's/ /%25/g; s/%252f/\//g'
}

# look SCHEME PAGES…: prints what the browser saw, a line for each page and width; SCHEME is light or dark.
look() {
  local scheme=$1 page query="" flags=() dump status=0
  shift
  for page in "$@"; do
    [[ -f $page ]] || fail "no such page: $page"
    query+="&page=$(address "$page")"
  done
  # A browser that runs as root has no sandbox; it opens only what was made here.
  ((EUID != 0)) || flags+=(--no-sandbox)
  [[ $scheme == light ]] || flags+=(--force-dark-mode)
  dump=$(timeout 300 "$browser" --headless --disable-gpu --user-data-dir="$work/profile-$scheme" "${flags[@]}" \
    --allow-file-access-from-files --dump-dom \
    "file://$PWD/scripts/check_pages.html?${query:1}" 2>"$work/browser.log") || status=$?
  dump=$(sed -n '/^<pre id="result">/,/<\/pre>/p' <<<"$dump" |
    sed 's/<pre id="result">//; s/<\/pre>.*//; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g')
  if ((status != 0)) || [[ $dump != *"$scheme END" ]]; then
    tail -n 5 "$work/browser.log" >&2
    fail "the browser did not get through ($scheme, status $status)"
  fi
  # All but the last line, with the scheme behind ok or FAIL.
  # shellcheck disable=SC2001 # a pattern for every line
  sed "s/^\(ok  \|FAIL\) /&$scheme /" <<<"${dump%$'\n'*}"
}

# look_at_all PAGES…: both schemes side by side; fails if anything is wrong.
look_at_all() {
  local light_status=0 dark_status=0
  look light "$@" >"$work/light" &
  look dark "$@" >"$work/dark" || dark_status=$?
  wait $! || light_status=$?
  ((light_status == 0 && dark_status == 0)) || exit 1
  cat "$work/light" "$work/dark"
  ! grep -q '^FAIL' "$work/light" "$work/dark"
}

# write_page NAME BODY: a page of this body, as plain as can be.
write_page() {
  printf '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>%s</title>\n<body>%s</body></html>\n' \
    "$1" "$2" >"$work/wrong/$1.html"
}

# Pages that are wrong in one way each, and one that is right: whether this script sees it.
check_itself() {
  local long name expected wrong=() ok=0
  long=$(printf 'm%.0s' {1..400})
  mkdir "$work/wrong"
  write_page right "<p>All is well.</p><div style='overflow-x:auto' tabindex='0'><table><tr><td>$long</td></tr></table></div>"
  write_page beside-the-page "<p style='white-space:nowrap'>$long</p>"
  write_page left-of-the-page "<p style='margin-left:-20px'>text</p>"
  write_page cut-off "<p style='overflow:hidden;white-space:nowrap'>$long</p>"
  write_page cut-off-below "<p style='overflow:hidden;height:0.6em'>text</p>"
  write_page cut-in-a-drawing "<svg width='100' height='30'><text x='80' y='20'>a label</text></svg>"
  write_page wide-table "<div style='width:300px'><table><tr><td>$long</td></tr></table></div>"
  write_page folded-wide-table "<details><summary>more</summary><table><tr><td>$long</td></tr></table></details>"
  write_page no-keyboard "<div style='overflow-x:auto'><table><tr><td>$long</td></tr></table></div>"
  write_page no-contrast "<p style='color:#999;background:#fff'>grey</p>"
  write_page no-image "<p>text</p><img src='nowhere.png' alt='a drawing'>"
  write_page empty ""
  for name in "$work"/wrong/*.html; do
    [[ $name == */right.html ]] || wrong+=("$(basename "$name" .html)")
  done
  look_at_all "$work"/wrong/*.html >"$work/seen" || true
  for name in right "${wrong[@]}"; do
    [[ $name == right ]] && expected="ok  " || expected=FAIL
    # Two schemes, three widths.
    if (($(grep -c "^$expected .*/wrong/$name.html " "$work/seen") != 6)); then
      echo "Not in every window \"$expected\": the page made to be $name"
      grep -A 3 "/wrong/$name.html " "$work/seen" || true
      ok=1
    fi
  done
  ((ok == 0)) && echo "${#wrong[@]} pages made wrong on purpose are found."
}

# Reports of the traces, with as few draws as will do for their looks, and the pages to look at into `pages`. The
# report of 80 prompts has every section, the others lack confounds and information, which take longest.
make_reports() {
  local trace name page quick moexray=$build/bin/moexray
  [[ -x $moexray && -x $build/bin/make_page_traces ]] ||
    fail "no program and traces in $build: build it with its tests"
  "$build/bin/make_page_traces" "$work/traces"
  for trace in "$work"/traces/*; do
    name=$(basename "$trace")
    quick=(--quick)
    [[ $name != prompts80 ]] || quick=()
    "$moexray" analyze "$trace" -o "$work/reports/$name" --quiet "${quick[@]}" --folds 2 --resamples 99 --permutations 99 \
      --draws 4 --null-draws 4 --rarefactions 2 --nested-repetitions 0 >/dev/null
    pages+=("$work/reports/$name/report.html" "$work/reports/$name/prompts/0001.html")
    for page in "$work/reports/$name"/experts/*.html; do
      [[ ! -f $page ]] || pages+=("$page")
      break
    done
  done
}

if ((${#pages[@]} > 0)); then
  look_at_all "${pages[@]}"
else
  check_itself
  make_reports
  look_at_all "${pages[@]}"
fi
