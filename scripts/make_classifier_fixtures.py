#!/usr/bin/env python3
"""Writes tests/data/classifier.json: what scikit-learn computes from small routing counts.

Run from the repository's root, with numpy 2 and scikit-learn 1.9.1:

    python3 scripts/make_classifier_fixtures.py

Every case holds integer counts A (prompts x layers*experts), categories, folds, and the results of
StandardScaler + LogisticRegression(tol=1e-8, max_iter=20000) on the signatures: the coefficients of
the fit on all prompts and of the one without fold 0, and predictions and report over the folds.
"""

import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report, confusion_matrix
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OUTPUT = pathlib.Path("tests/data/classifier.json")


def counts(rng, categories, n_layers, n_experts, top_k, spread):
    """Counts of top_k distinct experts per token and layer, drawn around a taste of each category."""
    names = sorted(set(categories))
    taste = {c: spread * rng.normal(size=(n_layers, n_experts)) for c in names}
    common = rng.normal(size=(n_layers, n_experts))
    rows = []
    for category in categories:
        own = taste[category] + common + 0.5 * rng.normal(size=(n_layers, n_experts))
        tokens = int(rng.integers(12, 40))
        a = np.zeros((n_layers, n_experts), dtype=int)
        for _ in range(tokens):
            scores = own + rng.gumbel(size=own.shape)
            scores[:, -1] = -np.inf  # one expert that no prompt ever uses: a constant feature
            for layer, order in enumerate(np.argsort(-scores, axis=1)):
                a[layer, order[:top_k]] += 1
        rows.append(a.reshape(-1))
    return np.array(rows)


def fit(x, y):
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=20000))
    return model.fit(x, y)


def weights(model):
    regression = model[-1]
    return {
        "coefficients": [[float(f"{w:.12g}") for w in row] for row in regression.coef_],
        "intercepts": [float(f"{b:.12g}") for b in regression.intercept_],
    }


def case(name, rng, sizes, n_layers, n_experts, top_k, n_folds, spread):
    categories = [c for c, n in sizes.items() for _ in range(n)]
    rng.shuffle(categories)
    a = counts(rng, categories, n_layers, n_experts, top_k, spread)
    blocks = a.reshape(len(a), n_layers, n_experts).astype(float)
    x = (blocks / blocks.sum(axis=2, keepdims=True)).reshape(len(a), -1)
    y = np.array(categories)
    folds = np.zeros(len(y), dtype=int)
    predicted = np.empty_like(y)
    splits = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    for fold, (train, test) in enumerate(splits.split(x, y)):
        folds[test] = fold
        predicted[test] = fit(x[train], y[train]).predict(x[test])
    report = classification_report(y, predicted, output_dict=True, zero_division=np.nan)
    accuracies = [float((predicted == y)[folds == f].mean()) for f in range(n_folds)]
    return {
        "name": name,
        "n_layers": n_layers,
        "n_experts": n_experts,
        "top_k": top_k,
        "counts": a.tolist(),
        "categories": categories,
        "folds": folds.tolist(),
        "all": weights(fit(x, y)),
        "without_fold_0": weights(fit(x[folds != 0], y[folds != 0])),
        "predicted": predicted.tolist(),
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies)),
        "confusion": confusion_matrix(y, predicted).tolist(),
        "macro_f1": report["macro avg"]["f1-score"],
        "per_class": {c: report[c] for c in sorted(sizes)},
    }


def main():
    rng = np.random.default_rng(20240611)
    cases = [
        case("four categories, more features than prompts", rng,
             {"code": 6, "math": 7, "story": 5, "factual": 6}, 4, 16, 4, 3, 0.45),
        case("two categories", rng, {"yes": 9, "no": 12}, 3, 8, 2, 4, 0.3),
        case("three categories, more prompts than features", rng,
             {"a": 25, "b": 20, "c": 15}, 2, 8, 2, 5, 0.3),
        case("two categories, more prompts than features", rng,
             {"x": 20, "y": 14}, 1, 8, 3, 2, 0.4),
    ]
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    OUTPUT.write_text("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main()
