"""Whether a changed text keeps what it had to keep, judged from the two texts alone.

The search that made the text is not asked: words are counted again, vectors compared again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raiaudit.attacks.corruptions.characters import words_of
from raiaudit.attacks.evasion.texts.tokens import is_protected, words_allowed

__all__ = ["Cosines", "Kept", "Permitted", "details_of"]

Cosines = Callable[[str, str], list[float] | None]
"""(clean, changed) → the cosine of each change; None where they cannot be told apart into changes."""

Permitted = Callable[[str, str], bool]
"""(old word, new word), both lower-case → whether the one may become the other."""

_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Kept:
    """What a text must keep: at most the fraction `eps` of its words change, none of `protected` does, each
    change has a cosine of `similarity` or more and is `permitted`.
    """

    eps: float
    protected: frozenset[str]
    similarity: float
    permitted: Permitted

    def by(self, clean: str, changed: str, cosines: Sequence[float] | None) -> bool:
        """Whether the changed text keeps all of it, and everything between the words."""
        before, after = words_of(clean), words_of(changed)
        if cosines is None or len(before) != len(after) or _between(clean) != _between(changed):
            return False
        pairs = [(a.group(), b.group()) for a, b in zip(before, after, strict=True) if a.group() != b.group()]
        return (
            len(pairs) <= words_allowed(self.eps, len(before))
            and not any(is_protected(old, self.protected) for old, _ in pairs)
            and all(self.permitted(old.lower(), new.lower()) for old, new in pairs)
            and all(cosine >= self.similarity - _ROUNDING for cosine in cosines)
        )


def _between(text: str) -> list[str]:
    """What stands before, between and after the words."""
    ends = [0, *(word.end() for word in words_of(text))]
    starts = [*(word.start() for word in words_of(text)), len(text)]
    return [text[end:start] for end, start in zip(ends, starts, strict=True)]


def details_of(
    clean: Sequence[str], changed: Sequence[str], kept: Kept, cosines: Cosines, device: torch.device
) -> dict[str, Tensor]:
    """`similarity` (the lowest) and `mean_similarity`, 1 where nothing changed; `satisfied`.

    A text that cannot be told apart into changes has NaN, and is not satisfied.
    """
    lowest, means, satisfied = [], [], []
    for before, after in zip(clean, changed, strict=True):
        found: list[float] | None = cosines(before, after) if before != after else []
        values = [torch.nan] if found is None else found or [1.0]
        lowest.append(min(values))
        means.append(sum(values) / len(values))
        satisfied.append(kept.by(before, after, found))
    return {
        "similarity": torch.tensor(lowest, device=device),
        "mean_similarity": torch.tensor(means, device=device),
        "satisfied": torch.tensor(satisfied, dtype=torch.bool, device=device),
    }
