"""Who broke what, classes, margins and curves: planted rows, a linear model, and runs from before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from planted_images import Linear, linear_images, scores
from planted_ledger import Rows

from raiaudit.attacks.evasion.base import AttackResult
from raiaudit.attacks.evasion.engine.region import region_of
from raiaudit.attacks.evasion.images.autoattack import VERSIONS, AutoAttack
from raiaudit.attacks.evasion.images.spatial import FARTHEST
from raiaudit.attacks.evasion.queries import attack_despite_failures
from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.audit.robustness.attack_names import AUTOATTACK_PARTS, attack_label, caveat
from raiaudit.audit.robustness.evasion import Evasion, EvasionConfig
from raiaudit.audit.robustness.evasion_evidence import accuracy_within, evidence_tables
from raiaudit.audit.robustness.evasion_parts import by_class, contributions, margins, part_counts
from raiaudit.audit.robustness.evasion_rows import outcome_columns
from raiaudit.audit.robustness.evasion_threat import refuse_beyond_the_box, surrogate_digest
from raiaudit.audit.statistics.intervals import wilson
from raiaudit.errors import CapabilityError, UsageError

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader

AT = "evasion.linf-0.1-autoattack"
WEIGHT = np.random.default_rng(3).normal(size=16)
CLASSES = ("no", "yes", "never")  # no example is of the third


def planted() -> LedgerReader:
    """Two clean errors, three by apgd-ce, one by fab-t, four survivors with margins 1, 2, 3 and 9."""
    by = ["clean"] * 2 + ["apgd-ce"] * 3 + ["fab-t"] + [None] * 4
    frame = pl.DataFrame(
        {
            "example_id": [f"e{row:03d}" for row in range(10)],
            f"{AT}.broken": [name is not None for name in by],
            f"{AT}.clean_broken": [name == "clean" for name in by],
            f"{AT}.found_by": by,
            f"{AT}.margin": [-1.0] * 6 + [9.0, 1.0, 3.0, 2.0],
            f"{AT}.norm": [0.0] * 10,
            f"{AT}.forwards": [5] * 10,
            f"{AT}.backwards": [5] * 10,
        }
    )
    return Rows(frame)


def test_the_parts_of_the_table_are_those_of_autoattack() -> None:
    assert AUTOATTACK_PARTS.keys() == VERSIONS.keys()
    x, y_B = torch.rand(1, 1, 4, 4), torch.zeros(1, dtype=torch.int64)
    for version, parts in AUTOATTACK_PARTS.items():
        attack = AutoAttack(version=version)  # type: ignore[arg-type]  # a name from our own table
        region = region_of(attack, x, y_B, ThreatModel("linf", 0.1), ImageBox((1, 4, 4)))
        assert ("clean", *parts) == tuple(rule.name for rule in attack.rules(region, seed=0))


def test_contributions_count_each_part_and_name_those_that_broke_nobody() -> None:
    counts = part_counts(planted(), "linf", 0.1, "autoattack")
    expected = {"clean": 2, "apgd-ce": 3, "apgd-t": 0, "fab-t": 1, "square": 0, "survived": 4}
    assert counts == expected
    assert list(counts) == list(expected)
    found = {m.where["part"]: m for m in contributions("c", planted(), "linf", 0.1, "autoattack")}
    assert found.keys() == {"apgd-ce", "apgd-t", "fab-t", "square"}
    assert (found["apgd-ce"].value, found["square"].value) == (0.3, 0)
    assert (found["apgd-ce"].low, found["apgd-ce"].high) == tuple(wilson(3, 10))


def test_the_median_margin_is_that_of_the_survivors(make_subject: Any) -> None:
    (m,) = margins(
        "c",
        planted(),
        make_subject(Linear(WEIGHT, 3), linear_images(WEIGHT, 40, CLASSES)),
        "linf",
        0.1,
        "autoattack",
    )
    assert (m.value, m.n, m.unit) == (2.5, 4, "logits")
    assert m.low is None  # four values hold no 95 % interval of a median


def test_a_class_without_examples_is_undefined(make_subject: Any) -> None:
    dataset = linear_images(WEIGHT, 40, CLASSES)
    found = by_class("c", planted(), make_subject(Linear(WEIGHT, 3), dataset), "linf", 0.1, "autoattack")
    assert [m.where["class"] for m in found] == ["no", "yes", "never"]
    labels = dataset.splits["test"].labels[:10]
    for label, m in enumerate(found[:2]):
        assert m.n == int((labels == label).sum())
        assert m.value == (labels[6:] == label).sum() / m.n
    assert found[2].value is None
    assert "no example" in str(found[2].reason)


def test_a_run_from_before_the_parts_is_still_summarised(make_subject: Any) -> None:
    old = pl.DataFrame(planted().scan(*[f"{AT}.{n}" for n in OLD]).collect())
    subject, config = (
        make_subject(Linear(WEIGHT, 3), linear_images(WEIGHT, 40, CLASSES)),
        EvasionConfig(eps=(0.1,), attack="autoattack"),
    )
    measured = {m.metric for m in Evasion().summarise(Rows(old), subject, config)}
    assert {"robust_accuracy", "class_robust_accuracy"} <= measured
    assert not {"attack_contribution", "median_margin"} & measured
    tables = evidence_tables("c", Rows(old), subject, "linf", (0.1,), "autoattack")
    assert tables.keys() == {"curve", "classes"}


OLD = ("broken", "clean_broken", "norm", "forwards", "backwards")


def test_the_nearest_errors_of_a_linear_model_give_its_accuracy_at_every_radius(
    make_subject: Any, run_check: Any
) -> None:
    dataset, config = (
        linear_images(WEIGHT, 40, CLASSES),
        EvasionConfig(norm="l2", eps=(0.2,), attack="fmn", steps=100),
    )
    subject = make_subject(Linear(WEIGHT, 3), dataset)
    curve = Evasion().evidence(run_check(Evasion(), subject, config), subject, config)["nearest"]
    split = dataset.splits["test"]
    signed = scores(np.asarray(split.inputs), WEIGHT) * (2 * split.labels - 1) / np.linalg.norm(WEIGHT)
    for eps, found in curve.select("eps", "robust_accuracy").iter_rows():
        # found errors lie a little beyond the border: no less robust than the truth, hardly more
        assert (signed > eps).mean() <= found + 1e-9
        assert found <= (signed > 0.97 * eps - 1e-4).mean()
    assert curve["robust_accuracy"][0] == 0.9
    assert curve["robust_accuracy"][-1] < 0.6


def test_a_nearest_error_counts_from_its_radius_on() -> None:
    curve = accuracy_within(
        np.array([0.5, 0.0, 0.0]), np.array([True, True, False]), np.array([False, True, False]), 1.0
    )
    at = dict(curve.select("eps", "robust_accuracy").iter_rows())
    assert at[0.0] == pytest.approx(2 / 3)
    assert at[1.0] == pytest.approx(1 / 3)
    assert curve.filter(pl.col("eps") < 0.5)["robust_accuracy"].min() == pytest.approx(2 / 3)


def test_rows_say_who_found_what_and_keep_silent_about_the_unanswered() -> None:
    result = AttackResult(
        adversarial=torch.zeros(4, 1),
        broken_B=torch.tensor([True, True, False, True]),
        norm_B=torch.zeros(4),
        forwards_B=torch.ones(4, dtype=torch.int64),
        backwards_B=torch.zeros(4, dtype=torch.int64),
        details={
            "margin": torch.tensor([-1.0, -2.0, torch.inf, -3.0]),
            "found_step": torch.tensor([0, 7, -1, 2]),
        },
        found_by=["clean", "square", "fab-t", "apgd-ce"],
    )
    columns = outcome_columns(
        "t",
        result,
        pl.Series([True, False, False, None]),
        attack="autoattack",
        answered_B=torch.tensor([True, True, True, False]),
    )
    assert columns["t.found_by"].to_list() == ["clean", "square", None, None]
    assert columns["t.found_step"].to_list() == [0, 7, -1, None]
    assert columns["t.margin"].to_list() == [-1.0, -2.0, None, None]
    assert columns["t.broken"].to_list() == [True, True, False, None]


def test_one_spec_holds_several_attacks_and_names_the_screen(make_subject: Any, run_check: Any) -> None:
    subject = make_subject(Linear(WEIGHT, 3), linear_images(WEIGHT, 12, CLASSES))
    screen = EvasionConfig(eps=(0.02,), attack="autoattack", version="screen")
    capped = EvasionConfig(eps=(0.02,), attack="square", budget=20)
    named = {t.name for config in (screen, capped) for t in Evasion().tasks(subject, config)}
    assert named == {"linf-0.02-autoattack-screen-00000", "linf-0.02-square-budget20-00000"}
    ledger = run_check(Evasion(), subject, screen)
    robust = next(m for m in Evasion().summarise(ledger, subject, screen) if m.metric == "robust_accuracy")
    assert robust.where["attack"] == "autoattack-screen"
    assert robust.reason == "below AutoAttack's full budget: not AutoAttack-equivalent"
    by = ledger.scan("evasion.linf-0.02-autoattack-screen.found_by").collect().to_series(1)
    assert set(by.drop_nulls()) <= {"clean", *AUTOATTACK_PARTS["screen"]}
    queries = run_check(Evasion(), subject, capped)
    assert queries.scan("evasion.linf-0.02-square-budget20.forwards").collect().to_series(1).max() <= 20
    assert "queries" in Evasion().evidence(queries, subject, capped)


@pytest.mark.parametrize(
    ("version", "budget", "says"),
    [(None, None, None), ("plus", None, None), ("screen", None, "below"), ("standard", 9, "below")],
)
def test_what_is_below_the_full_budget_says_so(version: Any, budget: int | None, says: str | None) -> None:
    told = caveat(attack_label("autoattack", version=version, budget=budget))
    assert (told is None) == (says is None)
    full = AutoAttack(version=version or "standard").label(ThreatModel("linf", 0.1, budget=budget))
    assert ("not AutoAttack-equivalent" in full) == (says is not None)


@pytest.mark.parametrize(
    ("norm", "farthest"), [("linf", 1.0), ("l2", 4.0), ("l1", 16.0), ("l0", 16.0), ("spatial", FARTHEST)]
)
def test_a_radius_beyond_the_box_is_refused(norm: Norm, farthest: float) -> None:
    box = ImageBox((1, 4, 4))
    refuse_beyond_the_box(box, norm, (farthest,), where="w")
    with pytest.raises(UsageError, match=f"above {farthest:g}"):
        refuse_beyond_the_box(box, norm, (0.01, farthest * 1.01), where="w")
    with pytest.raises(UsageError, match="8 is above 1"):
        refuse_beyond_the_box(TokenSpace(10, 10), "l0", (8.0,), where="w")


def test_a_surrogate_needs_a_registry_and_is_another_model(make_subject: Any) -> None:
    subject = make_subject(Linear(WEIGHT, 3), linear_images(WEIGHT, 40, CLASSES), weights_digest="same")
    with pytest.raises(UsageError, match="no registry"):
        surrogate_digest(subject, "other@candidate", where="w")

    class Registry:
        def find(self, reference: str) -> Any:
            return type("Found", (), {"tags": {"raiaudit.weights": reference.split("@")[0]}})

    subject.registry = Registry
    assert surrogate_digest(subject, "other@candidate", where="w") == "other"
    with pytest.raises(CapabilityError, match="audited model itself"):
        surrogate_digest(subject, "same@candidate", where="w")


def test_who_found_it_survives_a_black_box_that_fails() -> None:
    x, y_B = torch.rand(6, 1, 4, 4), torch.zeros(6, dtype=torch.int64)
    attack, threat = AutoAttack(version="screen"), ThreatModel("linf", 0.3)
    model, box = Linear(WEIGHT, 3), ImageBox((1, 4, 4))
    direct = attack(model, x, y_B, threat, space=box, seed=0)
    assert (
        attack_despite_failures(attack, model, x, y_B, threat, space=box, seed=0).found_by == direct.found_by
    )
