"""One shard of `explanations.stability`: explain, move, explain again (columns as in stability.py).

Shapes: B examples of the shard, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.attacks.spaces import ImageBox
from raiaudit.audit.explanations.methods import find_method
from raiaudit.audit.explanations.methods.views import view_of
from raiaudit.audit.explanations.stability.maps import inner_map
from raiaudit.audit.explanations.stability.similarity import (
    centre_shift,
    most_relevant,
    rank_correlation,
    relative_change,
    top_overlap,
)
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.attacks.maps.attack import Aim
    from raiaudit.attacks.maps.neighbours import Neighbours
    from raiaudit.audit.check import Task
    from raiaudit.audit.explanations.methods.method import Method
    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.subject import Subject

    Array = NDArray[np.float64]

__all__ = ["compared_features", "stability_rows"]


def compared_features(features: int, asked: int | None) -> int:
    """A tenth of the features, at least three, and never more than half of them: all share all."""
    wanted = max(3, round(features / 10)) if asked is None else asked
    return max(1, min(wanted, features // 2))


@dataclass(frozen=True, slots=True)
class _Shard:
    """What every comparison of a shard needs."""

    task: Task
    subject: Subject
    view: View
    ids: Sequence[str]
    ids_B: Tensor
    label_B: Tensor
    target_B: Tensor
    near: Neighbours
    top: int

    @property
    def everyone(self) -> Tensor:
        import torch

        return torch.arange(len(self.target_B), device=self.target_B.device)

    def labels(self, x: Tensor) -> Tensor:
        """What the model answers at other inputs."""
        from raiaudit.attacks.maps.attack import labels_of

        return labels_of(self.view, x, self.everyone)

    def at(self, attack: str, method: Method | None = None) -> str:
        tag = f"stability.{attack}-{self.task.params['eps']:g}"
        return tag if method is None else f"{tag}-{method.name}"

    def map_of(self, method: Method, x: Tensor, target_B: Tensor) -> Array:
        """Random methods draw the same numbers before and after: what differs is the input."""
        rngs = [keyed_rng(self.subject.seed, "stability", method.name, example) for example in self.ids]
        moved = replace(self.view, x=x)
        scores: Array = method.explain(moved, target_B, rngs=rngs).scores_BF.double().cpu().numpy()
        return scores

    def compared(self, at: str, before_BF: Array, after_BF: Array) -> dict[str, Array]:
        found = {
            f"{at}.overlap": np.where(_blank(before_BF), np.nan, top_overlap(before_BF, after_BF, self.top)),
            f"{at}.correlation": rank_correlation(before_BF, after_BF),
        }
        space = self.subject.dataset.space
        if isinstance(space, ImageBox) and len(space.shape) == 3:
            _, height, width = space.shape
            found[f"{at}.centre_shift"] = centre_shift(before_BF, after_BF, (height, width))
        return found


def _blank(map_BF: Array) -> NDArray[np.bool_]:
    """Maps that are the same everywhere: no feature is more relevant than another."""
    blank_B: NDArray[np.bool_] = np.ptp(map_BF, axis=1) == 0
    return blank_B


def stability_rows(task: Task, subject: Subject) -> pl.DataFrame:
    """The rows of one task."""
    import torch

    from raiaudit.attacks.evasion.base import prepared
    from raiaudit.attacks.maps.attack import climb, labels_of
    from raiaudit.attacks.maps.neighbours import neighbours_of

    start, stop = task.params["start"], task.params["stop"]
    rows = subject.test.take(slice(start, stop))
    with prepared(subject.classifier):
        view = view_of(subject, rows.inputs, task.config["baseline"])
        device = view.x.device
        ids_B = torch.arange(start, stop, device=device)
        shard = _Shard(
            task=task,
            subject=subject,
            view=view,
            ids=rows.ids.to_list(),
            ids_B=ids_B,
            label_B=torch.as_tensor(np.asarray(rows.labels), device=device),
            target_B=labels_of(view, view.x, torch.arange(stop - start, device=device)),
            near=neighbours_of(subject.dataset.space, task.params["eps"], device),
            top=compared_features(view.present_BF.shape[1], task.config["top"]),
        )
        noisy = _noisy(shard)
        climbed = climb(view, shard.label_B, shard.near, steps=task.config["steps"])
        columns = _answers(shard, noisy, climbed)
        keep, kept = task.params["keep"], task.params["maps"]
        for name in task.config["methods"]:
            refused: str | None = None
            method = find_method(name, layer=task.config["layer"])
            try:
                columns |= _of_method(shard, method, noisy, climbed, kept if keep else None)
            except CapabilityError as error:
                refused = error.problem
            columns[f"{shard.at('ghorbani')}-{name}.refused"] = pl.Series(
                [refused] * len(rows), dtype=pl.String
            )
        columns = _of_the_movable(shard, columns)
        if keep:
            columns |= _shown(shard, kept)
    frame = pl.DataFrame({"example_id": rows.ids, **columns})
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def _noisy(shard: _Shard) -> list[tuple[Tensor, Array]]:
    """Inputs with ±eps added at random, and which of them (1 or NaN) kept the label."""
    import torch

    from raiaudit.attacks.maps.neighbours import random_signs

    x0, found = shard.view.x, []
    for draw in range(shard.task.config["noise"]):
        signs = random_signs(x0, shard.ids_B, seed=shard.subject.seed, stream="map noise", draw=draw)
        whole_B = torch.ones(len(x0), device=x0.device)
        x = shard.near.settled(shard.near.moved(x0, signs, whole_B, x0), x0)
        same_B = (shard.labels(x) == shard.target_B).cpu().numpy()
        found.append((x, np.where(same_B, 1.0, np.nan)))
    return found


def _of_method(
    shard: _Shard, method: Method, noisy: list[tuple[Tensor, Array]], climbed: Tensor, kept: int | None
) -> dict[str, Any]:
    """The columns of one method; with as many pairs of maps as are `kept`, if any are."""
    clean_BF = shard.map_of(method, shard.view.x, shard.target_B)
    columns, overlap_DB = _under_noise(shard, method, clean_BF, noisy)
    columns |= _under_pgd(shard, method, clean_BF, climbed)
    starts = _starts(shard, [x for x, _ in noisy], overlap_DB)
    attacked, attacked_BF, found = _under_attack(shard, method, clean_BF, starts)
    columns |= found | {f"{shard.at('ghorbani', method)}.blank": _blank(clean_BF)}
    if kept is not None:
        columns[f"stability.{method.name}.map"] = _first(clean_BF, kept)
        columns[f"stability.{method.name}.attacked"] = _first(attacked.cpu().numpy(), kept)
        columns[f"stability.{method.name}.attacked_map"] = _first(attacked_BF, kept)
    return columns


def _of_the_movable(shard: _Shard, columns: dict[str, Any]) -> dict[str, Any]:
    """Nothing is learnt of an input without neighbours: an integer's whole steps may exceed the radius."""
    import torch

    x0 = shard.view.x
    whole_B = torch.ones(len(x0), device=x0.device)
    ends = [
        shard.near.settled(shard.near.moved(x0, way, whole_B, x0), x0)
        for way in (torch.ones_like(x0), -torch.ones_like(x0))
    ]
    movable_B = torch.stack([(end != x0).flatten(1).any(1) for end in ends]).any(0).cpu().numpy()
    found: dict[str, Any] = {f"{shard.at('noise')}.movable": movable_B}
    for name, values in columns.items():
        if name.endswith(".refused"):
            found[name] = values
            continue
        kept = pl.DataFrame({"value": values, "movable": movable_B})
        found[name] = kept.select(pl.when("movable").then("value")).to_series()
    return found


