"""Attributions, and whether to believe them: maps by several methods, judged before they are shown.

Each audited example's predicted class is explained by each method asked for; a map is judged by deletion and
insertion (arXiv:1806.07421) against random rankings of the same features, and by completeness where its
method promises that maps add up (arXiv:1703.01365). `deletion_gain` > 0 means that the map finds what the
model uses better than chance; a map that says nothing has a gain of 0. What maps say together, by class and
by group of people, is in `aggregation.py`.

Ledger columns: of all methods `attribution.predicted`, `.random` (the area of random rankings) and
`.random_curve`, `.words` (texts), and for the first few examples `.input` (raw floats; null for texts) and
`.features` (words or columns; null for pixels). Of each method `attribution.<method>.deletion`, `.insertion`
(areas), `.deletion_curve`, `.completeness_error`, `.passes` (forwards and backwards), `.profile` (the map of
words or columns, or of pixels summed over a grid of at most 28 × 28), `.refused` (why the model gave no map,
the rest being null), `.unanswered` (what a black box would not answer about this example, likewise; of all
methods `attribution.unanswered`), and for the first few examples `.map`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from raiaudit.attacks.spaces import TableSchema
from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.explanations.methods import find_method, obstacle
from raiaudit.audit.explanations.options import MapsConfig, MethodNames
from raiaudit.errors import CapabilityError, UnknownNameError

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

__all__ = ["Attribution", "AttributionConfig"]


class AttributionConfig(MapsConfig):
    """Which methods explain how many examples, and how hard the maps are tried."""

    methods: MethodNames = Field(
        default=("integrated_gradients",), description="attribution methods, each judged alike"
    )
    examples: int = Field(default=100, ge=2, description="explain the first n test examples")
    levels: int = Field(default=20, ge=2, description="steps from nothing removed to everything removed")
    random_maps: int = Field(default=5, ge=1, description="random rankings an example's map is held against")
    tolerance: float = Field(default=0.01, gt=0, description="completeness error above which nodes double")
    max_nodes: int = Field(default=256, ge=1, description="most steps of integrated gradients")
    proxies: tuple[str, ...] = Field(
        default=(), description="columns that stand in for a group column, for sensitive_attribution_share"
    )
    min_group: int = Field(default=10, ge=2, description="examples a group or class needs to be compared")
    permutations: int = Field(default=999, ge=99, description="draws of the test between groups")
    maps: int = Field(default=12, ge=0, description="maps kept for the report")


class Attribution:
    """Maps of the predicted class, with completeness and deletion."""

    id: ClassVar[str] = "explanations.attribution"
    version: ClassVar[int] = 4
    question: ClassVar[str] = "Do the explanations point at what the model really uses?"
    needs: ClassVar[frozenset[Capability]] = frozenset()
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = AttributionConfig

    def tasks(self, subject: Subject, config: AttributionConfig) -> Sequence[Task]:
        """Shards of rows for what all methods share, then for each method that can be asked.

        Raises `CapabilityError` when none can, and `UnknownNameError` for proxies that are no columns or a
        layer that is not there.
        """
        _check_proxies(subject, config)
        config.require_layer(subject)
        refused = {name: obstacle(find_method(name), subject) for name in config.methods}
        if all(refused.values()):
            raise CapabilityError(
                "; ".join(reason for reason in refused.values() if reason),
                remedy="methods: [occlusion, kernel_shap] need scores alone",
            )
        if (
            config.baseline == "mean"
            and subject.dataset.modality != "text"
            and "train" not in subject.dataset.splits
        ):
            raise CapabilityError(
                "the data set holds no training examples to take the mean of",
                remedy="choose baseline: zeros",
            )
        total = min(config.examples, len(subject.test))
        shared = {"baseline": config.baseline, "levels": config.levels}
        options: dict[str, dict[str, Any]] = {"": {**shared, "random_maps": config.random_maps}}
        for name in config.methods:
            if refused[name] is None:
                options[name] = {**shared, **_settings(name, config)}
        return [
            Task(
                check=self.id,
                name=f"{name or 'attribution'}-{start:05d}",
                params={
                    "method": name,
                    "start": start,
                    "stop": min(start + config.shard, total),
                    "maps": max(0, min(config.maps - start, config.shard)),
                },
                config=settings,
                version=self.version,
            )
            for name, settings in options.items()
            for start in range(0, total, config.shard)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Explain and judge one shard by one method, or judge random rankings of it."""
        from raiaudit.audit.explanations.attribution.rows import method_rows, shared_rows

        return (method_rows if task.params["method"] else shared_rows)(task, subject)

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: AttributionConfig
    ) -> list[Measurement]:
        """Of each method its gains over random rankings, its completeness, and how it treats groups."""
        from raiaudit.audit.explanations.attribution.summary import measurements

        return measurements(ledger, subject, config)

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: AttributionConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`curve`: mean probability against the share removed, one column a ranking. `maps`: for overlays.

        By modality also `shares` (columns of a table by class and group), `words` or `class_maps`.
        """
        from raiaudit.audit.explanations.attribution.tables import tables

        return tables(ledger, subject, config)


def _settings(name: str, config: AttributionConfig) -> dict[str, Any]:
    """The options that change what this method finds: they are part of its tasks' keys."""
    if name == "integrated_gradients":
        return {"tolerance": config.tolerance, "max_nodes": config.max_nodes}
    return {"layer": config.layer} if name in ("grad_cam", "layer_cam") else {}


def _check_proxies(subject: Subject, config: AttributionConfig) -> None:
    space = subject.dataset.space
    columns = [column.name for column in space.columns] if isinstance(space, TableSchema) else []
    for name in config.proxies:
        if name not in columns:
            raise UnknownNameError("column", name, columns, where="explanations.attribution, proxies")
