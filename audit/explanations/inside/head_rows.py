"""Heads: the loss of each example with every head in place and without each; and where heads look.

Columns (each `inside.…`) of an example: `loss`, `right`, `head_losses`, `head_rights` (layer by layer, head
by head), `entropies` in the same order; for the first few `looks` (layer, head, token), `tokens`, `shape`
[layers, heads, tokens].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.attacks.spaces import ImageBox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["PROBED", "head_rows"]

PROBED = 4
"""Examples on which it is found out what heads there are."""

_REFERENCE = 256  # training examples behind a head's mean output


def head_rows(subject: Subject, rows: Split, shown: int, options: Mapping[str, Any]) -> pl.DataFrame:
    """One row an example; the first `shown` keep what heads look at."""
    import torch

    from raiaudit.attacks.evasion.base import prepared
    from raiaudit.audit.explanations.inside.heads import ablated, head_layout, looks
    from raiaudit.models.attention_calls import attending

    labels_B = torch.from_numpy(rows.labels).to(subject.device)
    with prepared(subject.classifier), torch.no_grad():
        batch = subject.tensor(rows.inputs)
        layout = head_layout(subject.classifier, batch[:PROBED])
        # Seen as well, though nothing is taken out: a head without effect must change no rounding either.
        with attending(subject.classifier, lambda _layer, _weights, mixed_BLHE: mixed_BLHE):
            loss_B, right_B = _outcome(subject.classifier, batch, labels_B)
        losses, rights = [], []
        replacements = _replacements(subject, options["ablation"])
        for layer, replacement_HE in enumerate(replacements):
            for head, replacement_E in enumerate(replacement_HE):
                with ablated(subject.classifier, layer, head, replacement_E):
                    loss, right = _outcome(subject.classifier, batch, labels_B)
                losses.append(loss)
                rights.append(right)
        seen = looks(subject.classifier, batch, layout)
    shape = [seen.entropy_BAH.shape[1], seen.entropy_BAH.shape[2]]
    total, shown = len(rows), min(shown, len(rows))
    received, names = _shown(subject, rows, seen.received_BAHL[:shown].cpu().double().numpy())
    missing = [None] * (total - shown)
    return pl.DataFrame(
        {
            "example_id": rows.ids,
            "inside.loss": loss_B,
            "inside.right": right_B,
            "inside.head_losses": pl.Series(np.stack(losses, 1).tolist(), dtype=pl.List(pl.Float64)),
            "inside.head_rights": pl.Series(np.stack(rights, 1).tolist(), dtype=pl.List(pl.Boolean)),
            "inside.entropies": pl.Series(
                seen.entropy_BAH.flatten(1).cpu().double().tolist(), dtype=pl.List(pl.Float64)
            ),
            "inside.shape": pl.Series([shape] * total, dtype=pl.List(pl.Int64)),
            "inside.looks": pl.Series(
                [r.ravel().tolist() for r in received] + missing, dtype=pl.List(pl.Float64)
            ),
            "inside.tokens": pl.Series(names + missing, dtype=pl.List(pl.String)),
        }
    )


def _outcome(
    network: nn.Module, batch: Tensor, labels_B: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    from torch.nn import functional

    logits_BK = network(batch).double()
    loss_B = functional.cross_entropy(logits_BK, labels_B, reduction="none")
    return loss_B.cpu().numpy(), (logits_BK.argmax(1) == labels_B).cpu().numpy()


def _replacements(subject: Subject, ablation: str) -> list[Tensor]:
    """What stands in for a layer's heads, one H×E a layer."""
    import torch

    from raiaudit.audit.explanations.inside.heads import mean_outputs
    from raiaudit.models.data.dataset import take

    # Zeros in the form of the means, which a single example gives.
    split = subject.test if ablation == "zero" else subject.dataset.splits["train"]
    count = 1 if ablation == "zero" else _REFERENCE
    means = mean_outputs(subject.classifier, subject.tensor(take(split.inputs, slice(0, count))))
    return [torch.zeros_like(mean_HE) for mean_HE in means] if ablation == "zero" else means


def _shown(
    subject: Subject, rows: Split, received_BAHL: NDArray[np.float64]
) -> tuple[list[NDArray[np.float64]], list[list[str]]]:
    """Weights and names without the class token of images and tables, and without a text's padding."""
    from raiaudit.audit.explanations.methods.views import view_of
    from raiaudit.models.data.dataset import take

    count = len(received_BAHL)
    if not count:
        return [], []
    if subject.dataset.modality == "image":
        looked = list(_on_patches(subject, received_BAHL))
        return looked, [[str(patch) for patch in range(one.shape[-1])] for one in looked]
    names = view_of(subject, take(rows.inputs, slice(0, count)), "zeros").names
    assert names is not None
    first = 0 if subject.dataset.modality == "text" else 1
    looked = [one[..., first : first + len(words)] for one, words in zip(received_BAHL, names, strict=True)]
    return looked, names


def _on_patches(subject: Subject, received_BAHL: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the tokens in front of the patches: one of class, or more."""
    space = subject.dataset.space
    assert isinstance(space, ImageBox)
    network = subject.classifier
    if not hasattr(network, "patch_grid"):
        return received_BAHL[..., 1:]
    rows, columns = network.patch_grid(*space.shape[-2:])  # type: ignore[operator]  # of some families
    return received_BAHL[..., received_BAHL.shape[-1] - rows * columns :]
