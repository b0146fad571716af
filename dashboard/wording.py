"""How things are said on a page: verdicts, times, and names that came from outside.

Numbers are worded by `raiaudit.reports.words.wording`, so that page and PDF agree.

Names of classes, models and groups are data: `plain` makes Streamlit's Markdown show them literally,
so that none becomes a link, an image, a formula or a colour.
"""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from unicodedata import bidirectional

from raiaudit.dashboard.theme import BADGES
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.printable import spelt_out

if TYPE_CHECKING:
    from raiaudit.audit.gates import Status

__all__ = [
    "at_home",
    "chip",
    "duration",
    "gate_counts",
    "instant",
    "plain",
    "run_command",
    "shortened",
    "symbol",
    "unbroken",
    "visible",
    "word",
]

# What a run or check can be besides a verdict: symbol, word, colour.
_OTHER_STATES = {
    "running": ("▶", "Running", "blue"),
    "failed": ("▲", "Aborted", "violet"),
    "interrupted": ("‖", "Interrupted", "gray"),
    "damaged": ("▲", "Damaged", "violet"),
}

_LONGEST = 160  # characters of a name in a heading
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_WORD_JOINER = "\u2060"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$^:&=\"'/@])")
# Autolinks, emoji and icon codes are found after escapes are undone; an invisible joiner breaks them.
_LATE_SYNTAX = re.compile(r"(?<=[:@])(?=\S)|(?<=www)(?=\.)|(?<=-)(?=[->])|(?<=<)(?=-)", re.IGNORECASE)


def visible(text: str) -> str:
    """As in the documents: what nobody could see is spelt out, and a name turns nothing beside it about."""
    spelt = spelt_out(text)
    if not spelt.isascii() and any(bidirectional(char) in _RIGHT_TO_LEFT for char in spelt):
        return f"\u2068{spelt}\u2069"
    return spelt


def plain(text: object) -> str:
    """`text` on one line, as Markdown that shows exactly these characters."""
    flat = visible(" ".join(str(text).split()))
    return _MARKDOWN.sub(r"\\\1", _LATE_SYNTAX.sub(_WORD_JOINER, flat))


def chip(state: str) -> str:
    """A verdict or state as a coloured Markdown badge: symbol and word."""
    symbol, word, colour = _look(state)
    return f":{colour}-badge[{symbol} {word}]"


def word(state: str) -> str:
    """A verdict or state in words only, where no colour can be."""
    return _look(state)[1]


def symbol(state: str) -> str:
    """The sign that stands before the word."""
    return _look(state)[0]


def shortened(name: str) -> str:
    """A name that leaves room for what stands beside it."""
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"


def unbroken(text: str) -> str:
    """The same words, never parted at the end of a line."""
    return text.replace(" ", "\u00a0")


def run_command(spec: str, home: Path) -> str:
    """What a person types to start or resume an audit into `home`."""
    return at_home(f"raiaudit run {shlex.quote(spec) if spec else 'SPEC'}", home)


def at_home(command: str, home: Path) -> str:
    """The same command for `home`, where that is not the one it would take by itself."""
    return command if home == Path(".raiaudit").resolve() else f"{command} --home {shlex.quote(str(home))}"


def gate_counts(gates: dict[str, int]) -> str:
    """`5 pass · 1 fail`, worst last; a dash where no gate was decided."""
    order = ("pass", "not_run", "inconclusive", "error", "fail")
    parts = [unbroken(f"{gates[status]} {word(status).lower()}") for status in order if gates.get(status)]
    return " · ".join(parts) or "—"


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
