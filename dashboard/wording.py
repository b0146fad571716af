"""How things are said on a page: verdicts, numbers, times, and names that came from outside.

Names of classes, models and groups are data: `plain` makes Streamlit's Markdown show them literally,
so that none becomes a link, an image, a formula or a colour.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from raiaudit.dashboard.theme import BADGES
from raiaudit.reports.theme import VERDICTS

if TYPE_CHECKING:
    from raiaudit.audit.gates import Status
    from raiaudit.audit.measurement import Measurement, Scalar
    from raiaudit.audit.results import RunHeader

__all__ = ["chip", "duration", "instant", "interval", "number", "plain", "state_of", "value", "where", "word"]

# What a run or check can be besides a verdict: symbol, word, colour.
_OTHER_STATES = {
    "running": ("▸", "Running", "blue"),
    "failed": ("▲", "Stopped by an error", "violet"),
    "interrupted": ("‖", "Interrupted", "gray"),
    "damaged": ("▲", "Damaged", "violet"),
}

_WORD_JOINER = "\u2060"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$^:&=\"'/@])")
# Autolinks, emoji and icon codes are found after escapes are undone; an invisible joiner breaks them.
_LATE_SYNTAX = re.compile(r"(?<=[:@])(?=\S)|(?<=www)(?=\.)|(?<=-)(?=[->])|(?<=<)(?=-)", re.IGNORECASE)


def plain(text: object) -> str:
    """`text` on one line, as Markdown that shows exactly these characters."""
    flat = " ".join(str(text).split())
    return _MARKDOWN.sub(r"\\\1", _LATE_SYNTAX.sub(_WORD_JOINER, flat))


def chip(state: str) -> str:
    """A verdict or state as a coloured Markdown badge: symbol and word."""
    symbol, word, colour = _look(state)
    return f":{colour}-badge[{symbol} {word}]"


def word(state: str) -> str:
    """A verdict or state in words only, where no colour can be."""
    return _look(state)[1]


def state_of(header: RunHeader | None) -> str:
    """The one word a list shows for a run: its verdict once there is one, else its status."""
    if header is None:
        return "damaged"
    if header.status == "finished":
        return header.verdict or "inconclusive"
    return header.status


def number(amount: float, unit: str = "") -> str:
    """A fraction as a percentage with one decimal; anything else with four digits and its unit."""
    if unit == "":
        return _percent(amount) if -1.0 <= amount <= 1.0 else f"{amount:.4g}"
    return f"{amount:.4g} {unit}"


def value(measurement: Measurement) -> str:
    """The value for a table; an undefined one is a dash (its reason stands beside it)."""
    return "—" if measurement.value is None else number(measurement.value, measurement.unit)


def interval(measurement: Measurement) -> str:
    """`97.1 – 99.4 %`, or nothing where no interval is defined."""
    if measurement.low is None or measurement.high is None:
        return ""
    low, high = (number(end, measurement.unit) for end in (measurement.low, measurement.high))
    return f"{low} to {high}"


def where(slice_: dict[str, Scalar]) -> str:
    """`eps 0.15 · attack pgd`: the slice a measurement was taken in."""
    return " · ".join(f"{key} {_short(val)}" for key, val in slice_.items())


def instant(iso: str) -> str:
    """`21 Nov 2026, 00:36 UTC`; a time that cannot be read is shown as written."""
    try:
        moment = datetime.fromisoformat(iso).astimezone(UTC)
    except ValueError:
        return iso
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def duration(seconds: float | None) -> str:
    """`8.4 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return "—"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _look(state: str) -> tuple[str, str, str]:
    if state in _OTHER_STATES:
        return _OTHER_STATES[state]
    status = cast("Status", state)
    return VERDICTS[status].symbol, VERDICTS[status].word, BADGES[status]


def _percent(fraction: float) -> str:
    # Small false positive rates would all read 0.0 %.
    digits = 1 if abs(fraction) >= 0.001 or fraction == 0 else 3
    return f"{100 * fraction:.{digits}f} %"


def _short(val: Scalar) -> str:
    return f"{val:.4g}" if isinstance(val, float) else str(val)
