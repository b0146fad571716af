"""A model that can only be asked: an HTTP endpoint or a function, as a classifier without gradients.

`forward` asks the box and returns the logarithms of its scores, or one-hot rows where it gives labels
alone (`knowledge` says which). It raises `QueryFailedError` where some rows have no usable answer and
`SubjectUnavailableError` where none ever will.

Nothing can vouch for the weights behind a box. What stands for their digest is a fingerprint: a hash of
the answers to the first test examples, of the classes alone where scores differ when asked again.

Shapes: inputs_B… images B×C×H×W, encoded rows B×W, or texts as code points B×L padded with −1;
logits_BK.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

import raiaudit
from raiaudit.attacks.spaces import ImageBox, InputSpace, TableSchema, TokenSpace
from raiaudit.errors import QueryFailedError, SubjectUnavailableError, UsageError
from raiaudit.models.answers import Ask, BatchFailedError, Returns, ask_all
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import take
from raiaudit.models.endpoint import PROTOCOL, Endpoint, EndpointClient
from raiaudit.models.version import ModelVersion, TrainingRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.attacks.threats import Knowledge
    from raiaudit.models.data.dataset import Dataset, Inputs

__all__ = ["BlackBox", "from_callable", "from_endpoint", "version_of"]

FINGERPRINTED = 32
"""Test examples whose answers are the fingerprint."""

_PADDING = -1


class BlackBox(Classifier):
    """`ask` answers at most `batch` inputs at once; `where` names the box to people, `config` in records."""

    def __init__(
        self,
        ask: Ask,
        *,
        kind: str,
        returns: Returns,
        classes: Sequence[str],
        space: InputSpace,
        batch: int,
        where: str,
        config: dict[str, Any],
    ) -> None:
        super().__init__()
        modalities: dict[type, Any] = {ImageBox: "image", TokenSpace: "text", TableSchema: "tabular"}
        self.modality = modalities[type(space)]
        self.classes = len(classes)
        self.config = config
        self.kind = kind
        self.knowledge: Knowledge = "score" if returns == "scores" else "label"
        self._ask = ask
        self._returns = returns
        self._class_names = tuple(classes)
        self._space = space
        self._batch = batch
        self._where = where

    def encode(self, inputs: Inputs) -> Tensor:
        """As every classifier; texts become their code points, which `forward` turns back."""
        if self.modality != "text":
            return super().encode(inputs)
        codes = [torch.tensor([ord(letter) for letter in text], dtype=torch.int64) for text in inputs]
        if not codes:
            return torch.zeros(0, 0, dtype=torch.int64)
        return torch.nn.utils.rnn.pad_sequence(codes, batch_first=True, padding_value=_PADDING)

    def forward(self, inputs: Tensor) -> Tensor:
        """Ask about every row. Raises `QueryFailedError`, `SubjectUnavailableError`, `UsageError`."""
        if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
            raise UsageError("an input holds NaN or infinity", where=self._where)
        try:
            found = ask_all(
                self._ask,
                self._items(inputs.detach().cpu()),
                returns=self._returns,
                classes=self._class_names,
                batch=self._batch,
            )
        except BatchFailedError as failure:
            raise SubjectUnavailableError(
                f"the model does not answer: {failure}",
                where=self._where,
                remedy="mend it, then run the same command again: what was computed is kept",
            ) from None
        logits_BK = torch.from_numpy(found.logits_NK).to(inputs.device)
        if found.problems:
            rows = tuple(sorted(found.problems))
            more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
            raise QueryFailedError(
                f"row {rows[0]} of {len(inputs)}{more}: {found.problems[rows[0]]}",
                rows=rows,
                answers=logits_BK,
                where=self._where,
                remedy="ask the model about that input by hand",
            )
        return logits_BK

    def _items(self, inputs: Tensor) -> Any:
        if isinstance(self._space, TableSchema):
            return [_row(values, self._space) for values in inputs.tolist()]
        if isinstance(self._space, TokenSpace):
            return ["".join(chr(code) for code in codes if code != _PADDING) for codes in inputs.tolist()]
        return np.asarray(inputs.float())


def _row(values: list[float], schema: TableSchema) -> dict[str, float | int | str]:
    """An encoded row by column name: levels as texts, integers as integers."""
    row: dict[str, float | int | str] = {}
    for column in schema.columns:
        slot = values[schema.slices[column.name]]
        if column.kind == "category":
            row[column.name] = column.categories[slot.index(max(slot))]
        else:
            row[column.name] = round(slot[0]) if column.kind == "integer" else slot[0]
    return row


def from_endpoint(endpoint: Endpoint, dataset: Dataset) -> BlackBox:
    """The model behind an address, asked about inputs like those of `dataset`."""
    return BlackBox(
        EndpointClient(endpoint, classes=len(dataset.classes)),
        kind="endpoint",
        returns=endpoint.returns,
        classes=dataset.classes,
        space=dataset.space,
        batch=endpoint.batch,
        where=endpoint.url,
        config={"url": endpoint.url, "returns": endpoint.returns, "protocol": PROTOCOL},
    )


def from_callable(
    function: Callable[[Any], Any],
    *,
    returns: Returns,
    classes: Sequence[str],
    space: InputSpace,
    batch: int = 256,
) -> BlackBox:
    """Any function as a model: at most `batch` inputs in, one row of scores or one label each out.

    It is given a float32 array of images B×C×H×W, a list of texts, or a list of table rows as dicts. It
    returns an array or a list: B rows of K probabilities, or B class indices or names. What it raises
    counts as a failed batch, which is asked again in halves.
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)

    def ask(items: Sequence[Any]) -> Sequence[Any]:
        try:
            given = function(items)
        except Exception as error:  # whatever theirs may raise
            raise BatchFailedError(f"raised {type(error).__name__}: {error}") from error
        rows = given.tolist() if hasattr(given, "tolist") else given
        if not isinstance(rows, list | tuple) or len(rows) != len(items):
            raise BatchFailedError(f"expected {len(items)} {returns}, one an input")
        return [row.tolist() if hasattr(row, "tolist") else row for row in rows]

    return BlackBox(
        ask,
        kind="callable",
        returns=returns,
        classes=classes,
        space=space,
        batch=batch,
        where=name,
        config={"function": name, "returns": returns},
    )


