"""The words of a corpus, and which class each is used in: what a substitution may choose from, and must not.

A word leans to a class when its share of that class exceeds the class's share of all words by more than
`MARGIN`, beyond chance (one-sided score test at 2.5 %). In a corpus whose texts repeat each other, as the
phrases of SST-2 do, chance is underrated and more words lean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raiaudit.attacks.corruptions.characters import words_of

__all__ = ["Lexicon"]

MARGIN = 0.1
_QUANTILE = 1.96


@dataclass(frozen=True, slots=True)
class Lexicon:
    """`usage`: lower-case word → how often it occurs in texts of each class; `base`: class shares."""

    usage: Mapping[str, Mapping[int, int]]
    base: Mapping[int, float]

    @classmethod
    def of(cls, texts: Iterable[str], labels: Iterable[int]) -> Lexicon:
        """Count the words of labelled texts."""
        usage: dict[str, Counter[int]] = {}
        total: Counter[int] = Counter()
        for text, label in zip(texts, labels, strict=True):
            for word in words_of(text):
                usage.setdefault(word.group().lower(), Counter())[int(label)] += 1
                total[int(label)] += 1
        count = total.total()
        return cls(usage, {label: n / count for label, n in total.items()})

    def words(self, at_least: int) -> list[str]:
        """Words that occur so often, in the order of the alphabet."""
        return sorted(word for word, counts in self.usage.items() if sum(counts.values()) >= at_least)

    def lean(self, word: str) -> int | None:
        """The class a word speaks for, or None."""
        counts = self.usage.get(word.lower(), {})
        n = sum(counts.values())
        excess = {}
        for label, count in counts.items():
            share = self.base[label] + MARGIN
            if share < 1 and count - n * share > _QUANTILE * math.sqrt(n * share * (1 - share)):
                excess[label] = count / n - self.base[label]
        return max(excess, key=lambda label: (excess[label], -label)) if excess else None

    def opposed(self, old: str, new: str) -> bool:
        """Whether `new` speaks for a class that `old` does not speak for."""
        lean = self.lean(new)
        return lean is not None and lean != self.lean(old)
