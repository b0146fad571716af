"""Are the maps faithful? Every method's maps, judged by one perturbation trace against maps that know
nothing.

Each audited example's predicted class is explained by every method. The maps, and their controls, are ranked
once and walked once (`traces`); deletion, insertion, AOPC, pixel flipping, monotonicity, comprehensiveness
and sufficiency are read off. Beside them infidelity, max-sensitivity, complexity and sparseness, and, where
`planted` says where the evidence is, localisation. The controls are in `controls`; the statistics in
`faithfulness_summary`.

Ledger columns: `faithfulness.predicted`; for every map M (a method, `random`, the input's control, and
`blurred:<method>`) `faithfulness.<M>.<metric>`, `.most` and `.least` (curves); for a method that cannot
explain this model `faithfulness.<M>.reason` instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.explanations.options import MapsConfig, MethodNames
from raiaudit.audit.explanations.quality.planted import PlantedEvidence
from raiaudit.audit.performance.predictions import shards

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

__all__ = ["Faithfulness", "FaithfulnessConfig"]


class FaithfulnessConfig(MapsConfig):
    """Which maps are judged, on how many examples, and how finely."""

    methods: MethodNames = Field(
        default=("integrated_gradients", "saliency", "input_x_gradient"), description="attribution methods"
    )
    examples: int = Field(default=100, ge=1, description="explain the first n test examples")
    levels: int = Field(default=20, ge=4, description="steps from nothing removed to everything removed")
    random_maps: int = Field(default=3, ge=1, description="random maps an example's maps are held against")
    patches: int = Field(
        default=32, ge=2, description="patches whose effect a map must foretell (infidelity)"
    )
    draws: int = Field(default=4, ge=0, description="moved inputs for max-sensitivity; 0 leaves it out")
    radius: float = Field(
        default=0.02, gt=0, description="how far they are moved: pixel range, or standard deviations"
    )
    planted: PlantedEvidence | None = Field(
        default=None, description="where the evidence is known to be: adds localisation"
    )


class Faithfulness:
    """One trace a map; every metric against random maps and an edge detector."""

    id: ClassVar[str] = "explanations.faithfulness"
    version: ClassVar[int] = 2
    question: ClassVar[str] = "Do the maps find what the model uses better than maps that know nothing?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGITS, Capability.GRADIENTS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = FaithfulnessConfig

    def tasks(self, subject: Subject, config: FaithfulnessConfig) -> Sequence[Task]:
        """Shards of rows.

        Raises `CapabilityError` for planted evidence that these inputs cannot hold, `UnknownNameError` for a
        layer that is not there.
        """
        config.require_layer(subject)
        if config.planted is not None:
            config.planted.require(subject)
        options = config.model_dump(mode="json", exclude={"examples", "shard"})
        return shards(
            self.id,
            self.version,
            subject,
            options,
            name="faithfulness",
            examples=config.examples,
            size=config.shard,
        )

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Explain and judge one shard."""
        from raiaudit.attacks.evasion.base import prepared
        from raiaudit.audit.explanations.methods.views import view_of
        from raiaudit.audit.explanations.quality.judge import Judge

        rows = subject.test.take(slice(task.params["start"], task.params["stop"]))
        options = FaithfulnessConfig(**task.config)
        with prepared(subject.classifier):
            view = view_of(subject, rows.inputs, options.baseline)
            target_B = subject.logits(rows.inputs).argmax(1).to(view.x.device)
            columns = Judge(subject, rows, view, target_B, options).columns()
        predicted = pl.Series(target_B.cpu().numpy(), dtype=pl.Int32)
        return pl.DataFrame(
            {
                "example_id": rows.ids,
                "faithfulness.predicted": predicted,
                **{f"faithfulness.{name}": column for name, column in columns.items()},
            }
        )

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: FaithfulnessConfig
    ) -> list[Measurement]:
        """Gains over the controls with simultaneous intervals, and every metric's mean."""
        from raiaudit.audit.explanations.quality.faithfulness_summary import measurements

        return measurements(ledger, subject, config)

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: FaithfulnessConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`traces`: curves with bands; `tests`: every metric of every method against every control."""
        from raiaudit.audit.explanations.quality.faithfulness_summary import tables

        return tables(ledger, subject, config)
