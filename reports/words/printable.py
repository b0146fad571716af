"""Text that any typesetter can set: what our fonts lack is spelled out, never dropped.

Names come from outside. Control, format, private and unassigned characters (bidirectional overrides
among them) and characters without a glyph are written as `[U+1F600]`; right-to-left text is isolated
(Unicode UAX #9) so that it cannot reorder its neighbours; very long words get invisible places to break, and
of words longer than any name the beginning, the length and a digest are told.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from typing import Any

__all__ = ["Printable", "shortened", "spelt_out", "strings_in"]

_LONGEST_WORD = 34
_CHUNK = 17
_LONGEST_NAME = 400
_BEGINNING = 120
_KEPT = "\n"
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Latin, Greek, Cyrillic and the punctuation and mathematics we write ourselves.
_CERTAIN = frozenset(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x180), *range(0x391, 0x3CA)])) | frozenset(
    "–—‘’“”…•≤≥≠≈∞√−×→←↑↓✓✗◐○▲●\u202f"
)

_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def spelt_out(text: str) -> str:
    """The text with what no reader could see or trust written as `[U+202E]`, everything else as it is."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"[U+{ord(char):04X}]" if _unprintable(char) else char for char in text)


class Printable:
    """`lacking` tells which of a set of characters the fonts cannot show; it is asked once for all texts.

    A setting that breaks long words by itself needs no invisible places for it: `breaks` is then False.
    """

    def __init__(
        self, texts: Any, lacking: Callable[[frozenset[str]], frozenset[str]], *, breaks: bool = True
    ) -> None:
        self._breaks = breaks
        doubtful = {char for text in strings_in(texts) for char in text} - _CERTAIN
        askable = frozenset(char for char in doubtful if not _unprintable(char))
        self._lacking = lacking(askable) if askable else frozenset()

    def text(self, text: str, *, breakable: bool = True) -> str:
        """One string, ready to be set."""
        if not text.isascii() or not text.isprintable():
            text = "".join(self._char(char) for char in text)
            if any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in text):
                text = f"\u2068{text}\u2069"
        if not breakable:
            return text
        short = _ENDLESS_WORD.sub(shortened, text)
        return _LONG_WORD.sub(_with_breaks, short) if self._breaks else short

    def everything(self, data: Any) -> Any:
        """The same structure with every string (keys excepted) made printable."""
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, dict):
            return {key: self.everything(item) for key, item in data.items()}
        if isinstance(data, list | tuple):
            return [self.everything(item) for item in data]
        return data

    def _char(self, char: str) -> str:
        if char in _CERTAIN or char in _KEPT:
            return char
        if _unprintable(char) or char in self._lacking:
            return f"[U+{ord(char):04X}]"
        return char


def strings_in(data: Any) -> list[str]:
    """Every string of a JSON-like structure, keys excepted."""
    if isinstance(data, str):
        return [data]
    if isinstance(data, dict):
        return [text for item in data.values() for text in strings_in(item)]
    if isinstance(data, list | tuple):
        return [text for item in data for text in strings_in(item)]
    return []


_ENDLESS_WORD = re.compile(rf"[^\s\u200b]{{{_LONGEST_NAME + 1},}}")
_LONG_WORD = re.compile(rf"[^\s\u200b]{{{_LONGEST_WORD},}}")


def shortened(found: re.Match[str] | str) -> str:
    """The beginning of a very long text, with what tells it from others that begin so."""
    text = found if isinstance(found, str) else found[0]
    if len(text) <= _LONGEST_NAME:
        return text
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]
    return f"{text[:_BEGINNING]}… ({len(text):,} characters, sha256 {digest})"


def _with_breaks(found: re.Match[str]) -> str:
    word = found[0]
    return "\u200b".join(word[i : i + _CHUNK] for i in range(0, len(word), _CHUNK))


def _unprintable(char: str) -> bool:
    return unicodedata.category(char) in _UNPRINTABLE and char not in _KEPT
