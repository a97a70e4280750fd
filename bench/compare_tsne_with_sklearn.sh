#!/bin/bash
# PCA and t-SNE of the same signatures by moexray and by scikit-learn, one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  cat <<'END'
Usage: bench/compare_tsne_with_sklearn.sh [N_PROMPTS]

Needs build/bench/projection (cmake -DMOEXRAY_BUILD_BENCH=ON) and a Python with numpy and scikit-learn
(PYTHON=…, default python3); without them that half is skipped with a notice. Default: 10,000 prompts.
END
  exit 0
fi

n=${1:-10000}
python=${PYTHON:-python3}
bench=build/bench/projection
[[ -x $bench ]] || fail "$bench is missing: build with cmake --preset default -DMOEXRAY_BUILD_BENCH=ON"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

echo "moexray"
"$bench" "$n" "$folder/signatures.npy"

echo
if ! "$python" -c "import sklearn" 2>/dev/null; then
  echo "Notice: scikit-learn is not installed for $python; its half is skipped." >&2
  exit 0
fi
"$python" - "$folder/signatures.npy" <<'END'
import resource
import sys
import time

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE


def seconds(action):
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


x = np.load(sys.argv[1])
print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}")
took, _ = seconds(lambda: PCA(svd_solver="full").fit_transform(x))
print(f"pca (full SVD) {took:8.2f} s, peak memory {peak():.2f} GB")
model = TSNE(n_jobs=-1)
took, _ = seconds(lambda: model.fit_transform(x))
print(f"t-SNE          {took:8.2f} s, peak memory {peak():.2f} GB")
print(f"  KL divergence {model.kl_divergence_:.4f}, {model.n_iter_ + 1} iterations")
END
