"""Words for groups of people, and their exchange in a text: "her sister" → "his brother".

A vocabulary has attributes, an attribute levels, a level its terms; the i-th terms of two levels mean the
same but for the level. Of a text whose terms are all of one level (the group it speaks of) a counterpart
exists for every other level. A text that mixes levels has none: who is meant by whom is not known. Nor has
one with a word whose counterpart depends on grammar that the next word does not settle ("her" before a word
is "his" or "him"): it is skipped, not guessed.

Terms are found as whole words, whatever their case, also before an apostrophe ("the woman's"), never within a
hyphenated word, handle or address. Capitals are kept: "HE" → "SHE", "He" → "She". Names stay as they are.
After Garg et al., "Counterfactual fairness in text classification through robustness", arXiv:1809.10610.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

__all__ = ["Exchange", "Terms", "shipped", "vocabulary"]

_FOLLOWED = re.compile(r"\s+[\"'“‘(]?[\w$]")


class Exchange(NamedTuple):
    """`level` is the text's own; `counterparts` by level, or `skipped` says why there are none."""

    level: str
    counterparts: dict[str, str]
    skipped: str | None


@dataclass(frozen=True)
class Terms:
    """Levels with parallel terms. `by_context`: level → term → {before_word, alone}: its counterpart
    before a further word, and before anything else; a form left out is ambiguous.
    """

    levels: Mapping[str, Sequence[str]]
    by_context: Mapping[str, Mapping[str, Mapping[str, str]]]

    @cached_property
    def _owner(self) -> dict[str, tuple[str, int]]:
        """Lower-cased term → (level, index); of a term named twice the first counterpart counts."""
        found: dict[str, tuple[str, int]] = {}
        for level, terms in self.levels.items():
            for index, term in enumerate(terms):
                found.setdefault(term.lower(), (level, index))
        return found

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._owner, key=len, reverse=True)
        terms = "|".join(map(re.escape, longest_first))
        return re.compile(rf"(?<![\w@#/])(?<!\w[-.])(?:{terms})(?!\w|[-.]\w|@)", re.IGNORECASE)

    def exchange(self, text: str) -> Exchange | None:
        """The text for every other level; None where it holds no term."""
        # Without regard to case, "ſhe" is found as "she": such letters are no word of ours.
        matches = [match for match in self._pattern.finditer(text) if match[0].lower() in self._owner]
        if not matches:
            return None
        held = {self._owner[match[0].lower()][0] for match in matches}
        level = min(held)
        if len(held) > 1:
            return Exchange(level, {}, "mixed")
        counterparts = {}
        for other in self.levels:
            if other == level:
                continue
            parts, end = [], 0
            for match in matches:
                given = self._counterpart(match, text, level, other)
                if given is None:
                    return Exchange(level, {}, "ambiguous")
                parts += [text[end : match.start()], given]
                end = match.end()
            counterparts[other] = "".join([*parts, text[end:]])
        return Exchange(level, counterparts, None)

    def _counterpart(self, match: re.Match[str], text: str, level: str, other: str) -> str | None:
        found = match[0]
        own, index = found.lower(), self._owner[found.lower()][1]
        forms = self.by_context.get(level, {}).get(own)
        if forms is None:
            return _in_case(found, self.levels[level][index], self.levels[other][index])
        given = forms.get("before_word" if _FOLLOWED.match(text, match.end()) else "alone")
        return None if given is None else _in_case(found, own, given)


def _in_case(found: str, term: str, given: str) -> str:
    """`given` with the capitals of `found`, which is `term` in some case."""
    if found == term:
        return given
    if found.isupper() and len(found) > 1:
        return given.upper()
    if found.islower():
        return given.lower()
    if found.istitle() and " " in found:
        return given.title()
    return given[:1].upper() + given[1:]


def vocabulary(terms: Mapping[str, Mapping[str, Sequence[str]]] | None) -> dict[str, Terms]:
    """Attribute → its terms: those given, else the ones that come with raiaudit."""
    if terms is not None:
        return {attribute: Terms(levels, {}) for attribute, levels in terms.items()}
    return {
        attribute: Terms(entry["levels"], entry.get("by_context", {}))
        for attribute, entry in shipped("terms.yaml")["attributes"].items()
    }


@cache
def shipped(name: str) -> Any:
    """A file of words that comes with raiaudit: `terms.yaml` or `templates.yaml`."""
    return yaml.safe_load((files(__package__) / name).read_text(encoding="utf-8"))
