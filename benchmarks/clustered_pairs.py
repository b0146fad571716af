"""Pairs of answers in clusters: the size of the clustered test and of McNemar's, the cover of intervals.

    python benchmarks/clustered_pairs.py [--runs 2000] [--json]

Clusters are beta-binomial: of the pairs of each, `rate` change their answer, as often one way as the other
(or all of them one way: a test is then no false alarm), with an intra-cluster correlation of `kinship`.
"bootstrap" is the percentile bootstrap of clusters (500 draws), the usual choice; "ours" are those of
`audit/fairness/counterfactual/clustered.py`. Nominal: size 5 %, cover 95 %.
"""

from __future__ import annotations

import argparse
import json
from itertools import product

import numpy as np

from raiaudit.audit.fairness.counterfactual.clustered import effect_interval, share_interval
from raiaudit.audit.statistics.sign_flips import sign_flip_p

SEED = 7


def simulate(
    clusters: int, pairs: int, rate: float, kinship: float, one_way: bool, runs: int
) -> dict[str, float]:
    """Shares of runs: tests below 5 %, intervals that hold the truth."""
    rng = np.random.default_rng(SEED)
    more, pairs_C = (1 - kinship) / kinship, np.full(clusters, pairs)
    effect = rate if one_way else 0.0
    found = dict.fromkeys(("size ours", "size mcnemar", "share ours", "share bootstrap", "effect ours"), 0.0)
    for _ in range(runs):
        changed_C = rng.binomial(pairs, rng.beta(rate * more, (1 - rate) * more, clusters))
        ways_C = np.ones(clusters) if one_way else rng.beta(0.5 * more, 0.5 * more, clusters)
        gained_C = rng.binomial(changed_C, ways_C)
        lost_C = changed_C - gained_C
        found["size ours"] += sign_flip_p(gained_C - lost_C) <= 0.05
        alone = np.r_[np.ones(gained_C.sum()), -np.ones(lost_C.sum())]
        found["size mcnemar"] += sign_flip_p(alone) <= 0.05
        low, high = share_interval(changed_C, pairs_C)
        found["share ours"] += low <= rate <= high
        shares_B = changed_C[rng.integers(clusters, size=(500, clusters))].mean(axis=1) / pairs
        low, high = np.quantile(shares_B, [0.025, 0.975])
        found["share bootstrap"] += low <= rate <= high
        low, high = effect_interval(gained_C, lost_C, pairs_C)
        found["effect ours"] += low <= effect <= high
    return {name: count / runs for name, count in found.items()}


def main() -> None:
    """Print a row a setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    settings = [*product((11, 40), (60,), (0.05, 0.3), (0.05, 0.3), (False,)), (11, 200, 0.05, 0.3, True)]
    for setting in settings:
        named = dict(zip(("clusters", "pairs", "rate", "kinship", "one_way"), setting, strict=True))
        rows.append({**named, **simulate(*setting, options.runs)})
        if not options.json:
            print("  ".join(f"{name} {value:g}" for name, value in rows[-1].items()), flush=True)
    if options.json:
        print(json.dumps({"name": "clustered_pairs", "rows": rows, "runs": options.runs, "seed": SEED}))


if __name__ == "__main__":
    main()
