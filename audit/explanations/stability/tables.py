"""Tables behind the charts of `explanations.stability`.

curve   method attack eps overlap low high                 a row an attack and radius
pairs   example_id label predicted method eps overlap shape input attacked map attacked_map features
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

__all__ = ["curve", "pairs"]

_CURVE = {
    "method": pl.String,
    "attack": pl.String,
    "eps": pl.Float64,
    "overlap": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
_ATTACKS = ("noise", "ghorbani")


def curve(measured: Iterable[Measurement]) -> pl.DataFrame:
    """Overlap under noise and under the attack on the map; at radius 0 a map is itself."""
    rows = [
        (m.where["method"], m.where["attack"], m.where["eps"], m.value, m.low, m.high)
        for m in measured
        if m.metric == "topk_overlap" and m.where["attack"] in _ATTACKS and m.value is not None
    ]
    starts = {(method, attack, 0.0, 1.0, 1.0, 1.0) for method, attack, *_ in rows}
    table = pl.DataFrame([*rows, *starts], schema=_CURVE, orient="row")
    return table.sort("method", "attack", "eps")


def pairs(ledger: LedgerReader, subject: Subject, methods: Sequence[str], eps: float) -> pl.DataFrame:
    """Inputs and maps before and after the attack on the map, of the examples that were kept."""
    split, classes = subject.test, subject.dataset.classes
    label = dict(zip(split.ids.to_list(), split.labels.tolist(), strict=True))
    common = {f"stability.{name}": name for name in ("predicted", "input", "features")}
    if "stability.features" not in ledger.columns():
        del common["stability.features"]
    tables = []
    for method in methods:
        own = {f"stability.{method}.{name}": name for name in ("map", "attacked", "attacked_map")}
        columns = {**common, **own, f"stability.ghorbani-{eps:g}-{method}.overlap": "overlap"}
        rows = (
            ledger.scan(*columns)
            .drop_nulls([f"stability.{method}.map", *list(columns)[-1:]])
            .rename(columns)
            .collect()
        )
        tables.append(rows.with_columns(method=pl.lit(method), eps=pl.lit(eps)))
    rows = pl.concat(tables)
    shape = getattr(subject.dataset.space, "shape", None)
    shapes = [list(shape) if shape is not None else [len(values)] for values in rows["map"]]
    found = rows.select(
        "example_id",
        pl.Series("label", [classes[label[example]] for example in rows["example_id"]], dtype=pl.String),
        pl.Series("predicted", [classes[index] for index in rows["predicted"]], dtype=pl.String),
        pl.Series("shape", shapes, dtype=pl.List(pl.Int64)),
        *[name for name in rows.columns if name not in ("example_id", "predicted")],
    )
    return found.sort("example_id", "method", maintain_order=True)
