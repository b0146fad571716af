"""The certified check on models whose certificates are known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import binomtest
from torch import Tensor, nn

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.robustness.certified import CertifiedConfig, CertifiedRobustness
from raiaudit.errors import CapabilityError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split

CHECK = CertifiedRobustness()


class FirstPixel(Classifier):
    """Says 1 where the first pixel is above one half: the distance to the boundary is |pixel − ½|."""

    architecture = "planted"
    modality = "image"

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 2)
        weight = torch.zeros(2, 16)
        weight[0, 0], weight[1, 0] = -1.0, 1.0
        self.layer.weight.data, self.layer.bias.data = weight, torch.tensor([0.5, -0.5])

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.layer(inputs.flatten(1))
        return logits


def images(first: np.ndarray, label: int = 1) -> Dataset:
    pixels = np.full((len(first), 1, 4, 4), 0.5, dtype=np.float32)
    pixels[:, 0, 0, 0] = first
    ids = pl.Series([f"e{row:04d}" for row in range(len(first))])
    split = Split(ids, pixels, np.full(len(first), label, dtype=np.int64))
    return Dataset("planted", "image", ("no", "yes"), ImageBox((1, 4, 4)), {"test": split}, digest="planted")


def value(measured: list[Measurement], metric: str, **where: Any) -> Measurement:
    (found,) = [m for m in measured if m.metric == metric and where.items() <= m.where.items()]
    return found


def test_smoothing_certifies_what_the_closed_form_says(make_subject: Any, run_check: Any) -> None:
    """Distances 0.0…0.4 from the boundary, a tenth of each; σ = 0.2; chance costs less than 0.05."""
    distance = np.repeat(np.linspace(-0.1, 0.4, 6), 20)
    config = CertifiedConfig(sigma=(0.2,), n=4000, radii=(0.05, 0.25, 0.45), shard=50, examples=None)
    subject = make_subject(FirstPixel(), images(0.5 + distance))
    ledger = run_check(CHECK, subject, config)
    measured = CHECK.summarise(ledger, subject, config)
    for radius, share in ((0.0, 4 / 6), (0.05, 4 / 6), (0.25, 2 / 6), (0.45, 0.0)):
        m = value(measured, "certified_accuracy", radius=radius)
        assert m.value == pytest.approx(share)
        exact = binomtest(round(120 * share), 120).proportion_ci(0.95, "exact")
        assert (m.low, m.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
        assert m.reason is not None
        assert "0.999" in m.reason
    rows = ledger.scan("certified.smoothing-0.2.radius", "certified.smoothing-0.2.correct").collect()
    radius = rows["certified.smoothing-0.2.radius"].to_numpy()
    assert bool((radius <= np.abs(distance) + 1e-12).all())
    abstention = value(measured, "abstention_rate")
    assert abstention.value is not None
    assert 0.15 < abstention.value < 0.17  # the 20 on the boundary itself, and no others
    average = value(measured, "average_certified_radius")
    assert average.low is not None
    assert average.high is not None
    assert average.value == pytest.approx(np.where(distance > 0, radius, 0).mean())
    assert average.low < (average.value or 0) < average.high
    assert average.unit == "l2"
    curve = CHECK.evidence(ledger, subject, config)["curve"]
    assert curve["certified_accuracy"].is_sorted(descending=True)
    assert float(curve["radius"].to_numpy().max()) >= 0.45


def test_intervals_certify_the_exact_distance_of_a_linear_model(make_subject: Any, run_check: Any) -> None:
    distance = np.array([-0.2, 0.1, 0.3, 0.45])
    config = CertifiedConfig(method="interval", radii=(0.2, 0.4))
    subject = make_subject(FirstPixel(), images(0.5 + distance))
    ledger = run_check(CHECK, subject, config)
    measured = CHECK.summarise(ledger, subject, config)
    values = [value(measured, "certified_accuracy", radius=radius).value for radius in (0.0, 0.2, 0.4)]
    assert values == [0.75, 0.5, 0.25]
    found = ledger.scan("certified.interval-linf.radius").collect()["certified.interval-linf.radius"]
    np.testing.assert_allclose(found.to_numpy(), np.abs(distance), atol=1e-4)
    assert value(measured, "average_certified_radius").value == pytest.approx(0.85 / 4, abs=1e-4)
    assert not [m for m in measured if m.metric == "abstention_rate"]


class Score(Classifier):
    architecture = "planted"
    modality = "tabular"

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.layer.weight.data = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
        self.layer.bias.data = torch.zeros(2)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.layer(inputs)
        return logits


def table() -> Dataset:
    """The score is the sum of two columns of range 10, of which one only grows."""
    schema = TableSchema(
        (
            Column("a", "real", -5, 5),
            Column("b", "real", -5, 5, monotone="increasing", cost=2.0),
            Column("c", "real", 0, 1, mutable=False),
        )
    )
    rows = np.array([[1.0, 1.0, 0.5], [2.0, 2.0, 0.5], [-2.0, -2.0, 0.5]], dtype=np.float32)
    ids = pl.Series(["a", "b", "c"])
    split = Split(ids, rows, np.array([1, 1, 0], dtype=np.int64))
    return Dataset("planted", "tabular", ("no", "yes"), schema, {"test": split}, digest="planted")


@pytest.mark.parametrize(
    ("norm", "radii"),
    [
        ("linf", [0.2, 0.4, 0.2]),  # only `a` can fall (by 10 ε); both can rise, by 20 ε in all
        ("l1", [0.2, 0.4, 4 / 15]),  # the box lets `a` move 10 ε and, at cost 2, `b` 5 ε
    ],
)
def test_tables_are_certified_over_their_reachable_rows(
    norm: str, radii: list[float], make_subject: Any, run_check: Any
) -> None:
    config = CertifiedConfig.model_validate({"norm": norm, "radii": [0.3]})
    subject = make_subject(Score(), table())
    ledger = run_check(CHECK, subject, config)
    found = ledger.scan(f"certified.interval-{norm}.radius").collect()[f"certified.interval-{norm}.radius"]
    np.testing.assert_allclose(found.to_numpy(), radii, atol=3e-4)
    measured = CHECK.summarise(ledger, subject, config)
    assert value(measured, "certified_accuracy", radius=0.3).value == pytest.approx(1 / 3)


def test_shards_do_not_change_a_certificate(make_subject: Any, run_check: Any) -> None:
    subject = make_subject(FirstPixel(), images(np.linspace(0.45, 0.9, 9)))
    column = "certified.smoothing-0.3.radius"
    found = [
        run_check(CHECK, subject, CertifiedConfig(sigma=(0.3,), n=500, shard=shard)).scan(column).collect()
        for shard in (9, 2)
    ]
    assert found[0].sort("example_id").equals(found[1].sort("example_id"))


def test_what_cannot_be_certified_is_refused(make_subject: Any) -> None:
    subject = make_subject(Score(), table())
    with pytest.raises(CapabilityError, match="no valid rows"):
        CHECK.tasks(subject, CertifiedConfig(method="smoothing"))
    with pytest.raises(CapabilityError, match="l2 alone"):
        CHECK.tasks(make_subject(FirstPixel(), images(np.ones(2))), CertifiedConfig(norm="linf"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"radii": [0.0]}, "above 0"),
        ({"sigma": [-1]}, "above 0"),
        ({"method": "smoothing", "norm": "linf"}, "l2 alone"),
        ({"alpha": 0.5}, "less than 0.5"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CertifiedConfig.model_validate(options)
