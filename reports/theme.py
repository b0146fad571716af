"""One look for page, PDF and terminal: colours, verdict words and their shapes.

The series palette is Okabe and Ito's colour-blind-safe set (https://jfly.uni-koeln.de/color/), without
yellow, which vanishes on white. A verdict is never told by colour alone: each has its word and its symbol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raiaudit.audit.gates import Status

__all__ = ["FAINT", "FLAGGED", "FONT", "GRID", "INK", "MUTED", "SERIES", "VERDICTS", "VerdictLook"]

INK = "#1b1f24"
MUTED = "#57606a"
FAINT = "#8c959f"
GRID = "#e6e9ec"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1b1f24")
FONT = "Libertinus Serif, Georgia, serif"


@dataclass(frozen=True, slots=True)
class VerdictLook:
    """`word` for people, `symbol` for narrow places, `colour` as text on white (contrast ≥ 4.5), `tint`
    as a background, `style` for a terminal."""

    word: str
    symbol: str
    colour: str
    tint: str
    style: str


VERDICTS: dict[Status, VerdictLook] = {
    "pass": VerdictLook("Pass", "✓", "#17663a", "#e3f3e9", "green"),
    "fail": VerdictLook("Fail", "✗", "#a1211a", "#fbe7e5", "bold red"),
    "inconclusive": VerdictLook("Inconclusive", "◐", "#7d5400", "#fcf0d6", "yellow"),
    "not_run": VerdictLook("Not run", "○", "#4b5563", "#eceef0", "dim"),
    "error": VerdictLook("Error", "▲", "#6d28a8", "#f1e6fa", "magenta"),
}

FLAGGED = VerdictLook("Flagged", "●", "#8a3a00", "#fdebdc", "red")
"""Of what is grave although no gate asked."""