def version_of(box: BlackBox, dataset: Dataset, *, name: str) -> ModelVersion:
    """The box as a model to audit, with the fingerprint of its answers in place of a weights digest."""
    digest, repeats = _fingerprint(box, dataset)
    record = TrainingRecord(
        architecture=box.kind,
        config={**box.config, "answers": "repeat exactly" if repeats else "differ when asked again"},
        code_version=raiaudit.__version__,
        parameters=0,
        weights_digest=digest,
    )
    return ModelVersion(name, 0, box.eval(), record)


def _fingerprint(box: BlackBox, dataset: Dataset) -> tuple[str, bool]:
    """Sha256 (hex) over the first answers, and whether they were the same when asked again."""
    inputs = take(dataset.splits["test"].inputs, slice(0, FINGERPRINTED))
    first_NK, second_NK = _answers(box, inputs), _answers(box, inputs)
    repeats = np.array_equal(first_NK, second_NK, equal_nan=True)
    content = first_NK if repeats else first_NK.argmax(axis=1).astype(np.float32)
    return hashlib.sha256(box.knowledge.encode() + content.tobytes()).hexdigest(), repeats


def _answers(box: BlackBox, inputs: Inputs) -> NDArray[np.float32]:
    try:
        logits_NK: Tensor = box(box.encode(inputs))
    except QueryFailedError as error:
        logits_NK = error.answers
    return np.asarray(logits_NK)
