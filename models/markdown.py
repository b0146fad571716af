"""Names from outside as literal text in Markdown, GitHub's dialect included.

Every character that could be markup is written as a character reference, and what GitHub links after
parsing (`@name`, `#1`, `www.`) is broken by an invisible joiner.
"""

from __future__ import annotations

import re

__all__ = ["escape", "flat"]

_MARKUP = re.compile(r"[\\`*_{}\[\]()<>#+!|~$^:&@\"']")
_LINKED = re.compile(r"(?<=[@#:])(?=\S)|(?<=www)(?=\.)", re.IGNORECASE)


def flat(text: str) -> str:
    """The text on one line; a character that cannot be printed is named instead."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else f"[U+{ord(char):04X}]" for char in line)


def escape(text: str) -> str:
    """The text as literal Markdown on one line, wherever it stands after the line's beginning."""
    joined = _LINKED.sub("\u2060", flat(text))
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", joined)
