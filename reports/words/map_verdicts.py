"""Whether maps of a method are to be believed: one verdict each, wherever such maps are shown.

`explanations.faithfulness` holds maps against controls that know nothing of the model, random rankings among
them; where it judged a method its verdict stands, else that of `explanations.attribution`, whose only control
is random rankings. Both are read off an interval: above zero the maps beat the controls, below zero they do
worse, and one that spans zero shows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from raiaudit.reports.theme import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results

__all__ = ["BestMethod", "MapVerdict", "best_method", "map_verdict", "mark_of", "method_words"]

_FAITHFULNESS = ("explanations.faithfulness", "faithfulness_gain", "maps that know nothing of the model")
_DELETION = ("explanations.attribution", "deletion_gain", "random rankings")
_SHORT = {
    "pass": "beats its controls",
    "inconclusive": "not shown to beat its controls",
    "fail": "no better than its controls",
}


@dataclass(frozen=True, slots=True)
class MapVerdict:
    """`status` as that of a gate; `text` says it in words, and of what does not pass what to make of it."""

    status: Literal["pass", "inconclusive", "fail"]
    text: str

    @property
    def short(self) -> str:
        """The verdict in four words."""
        return _SHORT[self.status]

    @property
    def mark(self) -> str:
        """What must stand beside every map: empty only where such maps beat their controls."""
        return "" if self.status == "pass" else f"({VERDICTS[self.status].symbol} {self.short})"


@dataclass(frozen=True, slots=True)
class BestMethod:
    """The method that speaks for all where there is room for one, and the words for why."""

    name: str
    why: str


def map_verdict(results: Results, method: str) -> MapVerdict | None:
    """Of maps by `method` in this run; None where nobody judged them."""
    for check, metric, controls in (_FAITHFULNESS, _DELETION):
        m = _measured(results, check, metric, method)
        if m is None or m.value is None:
            continue
        if m.low is None or m.high is None:
            return MapVerdict("inconclusive", f"too few examples to tell whether such maps beat {controls}")
        if m.low > 0:
            return MapVerdict("pass", f"such maps beat {controls}")
        if m.high <= 0:
            return MapVerdict("fail", f"such maps do no better than {controls}: do not rely on them")
        return MapVerdict("inconclusive", f"such maps are not shown to beat {controls}")
    return None


def mark_of(results: Results, method: str) -> str:
    """What must stand beside anything made of maps by `method`; empty where they beat their controls."""
    verdict = map_verdict(results, method)
    return "" if verdict is None else verdict.mark


def best_method(results: Results, methods: Iterable[str]) -> BestMethod:
    """The one with the largest gain over its controls among those that were judged alike; else the first."""
    names = list(dict.fromkeys(methods))
    assert names, "there is a map, so there is a method"
    if len(names) == 1:
        return BestMethod(names[0], "")
    for (check, metric, _), what in ((_FAITHFULNESS, "most faithful"), (_DELETION, "best by deletion")):
        gains = {
            name: m.value
            for name in names
            if (m := _measured(results, check, metric, name)) is not None and m.value is not None
        }
        if gains:
            best = max(gains, key=lambda name: gains[name])
            return BestMethod(best, f"the {what} of {len(names)} methods")
    return BestMethod(names[0], f"the first of {len(names)} methods, none of which was judged")


def method_words(method: str) -> str:
    """`integrated_gradients` → "integrated gradients"."""
    return method.replace("_", " ")


def _measured(results: Results, check: str, metric: str, method: str) -> Measurement | None:
    """Over all examples and controls; attribution names no method where it has one alone."""
    found = [m for m in results.measurements if m.check == check and m.metric == metric]
    return next((m for m in found if m.where in ({"method": method}, {})), None)
