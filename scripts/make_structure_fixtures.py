#!/usr/bin/env python3
"""Makes tests/data/structure.json: assignments and geometries of random matrices, by other programs.

Assignments are those of scipy.optimize.linear_sum_assignment. Unbiased CKA is computed in the words of
Song et al. (2012), equation 5, and r with numpy.corrcoef.

    python scripts/make_structure_fixtures.py tests/data/structure.json

Made with Python 3.11, numpy 2.4.6 and scipy 1.17.1.
"""

import json
import sys

import numpy as np
from scipy.optimize import linear_sum_assignment


def assignments(random):
    cases = []
    for rows, columns in [(1, 1), (1, 4), (4, 1), (3, 3), (5, 5), (8, 8), (6, 9), (9, 6), (16, 16)]:
        profit = random.normal(size=(rows, columns)).round(3)
        row, column = linear_sum_assignment(profit, maximize=True)
        chosen = [-1] * rows
        for r, c in zip(row, column):
            chosen[r] = int(c)
        cases.append({"profit": profit.tolist(), "columns": chosen, "sum": float(profit[row, column].sum())})
    return cases


def hsic(k, m):
    n = len(k)
    k = k - np.diag(np.diag(k))
    m = m - np.diag(np.diag(m))
    one = np.ones(n)
    total = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (total - 2 * (one @ k @ m @ one) / (n - 2)) / (n * (n - 3))


def geometries(random):
    cases = []
    for n, d, e in [(5, 3, 2), (9, 4, 12), (12, 6, 6)]:
        first = random.uniform(size=(n, d)).round(3)
        second = (random.uniform(size=(n, e)) + first[:, :1]).round(3)
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second)]
        grams = [u @ u.T for u in unit]
        pairs = np.triu_indices(n, 1)
        denominator = np.sqrt(hsic(grams[0], grams[0]) * hsic(grams[1], grams[1]))
        cases.append(
            {
                "first": first.tolist(),
                "second": second.tolist(),
                "rsa": float(np.corrcoef(grams[0][pairs], grams[1][pairs])[0, 1]),
                "cka": float(hsic(*grams) / denominator),
            }
        )
    return cases


def main():
    random = np.random.default_rng(1)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"assignments": assignments(random), "geometries": geometries(random)}, file)
        file.write("\n")


if __name__ == "__main__":
    main()
