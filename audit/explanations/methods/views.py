"""Inputs as an attribution sees them: floats that may be moved, and the features they make up.

| modality | floats | feature | baseline |
|---|---|---|---|
| image | pixels C×H×W | a pixel (all channels together) | the mean training image, or zeros |
| tabular | encoded row W | a column (all levels together) | the mean training row, or zeros |
| text | embedded tokens L×D | a token of the text's | the zero embedding; [CLS] and its like stay |
| text of a model that shows no embedding | 1 for a word, 0 without it | a word | no word |

The last is for methods that ask for answers alone; there are no gradients with respect to a word.
Shapes: B examples, E elements of one input, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from raiaudit.attacks.spaces import ImageBox, TableSchema
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError
from raiaudit.models.data.dataset import is_streamed, take

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raiaudit.audit.subject import Subject
    from raiaudit.models.architectures.text_classifier import TextClassifier
    from raiaudit.models.data.dataset import Inputs

__all__ = ["Baseline", "View", "view_of"]

Baseline = Literal["mean", "zeros"]

_BACKGROUND = 256


@dataclass(frozen=True, slots=True)
class View:
    """`x` and `baseline` B×…; `feature_E` which feature an element belongs to; `present_BF` false for
    padding; `names` for people, one list a row (None for pixels). `network` is the classifier that `logits`
    asks, for methods that look inside. `background` gives N×… training inputs (at most 256, the same for
    every batch), None where there are none in the form of `x`. `differentiable` says whether `logits` has
    gradients, `is_text` whether the features are tokens or words.
    """

    x: Tensor
    baseline: Tensor
    feature_E: Tensor
    present_BF: Tensor
    logits: Callable[[Tensor, Tensor], Tensor]
    names: list[list[str]] | None
    network: nn.Module | None = None
    background: Callable[[], Tensor] | None = None
    differentiable: bool = True
    is_text: bool = False

    def by_feature(self, values: Tensor) -> Tensor:
        """Sums B×… over the elements of each feature: B×F, float64 (a map that completes stays complete)."""
        flat = values.flatten(1).double()
        return flat.new_zeros(len(flat), self.present_BF.shape[1]).index_add_(1, self.feature_E, flat)

    def largest(self, values: Tensor) -> Tensor:
        """The largest of values ≥ 0, B×…, in each feature: B×F, float64; 0 where a feature is absent."""
        flat = values.flatten(1).double()
        index = self.feature_E.expand(len(flat), -1)
        empty = flat.new_zeros(len(flat), self.present_BF.shape[1])
        return empty.scatter_reduce(1, index, flat, "amax", include_self=True) * self.present_BF

    def without(self, rows_R: Tensor, removed_RF: Tensor) -> Tensor:
        """Inputs of `rows_R` with the removed features at the baseline."""
        removed = removed_RF[:, self.feature_E].view(-1, *self.x.shape[1:])
        return self.baseline[rows_R].where(removed, self.x[rows_R])


def view_of(subject: Subject, inputs: Inputs, baseline: Baseline) -> View:
    """The view of raw inputs. Raises `CapabilityError` for a mean baseline without training data."""
    if subject.dataset.modality == "text":
        return _text(subject, inputs)
    import torch

    x = subject.tensor(inputs)
    space = subject.dataset.space
    names: list[list[str]] | None = None
    if isinstance(space, ImageBox):
        channels, features = (space.shape[0], math.prod(space.shape[1:])) if x.dim() == 4 else (1, x.shape[1])
        feature_E = torch.arange(features).repeat(channels)
    else:
        assert isinstance(space, TableSchema)
        feature_E = torch.repeat_interleave(torch.tensor([column.width for column in space.columns]))
        features = len(space.columns)
        names = [_described(space, row) for row in np.asarray(inputs)]
    start = torch.zeros_like(x[:1])
    if baseline == "mean":
        start = subject.tensor(_mean(_training(subject))[None])
    return View(
        x=x,
        baseline=start.expand_as(x),
        feature_E=feature_E.to(x.device),
        present_BF=torch.ones(len(x), features, dtype=torch.bool, device=x.device),
        logits=lambda points, _rows: subject.classifier(points),
        names=names,
        network=subject.classifier,
        background=cache(lambda: _background(subject)),
        differentiable=subject.classifier.knowledge == "white",
    )


def _training(subject: Subject) -> Inputs:
    split = subject.dataset.splits.get("train")
    if split is None or not len(split):
        raise CapabilityError(
            "the data set holds no training examples, so there is no mean input to start from",
            where=subject.dataset.name,
            remedy="choose baseline: zeros, and no method that draws baselines",
        )
    return split.inputs


def _background(subject: Subject) -> Tensor:
    inputs = _training(subject)
    count = len(inputs)
    rng = keyed_rng(subject.seed, "explanations", "background")
    drawn = np.sort(rng.permutation(count)[:_BACKGROUND])
    return subject.tensor(take(inputs, drawn))


def _text(subject: Subject, texts: list[str]) -> View:
    import torch

    from raiaudit.models.architectures.text_classifier import TextClassifier

    classifier = subject.classifier
    if not isinstance(classifier, TextClassifier):
        return _words(subject, texts)
    ids_BL, pieces = subject.tensor(texts), classifier.pieces()
    mask_BL = ids_BL != classifier.padding
    with torch.no_grad():
        embedded = classifier.embedding(ids_BL)
    # What the tokenizer puts around every text, an empty one too, is no part of the text.
    framing = torch.tensor(classifier.tokenizer.encode("").ids, dtype=ids_BL.dtype, device=ids_BL.device)
    framing_BL = torch.isin(ids_BL, framing)
    baseline = embedded.where(framing_BL[..., None], torch.zeros_like(embedded))
    present_BL = mask_BL & ~framing_BL
    length, width = embedded.shape[1:]
    return View(
        x=embedded,
        baseline=baseline,
        feature_E=torch.arange(length, device=embedded.device).repeat_interleave(width),
        present_BF=present_BL,
        logits=lambda points, rows: classifier.logits_from(points, mask_BL[rows]),
        names=[
            _readable(classifier, pieces, row[:count], framing.tolist())
            for row, count in zip(ids_BL.tolist(), mask_BL.sum(1).tolist(), strict=True)
        ],
        network=classifier,
        is_text=True,
    )


def _words(subject: Subject, texts: list[str]) -> View:
    """Texts as rows of words that are there or not; the model reads what is left of them."""
    import torch

    words = [text.split() for text in texts]
    present_BF = torch.zeros(len(texts), max(1, *(len(row) for row in words)), dtype=torch.bool)
    for kept_F, row in zip(present_BF, words, strict=True):
        kept_F[: len(row)] = True
    x = present_BF.to(subject.device, torch.float32)

    def logits(points_RF: Tensor, rows_R: Tensor) -> Tensor:
        kept = [
            " ".join(word for word, value in zip(words[row], values, strict=False) if value > 0)
            for row, values in zip(rows_R.tolist(), points_RF.tolist(), strict=True)
        ]
        return subject.classifier(subject.tensor(kept))  # type: ignore[no-any-return]

    return View(
        x=x,
        baseline=torch.zeros_like(x),
        feature_E=torch.arange(x.shape[1], device=x.device),
        present_BF=present_BF.to(x.device),
        logits=logits,
        names=words,
        network=subject.classifier,
        differentiable=False,
        is_text=True,
    )


def _readable(classifier: TextClassifier, pieces: list[str], ids: list[int], framing: list[int]) -> list[str]:
    """What begins a word as `film`, what continues one as `##ing`, what frames a text in square brackets; a
    blank that is a token of its own stays one.
    """
    names: list[str] = []
    begins = True  # some tokenizers give the first word no blank
    for number in ids:
        token, piece = classifier.tokenizer.id_to_token(number) or "", pieces[number]
        if number in framing:
            names.append(f"[{token.strip('[]<>')}]")
        elif begins or piece.startswith(" ") or not piece:
            names.append(piece.strip() or (" " if piece else token))
        else:
            names.append(f"##{piece}" if piece.isalnum() else piece)
        begins = number in framing
    return names


def _mean(inputs: Any) -> Any:
    scale = 255.0 if inputs.dtype == np.uint8 else 1.0
    mean = inputs.mean_image if is_streamed(inputs) else inputs.mean(axis=0, dtype=np.float64)
    return (mean / scale).astype(np.float32)


def _described(schema: TableSchema, row_W: Any) -> list[str]:
    """`age = 39`, `sex = Male`: a row as people read it, whole numbers in full."""
    words = []
    for column in schema.columns:
        values = row_W[schema.slices[column.name]]
        if column.kind == "category":
            shown = column.categories[int(values.argmax())]
        else:
            shown = f"{values[0]:.0f}" if column.kind == "integer" else f"{values[0]:g}"
        words.append(f"{column.name} = {shown}")
    return words
