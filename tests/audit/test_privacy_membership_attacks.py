"""Every membership attack through the check: planted memory is found, none where there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import polars as pl
import pytest

from raiaudit.attacks.inference import INFERENCE
from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.audit.check import Task
from raiaudit.audit.fairness.by_group.cross_pillar import membership_by_group
from raiaudit.audit.fairness.by_group.reporting import Reporter
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.privacy.inference.knowledge import features_of
from raiaudit.audit.privacy.inference.membership import Membership, MembershipConfig
from raiaudit.audit.privacy.inference.membership_attacks import ATTACKS, SHADOW_FREE, Attack
from raiaudit.audit.privacy.inference.membership_summary import headline, membership_scores
from raiaudit.audit.privacy.risk.at_risk import AtRisk, AtRiskConfig
from raiaudit.errors import UsageError
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

SIDE, SHADOWS, POPULATION = 600, 8, 200
EVERY = MembershipConfig(attack=ATTACKS, shadows=SHADOWS, fpr=(0.1, 0.001))


def planted(folder: Path, effect: float, *, population: int = POPULATION, shadows: int = SHADOWS) -> Ledger:
    """φ ~ N(difficulty, 1), and `effect` more of a model that was trained on the point.

    φ is low, where the probabilities that RMIA and BASE compare do not saturate.
    """
    rng, ledger = np.random.default_rng(2), Ledger(folder)
    points = 2 * SIDE + population
    ids = [f"p{row:04d}" for row in range(points)]
    member = np.arange(points) < SIDE
    nobody = np.arange(points) >= 2 * SIDE
    difficulty = rng.normal(-4, 1, points)

    def put(name: str, columns: dict[str, Any]) -> None:
        frame = pl.DataFrame({"example_id": ids, **columns})
        ledger.append(Task(check="privacy.membership", name=name), "0" * 64, frame)

    phi = difficulty + rng.normal(size=points) + effect * member
    said = {
        "membership.member": [None if out else bool(flag) for out, flag in zip(nobody, member, strict=True)],
        "membership.population": nobody,
        "membership.phi": phi,
        "membership.loss.score": -np.logaddexp(0, -phi),
        "membership.confidence_logit": phi,
        "membership.entropy": -phi,
        "membership.modified_entropy": -phi,
        "membership.quantile.score": phi - difficulty,
        "membership.group.half": ["ab"[row % 2] for row in range(points)],
    }
    put("target", said)
    for number in range(0, shadows, 2):
        first = (rng.random(points) < 0.5) & ~nobody
        for index, keep in enumerate((first, ~first & ~nobody), start=number):
            at = f"membership.shadow.{index:02d}"
            phi = difficulty + rng.normal(size=points) + effect * keep
            put(f"shadow-{index}", {f"{at}.phi": phi, f"{at}.keep": keep})
    return ledger


@pytest.fixture
def subject(make_subject: Any) -> Subject:
    """The ledger holds all that is asked; a recipe, so that shadows may be trained."""
    rows = Split(pl.Series(["a", "b"]), np.zeros((2, 1), np.float32), np.zeros(2, np.int64))
    schema = TableSchema((Column("c", "real"),))
    dataset = Dataset("planted", "tabular", ("n", "y"), schema, {"train": rows, "test": rows}, digest="0")
    from raiaudit.models.recipe import Recipe

    made: Subject = make_subject(
        SimpleNamespace(knowledge="white"), dataset, recipe=Recipe(architecture="mlp", epochs=1)
    )
    return made


def measured(ledger: Ledger, subject: Subject, config: MembershipConfig) -> dict[str, Measurement]:
    return {m.label(): m for m in Membership().summarise(ledger, subject, config)}


def test_the_names_are_those_of_the_attacks() -> None:
    assert set(get_args(Attack)) == {*INFERENCE, "quantile"}


def test_every_attack_finds_planted_memory_and_none_where_there_is_none(
    tmp_path: Path, subject: Subject
) -> None:
    leaking = measured(planted(tmp_path / "leak", 2.0), subject, EVERY)
    quiet = measured(planted(tmp_path / "quiet", 0.0), subject, EVERY)
    areas = {}
    for attack in ATTACKS:
        name = f"membership_auc (attack={attack})"
        assert (leaking[name].low or 0) > 0.7, attack
        assert (quiet[name].low or 1) < 0.5 < (quiet[name].high or 0), attack
        assert (leaking[f"tpr_at_fpr (attack={attack}, fpr=0.1)"].low or 0) > 0.2, attack
        areas[attack] = leaking[name].value or 0
    # Without the difficulty, that shadows tell: Φ(2 / √2) = 0.921 at best; with it Φ(2 / √4) = 0.841.
    assert areas["loss"] == pytest.approx(0.841, abs=0.03)
    assert areas["lira"] > areas["loss"] + 0.02
    assert {m.beside for m in leaking.values() if m.where["attack"] != "loss"} == {"attack"}


def test_the_first_attack_is_the_headline_of_gates_and_other_checks(tmp_path: Path, subject: Subject) -> None:
    config = MembershipConfig.model_validate({"attack": ["base", "lira"], "shadows": SHADOWS})
    ledger = planted(tmp_path, 2.0)
    assert headline(ledger) == "lira"  # nothing else is said
    marked = pl.DataFrame({"example_id": ["p0000"], "membership.headline.base": [True]})
    ledger.append(Task(check="privacy.membership", name="headline-base"), "0" * 64, marked)
    assert headline(ledger) == "base"
    assert membership_scores(ledger).equals(membership_scores(ledger, "base"))
    found = Membership().summarise(ledger, subject, config)
    verdict = decide("privacy.membership", Gate(metric="membership_auc", max=0.5), found)
    assert verdict.measurement is not None
    assert verdict.measurement.where == {"attack": "base"}
    named = Gate(metric="membership_auc", where={"attack": "loss"}, max=0.5)
    assert decide("privacy.membership", named, found).measurement in [
        m for m in found if m.where == {"attack": "loss"}
    ]
    at_risk = AtRisk().summarise(ledger, subject, AtRiskConfig(permutations=99))
    assert {m.where["attack"] for m in at_risk} == {"base"}
    report = Reporter("fairness.groups", "half", "a", 0.95, 0, 99, ())
    assert {m.where["attack"] for m in membership_by_group(report, ledger, "half", 10)} == {"base", "loss"}


def test_tasks_tell_the_headline_where_it_is_no_matter_of_course(make_subject: Any, subject: Subject) -> None:
    rng = np.random.default_rng(0)
    splits = {
        name: Split(
            pl.Series([f"{name}{row}" for row in range(20)]),
            rng.normal(size=(20, 1)).astype(np.float32),
            np.zeros(20, np.int64),
        )
        for name in ("train", "validation", "test")
    }
    subject.dataset = Dataset("d", "tabular", ("n", "y"), subject.dataset.space, splits, digest="0")

    def names(**options: Any) -> list[str]:
        return [task.name for task in Membership().tasks(subject, MembershipConfig.model_validate(options))]

    assert names(attack="lira") == names(attack=["lira", "rmia"]) == ["target", "shadows-000-007"]
    assert names(attack="loss") == ["target"]
    assert names(attack=["confidence", "loss"]) == ["target", "headline-confidence"]
    assert names(attack=["loss", "base"]) == ["target", "headline-loss", "shadows-000-007"]
    assert names(attack=["lira", "base"], shadows=2) == ["target", "headline-base", "shadows-000-001"]
    tasks = Membership().tasks(subject, MembershipConfig(attack=("confidence",)))
    marked = Membership().execute(tasks[1], subject)
    assert marked.columns == ["example_id", "membership.headline.confidence"]


@pytest.mark.parametrize(("given", "all_of"), [("lira", ("lira", "loss")), ("loss", ("loss",))])
def test_old_specs_keep_their_meaning(given: str, all_of: tuple[str, ...]) -> None:
    assert MembershipConfig.model_validate({"attack": given}).attacks == all_of


def test_without_a_population_rmia_says_so_and_the_others_go_on(tmp_path: Path, subject: Subject) -> None:
    config = MembershipConfig(attack=("rmia", "base"), shadows=SHADOWS)
    found = measured(planted(tmp_path, 2.0, population=0), subject, config)
    why = found["membership_auc (attack=rmia)"]
    assert why.value is None
    assert "set population: 500" in (why.reason or "")
    assert (found["membership_auc (attack=base)"].low or 0) > 0.7
    assert found["group_membership_auc (attack=base, attribute=half, group=a)"].value is not None


def test_too_few_shadows_are_the_reason_of_lira_alone(tmp_path: Path, subject: Subject) -> None:
    config = MembershipConfig(attack=("lira", "base"), shadows=2)
    found = measured(planted(tmp_path, 2.0, shadows=2), subject, config)
    assert "set shadows: 4 or more" in (found["membership_auc (attack=lira)"].reason or "")
    assert (found["membership_auc (attack=base)"].low or 0) > 0.7


def test_a_rate_below_the_steps_of_rmia_is_refused(tmp_path: Path, subject: Subject) -> None:
    config = MembershipConfig(attack=("rmia", "base"), shadows=SHADOWS, fpr=(0.05,))
    for population, given in ((10, False), (60, True)):
        found = measured(planted(tmp_path / str(population), 1.0, population=population), subject, config)
        cell = found["tpr_at_fpr (attack=rmia, fpr=0.05)"]
        assert (cell.value is not None) == given
        assert given or "population of 10" in (cell.reason or "")
        assert given or "population of 20 would do" in (cell.reason or "")
        assert found["tpr_at_fpr (attack=base, fpr=0.05)"].value is not None


def test_a_rate_that_ties_make_unreachable_is_refused(tmp_path: Path, subject: Subject) -> None:
    """Members and non-members alike saturate: a fifth of each shares the highest loss score."""
    ledger = planted(tmp_path, 0.0)
    rows = ledger.scan("membership.member").drop_nulls().collect()
    score = np.where(np.arange(rows.height) % 5 == 0, 0.0, -1.0 - np.arange(rows.height) / 1e4)
    folder = Ledger(tmp_path / "tied")
    frame = rows.with_columns(pl.Series("membership.loss.score", score))
    folder.append(Task(check="privacy.membership", name="target"), "0" * 64, frame)
    config = MembershipConfig(attack=("loss",), fpr=(0.3, 0.1))
    found = measured(folder, subject, config)
    assert found["tpr_at_fpr (attack=loss, fpr=0.3)"].value is not None
    assert "20.0% of the non-members share" in str(found["tpr_at_fpr (attack=loss, fpr=0.1)"].reason)


def test_what_needs_more_than_phi_is_not_asked_of_another_model(tmp_path: Path) -> None:
    ledger = planted(tmp_path, 1.0)
    for attack in sorted(SHADOW_FREE - {"loss"}):
        with pytest.raises(UsageError, match="more of a model than its φ"):
            membership_scores(ledger, attack, phi="membership.shadow.00.phi")
    other = membership_scores(ledger, "loss", phi="membership.shadow.00.phi")
    assert not other.equals(membership_scores(ledger, "loss"))


def test_the_quantile_regression_learns_what_is_hard(make_subject: Any, run_check: Any) -> None:
    """φ hangs on a column that the adversary knows, and on membership: it sees through the first."""
    from torch import Tensor

    from raiaudit.models.architectures.classifier import Classifier

    class Memory(Classifier):
        architecture, modality = "memory", "tabular"

        def forward(self, inputs: Tensor) -> Tensor:
            logits = inputs[:, :1] * 4 + inputs[:, 1:]
            return logits.repeat(1, 2) * logits.new_tensor([0.5, -0.5])

    rng = np.random.default_rng(0)
    splits = {}
    for name, seen in (("train", 1.5), ("validation", 0.0), ("test", 0.0)):
        x = np.stack([rng.normal(size=150), rng.normal(size=150) + seen], 1).astype(np.float32)
        splits[name] = Split(pl.Series([f"{name}{i}" for i in range(150)]), x, np.zeros(150, np.int64))
    schema = TableSchema((Column("hard", "real", -9, 9), Column("seen", "real", -9, 9)))
    dataset = Dataset("memory", "tabular", ("n", "y"), schema, splits, digest="0")
    subject = make_subject(Memory(), dataset)
    config = MembershipConfig(attack=("quantile",), pool=150, population=100)
    # The second column is not for the adversary: it stands for chance in training.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            "raiaudit.audit.privacy.inference.knowledge.features_of",
            lambda points, classes: points.inputs[:, :1],
        )
        ledger = run_check(Membership(), subject, config)
    found = measured(ledger, subject, config)
    by_quantile, by_loss = (found[f"membership_auc (attack={name})"] for name in ("quantile", "loss"))
    assert (by_quantile.low or 0) > (by_loss.high or 1)


def test_what_an_adversary_knows_is_pixels_columns_words_and_the_label() -> None:
    ids, labels = pl.Series(["a", "b"]), np.array([0, 2])
    images = np.arange(2 * 3 * 16 * 20, dtype=np.float32).reshape(2, 3, 16, 20)
    seen = features_of(Split(ids, images, labels), 3)
    assert seen.shape == (2, 8 * 6 + 3)  # blocks of 2 × 3, the last two columns left out
    assert seen[0, 0] == images[0, :, :2, :3].mean()
    assert seen[:, -3:].tolist() == [[1, 0, 0], [0, 0, 1]]
    table = features_of(Split(ids, np.array([[1.0, 2], [3, 4]], np.float32), labels), 3)
    assert table[:, :2].tolist() == [[1, 2], [3, 4]]
    texts = features_of(Split(ids, ["good good film", "film"], labels), 3)
    assert sorted(np.expm1(texts[0, :-3]).round(6))[-2:] == [1, 2]
    assert np.expm1(texts[1, :-3]).sum() == pytest.approx(1)
