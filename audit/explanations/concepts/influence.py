"""Influence: which training examples stand behind a prediction, and which training labels look wrong.

For each audited example, about the class that the model predicts: the training examples whose steps speak
most for that prediction (helpful) and most against it (harmful), by TracIn (arXiv:2002.08484) at the final
weights alone, which is TracInCP with one checkpoint (training keeps no others); and the nearest training
examples in the penultimate layer, with the share that carry the predicted label. The training examples with
the largest self-influence are listed as suspects. Training examples are named by id; their content stays
out of a report unless `pictures` asks for it.

Ledger columns: of audited examples `influence.predicted`, `.helpful`, `.harmful`, `.nearest` (training ids),
`.helpful_scores`, `.harmful_scores`, `.nearest_similarity`, `.neighbour_agreement`, `.helpful_agreement`; of
training examples `influence.self`, `.train_label`, `.train_predicted` and, of suspects, `.own_agreement`;
`influence.input` (raw floats) of the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.explanations.concepts.influence_summary import measurements, named, pictured, suspects
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from torch import Tensor

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["Influence", "InfluenceConfig"]

_BATCH = 256


class InfluenceConfig(CheckConfig):
    """How many predictions are traced back, to how many training examples, and by which gradients."""

    examples: int = Field(default=100, ge=2, description="trace the first n test examples")
    train_examples: int = Field(
        default=5000,
        ge=10,
        description="training examples looked through: a random sample where there are more",
    )
    parameters: Literal["last_layer", "all"] = Field(
        default="last_layer", description="whose gradients; all parameters take far longer"
    )
    metric: Literal["cosine", "l2"] = Field(
        default="cosine", description="by which training examples are near, in the penultimate layer"
    )
    top: int = Field(default=5, ge=1, le=100, description="helpful, harmful and nearest examples kept, each")
    suspects: int = Field(default=20, ge=1, description="training labels listed as suspicious")
    pictures: int = Field(
        default=0,
        ge=0,
        description="audited images drawn beside training images, which then are in the report",
    )


class Influence:
    """One task: training examples are read once for all predictions."""

    id: ClassVar[str] = "explanations.influence"
    version: ClassVar[int] = 1
    question: ClassVar[str] = (
        "Which training examples stand behind the predictions, and which labels look wrong?"
    )
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LOGITS, Capability.GRADIENTS, Capability.WEIGHTS, Capability.TRAINING_DATA}
    )
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = InfluenceConfig

    def tasks(self, subject: Subject, config: InfluenceConfig) -> Sequence[Task]:
        """All at once."""
        options = config.model_dump(mode="json")
        return [Task(check=self.id, name="influence", config=options, version=self.version)]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Rows of the audited examples, then of the training examples."""
        options = task.config
        train, rows = subject.dataset.splits["train"], subject.test.take(slice(0, options["examples"]))
        if len(train) > options["train_examples"]:
            rng = keyed_rng(subject.seed, "influence", "train")
            train = train.take(np.sort(rng.choice(len(train), options["train_examples"], replace=False)))
        shown = options["pictures"] if subject.dataset.modality == "image" else 0
        return _traced(subject, train, rows, options, shown)

    def summarise(self, ledger: LedgerReader, subject: Subject, config: InfluenceConfig) -> list[Measurement]:
        """Agreement of neighbours and helpful examples; how few are named; suspects."""
        return measurements(self.id, ledger, subject, config.suspects)

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: InfluenceConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`examples` and `suspects`: ids with their classes; `pictures`, if the spec asks for them."""
        return {
            "examples": named(ledger, subject),
            "suspects": suspects(ledger, subject, config.suspects),
            "pictures": pictured(ledger, subject),
        }


def _traced(
    subject: Subject, train: Split, rows: Split, options: Mapping[str, Any], shown: int
) -> pl.DataFrame:
    import torch

    from raiaudit.audit.explanations.concepts.all_parameters import by_all_parameters
    from raiaudit.audit.explanations.concepts.neighbours import nearest
    from raiaudit.audit.explanations.concepts.tracin import LastLayer, last_layer
    from raiaudit.models.data.dataset import take

    def read(split: Split, labels_N: Tensor | None) -> LastLayer:
        parts = []
        for start in range(0, len(split), _BATCH):
            at = slice(start, start + _BATCH)
            labels = None if labels_N is None else labels_N[at].to(subject.device)
            parts.append(last_layer(subject.classifier, subject.tensor(take(split.inputs, at)), labels))
        return LastLayer.joined(parts)

    train_label_M = torch.from_numpy(train.labels)
    learnt, asked = read(train, train_label_M), read(rows, None)
    predicted_B = asked.logits_BK.argmax(1).cpu()
    if options["parameters"] == "all":
        influence_BM, self_M = by_all_parameters(
            subject.classifier,
            subject.tensor(train.inputs),
            train_label_M.to(subject.device),
            subject.tensor(rows.inputs),
            predicted_B.to(subject.device),
        )
    else:
        influence_BM, self_M = learnt.influence_on(asked), learnt.self_influence()
    influence_BM, self_M = influence_BM.cpu(), self_M.cpu()
    top = min(options["top"], len(train) - 1)
    helpful, harmful = influence_BM.topk(top, dim=1), influence_BM.topk(top, dim=1, largest=False)
    near_Bk, similarity_Bk = nearest(asked.input_BD, learnt.input_BD, top, metric=options["metric"])
    suspect = torch.sort(self_M, dim=0, descending=True, stable=True).indices[: options["suspects"]]
    own, _ = nearest(
        learnt.input_BD[suspect], learnt.input_BD, top, metric=options["metric"], itself_B=suspect
    )
    own_agreement = np.full(len(train), np.nan)
    own_agreement[suspect] = _agreement(train_label_M, own.cpu(), train_label_M[suspect])
    near_Bk = near_Bk.cpu()

    def ids(places: Tensor) -> pl.Series:
        return pl.Series([train.ids[row].to_list() for row in places.numpy()], dtype=pl.List(pl.String))

    audited = pl.DataFrame(
        {
            "example_id": rows.ids,
            "influence.predicted": pl.Series(predicted_B.numpy(), dtype=pl.Int32),
            "influence.helpful": ids(helpful.indices),
            "influence.helpful_scores": _lists(helpful.values),
            "influence.helpful_agreement": _agreement(train_label_M, helpful.indices, predicted_B),
            "influence.harmful": ids(harmful.indices),
            "influence.harmful_scores": _lists(harmful.values),
            "influence.nearest": ids(near_Bk),
            "influence.nearest_similarity": _lists(similarity_Bk.cpu()),
            "influence.neighbour_agreement": _agreement(train_label_M, near_Bk, predicted_B),
            "influence.input": _inputs(rows, np.arange(min(shown, len(rows)))),
        }
    )
    drawn = torch.cat([part[:shown].flatten() for part in (helpful.indices, harmful.indices, near_Bk)])
    training = pl.DataFrame(
        {
            "example_id": train.ids,
            "influence.self": self_M.double().numpy(),
            "influence.train_label": pl.Series(train.labels, dtype=pl.Int32),
            "influence.train_predicted": pl.Series(learnt.logits_BK.argmax(1).cpu().numpy(), dtype=pl.Int32),
            "influence.own_agreement": pl.Series(own_agreement).fill_nan(None),
            "influence.input": _inputs(train, np.unique(drawn.numpy())),
        }
    )
    return pl.concat([audited, training], how="diagonal")


def _agreement(label_M: Tensor, places_Bk: Tensor, wanted_B: Tensor) -> Any:
    """The share of each row's training examples that carry the wanted label."""
    return (label_M[places_Bk] == wanted_B[:, None]).double().mean(1).numpy()


def _lists(values_Bk: Tensor) -> pl.Series:
    return pl.Series(values_Bk.double().numpy().tolist(), dtype=pl.List(pl.Float64))


def _inputs(split: Split, places: Any) -> pl.Series:
    """The raw floats of some rows, null in the others."""
    values: list[list[float] | None] = [None] * len(split)
    for place in places:
        pixels = np.asarray(split.inputs[int(place)])
        values[int(place)] = (pixels / (255.0 if pixels.dtype == np.uint8 else 1.0)).ravel().tolist()
    return pl.Series(values, dtype=pl.List(pl.Float32))
