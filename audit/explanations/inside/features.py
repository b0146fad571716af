"""The pictures: what channels of a layer respond to, and the atlas of the layer. The rows of one task.

| rows | columns (each `inside.…`) |
|---|---|
| audited examples | `x`, `y`, `column`, `row`, `off_centre`, `predicted`, `error`, `trust`, `no_heads`, |
| | `activations` |
| `inside/channel 7` | `layer`, `channel`, `selectivity`, `favourite`, `reached`, `picture` (PNG) |
| `inside/cell 3,5` | `cell_column`, `cell_row`, `icon` (PNG) |

`activations` are the pooled ones of the channels pictured, by number; `no_heads` says why a transformer's
heads were not taken out, where they were not. Shapes: N examples, C channels of the layer, K of them
pictured, M cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from raiaudit.attacks.spaces import ImageBox
    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["feature_rows", "selectivity"]

_BATCH = 256


def selectivity(
    pooled_NC: NDArray[np.float64], labels_N: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Each channel's largest (mean on one class − mean on the others) / standard deviation, and that class.

    0 for a channel that does not vary.
    """
    deviation_C = pooled_NC.std(0)
    best_C, class_C = np.full(pooled_NC.shape[1], -np.inf), np.zeros(pooled_NC.shape[1], dtype=np.int64)
    for label in np.unique(labels_N):
        own = labels_N == label
        rest = pooled_NC[~own].mean(0) if (~own).any() else pooled_NC[own].mean(0)
        gap_C = (pooled_NC[own].mean(0) - rest) / np.where(deviation_C > 0, deviation_C, np.inf)
        class_C = np.where(gap_C > best_C, label, class_C)
        best_C = np.maximum(gap_C, best_C)
    return best_C, class_C


def feature_rows(
    subject: Subject, rows: Split, layer: str, no_heads: str | None, options: Mapping[str, Any]
) -> pl.DataFrame:
    """All three kinds of rows."""
    from raiaudit.attacks.evasion.base import prepared
    from raiaudit.audit.explanations.inside.atlas import cells_of, embedded, trust

    with prepared(subject.classifier):
        pooled_NC, predicted_N = _activations(subject, rows, layer)
        choice = _chosen(options["channels"], pooled_NC, rows.labels)
        place_N2 = embedded(pooled_NC, options["embedding"], seed=subject.seed)
        cell_N2 = cells_of(place_N2, options["grid"])
        cells, cell_N = np.unique(cell_N2, axis=0, return_inverse=True)
        mean_MC = np.stack([pooled_NC[cell_N == cell].mean(0) for cell in range(len(cells))])
        examples = pl.DataFrame(
            {
                "example_id": rows.ids,
                "inside.x": place_N2[:, 0],
                "inside.y": place_N2[:, 1],
                "inside.column": pl.Series(cell_N2[:, 0], dtype=pl.Int32),
                "inside.row": pl.Series(cell_N2[:, 1], dtype=pl.Int32),
                "inside.off_centre": np.linalg.norm(pooled_NC - mean_MC[cell_N], axis=1),
                "inside.predicted": pl.Series(predicted_N, dtype=pl.Int32),
                "inside.error": predicted_N != rows.labels,
                "inside.activations": pl.Series(pooled_NC[:, choice].tolist(), dtype=pl.List(pl.Float64)),
                "inside.trust": pl.Series([trust(pooled_NC, place_N2)] * len(rows), dtype=pl.Float64),
                "inside.no_heads": pl.Series([no_heads] * len(rows), dtype=pl.String),
            }
        )
        channels = _channels(subject, layer, choice, pooled_NC, rows.labels, options["steps"])
        fullest = np.argsort(-np.bincount(cell_N), kind="stable")[: options["icons"]]
        icons = _icons(subject, layer, cells[fullest], mean_MC[fullest], pooled_NC.mean(0), options["steps"])
    return pl.concat([examples, channels, icons], how="diagonal")


