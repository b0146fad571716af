"""The Python API: lazy, documented, and right where a closed form or a count by hand says what is right."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import raiaudit
from raiaudit.audit.measurement import Measurement
from raiaudit.errors import CapabilityError, UnknownNameError, UsageError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "python.md"


class Linear(nn.Module):
    """Two classes; the logits are (0, w·x + b), with a dropout that evaluation must switch off."""

    def __init__(self, w_W: Tensor, b: float) -> None:
        super().__init__()
        self.w = nn.Parameter(w_W)
        self.b = b
        self.drop = nn.Dropout(0.9)

    def forward(self, x: Tensor) -> Tensor:
        margin_B: Tensor = self.drop(x.flatten(1)) @ self.w + self.b
        return torch.stack([torch.zeros_like(margin_B), margin_B], 1)


@pytest.fixture
def linear() -> Linear:
    generator = torch.Generator().manual_seed(3)
    return Linear(torch.randn(12, generator=generator), 0.3)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(40, 3, 2, 2, generator=torch.Generator().manual_seed(4))


def test_importing_loads_nothing_heavy_and_every_name_is_there_when_asked_for() -> None:
    script = (
        "import sys, raiaudit\n"
        "assert not {'torch', 'numpy', 'polars', 'scipy', 'pydantic'} & set(sys.modules)\n"
        "assert set(raiaudit.__all__) <= set(dir(raiaudit))\n"
        "for name in raiaudit.__all__: assert getattr(raiaudit, name) is not None, name\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'atack'"):
        _ = raiaudit.atack


def test_the_page_has_every_public_name() -> None:
    page = PAGE.read_text()
    for name in set(raiaudit.__all__) - {"__version__", "RaiauditError"}:
        assert f"\n### raiaudit.{name}\n" in page, name
    assert "RaiauditError" in page
    assert not re.search(r": '", page), "an annotation in quotes"


@pytest.mark.parametrize("eps", [0.01, 0.05, 0.2])
def test_a_linear_model_breaks_exactly_where_its_margin_says(
    linear: Linear, images: Tensor, eps: float
) -> None:
    linear.train()
    with torch.no_grad():
        margin_B = images.flatten(1) @ linear.w + linear.b
    y_B = (margin_B > 0).long()
    y_B[:5] = 1 - y_B[:5]  # clean errors count as broken
    reach = eps * float(linear.w.detach().abs().sum())
    box: dict[str, Any] = {"low": -9, "high": 9}
    found = raiaudit.attack(linear, images, y_B.numpy(), "pgd", norm="linf", eps=eps, steps=30, **box)
    wanted = (margin_B.abs() <= reach) | (torch.arange(40) < 5)
    assert found.broken_B.tolist() == wanted.tolist()
    assert 5 < int(wanted.sum()) < 40 or eps == 0.01
    assert linear.training
    assert linear.w.requires_grad


def test_batches_attacked_by_their_ids_are_one_call(linear: Linear, images: Tensor) -> None:
    y_B = torch.zeros(40)
    threat: dict[str, Any] = {"norm": "l2", "eps": 0.1, "steps": 3, "seed": 2}
    whole = raiaudit.attack(linear, images, y_B, "pgd", **threat)
    parts = [
        raiaudit.attack(linear, images[rows], y_B[rows], "pgd", **threat, ids=range(rows.start, rows.stop))
        for rows in (slice(0, 15), slice(15, 40))
    ]
    assert torch.equal(whole.adversarial, torch.cat([part.adversarial for part in parts]))


def test_attacks_that_cannot_be_say_what_can(linear: Linear, images: Tensor) -> None:
    y_B = torch.zeros(40, dtype=torch.int64)
    with pytest.raises(UnknownNameError, match="did you mean 'pgd'"):
        raiaudit.attack(linear, images, y_B, "pgdd", norm="linf", eps=0.1)
    with pytest.raises(UnknownNameError, match="did you mean 'steps'"):
        raiaudit.attack(linear, images, y_B, "pgd", norm="linf", eps=0.1, step=3)
    with pytest.raises(UsageError, match="no norm 'l1'"):
        raiaudit.attack(linear, images, y_B, "pgd", norm="l1", eps=0.1)
    with pytest.raises(UsageError, match="leave the box"):
        raiaudit.attack(linear, images * 255, y_B, "pgd", norm="linf", eps=0.1)
    with pytest.raises(UsageError, match="as many labels"):
        raiaudit.attack(linear, images, y_B[:3], "pgd", norm="linf", eps=0.1)
    with pytest.raises(UsageError, match="changes texts"):
        raiaudit.attack(linear, images, y_B, "characters", norm="l0", eps=0.1)
    with pytest.raises(UsageError, match="TableSchema"):
        raiaudit.attack(linear, images, y_B, "table", norm="linf", eps=0.1)


def test_integrated_gradients_of_a_linear_model_are_weight_times_change(
    linear: Linear, images: Tensor
) -> None:
    baseline = torch.full((3, 2, 2), 0.25)
    found = raiaudit.explain(linear, images, target=torch.ones(40), baseline=baseline)
    wanted = (linear.w.detach().view(3, 2, 2) * (images - baseline)).sum(1).flatten(1)
    assert torch.allclose(found.scores_BF, wanted.double(), atol=1e-5)
    assert float(found.error_B.max()) < 1e-4  # type: ignore[union-attr]  # integrated gradients have one


def test_shapley_values_of_a_linear_model_are_the_same(linear: Linear) -> None:
    linear.eval()  # a callable is asked as it is
    rows = torch.rand(4, 12, generator=torch.Generator().manual_seed(5))
    found = raiaudit.explain(lambda x: linear(x), rows, "shapley", target=[1, 1, 1, 1])
    assert torch.allclose(found.scores_BF, (linear.w.detach() * rows).double(), atol=1e-5)


def test_the_predicted_class_is_explained_unless_another_is_named(linear: Linear, images: Tensor) -> None:
    with torch.no_grad():
        predicted = linear.eval()(images).argmax(1)
    by_default = raiaudit.explain(linear, images, "input_x_gradient").scores_BF
    assert torch.equal(
        by_default, raiaudit.explain(linear, images, "input_x_gradient", target=predicted).scores_BF
    )


def test_explanations_that_cannot_be_say_why(linear: Linear, images: Tensor) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'grad_cam'"):
        raiaudit.explain(linear, images, "gradcam")
    with pytest.raises(UnknownNameError, match="unknown option 'sampels'"):
        raiaudit.explain(linear, images, "smoothgrad", sampels=3)
    with pytest.raises(CapabilityError, match="calls no convolution"):
        raiaudit.explain(linear, images, "grad_cam")
    with pytest.raises(CapabilityError, match="no training inputs"):
        raiaudit.explain(linear, images, "expected_gradients")
    with pytest.raises(UsageError, match="B×C×H×W or B×W"):
        raiaudit.explain(linear, images[0])


def _value(found: list[Measurement], metric: str, **where: object) -> Measurement:
    (one,) = [m for m in found if m.metric == metric and where.items() <= m.where.items()]
    return one


def test_the_membership_auc_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(90, 4)), rng.integers(0, 4, 90)
    member = rng.random(90) < 0.5
    logits[member, labels[member]] += 1
    signals = raiaudit.Signals.of_target(raiaudit.phi(logits, labels), raiaudit.uncertainty(logits, labels))
    loss = np.log(np.exp(logits).sum(1)) - logits[np.arange(90), labels]
    ahead = loss[member][:, None] < loss[~member][None, :]
    found = raiaudit.infer_membership(signals, member)
    assert _value(found.measurements, "membership_auc").value == pytest.approx(ahead.mean())
    assert found.score_N == pytest.approx(-loss)
    assert _value(found.measurements, "tpr_at_fpr", fpr=0.01).value is None  # 45 non-members are too few
    assert len(raiaudit.infer_membership(signals, member, "entropy").score_N) == 90


def test_shadow_models_tell_members_and_without_them_the_attack_says_so() -> None:
    rng = np.random.default_rng(1)
    keep = np.zeros((8, 60), dtype=bool)
    keep[::2] = True
    signals = raiaudit.Signals(
        rng.normal(size=60) + 6 * (np.arange(60) < 30), rng.normal(size=(8, 60)) + 6 * keep, keep
    )
    found = raiaudit.infer_membership(signals, np.arange(60) < 30, "lira")
    area = _value(found.measurements, "membership_auc").value
    assert area is not None
    assert area > 0.95
    alone = raiaudit.Signals.of_target(signals.phi_N)
    with pytest.raises(UsageError, match="lira needs shadow models"):
        raiaudit.infer_membership(alone, np.ones(60), "lira")
    with pytest.raises(UsageError, match="looks at all classes"):
        raiaudit.infer_membership(alone, np.ones(60), "entropy")
    with pytest.raises(UsageError, match="must have shape"):
        raiaudit.infer_membership(alone, np.ones(59))
    with pytest.raises(UnknownNameError, match="did you mean 'loss'"):
        raiaudit.infer_membership(alone, np.ones(60), "los")


@pytest.mark.parametrize("kind", ["numbers", "truth values", "words"])
def test_rates_by_group_are_counted_as_by_hand(kind: str) -> None:
    sex = ["f"] * 100 + ["m"] * 100 + [None] * 40
    granted = [1] * 30 + [0] * 70 + [1] * 60 + [0] * 40 + [1] * 40
    written: dict[str, Any] = {
        "numbers": np.array(granted),
        "truth values": torch.tensor(granted).bool(),
        "words": ["yes" if one else "no" for one in granted],
    }
    found = raiaudit.compare_groups({"sex": sex}, written[kind], permutations=99)
    assert _value(found, "selection_rate", group="f").value == pytest.approx(0.3)
    assert _value(found, "selection_rate", group="unknown").value == pytest.approx(1.0)
    gap = _value(found, "demographic_parity_difference", attribute="sex")
    assert gap.value == pytest.approx(0.3)  # people whose group is unknown are never an extreme
    assert gap.low is not None
    assert 0 < gap.low < 0.3


def test_labels_and_scores_bring_error_rates_and_areas() -> None:
    rng = np.random.default_rng(2)
    score = rng.random(400)
    race, label = rng.choice(["a", "b"], 400), rng.random(400) < score
    found = raiaudit.compare_groups({"race": race}, score > 0.5, label, score=score, permutations=99)
    inside = (race == "a") & label
    wanted = ((score > 0.5) & inside).sum() / inside.sum()
    assert _value(found, "true_positive_rate", group="a").value == pytest.approx(wanted)
    assert _value(found, "auc_difference", attribute="race").value is not None


def test_arrays_that_cannot_be_compared_say_why() -> None:
    sex, yes = ["f", "m"] * 50, [0, 1] * 50
    with pytest.raises(UsageError, match="lengths differ"):
        raiaudit.compare_groups({"sex": sex}, yes[:7])
    with pytest.raises(UsageError, match="row 3 of `label` is missing"):
        raiaudit.compare_groups({"sex": sex}, yes, [0, 1, 0, float("nan")] + [0] * 96)
    with pytest.raises(UsageError, match="which class do rates count"):
        raiaudit.compare_groups({"sex": sex}, ["left", "right"] * 50)
    with pytest.raises(UsageError, match=r"numbers in \[0, 1\]"):
        raiaudit.compare_groups({"sex": sex}, yes, score=[2.0] * 100)
    with pytest.raises(UsageError, match="cannot be called 'label'"):
        raiaudit.compare_groups({"label": sex}, yes)
    with pytest.raises(UsageError, match="no group"):
        raiaudit.compare_groups({}, yes)
