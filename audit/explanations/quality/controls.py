"""Maps that know nothing of the model: what an explanation has to beat.

| control | modality | what it shows |
|---|---|---|
| `random` | all | a random order |
| `edges` | image | the strength of the picture's edges (Sobel): Adebayo et al., arXiv:1810.03292 |
| `magnitude` | tabular | distance of a column from the baseline, in standard deviations |
| `rarity` | text | −log frequency of the token (of a model that shows none: the word) in training texts |

`blurred` is another kind: the map itself, smoothed. Removal in patches favours smooth maps (ROAR, Hooker et
al., arXiv:1806.10758; ROAD, Rong et al., arXiv:2202.00449); a map that loses to its own blur is credited for
where it looks, not for its detail.

Shapes: B examples, F features, images C×H×W with F = H·W.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.subject import Subject

__all__ = ["BLURRED", "INPUT_CONTROL", "blurred", "edges", "element_scale", "input_control", "rarity"]

INPUT_CONTROL = {"image": "edges", "tabular": "magnitude", "text": "rarity"}
BLURRED = frozenset({"image", "text"})
"""Modalities whose features have neighbours."""

_COUNTED_TEXTS = 2000


def edges(x_BCHW: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Sobel's gradient magnitude of the mean channel, B×(H·W)."""
    from scipy.ndimage import correlate1d

    grey_BHW = x_BCHW.mean(axis=1, dtype=np.float64)
    across, down = (  # not `ndimage.sobel`, which would also smooth over the examples
        correlate1d(correlate1d(grey_BHW, [-1, 0, 1], axis=axis), [1, 2, 1], axis=3 - axis) for axis in (1, 2)
    )
    strength_BHW: NDArray[np.float64] = np.hypot(across, down)
    return strength_BHW.reshape(len(strength_BHW), -1)


def rarity(ids_BL: NDArray[np.int64], counts: Mapping[int, int], total: int) -> NDArray[np.float64]:
    """−log of each token's share of `total` counted ones, add-one smoothed."""
    seen_BL = np.vectorize(lambda token: counts.get(token, 0), otypes=[np.int64])(ids_BL)
    surprise: NDArray[np.float64] = -np.log((seen_BL + 1) / (total + len(counts) + 1))
    return surprise


def blurred(scores_BF: NDArray[np.float64], shape: tuple[int, int] | None) -> NDArray[np.float64]:
    """Gaussian, over an image with σ = 1/14 of its shorter side, over words with σ = 1 word."""
    from scipy.ndimage import gaussian_filter

    if shape is None:
        return np.asarray(gaussian_filter(scores_BF, sigma=(0, 1)), dtype=np.float64)
    pixels_BHW, sigma = scores_BF.reshape(-1, *shape), min(shape) / 14
    smooth = gaussian_filter(pixels_BHW, sigma=(0, sigma, sigma))
    return np.asarray(smooth, dtype=np.float64).reshape(scores_BF.shape)


def element_scale(subject: Subject, view: View) -> Tensor:
    """The unit of a small change of an element, broadcasting against x.

    1 for pixels, the standard deviation of an encoded column over the training rows, the root mean square of
    an embedded token.
    """
    import torch

    modality = subject.dataset.modality
    if modality == "tabular":
        rows = subject.tensor(subject.dataset.splits["train"].inputs)
        return rows.std(0, correction=0)
    if modality == "text":
        return view.x.square().mean(-1, keepdim=True).sqrt()
    return torch.ones((), device=view.x.device)


def input_control(subject: Subject, view: View, inputs: Any, scale: Tensor) -> NDArray[np.float64]:
    """The modality's own control of these inputs, B×F."""
    modality = subject.dataset.modality
    if modality == "image":
        return edges(view.x.cpu().numpy())
    if modality == "tabular":
        distance = (view.x - view.baseline).abs() / scale.clamp(min=1e-6)
        return np.asarray(view.largest(distance).cpu().numpy())
    texts: Sequence[str] = subject.dataset.splits["train"].inputs[:_COUNTED_TEXTS]
    if view.x.dim() == 2:
        return _rarity_of_words(view, texts)
    tokens, counts = np.unique(subject.tensor(texts).cpu().numpy(), return_counts=True)
    known = dict(zip(tokens.tolist(), counts.tolist(), strict=True))
    known.pop(int(getattr(subject.classifier, "padding", -1)), None)
    return rarity(subject.tensor(inputs).cpu().numpy(), known, sum(known.values()))


def _rarity_of_words(view: View, texts: Sequence[str]) -> NDArray[np.float64]:
    assert view.names is not None
    counted = Counter(word for text in texts for word in text.split())
    number = {word: at for at, word in enumerate(counted)}
    ids_BF = np.full(tuple(view.present_BF.shape), -1, dtype=np.int64)
    for row_F, words in zip(ids_BF, view.names, strict=True):
        row_F[: len(words)] = [number.get(word, -1) for word in words]
    return rarity(ids_BF, dict(enumerate(counted.values())), counted.total())
