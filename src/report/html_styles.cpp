#include "html_styles.h"

namespace moexray::report {

std::string_view screen_styles() {
  return R"(:root {
  color-scheme: light dark;
  --ink: #1b1d21; --soft: #555b65; --paper: #ffffff; --raised: #f5f6f8; --rule: #d5d9df;
  --link: #0059a3; --warn: #8a4b00; --warn-paper: #fff4e0;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e6ea; --soft: #a4abb6; --paper: #16181c; --raised: #1f2228; --rule: #3a3f48;
    --link: #7cc0ff; --warn: #ffc46b; --warn-paper: #2e2512;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; padding: 0; margin: .6rem 0; }
nav a { display: inline-block; padding: .15rem 0; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: .2rem 0; }
th, td {
  padding: .2rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule);
  overflow-wrap: break-word;
}
thead th { background: var(--raised); white-space: nowrap; }
tbody th { font-weight: 400; }
tbody th[colspan] { font-weight: 600; }
th.n, td.n { text-align: right; white-space: nowrap; }
th.id, td.id, th.name, td.name { min-width: 7rem; overflow-wrap: anywhere; }
td.short { white-space: nowrap; }
td.text { min-width: 14rem; overflow-wrap: anywhere; }
td.value { min-width: 10rem; overflow-wrap: anywhere; }
.hash { font-family: ui-monospace, monospace; }
figure { margin: 1.4rem 0 2rem; }
.drawing { overflow-x: auto; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; background: #ffffff; }
figcaption { color: var(--soft); font-size: .92rem; max-width: 46rem; margin: .4rem auto 0; }
.files { color: var(--soft); font-size: .92rem; max-width: 46rem; margin: .2rem auto; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--link); padding: .15rem 0; }
dt { font-weight: 600; margin-top: .6rem; }
dd { margin: 0 0 0 1.2rem; }
.soft { color: var(--soft); }
.note { background: var(--warn-paper); color: var(--warn); padding: .4rem .7rem; border-radius: .3rem; }
@media (min-width: 48rem) {
  /* Of a table that scrolls sideways the names of its rows stay. */
  tbody th[scope="row"] { position: sticky; left: 0; background: var(--paper); }
}
@media (max-width: 30rem) {
  body { padding: .7rem; }
  th, td { padding: .2rem .35rem; }
  dd { margin-left: .6rem; }
}
)";
}

std::string_view print_styles() {
  return R"(@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .files, figure details:not([open]) { display: none; }
  a { color: inherit; text-decoration: none; }
  h2, h3, caption { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .chart { min-width: 0 !important; max-width: 12cm !important; max-height: 20cm; }
  figure img { max-width: 12cm; max-height: 20cm; }
  tr:has(th[colspan]) { break-after: avoid; }
  .scroll { overflow: visible; }
  thead { display: table-header-group; }
}
)";
}

}  // namespace moexray::report
