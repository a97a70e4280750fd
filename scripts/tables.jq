# Plain text tables, for the scripts that print results.

# A number with this many decimals (one or more); "n/a" for null.
def fixed($n):
  if . == null then "n/a"
  else (if . < 0 then "-" else "" end)
    + ((if . < 0 then -. else . end) * pow(10; $n) | round | tostring
       | if length <= $n then "0" * ($n + 1 - length) + . else . end
       | .[:-$n] + "." + .[-$n:])
  end;

def mean_and_std($n): (.mean | fixed($n)) + " ± " + (.std | fixed($n));

def yes_or_no: if . == null then "n/a" elif . then "yes" else "no" end;

# Rows of cells, as many in each, as lines with aligned columns.
def table:
  (transpose | map(map(length) | max)) as $widths
  | .[] | to_entries
  | map(.value + (" " * ($widths[.key] - (.value | length)) // ""))
  | join("  ") | sub(" +$"; "");
