"""What maps say together: attribution by class and by group of people.

A table's map becomes shares: |attribution| of a column over that of all columns, so that an example counts
once however confident the model is; a map of nothing but zeros has no shares. Intervals are percentiles of a
bootstrap over examples, columns together.
The test between groups permutes them over the examples (Dwass, doi:10.1214/aoms/1177707045): of all columns
at once by the largest total-variation distance between the mean shares of two groups, of each column by the
range of the groups' means, then adjusted as Benjamini and Hochberg.

Shapes: N examples, F columns, G groups, D draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Comparison", "compare_groups", "mean_shares", "shares_of", "top_words"]

_RESAMPLES = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Comparison:
    """`distance` the largest between two groups, with its p-value; `p_F` of each column, adjusted."""

    distance: float
    p: float
    p_F: list[float | None]
    smallest: int


def shares_of(map_NF: NDArray[np.float64]) -> NDArray[np.float64]:
    """|attribution| shares of maps that have any: rows that sum to 1."""
    size_NF = np.abs(map_NF)
    share_NF: NDArray[np.float64] = size_NF / size_NF.sum(axis=1, keepdims=True)
    return share_NF


def mean_shares(
    value_NF: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means of each column and their interval (mean, low, high), each of length F."""
    n = len(value_NF)
    weight_DN = rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES) / n
    drawn_DF = weight_DN @ value_NF
    low, high = np.quantile(drawn_DF, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2], axis=0)
    return value_NF.mean(axis=0), low, high


def compare_groups(
    share_NF: NDArray[np.float64], group_N: NDArray[np.int64], *, rng: np.random.Generator, draws: int
) -> Comparison:
    """Whether the groups 0…G−1, all of which occur, share their attribution alike."""
    G = int(group_N.max()) + 1
    size_G = np.bincount(group_N, minlength=G)

    def means(group: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray((np.arange(G)[:, None] == group) @ share_NF / size_G[:, None])

    seen_GF = means(group_N)
    distance, range_F = _distance(seen_GF), np.ptp(seen_GF, axis=0)
    as_far, as_wide_F = 0, np.zeros(share_NF.shape[1])
    for _ in range(draws):
        drawn_GF = means(rng.permutation(group_N))
        as_far += _distance(drawn_GF) >= distance - 1e-12
        as_wide_F += np.ptp(drawn_GF, axis=0) >= range_F - 1e-12
    p_F = benjamini_hochberg(((as_wide_F + 1) / (draws + 1)).tolist())
    return Comparison(distance, (as_far + 1) / (draws + 1), p_F, int(size_G.min()))


def _distance(mean_GF: NDArray[np.float64]) -> float:
    """The largest total-variation distance between two rows."""
    return max(float(np.abs(a - b).sum() / 2) for a, b in combinations(mean_GF, 2))


def top_words(
    words: Sequence[Sequence[str]],
    maps: Sequence[Sequence[float]],
    classes: Sequence[str],
    *,
    support: int,
    most: int = 15,
) -> pl.DataFrame:
    """The words that speak most for each class: class, word, mean (of a text's share), texts.

    Pieces of a word are put together; a word's value in a text is the sum of its occurrences over the text's
    total |attribution|. Words in fewer than `support` texts of the class are left out.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for pieces, scores, label in zip(words, maps, classes, strict=True):
        total = float(np.abs(scores).sum()) or 1.0
        values: dict[str, float] = {}
        for word, value in _joined(pieces, scores):
            values[word] = values.get(word, 0.0) + value / total
        for word, value in values.items():
            found.setdefault((label, word), []).append(value)
    rows = [
        {"class": label, "word": word, "mean": float(np.mean(values)), "texts": len(values)}
        for (label, word), values in found.items()
        if len(values) >= support
    ]
    schema = {"class": pl.String, "word": pl.String, "mean": pl.Float64, "texts": pl.Int64}
    table = pl.DataFrame(rows, schema=schema).sort("class", "mean", "word", descending=[False, True, False])
    return table.group_by("class", maintain_order=True).head(most)


def _joined(pieces: Sequence[str], scores: Sequence[float]) -> list[tuple[str, float]]:
    """Words and their scores, in lower case; special tokens such as [CLS], and blanks, are left out."""
    whole: list[tuple[str, float]] = []
    for piece, score in zip(pieces, scores, strict=True):
        if piece.startswith("##") and whole:
            word, before = whole[-1]
            whole[-1] = word + piece[2:].lower(), before + score
        elif not (piece.startswith("[") and piece.endswith("]")):
            whole.append((piece.lower(), score))
    return [(word.strip(), score) for word, score in whole if word.strip()]
