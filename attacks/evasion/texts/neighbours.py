"""Words near each other in a model's own embedding space, and what exchanging them should do.

A word's vector is the sum of its tokens' vectors; near is a high cosine.

Legend: A variants, L tokens, S slots (words that may change), W words of the texts, U words on offer,
N neighbours, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.corruptions.characters import words_of
from raiaudit.attacks.evasion.texts.constraints import Permitted
from raiaudit.attacks.evasion.texts.tokens import TokenModel, Tokens, like
from raiaudit.attacks.evasion.texts.word_search import Edit, Variant

__all__ = ["Neighbours", "cosines", "word_vectors"]

_CHUNK = 512


def word_vectors(model: TokenModel, words: Sequence[str]) -> Tensor:
    """vector_WD of each word by itself; 0 for one that the model has no token for."""
    read = model.tokens(words)
    writes_V = torch.tensor([bool(piece.strip()) for piece in model.pieces], device=read.ids_BL.device)
    part_WL = read.mask_BL & writes_V[read.ids_BL]
    vector_WD: Tensor = (model.vectors.detach()[read.ids_BL] * part_WL[..., None]).sum(1)
    return vector_WD


def cosines(model: TokenModel, before: str, after: str) -> list[float] | None:
    """The cosine of each substitution between two texts; None if they have not equally many words."""
    old, new = ([word.group() for word in words_of(text)] for text in (before, after))
    changed = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
    if not changed or len(old) != len(new):
        return None
    old_WD, new_WD = (word_vectors(model, words) for words in zip(*changed, strict=True))
    found: list[float] = functional.cosine_similarity(old_WD, new_WD).tolist()
    return found


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The neighbourhood of a text: one word for a near one.

    `row` places a lower-case word of the texts in `word_WD` and in `near_WN`, whose entries are places in
    `offered` (with vectors `offered_UD`), nearest first, then −1.
    """

    row: dict[str, int]
    word_WD: Tensor
    near_WN: Tensor
    offered: Sequence[str]
    offered_UD: Tensor
    candidates: int

    @classmethod
    def of(
        cls,
        model: TokenModel,
        texts: Sequence[str],
        offered: Sequence[str],
        *,
        similarity: float,
        permitted: Permitted,
        neighbours: int,
        candidates: int,
    ) -> Neighbours:
        """For every word of the texts, the nearest of those offered, permitted and similar enough."""
        words = sorted({word.group().lower() for text in texts for word in words_of(text)})
        word_WD, offered_UD = word_vectors(model, words or [""]), word_vectors(model, offered or [""])
        unit_WD, unit_DU = functional.normalize(word_WD, dim=1), functional.normalize(offered_UD, dim=1).T
        near_WN = torch.full((len(words), neighbours), -1)
        for first in range(0, len(words) if offered else 0, _CHUNK):
            cosine_WU, place_WU = (unit_WD[first : first + _CHUNK] @ unit_DU).sort(1, descending=True)
            enough_W = (cosine_WU >= similarity).sum(1).tolist()
            for row, (places_U, enough) in enumerate(zip(place_WU, enough_W, strict=True), first):
                if not bool(word_WD[row].any()):
                    continue
                fitting = (p for p in places_U[:enough].tolist() if permitted(words[row], offered[p]))
                places = list(islice(fitting, neighbours))
                near_WN[row, : len(places)] = torch.tensor(places, dtype=torch.int64)
        rows = {word: row for row, word in enumerate(words)}
        return cls(rows, word_WD, near_WN.to(word_WD.device), offered, offered_UD, candidates)

    def edits(self, variants: Sequence[Variant], tokens: Tokens, grad_ALD: Tensor) -> list[list[Edit]]:
        """The substitutions of highest first-order gain, ∇·(new − old); ∇ is the mean over the old tokens."""
        found: list[list[Edit]] = [[] for _ in variants]
        slots = []
        for number, variant in enumerate(variants):
            for index, match in enumerate(words_of(variant.text)):
                if index in variant.sentence.free and index not in variant.changes:
                    places = _places(tokens.spans[number], match.start(), match.end())
                    if places:
                        slots.append((number, index, match.group(), places))
        if not slots:
            return found
        grad_SD = torch.stack([grad_ALD[number, places].mean(0) for number, _, _, places in slots])
        rows_S = torch.tensor([self.row[word.lower()] for _, _, word, _ in slots], device=grad_SD.device)
        near_SN = self.near_WN[rows_S]
        move_SND = self.offered_UD[near_SN.clamp_min(0)] - self.word_WD[rows_S][:, None]
        gain_SN = (move_SND @ grad_SD[..., None]).squeeze(2).masked_fill(near_SN < 0, -torch.inf)
        for (number, index, word, _), gains, places in zip(
            slots, gain_SN.tolist(), near_SN.tolist(), strict=True
        ):
            found[number] += [
                Edit(index, like(self.offered[place], word), gain)
                for gain, place in zip(gains, places, strict=True)
                if place >= 0
            ]
        return [sorted(edits, key=lambda edit: -edit.gain)[: self.candidates] for edits in found]


def _places(spans: Sequence[tuple[int, int]], first: int, last: int) -> list[int]:
    """The tokens written between two characters."""
    return [place for place, (start, end) in enumerate(spans) if first <= start < end <= last]
