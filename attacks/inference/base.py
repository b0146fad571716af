"""BASE, the Bayes-optimal score under an exponential model of the loss (Lassila et al., arXiv:2505.24089).

With p(θ | x in) ∝ exp(−ℓ_θ(x)) p(θ | x out), the log odds of membership are, up to a constant,

    −ℓ_θ(x) − log mean_m exp(−ℓ_m(x))

over shadow models m: the target's log-probability of the true class less the log of the shadows' mean
probability. It is the ratio that RMIA ranks against a population; BASE needs none and has no ties
(the equivalence is theirs, and arXiv:2603.11799's, whose BASE1 this is).

Ours: online, shadows with and without the example weigh one half each, which is the plain mean of a balanced
design. Offline makes RMIA's guess of p(x) (`mean_probability`), which `a` = 1 turns off: the offline BASE1 of
arXiv:2603.11799.
"""

from __future__ import annotations

from raiaudit.attacks.inference.mean_probability import log_mean_of_half_in, log_mean_of_out
from raiaudit.attacks.inference.signals import Floats, Signals, log_probability
from raiaudit.errors import UsageError

__all__ = ["score"]


def score(signals: Signals, *, online: bool = True, a: float = 0.3) -> Floats:
    """Log-probability of the true class, less the log of what shadow models give it on average.

    Raises `UsageError` where an example has no shadow on a side that is needed.
    """
    if not 0 <= a <= 1:
        raise UsageError(f"a must lie in [0, 1], got {a}", where="BASE")
    if online:
        mean_N = log_mean_of_half_in(signals.shadow_phi_MN, signals.keep_MN, where="BASE")
    else:
        mean_N = log_mean_of_out(signals.shadow_phi_MN, signals.keep_MN, a=a, where="BASE offline")
    return log_probability(signals.phi_N) - mean_N
