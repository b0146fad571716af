"""Around an example, by labels alone: noisy copies, and how far the nearest error is.

Images take Gaussian noise of a share of their box. Tables take it in real and integer columns, of a share of
each column's range; categories stay. Texts have a share of their words misspelt (a neighbouring key, or
letters swapped). What may change is put into one box, so that one σ and one distance serve all columns alike.

Shapes: N examples, S standard deviations (or shares), D numbers that may change.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raiaudit.attacks.spaces import ImageBox, TableSchema
from raiaudit.errors import QueryFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["Distances", "Labels", "agreement", "boundary_distances", "numbers_that_change"]

_KINDS = ("keyboard", "swap")
_NO_ANSWER = -1


@dataclass(frozen=True, slots=True)
class Labels:
    """right_SN: how often the model is right about copies; correct_N about the example itself; queries an
    example; answered_N: false where a black box left any copy without an answer.
    """

    right_SN: NDArray[np.float64]
    correct_N: NDArray[np.bool_]
    answered_N: NDArray[np.bool_]
    queries: int


@dataclass(frozen=True, slots=True)
class Distances:
    """Of the nearest error found (inf: none), in shares of the box; queries; whether all had answers."""

    distance_N: NDArray[np.float64]
    queries_N: NDArray[np.int64]
    answered_N: NDArray[np.bool_]


def numbers_that_change(subject: Subject) -> list[int]:
    """Positions in the encoded row of the real and integer columns; of other data none."""
    space = subject.dataset.space
    if not isinstance(space, TableSchema):
        return []
    return [space.slices[column.name].start for column in space.columns if column.kind != "category"]


def agreement(subject: Subject, rows: Split, sigmas: Sequence[float], draws: int, seed: int) -> Labels:
    """Ask about every example and `draws` copies of it at every σ."""
    if subject.dataset.modality == "text":
        return _text_agreement(subject, rows, sigmas, draws)
    from raiaudit.attacks.inference.label_only import noise_agreement

    x_ND, whole = _in_box(subject, rows)
    every = np.arange(len(rows))
    answered_N = np.ones(len(rows), dtype=np.bool_)
    correct_N = _ask(subject, whole(x_ND, every), answered_N) == rows.labels

    def labels_of(noisy_ND: NDArray[Any]) -> NDArray[np.int64]:
        return _ask(subject, whole(noisy_ND, every), answered_N)

    right_SN = noise_agreement(
        labels_of, x_ND, rows.labels, sigmas=sigmas, draws=draws, bounds=(0.0, 1.0), seed=seed
    )
    return Labels(right_SN, correct_N, answered_N, 1 + draws * len(sigmas))


def _text_agreement(subject: Subject, rows: Split, shares: Sequence[float], draws: int) -> Labels:
    """The same of texts, with a share of the words misspelt."""
    from raiaudit.attacks.corruptions.characters import misspelt_words, replaced, words_of

    answered_N = np.ones(len(rows), dtype=np.bool_)
    correct_N = _ask(subject, rows.inputs, answered_N) == rows.labels
    right_SN = np.zeros((len(shares), len(rows)))
    for draw in range(draws):
        kind = _KINDS[draw % len(_KINDS)]
        for right_N, share in zip(right_SN, shares, strict=True):
            copies = []
            for example, text in zip(rows.ids, rows.inputs, strict=True):
                rng = random.Random(f"{subject.seed}/label_only/{draw}/{example}")
                words = words_of(text)
                copies.append(replaced(text, words, misspelt_words(text, kind, share, rng)))
            right_N += _ask(subject, copies, answered_N) == rows.labels
    return Labels(right_SN / draws, correct_N, answered_N, 1 + draws * len(shares))


def boundary_distances(subject: Subject, rows: Split, ids: Sequence[int], budget: int) -> Distances:
    """L2 distance to the nearest error by HopSkipJump, at most `budget` queries an example.

    Raises `UsageError` for texts, which have no distance to a boundary.
    """
    import torch

    from raiaudit.attacks.evasion.images.hop_skip_jump import HopSkipJump
    from raiaudit.attacks.evasion.queries import UNANSWERED, attack_despite_failures
    from raiaudit.attacks.threats import ThreatModel

    x_ND, whole = _in_box(subject, rows)
    # Examples of a table are searched one by one: the columns that stay differ from row to row.
    alone = isinstance(subject.dataset.space, TableSchema)
    groups = [np.array([row]) for row in range(len(rows))] if alone else [np.arange(len(rows))]
    distance_N = np.full(len(rows), np.inf)
    queries_N, answered_N = np.zeros(len(rows), dtype=np.int64), np.ones(len(rows), dtype=np.bool_)
    shape = x_ND.shape[1:]
    threat = ThreatModel(norm="l2", eps=float(np.sqrt(np.prod(shape))), budget=budget)
    for index in groups:

        def logits_of(x: torch.Tensor, index: NDArray[np.int64] = index) -> torch.Tensor:
            owner = np.repeat(index[:1], len(x))
            logits_BK: torch.Tensor = subject.classifier(subject.tensor(whole(x.cpu().numpy(), owner)))
            return logits_BK

        found = attack_despite_failures(
            HopSkipJump(),
            logits_of,
            torch.from_numpy(x_ND[index]).to(subject.device),
            torch.from_numpy(rows.labels[index]).to(subject.device),
            threat,
            space=ImageBox(shape),
            seed=subject.seed,
            ids=[ids[row] for row in index.tolist()],
        )
        broken = found.broken_B.cpu().numpy()
        distance_N[index] = np.where(broken, found.norm_B.cpu().numpy(), np.inf)
        queries_N[index] = found.forwards_B.cpu().numpy()
        answered_N[index] = ~found.details[UNANSWERED].cpu().numpy()
    return Distances(distance_N, queries_N, answered_N)


def _in_box(
    subject: Subject, rows: Split
) -> tuple[NDArray[np.float32], Callable[[NDArray[Any], NDArray[np.int64]], NDArray[np.float32]]]:
    """What may change of each example, in [0, 1], and the way back: (values, whose they are) → inputs."""
    space, inputs = subject.dataset.space, subject.classifier.encode(rows.inputs).numpy()
    if isinstance(space, TableSchema):
        moving = numbers_that_change(subject)
        columns = [column for column in space.columns if column.kind != "category"]
        low_D = np.array([column.low for column in columns], dtype=np.float32)
        span_D = np.maximum([column.high - column.low for column in columns], 1e-9).astype(np.float32)
        whole_D = np.array([column.kind == "integer" for column in columns])

        def row_of(x_BD: NDArray[Any], owner_B: NDArray[np.int64]) -> NDArray[np.float32]:
            full = inputs[owner_B].copy()
            values = low_D + x_BD * span_D
            full[:, moving] = np.where(whole_D, np.round(values), values)
            return full

        return ((inputs[:, moving] - low_D) / span_D).astype(np.float32), row_of
    assert isinstance(space, ImageBox)
    span = space.high - space.low

    def image_of(x: NDArray[Any], owner: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(space.low + x * span, dtype=np.float32)

    return np.asarray((inputs - space.low) / span, dtype=np.float32), image_of


def _ask(subject: Subject, inputs: Any, answered_N: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The model's labels; what it does not answer is −1, and noted in `answered_N`."""
    try:
        logits_NK = subject.logits(inputs)
    except QueryFailedError as error:
        answered_N[list(error.rows)] = False
        labels_N = error.answers.argmax(1).numpy()
        labels_N[list(error.rows)] = _NO_ANSWER
        return np.asarray(labels_N)
    return np.asarray(logits_NK.argmax(1).numpy())
