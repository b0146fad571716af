"""What stands beside a check's numbers: doubts that another check casts on them, and budgets not spent.

`robustness.reliability` doubts robust accuracies, `privacy.canaries` an ε that they refute. What an attack
below its full budget left, a refuted claim, and the ε of a tuning run say so in the reason of a measurement
that has a value. Beside maps stands which methods' maps are not to be relied on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.words.map_verdicts import map_verdict, method_words
from raiaudit.reports.words.wording import check_title, quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results

__all__ = ["remarks"]

_ATTACKED = "robustness.evasion"
_PRIVACY = ("epsilon", "epsilon_margin", "epsilon_all_trials")


def remarks(results: Results, check: str) -> list[str]:
    """Sentences, each once; none where nothing qualifies the numbers of `check`."""
    own = [m for m in results.measurements if m.check == check]
    doubts = [
        f"{check_title(other.check)}: {other.reason}"
        for other in results.measurements
        if other.check != check and any(m.metric.startswith(other.doubts) for m in own)
    ]
    limits = [
        f"{m.where['attack']}: {m.reason}"
        for m in own
        if (m.check, m.metric) == (_ATTACKED, "robust_accuracy")
        and m.value is not None
        and m.reason
        and "attack" in m.where
    ]
    privacy = [m.reason for m in own if m.metric in _PRIVACY and m.value is not None and m.reason]
    return list(dict.fromkeys([*doubts, *limits, *privacy, *_stronger(own), *_doubted_maps(results, check)]))


def _doubted_maps(results: Results, check: str) -> list[str]:
    """The methods of attribution whose maps do not beat their controls."""
    if check != "explanations.attribution":
        return []
    own = (m for m in results.measurements if m.check == check and m.metric == "deletion_gain")
    methods = dict.fromkeys(str(m.where.get("method", "integrated_gradients")) for m in own)
    return [
        f"{method_words(method)}: {verdict.text}"
        for method in methods
        if (verdict := map_verdict(results, method)) is not None and verdict.mark
    ]


def _stronger(own: Sequence[Measurement]) -> list[str]:
    """The membership attack that finds most, if that is clearly more than the headline finds."""
    areas = [m for m in own if m.metric == "membership_auc" and m.value is not None]
    most = max((m for m in areas if m.beside), key=lambda m: m.value or 0.0, default=None)
    return [
        f"{most.where['attack']} finds more members than {first.where['attack']}, the headline: AUC "
        f"{quantity(most)} against {quantity(first)}"
        for first in areas
        if most is not None and not first.beside and (most.low or 0.0) > (first.high or 1.0)
    ]
