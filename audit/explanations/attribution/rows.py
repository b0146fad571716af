"""What `explanations.attribution` writes into the ledger; its columns are listed there.

Shapes: B examples of the shard, F features of the view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.check import Task
    from raiaudit.audit.explanations.attribution.unanswered import Unanswered
    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["COARSE", "method_rows", "pooled", "shared_rows"]

COARSE = 28
"""The most cells a side of a `.profile` of pixels has."""


def shared_rows(task: Task, subject: Subject) -> pl.DataFrame:
    """Predictions, random rankings, and what the examples look like."""
    from raiaudit.attacks.evasion.base import prepared
    from raiaudit.audit.explanations.quality.perturbation import area, shuffled, trace

    with prepared(subject.classifier):
        rows, view, target_B, unanswered = _explained(task, subject)
        present_BF = view.present_BF.cpu().numpy()
        rngs = [keyed_rng(subject.seed, "attribution", example) for example in rows.ids]
        null = np.mean(
            [
                trace(view, shuffled(present_BF, rngs), target_B, levels=task.config["levels"])
                for _ in range(task.config["random_maps"])
            ],
            axis=0,
        )
    shown = task.params["maps"]
    names, raw = view.names or [], []
    if not isinstance(rows.inputs, list):
        first = np.asarray(rows.inputs[:shown])
        raw = list(first / (255.0 if first.dtype == np.uint8 else 1.0))
    columns = pl.DataFrame(
        {
            "example_id": rows.ids,
            "attribution.predicted": pl.Series(target_B.cpu().numpy(), dtype=pl.Int32),
            "attribution.random": area(null),
            "attribution.random_curve": _floats(list(null), len(rows)),
            "attribution.words": _texts(names if view.is_text else [], len(rows)),
            "attribution.input": _floats(raw, len(rows)),
            "attribution.features": _texts(names[:shown], len(rows)),
        }
    )
    return _answered(columns, "attribution.unanswered", unanswered)


def method_rows(task: Task, subject: Subject) -> pl.DataFrame:
    """The maps of one method and their judgement; nothing but the reason where the model cannot give them."""
    from raiaudit.attacks.evasion.base import prepared
    from raiaudit.audit.explanations.methods import find_method
    from raiaudit.audit.explanations.quality.perturbation import area, ranking, trace

    name = task.params["method"]
    with prepared(subject.classifier):
        rows, view, target_B, unanswered = _explained(task, subject)
        B, prefix = len(rows), f"attribution.{name}"
        refused: str | None = None
        columns: dict[str, pl.Series] = {}
        try:
            maps = find_method(name, **task.config).explain(
                view,
                target_B,
                rngs=[keyed_rng(subject.seed, "attribution", name, example) for example in rows.ids],
            )
        except CapabilityError as error:
            refused = error.problem
            columns = dict.fromkeys(("deletion", "insertion", "completeness_error", "passes"), _none(B))
            columns |= dict.fromkeys(("deletion_curve", "profile", "map"), _floats([], B))
        else:
            scores_BF = maps.scores_BF.cpu().numpy()
            ties = [keyed_rng(subject.seed, "attribution", name, "ties", example) for example in rows.ids]
            rank_BF = ranking(scores_BF, view.present_BF.cpu().numpy(), ties)
            levels = task.config["levels"]
            deletion = trace(view, rank_BF, target_B, levels=levels)
            insertion = trace(view, rank_BF, target_B, levels=levels, insert=True)
            whole = _trimmed(view, scores_BF)
            columns = {
                "deletion": pl.Series(area(deletion)),
                "insertion": pl.Series(area(insertion)),
                "deletion_curve": _floats(list(deletion), B),
                "completeness_error": _none(B)
                if maps.error_B is None
                else pl.Series(maps.error_B.cpu().numpy()),
                "passes": pl.Series([maps.passes] * B, dtype=pl.Float64),
                "profile": _floats(_profiles(view, scores_BF, whole), B),
                "map": _floats(whole[: task.params["maps"]], B),
            }
    found = pl.DataFrame(
        {
            "example_id": rows.ids,
            **{f"{prefix}.{what}": series for what, series in columns.items()},
            f"{prefix}.refused": pl.Series([refused] * B, dtype=pl.String),
        }
    )
    return _answered(found, f"{prefix}.unanswered", unanswered)


def pooled(plane: NDArray[Any]) -> NDArray[np.float64]:
    """…×H×W summed over the cells of a grid of at most `COARSE` a side."""
    for axis in (-2, -1):
        side = plane.shape[axis]
        cells = min(side, COARSE)
        starts = -(-np.arange(cells) * side // cells)
        plane = np.add.reduceat(plane, starts, axis=axis)
    return np.asarray(plane, dtype=np.float64)


def _explained(task: Task, subject: Subject) -> tuple[Split, View, Tensor, Unanswered]:
    """The rows of a task, their view, the classes to explain, and what the model will not answer about."""
    from raiaudit.audit.explanations.attribution.unanswered import Unanswered
    from raiaudit.audit.explanations.methods.views import view_of

    rows = subject.test.take(slice(task.params["start"], task.params["stop"]))
    view = view_of(subject, rows.inputs, task.config["baseline"])
    unanswered = Unanswered()
    target_B = unanswered.clean(subject, rows.inputs).to(view.x.device)
    return rows, unanswered.watched(view), target_B, unanswered


def _answered(found: pl.DataFrame, column: str, unanswered: Unanswered) -> pl.DataFrame:
    """Null but for the reason, where a question about the example had no answer."""
    reasons = [unanswered.reasons.get(row) for row in range(found.height)]
    return found.with_columns(pl.Series(column, reasons, dtype=pl.String)).with_columns(
        pl.when(pl.col(column).is_null()).then(pl.exclude("example_id", column)).name.keep()
    )


def _trimmed(view: View, scores_BF: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """One map an example; a text's padding is left out."""
    if view.names is None:
        return list(scores_BF)
    return [row[: len(words)] for row, words in zip(scores_BF, view.names, strict=True)]


def _profiles(
    view: View, scores_BF: NDArray[np.float64], whole: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    if view.x.dim() != 4:
        return whole
    return list(pooled(scores_BF.reshape(-1, *view.x.shape[-2:])))


def _none(total: int) -> pl.Series:
    return pl.Series([None] * total, dtype=pl.Float64)


def _floats(rows: Sequence[Any], total: int) -> pl.Series:
    """One list of floats a row, null beyond the rows there are."""
    lists = [np.asarray(row, dtype=np.float32).ravel().tolist() for row in rows]
    return pl.Series(lists + [None] * (total - len(lists)), dtype=pl.List(pl.Float32))


def _texts(rows: Sequence[list[str]], total: int) -> pl.Series:
    return pl.Series([*rows, *[None] * (total - len(rows))], dtype=pl.List(pl.String))
