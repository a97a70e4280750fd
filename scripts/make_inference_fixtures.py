#!/usr/bin/env python3
"""Makes tests/data/inference.json: what scikit-learn and SciPy compute of tf-idf, mutual information and q-values.

    python3 scripts/make_inference_fixtures.py > tests/data/inference.json

Made with Python 3.11, numpy 2.4.6, scikit-learn 1.9.1 and SciPy 1.17.1.
"""
import json

import numpy as np
from scipy.stats import false_discovery_control
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import mutual_info_score


def tf_idf(random):
    """Prompts 0-5 train; type 7 occurs in the held-out prompts only."""
    counts = random.poisson(0.8, (8, 8))
    counts[:6, 7] = 0
    counts[:, 0] += 1
    model = TfidfTransformer().fit(counts[:6][:, :7])
    return {"counts": counts.tolist(), "n_train": 6, "values": model.transform(counts[:, :7]).toarray().tolist()}


def mutual_information(random):
    """Per token: a layer of 5 experts, top-2; the plug-in value of every expert and of a random one of a token's two."""
    n_prompts, n_experts = 9, 5
    prompts, tokens, labels = [], [], []
    for i in range(n_prompts):
        category = i % 3
        rows = [sorted(random.choice(n_experts, 2, replace=False, p=random.dirichlet(np.ones(n_experts) * 3)).tolist())
                for _ in range(int(random.integers(4, 12)))]
        prompts.append({"category": category, "experts": rows})
        tokens += rows
        labels += [category] * len(rows)
    log2 = np.log(2)
    experts = [mutual_info_score([int(e in t) for t in tokens], labels) / log2 for e in range(n_experts)]
    layer = mutual_info_score([e for t in tokens for e in t], np.repeat(labels, 2)) / log2
    return {"prompts": prompts, "n_experts": n_experts, "experts": experts, "layer": layer}


def q_values(random):
    p = np.concatenate([random.uniform(0, 1, 12), [0.001, 0.001, 0.04, 1.0, 0.0002]])
    return {"p": p.tolist(), "q": false_discovery_control(p, method="bh").tolist()}


random = np.random.default_rng(7)
print(json.dumps({"tf_idf": tf_idf(random), "mutual_information": mutual_information(random), "q_values": q_values(random)}))
