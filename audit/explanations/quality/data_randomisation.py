"""Do the maps depend on the labels? The second test of J. Adebayo et al., arXiv:1810.03292.

The recipe of the model is trained twice more: on the same training examples with their labels permuted, and
as it stands, with another seed. What the permuted labels taught has nothing to do with the classes, so a map
that stays alike shows the input. How alike honest maps are is what the second model says: without it, a low
similarity could as well mean that the method's maps differ from one training to the next.

A recipe may not learn permuted labels (the paper trains until it does): the share learnt is told.

Ledger columns: `randomisation.data.learnt` (share of the permuted labels that their model answers), and for
every method M and each twin `shuffled` and `retrained`: `randomisation.data.<M>.<twin>` (rank correlation
with the model's map, signed); `randomisation.data.<M>.reason` where there are no maps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.check import Capability
from raiaudit.audit.explanations.quality.comparison import pigeonhole
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raiaudit.audit.explanations.quality.randomisation import Cascade
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject
    from raiaudit.models.architectures.classifier import Classifier

__all__ = ["data_measurements", "data_rows", "label_table"]

_TWINS = {"shuffled": "shuffled_labels_similarity", "retrained": "retrained_similarity"}
"""What is trained anew, and the metric of how alike its maps are."""
_LEARNT = "shuffled_labels_learnt"

_CHECK = "explanations.randomisation"
_ASKED = 2000  # training examples whose permuted labels the model is asked for


def data_rows(shard: Cascade) -> pl.DataFrame:
    """One row an example: how alike its maps are under each twin."""
    subject, n = shard.subject, len(shard.rows)
    columns: dict[str, pl.Series] = {}
    own: dict[str, Any] = {}
    for method in shard.options.methods:
        try:
            own[method] = shard.maps(method, subject.classifier, shard.view)
        except CapabilityError as error:
            columns[f"{method}.reason"] = pl.Series([error.problem] * n, dtype=pl.String)
    for twin in _TWINS:
        network, learnt = _trained(subject, twin)
        view = shard.view_by(network)
        for name, trained in own.items():
            alike = shard.alike(trained, shard.maps(name, network, view))["signed"]
            columns[f"{name}.{twin}"] = pl.Series(alike).fill_nan(None)
        if twin == "shuffled":
            columns["learnt"] = pl.Series([learnt] * n, dtype=pl.Float64)
    named = {f"randomisation.data.{name}": column for name, column in columns.items()}
    return pl.DataFrame({"example_id": shard.rows.ids, **named})


def _trained(subject: Subject, twin: str) -> tuple[Classifier, float]:
    """The twin on the subject's device, and the share of its training labels that it answers."""
    from raiaudit.models.data.dataset import take
    from raiaudit.models.training.train import train

    recipe, dataset = subject.record.recipe, subject.dataset
    assert recipe is not None
    split = dataset.splits["train"]
    rng = keyed_rng(subject.seed, _CHECK, twin)
    if twin == "shuffled":
        split = replace(split, labels=rng.permutation(split.labels))
        dataset = replace(
            dataset, splits={**dataset.splits, "train": split}, digest=f"{dataset.digest}|{twin}"
        )
    subject.note(f"training the recipe once more ({twin})")
    version = train(recipe, dataset, name=twin, seed=int(rng.integers(2**31)), device=subject.device_name)
    other = replace(subject, version=replace(subject.version, classifier=version.classifier))
    first = slice(0, min(_ASKED, recipe.train_limit or _ASKED))
    answered = other.logits(take(split.inputs, first)).argmax(1).numpy()
    return other.classifier, float((answered == split.labels[first]).mean())


def data_measurements(ledger: LedgerReader, subject: Subject, methods: Sequence[str]) -> list[Measurement]:
    """Both similarities of every method, and how much of the permuted labels was learnt."""
    if Capability.RETRAINING not in subject.capabilities:
        reason = "the subject offers no retraining recipe"
        return [_measured(method, "shuffled", {"reason": reason}) for method in methods]
    prefix = "randomisation.data."
    columns = sorted(name for name in ledger.columns() if name.startswith(prefix))
    rows = ledger.scan(*columns).drop_nulls(f"{prefix}learnt").collect()
    found = []
    for method in methods:
        for twin in _TWINS:
            if f"{prefix}{method}.{twin}" not in columns:
                reason = str(rows[f"{prefix}{method}.reason"][0])
                found.append(_measured(method, twin, {"reason": reason}))
                continue
            values = rows[f"{prefix}{method}.{twin}"].drop_nulls().to_numpy()
            rng = keyed_rng(subject.seed, _CHECK, "data", method, twin)
            found.append(_measured(method, twin, _estimate(values, rng)))
    learnt = float(rows[f"{prefix}learnt"][0])
    return [
        *found,
        Measurement(
            check=_CHECK,
            metric=_LEARNT,
            value=learnt,
            n=min(_ASKED, len(subject.dataset.splits["train"])),
            better="neither",
            method="adebayo2018",
            evidence=(f"{prefix}learnt",),
        ),
    ]


def label_table(measured: Iterable[Measurement]) -> pl.DataFrame:
    """method, twin ("shuffled" or "retrained"), value, low, high, learnt (share of the permuted labels)."""
    found = list(measured)
    learnt = next((m.value for m in found if m.metric == _LEARNT), None)
    rows = [
        (m.where["method"], twin, m.value, m.low, m.high, learnt)
        for m in found
        for twin, metric in _TWINS.items()
        if m.metric == metric and m.value is not None
    ]
    schema: dict[str, Any] = {"method": pl.String, "twin": pl.String}
    schema |= dict.fromkeys(("value", "low", "high", "learnt"), pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _estimate(values_N: Any, rng: np.random.Generator) -> dict[str, Any]:
    if not len(values_N):
        return {"reason": "no map has ranks to compare: all are constant"}
    found: dict[str, Any] = {"value": float(values_N.mean()), "n": len(values_N)}
    if len(values_N) > 1:
        found["low"], found["high"] = pigeonhole(values_N[None], rng=rng)
    return found


def _measured(method: str, twin: str, estimate: dict[str, Any]) -> Measurement:
    return Measurement(
        check=_CHECK,
        metric=_TWINS[twin],
        better="lower" if twin == "shuffled" else "neither",
        where={"method": method},
        method="adebayo2018",
        evidence=(f"randomisation.data.{method}.{twin}",),
        **({"value": None, "n": 0} | estimate),
    )
