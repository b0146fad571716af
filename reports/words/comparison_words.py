"""Quantities, numbers and outcomes of a comparison as people read them.

Differences are in the unit of the value, shares in percentage points. Names from outside are cut, not
escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.words.wording import decimal, in_percent, metric_title, percent, slice_text

if TYPE_CHECKING:
    from raiaudit.audit.comparison.results import Changed, Comparison, Delta, Outcome

__all__ = [
    "OUTCOMES",
    "change",
    "comparison_title",
    "cut",
    "group_name",
    "names",
    "number",
    "p_text",
    "quantity",
]

OUTCOMES: dict[Outcome, str] = {
    "better": "▲ better",
    "worse": "▼ worse",
    "undecided": "○ no clear change",
    "unchanged": "= unchanged",
    "unjudged": "not judged: no interval",
}
_LONGEST = 160


def names(comparison: Comparison) -> list[str]:
    """What the runs are called, the reference first."""
    return [cut(run.name) for run in comparison.runs]


def comparison_title(comparison: Comparison) -> str:
    """ "digits-vit against digits-cnn on digits"."""
    reference, *others = names(comparison)
    who = others[0] if len(others) == 1 else f"{len(others)} runs"
    partial = " (PARTIAL)" if any(run.partial for run in comparison.runs) else ""
    return f"{who} against {reference} on {cut(comparison.data)}{partial}"


def quantity(each: Delta | Changed) -> str:
    """ "Robust accuracy (norm = linf, ε = 0.15, attack = pgd)"."""
    told = slice_text(each.where)
    return cut(metric_title(each.metric) + (f" ({told})" if told else ""))


def number(each: Delta, value: float) -> str:
    """A value of the quantity in its unit."""
    if in_percent(each.metric, each.unit):
        return f"{percent(value)} %"
    return f"{decimal(value)} {each.unit}".rstrip()


def change(each: Delta) -> str:
    """The difference with its interval: "+1.2 points [+0.3, +2.1]"."""
    points = " points" if in_percent(each.metric, each.unit) else ""
    text = f"{_signed(each, each.difference)}{points}"
    if each.low is None or each.high is None:
        return text
    return f"{text} [{_signed(each, each.low)}, {_signed(each, each.high)}]"


def group_name(each: Delta) -> str:
    """ "sex = Female", of a difference by group."""
    assert each.group is not None
    return cut(" = ".join(each.group))


def p_text(p: float) -> str:
    """ "< 0.001", "= 0.021"."""
    return "<\u00a00.001" if p < 1e-3 else f"=\u00a0{p:.2g}" if p < 0.0995 else f"=\u00a0{p:.2f}"


def cut(text: str) -> str:
    """A very long name by its beginning."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _signed(each: Delta, value: float) -> str:
    """A difference: "+1.2", "−0.031"; shares in percentage points."""
    text = f"{100 * abs(value):.1f}" if in_percent(each.metric, each.unit) else decimal(abs(value))
    return text if float(text.replace("\u202f", "")) == 0 else f"{'+' if value > 0 else '−'}{text}"