def _activations(subject: Subject, rows: Split, layer: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    import torch

    from raiaudit.audit.explanations.inside.layers import captured, pooled
    from raiaudit.audit.explanations.layers import named_layer
    from raiaudit.models.data.dataset import take

    parts, predicted = [], []
    with torch.no_grad(), captured(named_layer(subject.classifier, layer)) as given:
        for start in range(0, len(rows), _BATCH):
            given.clear()
            batch = subject.tensor(take(rows.inputs, slice(start, start + _BATCH)))
            predicted.append(subject.classifier(batch).argmax(1).cpu())
            parts.append(pooled(given[-1]).double().cpu())
    return torch.cat(parts).numpy(), torch.cat(predicted).numpy()


def _chosen(
    channels: int | list[int], pooled_NC: NDArray[np.float64], labels_N: NDArray[np.int64]
) -> list[int]:
    """Those named, or the n most selective for each class in turn; in rising order."""
    count = pooled_NC.shape[1]
    if isinstance(channels, int):
        return sorted(_in_turn(*selectivity(pooled_NC, labels_N))[:channels])
    if unknown := [channel for channel in channels if channel >= count]:
        raise UsageError(
            f"the layer has no channel {unknown[0]}",
            where="with.channels",
            remedy=f"its channels are 0 to {count - 1}",
        )
    return sorted(set(channels))


def _in_turn(best_C: NDArray[np.float64], class_C: NDArray[np.int64]) -> list[int]:
    """Channels by selectivity, the best of each class before the second of any: one class would fill it."""
    order = np.argsort(-best_C, kind="stable")
    place: dict[int, int] = {}
    turn = []
    for channel in order.tolist():
        label = int(class_C[channel])
        place[label] = place.get(label, 0) + 1
        turn.append((place[label], channel))
    return [channel for _, channel in sorted(turn, key=lambda one: one[0])]


def _channels(
    subject: Subject,
    layer: str,
    choice: list[int],
    pooled_NC: NDArray[np.float64],
    labels_N: NDArray[np.int64],
    steps: int,
) -> pl.DataFrame:
    from raiaudit.audit.explanations.inside.thumbnails import thumbnail
    from raiaudit.audit.explanations.inside.visualise import maximise, of_channels
    from raiaudit.audit.explanations.layers import named_layer

    best_C, class_C = selectivity(pooled_NC, labels_N)
    pictures, reached_KC = maximise(
        subject.classifier,
        named_layer(subject.classifier, layer),
        of_channels(choice),
        box=_box(subject),
        rngs=[keyed_rng(subject.seed, "inside", layer, channel) for channel in choice],
        steps=steps,
        device=subject.device,
    )
    return pl.DataFrame(
        {
            "example_id": [f"inside/channel {channel}" for channel in choice],
            "inside.layer": [layer] * len(choice),
            "inside.channel": pl.Series(choice, dtype=pl.Int32),
            "inside.selectivity": best_C[choice],
            "inside.favourite": pl.Series(class_C[choice], dtype=pl.Int32),
            "inside.reached": [float(row[channel]) for row, channel in zip(reached_KC, choice, strict=True)],
            "inside.picture": pl.Series([thumbnail(_unit(subject, x)) for x in pictures], dtype=pl.Binary),
        }
    )


def _icons(
    subject: Subject,
    layer: str,
    cells_M2: NDArray[np.int64],
    mean_MC: NDArray[np.float64],
    centre_C: NDArray[np.float64],
    steps: int,
) -> pl.DataFrame:
    import torch

    from raiaudit.audit.explanations.inside.thumbnails import thumbnail
    from raiaudit.audit.explanations.inside.visualise import along, maximise
    from raiaudit.audit.explanations.layers import named_layer

    names = [f"{column},{row}" for column, row in cells_M2.tolist()]
    pictures: list[bytes] = []
    for start in range(0, len(names), _BATCH):
        part = slice(start, start + _BATCH)
        found, _ = maximise(
            subject.classifier,
            named_layer(subject.classifier, layer),
            along(
                torch.from_numpy(mean_MC[part] - centre_C).float().to(subject.device),
                torch.from_numpy(centre_C).float().to(subject.device),
            ),
            box=_box(subject),
            rngs=[keyed_rng(subject.seed, "inside", layer, name) for name in names[part]],
            steps=steps,
            device=subject.device,
        )
        pictures += [thumbnail(_unit(subject, x)) for x in found]
    return pl.DataFrame(
        {
            "example_id": [f"inside/cell {name}" for name in names],
            "inside.cell_column": pl.Series(cells_M2[:, 0], dtype=pl.Int32),
            "inside.cell_row": pl.Series(cells_M2[:, 1], dtype=pl.Int32),
            "inside.icon": pl.Series(pictures, dtype=pl.Binary),
        }
    )


def _box(subject: Subject) -> ImageBox:
    from raiaudit.attacks.spaces import ImageBox

    space = subject.dataset.space
    assert isinstance(space, ImageBox)
    return space


def _unit(subject: Subject, x_CHW: Any) -> NDArray[np.float64]:
    """A picture in the box as pixels in [0, 1]."""
    box = _box(subject)
    pixels_CHW: NDArray[np.float64] = x_CHW.cpu().double().numpy()
    return (pixels_CHW - box.low) / (box.high - box.low)
