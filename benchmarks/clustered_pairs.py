"""Pairs of answers in clusters: the size of the clustered test and of McNemar's, the cover of intervals.

    python benchmarks/clustered_pairs.py [--runs 2000] [--json]

Clusters are beta-binomial: of 60 pairs each, `rate` change their answer, as often one way as the other, with
an intra-cluster correlation of `kinship`. "bootstrap" is the percentile bootstrap of clusters (500 draws),
the usual choice; "ours" are `audit/fairness/counterfactual/clustered.py`'s. Nominal: size 5 %, cover 95 %.
"""

from __future__ import annotations

import argparse
import json
from itertools import product

import numpy as np

from raiaudit.audit.fairness.counterfactual.clustered import effect_interval, share_interval, sign_flip_p

PAIRS = 60
SEED = 7


def simulate(clusters: int, rate: float, kinship: float, runs: int) -> dict[str, float]:
    """Shares of runs: tests below 5 %, intervals that hold the truth."""
    rng = np.random.default_rng(SEED)
    more, pairs_C = (1 - kinship) / kinship, np.full(clusters, PAIRS)
    found = dict.fromkeys(("size ours", "size mcnemar", "share ours", "share bootstrap", "effect ours"), 0.0)
    for _ in range(runs):
        changed_C = rng.binomial(PAIRS, rng.beta(rate * more, (1 - rate) * more, clusters))
        gained_C = rng.binomial(changed_C, rng.beta(0.5 * more, 0.5 * more, clusters))
        lost_C = changed_C - gained_C
        found["size ours"] += sign_flip_p(gained_C - lost_C) <= 0.05
        alone = np.r_[np.ones(gained_C.sum()), -np.ones(lost_C.sum())]
        found["size mcnemar"] += sign_flip_p(alone) <= 0.05
        low, high = share_interval(changed_C, pairs_C)
        found["share ours"] += low <= rate <= high
        shares_B = changed_C[rng.integers(clusters, size=(500, clusters))].mean(axis=1) / PAIRS
        low, high = np.quantile(shares_B, [0.025, 0.975])
        found["share bootstrap"] += low <= rate <= high
        low, high = effect_interval(gained_C, lost_C, pairs_C)
        found["effect ours"] += low <= 0 <= high
    return {name: count / runs for name, count in found.items()}


def main() -> None:
    """Print a row a setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for clusters, rate, kinship in product((11, 40), (0.05, 0.3), (0.05, 0.3)):
        setting = {"clusters": clusters, "rate": rate, "kinship": kinship}
        rows.append({**setting, **simulate(clusters, rate, kinship, options.runs)})
        if not options.json:
            print("  ".join(f"{name} {value:g}" for name, value in rows[-1].items()), flush=True)
    if options.json:
        print(json.dumps({"name": "clustered_pairs", "rows": rows, "runs": options.runs, "seed": SEED}))


if __name__ == "__main__":
    main()
