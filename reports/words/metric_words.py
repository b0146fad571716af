"""Plain words beside every metric: what it says and what it does not, in one sentence from `metrics.yaml`."""

from __future__ import annotations

from raiaudit.reports.words.catalogues import read_catalogue
from raiaudit.reports.words.wording import metric_title

__all__ = ["explained", "metrics"]


def explained(metric: str) -> str:
    """The sentence of a metric; empty for one that no check of ours measures.

    Names with a known ending (`…_gap`, `…_p_value`) are explained from what the ending stands on.
    """
    catalogue = read_catalogue("metrics.yaml")
    known: dict[str, str] = catalogue["metrics"]
    if metric in known:
        return _sentence(known[metric])
    families: dict[str, str] = catalogue["families"]
    for ending, pattern in families.items():
        stem = metric.removesuffix(ending)
        if metric.endswith(ending) and stem in known:
            title = metric_title(stem)
            # "AUC" stays as it is; "Selection rate" begins small inside a sentence.
            inside = title if title[1:2].isupper() else title[:1].lower() + title[1:]
            return _sentence(pattern.format(of=inside))
    return ""


def metrics() -> list[str]:
    """The metrics that have a sentence of their own."""
    return list(read_catalogue("metrics.yaml")["metrics"])


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