def _answers(shard: _Shard, noisy: list[tuple[Tensor, Array]], climbed: Tensor) -> dict[str, Any]:
    """What the moves did to the answer. Examples the model had wrong before are not attacked: null."""
    kept_DB = np.isfinite([kept_B for _, kept_B in noisy])
    right_B = (shard.target_B == shard.label_B).cpu().numpy()
    changed_B = (shard.labels(climbed) != shard.label_B).cpu().numpy()
    broken = [bool(changed) if right else None for right, changed in zip(right_B, changed_B, strict=True)]
    return {
        f"{shard.at('noise')}.label_kept": kept_DB.mean(axis=0),
        f"{shard.at('pgd')}.broken": pl.Series(broken, dtype=pl.Boolean),
    }


def _under_noise(
    shard: _Shard, method: Method, clean_BF: Array, noisy: list[tuple[Tensor, Array]]
) -> tuple[dict[str, Any], Array]:
    """The columns, and the overlap of each draw (NaN where it changed the label)."""
    at = shard.at("noise", method)
    draws: list[dict[str, Array]] = []
    for x, kept_B in noisy:
        map_BF = shard.map_of(method, x, shard.target_B)
        found = shard.compared(at, clean_BF, map_BF)
        found[f"{at}.sensitivity"] = relative_change(clean_BF, map_BF)
        draws.append({name: values * kept_B for name, values in found.items()})
    stacked = {name: np.stack([draw[name] for draw in draws]) for name in draws[0]}
    columns = {name: _over(np.nanmean, values) for name, values in stacked.items()}
    columns[f"{at}.lowest"] = _over(np.nanmin, stacked[f"{at}.overlap"])
    columns[f"{at}.sensitivity"] = _over(np.nanmax, stacked[f"{at}.sensitivity"])
    return columns, stacked[f"{at}.overlap"]


