#!/usr/bin/env python3
"""Writes tests/data/permutation_tests.json: what scikit-bio computes on Fisher's iris data.

Run from the repository's root, with numpy, scikit-learn and scikit-bio (the versions used are in the file):

    python3 scripts/make_permutation_fixtures.py

Every case holds flowers, their four measurements scaled to unit length, so that distances between them are chord
distances 2(1 - x.y), the pseudo-F of permanova and the F of permdisp (spatial medians, all dimensions), and the
p-values of 9,999 permutations. One case has groups of equal size, one unequal, one repeated flowers, and one random
labels.
"""

import json
import pathlib

import numpy as np
import skbio
import sklearn
from scipy.spatial.distance import pdist, squareform
from skbio.stats.distance import DistanceMatrix, permanova, permdisp
from sklearn.datasets import load_iris

OUTPUT = pathlib.Path("tests/data/permutation_tests.json")
N_PERMUTATIONS = 9999


def case(name, x, labels):
    matrix = DistanceMatrix(squareform(pdist(x)), [str(i) for i in range(len(x))])
    location = permanova(matrix, labels, permutations=N_PERMUTATIONS, seed=1)
    dispersion = permdisp(matrix, labels, test="median", permutations=N_PERMUTATIONS, dimensions=0, seed=1)
    return {
        "name": name,
        "rows": [[float(f"{v:.17g}") for v in row] for row in x],
        "labels": labels,
        "permanova_f": float(location["test statistic"]),
        "permanova_p": float(location["p-value"]),
        "permdisp_f": float(dispersion["test statistic"]),
        "permdisp_p": float(dispersion["p-value"]),
    }


def main():
    iris = load_iris()
    x = iris.data / np.linalg.norm(iris.data, axis=1, keepdims=True)
    names = [str(iris.target_names[t]) for t in iris.target]
    rng = np.random.default_rng(1)
    equal = list(range(0, 150, 5))
    unequal = list(range(0, 25)) + list(range(50, 60)) + list(range(100, 117))
    tight = sorted(rng.choice(np.arange(50, 150), 30, replace=False).tolist())
    repeated = [0, 0, 0, 0, 1, 2, 3, 50, 51, 52, 52, 52, 53]
    mixed = [names[i] for i in rng.permutation(equal)]
    cases = [
        case("equal sizes", x[equal], [names[i] for i in equal]),
        case("unequal sizes", x[unequal], [names[i] for i in unequal]),
        case("two species", x[tight], [names[i] for i in tight]),
        case("repeated rows", x[repeated], [names[i] for i in repeated]),
        case("random labels", x[equal], mixed),
    ]
    versions = {"scikit-bio": skbio.__version__, "scikit-learn": sklearn.__version__, "numpy": np.__version__}
    result = {"command": "python3 scripts/make_permutation_fixtures.py", "versions": versions, "cases": cases}
    OUTPUT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
