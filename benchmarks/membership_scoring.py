"""Membership scores: RMIA by sorting beside its N × Z definition, leave-one-out LiRA beside its loop.

    python benchmarks/membership_scoring.py [--part rmia] [--repeats 5] [--clock cpu] [--json]

`rmia`: the share of 10,000 population points that each of 20,000 examples beats. "ours" sorts and searches;
"pairs" divides, compares and averages N × Z ratios in blocks of rows that fit into memory and, mostly, into
the cache; "matrix" does it at once, as privacy-meter writes it (1.6 GB; `--matrix`).

`lira`: moments of φ on both sides for each of 64 shadow models as the target, 50,000 examples. "ours" takes
one model out of sums over all; "loop" takes the moments of 63 models 64 times.

Before anything is timed, the numbers are compared: shares to 1e-12, moments to 1e-9 of their size.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from common import interleaved, report

from raiaudit.attacks.inference.moments import Moments, of_chosen, of_others
from raiaudit.attacks.inference.rmia import share_beaten

EXAMPLES, POPULATION, GAMMA, BLOCK = 20_000, 10_000, 2.0, 64
SHADOWS, POINTS = 64, 50_000


def pairs(ratio_N: np.ndarray, ratio_Z: np.ndarray, rows: int) -> np.ndarray:
    """The definition, `rows` examples at a time."""
    parts = [ratio_N[start : start + rows, None] for start in range(0, len(ratio_N), rows)]
    return np.concatenate([(part / ratio_Z >= GAMMA).mean(1) for part in parts])


def rmia(arguments: argparse.Namespace) -> None:
    """Time the comparison with the population."""
    rng = np.random.default_rng(arguments.seed)
    log_N, log_Z = rng.normal(size=EXAMPLES), rng.normal(size=POPULATION)
    ratio_N, ratio_Z = np.exp(log_N), np.exp(log_Z)
    contestants: dict[str, Callable[[], np.ndarray]] = {
        "ours": lambda: share_beaten(log_N, log_Z, gamma=GAMMA),
        "pairs": lambda: pairs(ratio_N, ratio_Z, BLOCK),
    }
    if arguments.matrix:
        contestants["matrix"] = lambda: pairs(ratio_N, ratio_Z, EXAMPLES)
    apart = float(np.abs(contestants["ours"]() - contestants["pairs"]()).max())
    if apart > 1e-12:
        raise SystemExit(f"shares differ by {apart}")
    report(
        "membership_scoring.rmia",
        interleaved(contestants, repeats=arguments.repeats, clock=arguments.clock),
        libraries=("numpy", "raiaudit"),
        seed=arguments.seed,
        as_json=arguments.json,
        examples=EXAMPLES,
        population=POPULATION,
        largest_difference=apart,
        clock=arguments.clock,
    )


def lira(arguments: argparse.Namespace) -> None:
    """Time the moments of all leave-one-out targets."""
    rng = np.random.default_rng(arguments.seed)
    phi_MN = rng.normal(3, 2, (SHADOWS, POINTS))
    keep_MN = np.argsort(rng.random(phi_MN.shape), axis=0) < SHADOWS // 2
    sides = (keep_MN, ~keep_MN)

    def ours() -> list[Moments]:
        return [of_others(phi_MN, chosen_MN) for chosen_MN in sides]

    def loop() -> list[list[Moments]]:
        left = [np.arange(SHADOWS) != m for m in range(SHADOWS)]
        return [[of_chosen(phi_MN[others], chosen_MN[others]) for others in left] for chosen_MN in sides]

    apart = 0.0
    for found, rows in zip(ours(), loop(), strict=True):
        for part, exact in zip(found, zip(*rows, strict=True), strict=True):
            apart = max(apart, float(np.abs(part / np.stack(exact) - 1).max()))
    if apart > 1e-9:
        raise SystemExit(f"moments differ by {apart} of their size")
    report(
        "membership_scoring.lira",
        interleaved({"ours": ours, "loop": loop}, repeats=arguments.repeats, clock=arguments.clock),
        libraries=("numpy", "raiaudit"),
        seed=arguments.seed,
        as_json=arguments.json,
        shadows=SHADOWS,
        examples=POINTS,
        largest_relative_difference=apart,
        clock=arguments.clock,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("rmia", "lira", "all"), default="all")
    parser.add_argument("--matrix", action="store_true", help="also all pairs at once")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for part, measure in (("rmia", rmia), ("lira", lira)):
        if arguments.part in (part, "all"):
            measure(arguments)


if __name__ == "__main__":
    main()
