"""Each shadow model in turn as the target, the others as its shadows: M audits for the training of M models.

An attack on one target has one ROC; over M targets it has a spread. `turns` serves every attack; LiRA's
moments are had for all targets at once, by taking one model out of sums over all (`moments.of_others`).

Legend: N examples, M shadow models.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raiaudit.attacks.inference import lira
from raiaudit.attacks.inference.moments import of_others
from raiaudit.attacks.inference.signals import Floats, Signals

__all__ = ["lira_scores", "turns"]


def turns(signals: Signals) -> Iterator[Signals]:
    """Signals with shadow m as the target and the other M − 1 as its shadows, for each m; `keep_MN[m]` says
    who its members are. The target of `signals` takes no part.
    """
    population = signals.shadow_population_phi_MZ
    for m, phi_N in enumerate(signals.shadow_phi_MN):
        others = np.arange(len(signals.keep_MN)) != m
        yield Signals(
            phi_N,
            signals.shadow_phi_MN[others],
            signals.keep_MN[others],
            None if population is None else population[m],
            None if population is None else population[others],
        )


def lira_scores(signals: Signals, *, online: bool = True, variance: lira.Variance = "auto") -> Floats:
    """`lira.score` of all `turns` at once, score_MN. Raises `UsageError` as that does."""
    outside = of_others(signals.shadow_phi_MN, ~signals.keep_MN)
    inside = of_others(signals.shadow_phi_MN, signals.keep_MN) if online else None
    shared = lira.shares(variance, len(signals.keep_MN) - 1)
    return lira.log_ratio(signals.shadow_phi_MN, outside, inside, shared=shared)
