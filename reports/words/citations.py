"""References as a text names them: "Wilson 1927", "Madry et al. 2018", and the full entry behind it."""

from __future__ import annotations

import re

__all__ = ["full_citation", "short_citation"]

# The authors end at the first full stop that is no initial's.
_AUTHORS_END = re.compile(r"(?<![A-Z])\. ")
_INITIALS = re.compile(r"^(?:[A-Z][a-z]?\.[-\s]?)+(?=\S)")


def full_citation(method: str) -> str:
    """The entry of the bibliography; empty for a plug-in's method, which has none."""
    from raiaudit.audit.bibliography import BIBLIOGRAPHY

    return BIBLIOGRAPHY.get(method, "")


def short_citation(method: str) -> str:
    """Authors and year; a method without an entry keeps its id."""
    entry = full_citation(method)
    year = re.search(r"(?:19|20)\d\d", method)
    if not entry or year is None:
        return method
    authors = re.sub(r" et al$| \(\d{4}\)$", "", _AUTHORS_END.split(entry, maxsplit=1)[0])
    names = [_INITIALS.sub("", name) for name in authors.split(", ")]
    several = len(names) > 2 or "et al" in entry[: len(authors) + 8]
    named = f"{names[0]} et al." if several else " and ".join(names)
    return f"{named} {year[0]}"