def _over(reduce: Any, values_DB: Array) -> Array:
    """Over the draws that count; NaN where none does."""
    some_B = np.isfinite(values_DB).any(axis=0)
    result = np.full(values_DB.shape[1], np.nan)
    result[some_B] = reduce(values_DB[:, some_B], axis=0)
    return result


def _under_pgd(shard: _Shard, method: Method, clean_BF: Array, climbed: Tensor) -> dict[str, Any]:
    """Each input explains its own answer."""
    answer_B = shard.labels(climbed)
    map_BF = shard.map_of(method, climbed, answer_B)
    right_B = np.where((shard.target_B == shard.label_B).cpu().numpy(), 1.0, np.nan)
    found = shard.compared(shard.at("pgd", method), clean_BF, map_BF)
    return {name: values * right_B for name, values in found.items()}


def _starts(shard: _Shard, noisy: list[Tensor], overlap_DB: Array) -> list[Tensor]:
    """Where the tries begin: at the input, then at the random changes that moved the map furthest.

    A change that cost the label is no place to begin: there the input stands in.
    """
    import torch

    from raiaudit.attacks.evasion.engine.balls import per_row

    order_DB = np.argsort(np.where(np.isfinite(overlap_DB), overlap_DB, np.inf), axis=0, kind="stable")
    kept_DB = torch.from_numpy(np.take_along_axis(np.isfinite(overlap_DB), order_DB, axis=0))
    stacked, x0 = torch.stack(noisy), shard.view.x
    starts = [x0]
    for order_B, kept_B in zip(torch.from_numpy(order_DB), kept_DB, strict=True):
        x = stacked[order_B.to(x0.device), shard.everyone]
        starts.append(torch.where(per_row(kept_B.to(x0.device), x0), x, x0))
    return starts


def _under_attack(
    shard: _Shard, method: Method, clean_BF: Array, starts: list[Tensor]
) -> tuple[Tensor, Array, dict[str, Any]]:
    """The strongest of the tries, judged by the method itself: both aims by turns, mass first."""
    import torch

    from raiaudit.attacks.evasion.engine.balls import per_row
    from raiaudit.attacks.maps.attack import MapAttack

    config, at = shard.task.config, shard.at("ghorbani", method)
    aims: tuple[Aim, Aim] = ("mass", "edge")
    top_BF = torch.from_numpy(most_relevant(clean_BF, shard.top)).to(shard.view.x.device)
    best, best_BF = shard.view.x, clean_BF
    overlap_B = np.ones(len(clean_BF))
    dead_B = np.ones(len(clean_BF), dtype=bool)
    for attempt in range(config["restarts"]):
        attack = MapAttack(steps=config["steps"], beta=config["beta"], aim=aims[attempt % 2])
        start = starts[attempt % len(starts)]
        moved = attack(
            shard.view,
            shard.target_B,
            top_BF,
            shard.near,
            start,
            importance=partial(inner_map(method.name, nodes=config["nodes"]), shard.view),
        )
        for x in (start, moved.x):  # what the twin calls further need not be so for the method
            map_BF = shard.map_of(method, x, shard.target_B)
            found_B = top_overlap(clean_BF, map_BF, shard.top)
            further_B = found_B < overlap_B
            best = torch.where(per_row(torch.from_numpy(further_B).to(best.device), best), x, best)
            best_BF = np.where(further_B[:, None], map_BF, best_BF)
            overlap_B = np.minimum(found_B, overlap_B)
        dead_B &= moved.no_gradient_B.cpu().numpy()
    kept_B = (shard.labels(best) == shard.target_B).cpu().numpy()
    columns: dict[str, Any] = dict(shard.compared(at, clean_BF, best_BF))
    columns[f"{at}.label_kept"] = kept_B
    columns[f"{at}.no_gradient"] = dead_B
    return best, best_BF, columns


def _first(values_BX: Any, count: int) -> pl.Series:
    """One list of floats for each of the first `count` rows, null beyond."""
    lists = [np.asarray(row, dtype=np.float32).ravel().tolist() for row in values_BX[:count]]
    return pl.Series(lists + [None] * (len(values_BX) - len(lists)), dtype=pl.List(pl.Float32))


def _shown(shard: _Shard, count: int) -> dict[str, Any]:
    predicted = pl.Series(shard.target_B.cpu().numpy(), dtype=pl.Int32)
    columns = {"stability.predicted": predicted, "stability.input": _first(shard.view.x.cpu().numpy(), count)}
    if shard.view.names is not None:
        names = [*shard.view.names[:count], *[None] * (len(predicted) - count)]
        columns["stability.features"] = pl.Series(names, dtype=pl.List(pl.String))
    return columns
