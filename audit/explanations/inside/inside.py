"""Inside the model: what channels respond to, an atlas of a layer, and what each attention head is worth.

Pictures by activation maximisation (doi:10.23915/distill.00007), each held against the real images; an
activation atlas (doi:10.23915/distill.00015) in which errors are counted cell by cell; heads ablated one
by one (arXiv:1905.10650).

Ledger columns: `features` has those of images, `head_rows` those of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.explanations.inside.atlas import Embedding
from raiaudit.errors import CapabilityError, UsageError
from raiaudit.models.attention_calls import NO_TRANSFORMER

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

__all__ = ["Inside", "InsideConfig"]


class InsideConfig(CheckConfig):
    """Which layer is looked at, how many pictures are made, and how heads are taken out."""

    layer: str | None = Field(
        default=None,
        description="the layer of images to look at, by its name in the network; default: the last "
        "convolution, or the last transformer block",
    )
    channels: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=12,
        description="how many channels are pictured, the most selective for each class in turn; or which",
    )
    examples: int = Field(default=1000, ge=8, description="the first n test examples, for atlas and heads")
    steps: int = Field(default=256, ge=1, description="steps of ascent a picture")
    embedding: Embedding = Field(default="tsne", description="how the atlas is laid out in the plane")
    grid: int = Field(default=10, ge=2, le=40, description="cells along a side of the atlas")
    icons: int = Field(default=64, ge=0, description="cells with a picture, the fullest first")
    ablation: Literal["mean", "zero"] = Field(
        default="mean", description="what stands in for a head: its mean output on training data, or zeros"
    )
    maps: int = Field(default=6, ge=0, description="examples whose attention is kept for the report")
    shard: int = Field(default=250, ge=1, description="examples in one task of heads")


class Inside:
    """Feature pictures and an atlas for images, head ablation for transformers of any modality."""

    id: ClassVar[str] = "explanations.inside"
    version: ClassVar[int] = 2
    question: ClassVar[str] = "What do its channels, layers and heads respond to?"
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LOGITS, Capability.GRADIENTS, Capability.WEIGHTS}
    )
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = InsideConfig

    def tasks(self, subject: Subject, config: InsideConfig) -> Sequence[Task]:
        """The heads by shards of examples, then all pictures at once: an atlas needs every example.

        Raises `CapabilityError` for a model with nothing to look into, `UnknownNameError` for an unknown
        layer.
        """
        total = min(config.examples, len(subject.test))
        layer = _layer(subject, config)
        no_heads = _without_heads(subject, config)
        if layer is None and no_heads is not None:
            raise CapabilityError(
                f"there is no convolution or block of images to look at, and no attention heads: {no_heads}",
                where=f"architecture {subject.classifier.architecture}",
                remedy="for images, name a layer of this network in `with.layer`; else leave the check out",
            )
        tasks = [
            Task(
                check=self.id,
                name=f"heads-{start:05d}",
                params={
                    "start": start,
                    "stop": min(start + config.shard, total),
                    "maps": max(0, min(config.maps - start, config.shard)),
                },
                config={"ablation": config.ablation},
                version=self.version,
            )
            for start in (range(0, total, config.shard) if no_heads is None else ())
        ]
        if layer is not None:
            options = config.model_dump(
                mode="json", include={"channels", "steps", "embedding", "grid", "icons"}
            )
            told = None if no_heads == NO_TRANSFORMER else no_heads
            params = {"start": 0, "stop": total, "layer": layer, "no_heads": told}
            tasks.append(Task(self.id, "features", params, options, self.version))
        return tasks

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """One shard of heads, or the pictures."""
        from raiaudit.audit.explanations.inside.features import feature_rows
        from raiaudit.audit.explanations.inside.head_rows import head_rows

        rows = subject.test.take(slice(task.params["start"], task.params["stop"]))
        if task.name == "features":
            layer, no_heads = task.params["layer"], task.params["no_heads"]
            return feature_rows(subject, rows, layer, no_heads, task.config)
        return head_rows(subject, rows, task.params["maps"], task.config)

    def summarise(self, ledger: LedgerReader, subject: Subject, config: InsideConfig) -> list[Measurement]:
        """Of pictures, atlas and heads, as far as the model has them."""
        from raiaudit.audit.explanations.inside.findings import feature_measurements
        from raiaudit.audit.explanations.inside.head_findings import head_measurements, without_heads

        return [
            *(feature_measurements(ledger, subject, self.id) if _has(ledger, "picture") else []),
            *(head_measurements(ledger, subject, self.id) if _has(ledger, "head_losses") else []),
            *(without_heads(ledger, self.id) if _has(ledger, "no_heads") else []),
        ]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: InsideConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`channels`, `atlas`, `atlas_examples` for images; `heads`, `attention` for transformers."""
        from raiaudit.audit.explanations.inside.findings import (
            atlas_examples,
            atlas_table,
            channel_table,
        )
        from raiaudit.audit.explanations.inside.head_findings import attention_table, head_table

        tables: dict[str, pl.DataFrame] = {}
        if _has(ledger, "picture"):
            tables |= {
                "channels": channel_table(ledger, subject),
                "atlas": atlas_table(ledger, subject, config.grid),
                "atlas_examples": atlas_examples(ledger, subject),
            }
        if _has(ledger, "head_losses"):
            tables |= {
                "heads": head_table(ledger, subject, self.id),
                "attention": attention_table(ledger, subject),
            }
        return tables


def _without_heads(subject: Subject, config: InsideConfig) -> str | None:
    """Why heads cannot be taken out, or None."""
    from raiaudit.attacks.evasion.base import prepared
    from raiaudit.audit.explanations.inside.head_rows import PROBED
    from raiaudit.audit.explanations.inside.heads import head_layout
    from raiaudit.models.data.dataset import take

    try:
        with prepared(subject.classifier):
            head_layout(subject.classifier, subject.tensor(take(subject.test.inputs, slice(0, PROBED))))
    except CapabilityError as error:
        return error.problem
    if config.ablation == "mean" and not len(subject.dataset.splits.get("train", ())):
        return "the data set holds no training examples to take a head's mean over (`ablation: zero`)"
    return None


def _has(ledger: LedgerReader, column: str) -> bool:
    return f"inside.{column}" in ledger.columns()


def _layer(subject: Subject, config: InsideConfig) -> str | None:
    """The layer to look at; None where inputs are no images, or the network has none that is usual.

    Raises `UnknownNameError`, and `UsageError` for a layer that gives nothing to look at.
    """
    from raiaudit.attacks.spaces import ImageBox
    from raiaudit.audit.explanations.inside.layers import default_layer, layers_seen
    from raiaudit.audit.explanations.layers import named_layer
    from raiaudit.models.data.dataset import take

    space = subject.dataset.space
    if not (isinstance(space, ImageBox) and len(space.shape) == 3 and space.shape[0] in (1, 3)):
        return None
    if config.layer is not None:
        named_layer(subject.classifier, config.layer, where="with.layer")
    seen = layers_seen(subject.classifier, lambda: subject.logits(take(subject.test.inputs, slice(0, 1))))
    if config.layer is None:
        return default_layer(subject.classifier, seen)
    if config.layer not in seen:
        raise UsageError(
            f"layer {config.layer!r} gives no vector, sequence or feature map in a prediction",
            where="with.layer",
            remedy=f"name one that does, such as {', '.join(list(seen)[-8:])}",
        )
    return config.layer
