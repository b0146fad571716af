"""Attributions, and whether to believe them: integrated gradients judged before they are shown.

Each audited example's predicted class is explained by integrated gradients of its logit; the map is
judged by completeness (arXiv:1703.01365) and by deletion and insertion (arXiv:1806.07421) against
random rankings of the same features. `deletion_gain` > 0 means that the map finds what the model uses
better than chance; a map that says nothing has a gain of 0.

Ledger columns: `attribution.predicted`, `.completeness_error`, `.nodes`, `.deletion`, `.insertion`,
`.deletion_random` (areas), `.deletion_curve`, `.random_curve`; for the first few examples `.map` (one
value a feature), `.input` (the raw floats; null for texts) and `.features` (words or columns; null for
pixels).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.explanations.methods.views import Baseline
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import mean_bootstrap
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Attribution", "AttributionConfig"]

_SCALARS = ("completeness_error", "deletion", "deletion_random", "insertion")


class AttributionConfig(CheckConfig):
    """How many examples are explained, and how hard the maps are tried."""

    examples: int = Field(default=100, ge=2, description="explain the first n test examples")
    baseline: Baseline = Field(
        default="mean", description="mean training input, or zeros; texts always use the zero embedding"
    )
    levels: int = Field(default=20, ge=2, description="steps from nothing removed to everything removed")
    random_maps: int = Field(default=5, ge=1, description="random rankings an example's map is held against")
    tolerance: float = Field(default=0.01, gt=0, description="completeness error above which nodes double")
    max_nodes: int = Field(default=256, ge=1)
    maps: int = Field(default=12, ge=0, description="maps kept for the report")
    shard: int = Field(default=50, ge=1, description="examples in one task")


class Attribution:
    """Integrated gradients of the predicted class, with completeness and deletion."""

    id: ClassVar[str] = "explanations.attribution"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Do the explanations point at what the model really uses?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGITS, Capability.GRADIENTS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = AttributionConfig

    def tasks(self, subject: Subject, config: AttributionConfig) -> Sequence[Task]:
        """Shards of rows; the first ones keep their maps."""
        total = min(config.examples, len(subject.test))
        options = config.model_dump(mode="json", exclude={"examples", "maps", "shard"})
        return [
            Task(
                check=self.id,
                name=f"attribution-{start:05d}",
                params={
                    "start": start,
                    "stop": min(start + config.shard, total),
                    "maps": max(0, min(config.maps - start, config.shard)),
                },
                config=options,
                version=self.version,
            )
            for start in range(0, total, config.shard)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Explain and judge one shard."""
        from raiaudit.attacks.evasion.base import prepared
        from raiaudit.audit.explanations.methods.integrated_gradients import integrated_gradients
        from raiaudit.audit.explanations.methods.views import view_of
        from raiaudit.audit.explanations.quality.perturbation import area, ranking, shuffled, trace

        rows = subject.test.take(slice(task.params["start"], task.params["stop"]))
        options = task.config
        with prepared(subject.classifier):
            view = view_of(subject, rows.inputs, options["baseline"])
            target_B = subject.logits(rows.inputs).argmax(1).to(view.x.device)
            found = integrated_gradients(
                view.logits,
                view.x,
                view.baseline,
                target_B,
                tolerance=options["tolerance"],
                max_nodes=options["max_nodes"],
            )
            scores_BF = view.by_feature(found.values).cpu().numpy()
            present_BF = view.present_BF.cpu().numpy()
            rngs = [keyed_rng(subject.seed, "attribution", example) for example in rows.ids]
            rank_BF = ranking(scores_BF, present_BF, rngs)
            deletion = trace(view, rank_BF, target_B, levels=options["levels"])
            insertion = trace(view, rank_BF, target_B, levels=options["levels"], insert=True)
            null = np.mean(
                [
                    trace(view, shuffled(present_BF, rngs), target_B, levels=options["levels"])
                    for _ in range(options["random_maps"])
                ],
                axis=0,
            )
        return pl.DataFrame(
            {
                "example_id": rows.ids,
                "attribution.predicted": pl.Series(target_B.cpu().numpy(), dtype=pl.Int32),
                "attribution.completeness_error": found.error_B.cpu().numpy(),
                "attribution.nodes": found.nodes_B.cpu().numpy(),
                "attribution.deletion": area(deletion),
                "attribution.insertion": area(insertion),
                "attribution.deletion_random": area(null),
                "attribution.deletion_curve": _floats(list(deletion), len(rows)),
                "attribution.random_curve": _floats(list(null), len(rows)),
                **_shown(view, scores_BF, rows.inputs, task.params["maps"]),
            }
        )

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: AttributionConfig
    ) -> list[Measurement]:
        """Gains over random rankings (paired, bootstrap over examples), and the completeness error."""
        rows = _rows(ledger, *_SCALARS)
        error, deletion, null, insertion = (rows[name].to_numpy() for name in _SCALARS)
        n = rows.height

        def mean(metric: str, values: NDArray[np.float64], better: Any, *used: str) -> Measurement:
            rng = keyed_rng(subject.seed, self.id, metric)
            low, high = mean_bootstrap(values, rng=rng) if n > 1 else (None, None)
            return Measurement(
                check=self.id,
                metric=metric,
                value=float(values.mean()),
                low=low,
                high=high,
                n=n,
                better=better,
                method="petsiuk2018",
                evidence=tuple(f"attribution.{name}" for name in used),
            )

        def completeness(statistic: Literal["median", "max"], value: float) -> Measurement:
            return Measurement(
                check=self.id,
                metric="completeness_error",
                value=value,
                n=n,
                better="lower",
                where={"statistic": statistic},
                method="sundararajan2017",
                evidence=("attribution.completeness_error",),
            )

        return [
            mean("deletion_gain", null - deletion, "higher", "deletion", "deletion_random"),
            mean("insertion_gain", insertion - null, "higher", "insertion", "deletion_random"),
            mean("deletion_auc", deletion, "lower", "deletion"),
            mean("insertion_auc", insertion, "higher", "insertion"),
            mean("random_auc", null, "neither", "deletion_random"),
            completeness("median", float(np.median(error))),
            completeness("max", float(error.max())),
        ]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: AttributionConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`curve`: mean probability against the share removed, one column a ranking. `maps`: for overlays."""
        rows = _rows(ledger, "deletion_curve", "random_curve")
        curve = pl.DataFrame(
            {
                "removed": np.linspace(0, 1, config.levels + 1),
                "integrated_gradients": np.mean(rows["deletion_curve"].to_list(), axis=0),
                "random": np.mean(rows["random_curve"].to_list(), axis=0),
            }
        )
        return {"curve": curve, "maps": _maps(ledger, subject)}


def _rows(ledger: LedgerReader, *names: str) -> pl.DataFrame:
    columns = {f"attribution.{name}": name for name in names}
    return ledger.scan(*columns).drop_nulls(list(columns)).rename(columns).collect()


def _floats(rows: Sequence[Any], total: int) -> pl.Series:
    """One list of floats a row, null beyond the rows there are."""
    lists = [np.asarray(row, dtype=np.float32).ravel().tolist() for row in rows]
    return pl.Series(lists + [None] * (total - len(lists)), dtype=pl.List(pl.Float32))


def _shown(view: View, scores_BF: NDArray[np.float64], inputs: Any, count: int) -> dict[str, pl.Series]:
    """The columns a report draws from: null but in the first `count` rows."""
    total = len(scores_BF)
    maps, names, raw = list(scores_BF[:count]), (view.names or [])[:count], []
    if view.names is not None:  # a text's padding is not shown
        maps = [row[: len(words)] for row, words in zip(maps, names, strict=True)]
    if not isinstance(inputs, list):
        raw = list(inputs[:count] / (255.0 if inputs.dtype == np.uint8 else 1.0))
    return {
        "attribution.map": _floats(maps, total),
        "attribution.input": _floats(raw, total),
        "attribution.features": pl.Series([*names, *[None] * (total - len(names))], dtype=pl.List(pl.String)),
    }


def _maps(ledger: LedgerReader, subject: Subject) -> pl.DataFrame:
    """example_id, label, predicted, shape ([C, H, W], or the map's length), input, map, features."""
    columns = {f"attribution.{name}": name for name in ("predicted", "map", "input", "features")}
    rows = ledger.scan(*columns).drop_nulls("attribution.map").rename(columns).collect()
    split, classes = subject.test, subject.dataset.classes
    label = dict(zip(split.ids.to_list(), split.labels.tolist(), strict=True))
    shape = getattr(subject.dataset.space, "shape", None)
    shapes = [list(shape) if shape is not None else [len(values)] for values in rows["map"]]
    return rows.select(
        "example_id",
        pl.Series("label", [classes[label[example]] for example in rows["example_id"]], dtype=pl.String),
        pl.Series("predicted", [classes[index] for index in rows["predicted"]], dtype=pl.String),
        pl.Series("shape", shapes, dtype=pl.List(pl.Int64)),
        "input",
        "map",
        "features",
    )
