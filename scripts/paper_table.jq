# The paper's numbers beside those of a report.json of `moexray analyze`.
include "tables";

def all_numbers: all(. != null);
# Whether the numbers fall from left to right; null if one is undefined.
def falls: if all_numbers then . as $a | [range(1; length) | $a[. - 1] > $a[.]] | all else null end;
def range_text: map(select(. != null)) | if length == 0 then "n/a" else "\(min | fixed(4)) to \(max | fixed(4))" end;

(.similarity // {}) as $s
| (.baselines // {}) as $b
| (.layers // {}) as $l
| (.classify // {}) as $c
| ($s.category_matrix // []) as $m
| [range($m | length) as $i | $m[$i][$i]] as $diagonal
| [range($m | length) as $i | range($i) as $j | $m[$i][$j]] as $rest
| ($l.layers // [] | map(.cohens_d)) as $d
| ($d | length / 2 | floor) as $half
| (if $l.peak_layer == null then null else $l.peak_layer >= $half end) as $peaks_late
| [
    ["quantity", "paper", "here", "agreement"],
    ["similarity within categories", "0.8435 ± 0.0879", ($s.within // {} | mean_and_std(4)), ""],
    ["similarity across categories", "0.6225 ± 0.1687", ($s.across // {} | mean_and_std(4)),
     "within > across: " + ([$s.within.mean, $s.across.mean] | falls | yes_or_no)],
    ["Cohen's d", "1.44", ($s.cohens_d | fixed(2)),
     "same sign: " + (if $s.cohens_d == null then null else $s.cohens_d > 0 end | yes_or_no)],
    ["category matrix, diagonal", "0.83 to 0.85", ($diagonal | range_text), ""],
    ["category matrix, off-diagonal", "0.58 to 0.64", ($rest | range_text),
     "diagonal above all else: "
     + (if ($diagonal + $rest | length == 0 or any(. == null)) or ($rest | length == 0) then null
        else ($diagonal | min) > ($rest | max) end | yes_or_no)],
    ["load balance", "between the two", ($b.load_balance // {} | mean_and_std(4)),
     "within > load balance > across: "
     + ([$b.within.mean, $b.load_balance.mean, $b.across.mean] | falls | yes_or_no)],
    ["permutation", "not given", ($b.permutation.within // {} | mean_and_std(4)),
     "within > permutation: " + ([$b.within.mean, $b.permutation.within.mean] | falls | yes_or_no)],
    ["layer with the largest d", "13, counted from 0 or 1",
     (if $l.peak_layer == null then "n/a" else "\($l.peak_layer), counted from 0" end),
     "in the deeper half: " + ($peaks_late | yes_or_no)],
    ["accuracy", "0.925 ± 0.061", ($c.accuracy // {} | mean_and_std(3)),
     "above chance (\($c.chance | fixed(2))): "
     + (if $c.accuracy == null then null else $c.accuracy.mean > $c.chance end | yes_or_no)],
    ["macro F1", "0.93", ($c.macro_f1 | fixed(2)), ""]
  ]
| table
