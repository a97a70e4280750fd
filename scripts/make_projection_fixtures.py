#!/usr/bin/env python3
"""Writes tests/data/projection.json: what scikit-learn makes of three small data sets.

Run from the repository's root, with numpy and scikit-learn (the versions used are in the file):

    python3 scripts/make_projection_fixtures.py

Every case holds the data, PCA(svd_solver="full") of it, plain and after StandardScaler, the
trustworthiness of the PCA plane, and KL divergence and trustworthiness of ten runs of TSNE, whose starts
are the PCA scores, scaled to a standard deviation of 1e-4 along the first, plus normal noise of 1e-6.
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.preprocessing import StandardScaler

OUTPUT = pathlib.Path("tests/data/projection.json")
N_RUNS = 10


def signatures(rng, n, n_layers, n_experts, top_k):
    """Shares of experts, drawn around the tastes of four categories: fewer rows than columns."""
    taste = rng.normal(size=(4, n_layers, n_experts))
    rows = []
    for i in range(n):
        own = 0.7 * taste[i % 4] + 0.4 * rng.normal(size=(n_layers, n_experts))
        counts = np.zeros((n_layers, n_experts))
        for _ in range(int(rng.integers(20, 60))):
            order = np.argsort(-(own + rng.gumbel(size=own.shape)), axis=1)
            for layer in range(n_layers):
                counts[layer, order[layer, :top_k]] += 1
        rows.append((counts / counts.sum(axis=1, keepdims=True)).ravel())
    return np.array(rows)


def clusters(rng, n, d):
    """Five normal clusters of unequal width."""
    centres = 3 * rng.normal(size=(5, d))
    return np.array([centres[i % 5] + (0.5 + 0.2 * (i % 5)) * rng.normal(size=d) for i in range(n)])


def ring(rng, n, d):
    """A noisy closed curve: no clusters at all."""
    angle = 2 * np.pi * rng.random(n)
    plane = np.stack([np.cos(angle), np.sin(angle), 0.5 * np.cos(2 * angle)], axis=1)
    return plane @ rng.normal(size=(3, d)) + 0.1 * rng.normal(size=(n, d))


def digits(values):
    return [[float(f"{v:.13g}") for v in row] for row in values]


def pca_case(x):
    model = PCA(n_components=2, svd_solver="full").fit(x)
    return {
        "explained_variance": model.explained_variance_.tolist(),
        "explained_variance_ratio": model.explained_variance_ratio_.tolist(),
        "components": digits(model.components_),
        "scores": digits(model.transform(x)),
    }


def tsne_runs(rng, x, perplexity):
    start = PCA(n_components=2, svd_solver="full").fit_transform(x)
    start *= 1e-4 / np.std(start[:, 0])
    runs = {"kl_divergence": [], "trustworthiness": []}
    for _ in range(N_RUNS):
        noisy = (start + 1e-6 * rng.normal(size=start.shape)).astype(np.float32)
        model = TSNE(perplexity=perplexity, init=noisy)
        y = model.fit_transform(x)
        runs["kl_divergence"].append(float(model.kl_divergence_))
        runs["trustworthiness"].append(float(trustworthiness(x, y, n_neighbors=5)))
    return runs


def case(rng, name, x, perplexity):
    x = np.round(x, 4)
    plane = PCA(n_components=2, svd_solver="full").fit_transform(x)
    return {
        "name": name,
        "rows": x.tolist(),
        "pca": pca_case(x),
        "standardized_pca": pca_case(StandardScaler().fit_transform(x)),
        "pca_trustworthiness": float(trustworthiness(x, plane, n_neighbors=5)),
        "perplexity": perplexity,
        "tsne": tsne_runs(rng, x, perplexity),
    }


def main():
    rng = np.random.default_rng(20240917)
    result = {
        "command": "python3 scripts/make_projection_fixtures.py",
        "versions": {"numpy": np.__version__, "scikit-learn": sklearn.__version__},
    }
    cases = [
        case(rng, "signatures", signatures(rng, 64, 6, 12, 3), 21.0),
        case(rng, "clusters", clusters(rng, 200, 16), 30.0),
        case(rng, "ring", ring(rng, 150, 8), 12.0),
    ]
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    head = json.dumps(result, indent=1)[:-2]
    OUTPUT.write_text(head + ',\n "cases": [\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
