"""Stability of explanations: does the map stay where it is when the answer does?

Each audited example's map is compared with the map after three kinds of small change, at each radius eps in
L∞: `noise`, every value moved by ±eps at random; `ghorbani`, the attack on the map that keeps the predicted
class (arXiv:1710.10547, attack.py); `pgd`, an attack on the answer, of the examples the model gets right. The
first two explain the class predicted before, which is still predicted; under `pgd` each input explains its
own answer.

Ledger columns, one set per `<at>` = `<attack>-<eps>-<method>`: `stability.<at>.overlap` (share of the most
relevant features that stay so), `.correlation` (Spearman), `.centre_shift` (pixels; images alone); of noise
(means over the draws that kept the label) also `.lowest` (of the overlaps) and `.sensitivity` (largest
relative change); of ghorbani `.no_gradient`, `.blank` (the map before is the same everywhere: it has no most
relevant features, and no overlap), and `.refused` (why the model gave no map; the others are not
there then). Per `<attack>-<eps>` `.label_kept` (of noise a share), of
pgd `.broken`, of noise `.movable` (false: no valid input lies within the radius, and the rest is null). At
the largest radius, of the first few examples: `stability.predicted`, `.input`, `.features`, and per method
`.<method>.map`, `.attacked`, `.attacked_map`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.explanations.methods import find_method
from raiaudit.audit.explanations.options import MapsConfig, MethodNames
from raiaudit.audit.explanations.stability.summary import by_group, overall, why_refused, without_maps
from raiaudit.audit.explanations.stability.tables import curve, pairs
from raiaudit.audit.measurement import Measurement
from raiaudit.errors import CapabilityError, UnknownNameError
from raiaudit.models.numbers import Fractions

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Stability", "StabilityConfig"]


class StabilityConfig(MapsConfig):
    """How far inputs are moved, and how hard the maps are attacked."""

    examples: int = Field(default=100, ge=2, description="explain the first n test examples")
    methods: MethodNames = Field(
        default=("saliency", "integrated_gradients"),
        description="attribution methods whose maps are attacked",
    )
    eps: Fractions = Field(
        default=(2 / 255, 8 / 255),
        min_length=1,
        description="L∞ radii: in the units of an image's values, or shares of a column's range",
    )
    steps: int = Field(default=20, ge=1, description="of both attacks")
    restarts: int = Field(default=2, ge=1, description="tries of the attack on the map; the strongest counts")
    noise: int = Field(default=4, ge=1, description="random changes of each example")
    top: int | None = Field(
        default=None, ge=1, description="most relevant features compared; default: a tenth, at least 3"
    )
    beta: float = Field(default=20, gt=0, description="of the softplus that lends a ReLU its curvature")
    nodes: int = Field(default=8, ge=1, description="of integrated gradients inside the attack")
    columns: tuple[str, ...] | None = Field(
        default=None, description="group columns compared; default: all of them"
    )
    min_group: int = Field(default=30, ge=2, description="fewest examples for a group to be compared")
    permutations: int = Field(default=9999, ge=99, description="draws of the tests between groups")
    maps: int = Field(default=6, ge=0, description="pairs of maps kept for the report")

    @field_validator("eps")
    @classmethod
    def _ascending(cls, eps: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < radius < 1 for radius in eps):
            raise ValueError("every eps lies between 0 and 1: it is a small change that is asked about")
        if len({f"{radius:g}" for radius in eps}) != len(eps):
            raise ValueError("eps holds the same radius twice (to six digits)")
        return tuple(sorted(eps))


class Stability:
    """Maps before and after noise, an attack on the map, and an attack on the answer."""

    id: ClassVar[str] = "explanations.stability"
    version: ClassVar[int] = 3
    question: ClassVar[str] = "Do explanations survive small changes that leave the answer as it is?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGITS, Capability.GRADIENTS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = StabilityConfig

    def tasks(self, subject: Subject, config: StabilityConfig) -> Sequence[Task]:
        """Shards of rows, small radii first.

        Raises `CapabilityError` for texts and for a method of another modality, `UnknownNameError` for a
        group column or a layer that is not there.
        """
        config.require_layer(subject)
        modality = subject.dataset.modality
        if modality == "text":
            raise CapabilityError(
                "a text cannot be changed a little: its words have no neighbours within a radius",
                where=self.id,
                remedy="audit images or tables; robustness.character_noise asks how texts bear misspelling",
            )
        for name in config.methods:
            if modality not in find_method(name).modalities:
                raise CapabilityError(
                    f"{name} does not explain {modality} data",
                    where=f"{self.id} methods",
                    remedy="leave it out",
                )
        for column in config.columns or ():
            if column not in subject.dataset.group_names:
                known = subject.dataset.group_names
                raise UnknownNameError("group column", column, known, where=f"{self.id} columns")
        total = min(config.examples, len(subject.test))
        apart = {"examples", "eps", "columns", "min_group", "permutations", "maps", "shard"}
        options = config.model_dump(mode="json", exclude=apart)
        return [
            Task(
                check=self.id,
                name=f"stability-{eps:g}-{start:05d}",
                params={
                    "eps": eps,
                    "start": start,
                    "stop": min(start + config.shard, total),
                    "keep": eps == config.eps[-1],
                    "maps": max(0, min(config.maps - start, config.shard)),
                },
                config=options,
                version=self.version,
            )
            for eps in config.eps
            for start in range(0, total, config.shard)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Explain, move and explain again, one shard at one radius."""
        from raiaudit.audit.explanations.stability.shard import stability_rows

        return stability_rows(task, subject)

    def summarise(self, ledger: LedgerReader, subject: Subject, config: StabilityConfig) -> list[Measurement]:
        """Means with intervals at every radius; groups at the largest."""
        radii, methods = config.eps, config.methods
        refused = why_refused(ledger, methods, radii)
        methods = tuple(name for name in methods if name not in refused)
        found = [
            *(without_maps(self.id, name, eps, why) for name, why in refused.items() for eps in radii),
            *overall(self.id, ledger, methods, radii, seed=subject.seed),
        ]
        return found + by_group(
            self.id,
            ledger,
            subject,
            methods,
            radii[-1],
            columns=config.columns,
            minimum=config.min_group,
            permutations=config.permutations,
        )

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: StabilityConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`curve`: overlap by radius; `pairs`: inputs and maps before and after the attack on the map."""
        table = curve(self.summarise(ledger, subject, config.model_copy(update={"columns": ()})))
        refused = why_refused(ledger, config.methods, config.eps)
        methods = tuple(name for name in config.methods if name not in refused)
        shown = pairs(ledger, subject, methods, config.eps[-1]) if config.maps and methods else None
        return {"curve": table} | ({} if shown is None else {"pairs": shown})
