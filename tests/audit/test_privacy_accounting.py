"""The accountant's claim: certified when it holds, an undefined ε with a reason when it does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.privacy.epsilon.accounting import Accounting, AccountingConfig
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import PrivacyBudget, Recipe
from raiaudit.models.registry import RegisteredModel
from raiaudit.models.training import gradient_mode, hooks, per_example, train
from raiaudit.models.training import private as private_training
from raiaudit.models.training.private import PrivateStep
from raiaudit.models.version import PrivacyRecord, TrainingRecord

if TYPE_CHECKING:
    from raiaudit.audit.measurement import Measurement

DELTA = 1e-5


def closed_form(sigma: float, steps: int) -> float:
    """ε of T unsampled Gaussian mechanisms, exactly: δ(ε) of μ-GDP with μ = √T/σ (arXiv:1905.02383)."""
    mu = steps**0.5 / sigma

    def excess(epsilon: float) -> float:
        delta = norm.cdf(-epsilon / mu + mu / 2) - norm.cdf(-epsilon / mu - mu / 2) * math.exp(epsilon)
        return float(delta) - DELTA

    return float(brentq(excess, 0, 50))


EXACT = closed_form(4.0, 16)
MATCHING = Recipe(  # 16 steps over all of 100 examples, as `claim` says
    kind="private",
    architecture="mlp",
    epochs=16,
    batch_size=100,
    privacy=PrivacyBudget(epsilon=8, delta=DELTA),
)


def claim(**changes: Any) -> PrivacyRecord:
    facts: dict[str, Any] = {
        "sample_rate": 1.0,
        "noise_multiplier": 4.0,
        "steps": 16,
        "clip": 1.0,
        "delta": DELTA,
        "epsilon_pld": EXACT,
        "epsilon_prv": None,
        "target_epsilon": 8.0,
        "poisson_sampling": True,
        "public_divisor": 100.0,
        "max_clipped_norm": 1.0,
        "certified": True,
    }
    return PrivacyRecord(**{**facts, **changes})


@pytest.fixture
def audited(make_subject: Any, run_check: Any) -> Any:
    """A record → the measurements of the check, by metric."""

    def audit(privacy: PrivacyRecord | None, **record: Any) -> dict[str, Measurement]:
        schema = TableSchema((Column("c", "real"),))
        dataset = Dataset("d", "tabular", ("no", "yes"), schema, {}, digest="d")
        # Trained on other data, so that no step is rebuilt.
        facts = {"privacy": privacy, "recipe": MATCHING, "data_digest": "elsewhere", **record}
        subject = make_subject(MLP([1], 2), dataset, **facts)
        check, config = Accounting(), AccountingConfig()
        ledger = run_check(check, subject, config)
        evidence = check.evidence(ledger, subject, config)
        assert bool(evidence) == (privacy is not None)
        return {m.metric: m for m in check.summarise(ledger, subject, config)}

    return audit


def test_epsilon_is_the_closed_form_of_the_gaussian_mechanism(audited: Any) -> None:
    found = audited(claim())
    assert found["epsilon"].value == pytest.approx(EXACT, rel=2e-3)
    assert found["epsilon"].value >= EXACT * (1 - 1e-6)  # an upper bound
    assert found["epsilon_prv"].value is None
    assert found["epsilon_prv"].reason


def test_a_record_that_disagrees_with_its_own_noise_is_not_certified(audited: Any) -> None:
    found = audited(claim(epsilon_pld=EXACT / 2))
    assert found["epsilon"].value is None
    assert "its own q, σ, steps and δ give" in found["epsilon"].reason
    assert audited(claim(epsilon_pld=EXACT * 1.005))["epsilon"].value is not None
    assert audited(claim(epsilon_pld=EXACT * 1.02))["epsilon"].value is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"certified": False, "why": "normalisation statistics"}, "normalisation statistics"),
        ({"poisson_sampling": False}, "Poisson"),
        ({"noise_multiplier": 0.0}, "no finite ε"),
        ({"epsilon_prv": EXACT * 1.5}, "PRV accountant says"),
    ],
)
def test_a_broken_assumption_leaves_no_value(changes: dict[str, Any], says: str, audited: Any) -> None:
    found = audited(claim(**changes))
    assert found["epsilon"].value is None
    assert says in found["epsilon"].reason


@pytest.mark.parametrize(("beyond", "certified"), [(0.0105, True), (0.1, False)])
def test_what_prv_adds_to_every_epsilon_is_no_doubt_of_a_small_one(
    beyond: float, certified: bool, audited: Any
) -> None:
    """Opacus returns its estimate plus eps_error = 0.01, which is twice an ε of 0.01."""
    small = closed_form(1000.0, 16)
    assert small < 0.02
    found = audited(claim(noise_multiplier=1000.0, epsilon_pld=small, epsilon_prv=small + beyond))
    assert (found["epsilon"].value is not None) == certified


def test_sampling_amplifies(audited: Any) -> None:
    """A tenth of the data a step costs far less than all of it (and the full claim is then wrong)."""
    sampled = audited(claim(sample_rate=0.1, epsilon_pld=0.4))
    assert sampled["epsilon"].value is None
    assert "0.4" in sampled["epsilon"].reason


def test_a_model_without_privacy_is_unbounded_and_its_gate_inconclusive(audited: Any) -> None:
    found = audited(None)
    assert found["epsilon"].value is None
    assert "unbounded" in found["epsilon"].reason
    verdict = decide("privacy.accounting", Gate(metric="epsilon", max=8), list(found.values()))
    assert verdict.status == "inconclusive"
    assert "not known" in audited(None, recipe=None)["epsilon"].reason


PRIVATE = Recipe(
    kind="private",
    architecture="mlp",
    options={"hidden": 16},
    epochs=10,
    batch_size=20,
    learning_rate=1e-3,
    privacy=PrivacyBudget(epsilon=4, delta=1e-4, gradients="hooks"),
)


def blobs() -> Dataset:
    rng = np.random.default_rng(0)
    splits = {}
    for name, n in (("train", 100), ("validation", 20), ("test", 20)):
        labels = rng.integers(0, 2, n)
        pixels = rng.normal(0.35 + 0.3 * labels[:, None], 0.1, (n, 16)).clip(0, 1).reshape(n, 1, 4, 4)
        splits[name] = Split(pl.Series([f"{name}{i}" for i in range(n)]), pixels.astype(np.float32), labels)
    return Dataset("blobs", "image", ("a", "b"), ImageBox((1, 4, 4)), splits, "0" * 64)


@pytest.fixture
def examined(make_subject: Any, run_check: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train with whatever is patched, then audit: the measurements. σ without the search for it."""
    monkeypatch.setattr(private_training, "noise_multiplier", lambda **_: 2.0)

    def examine(recipe: Recipe = PRIVATE, **changes: Any) -> list[Measurement]:
        dataset = blobs()
        version = train(recipe, dataset, seed=1, device="cpu")
        subject = make_subject(version.classifier, dataset, **{**version.record.model_dump(), **changes})
        check, config = Accounting(), AccountingConfig()
        return check.summarise(run_check(check, subject, config), subject, config)

    return examine


def held(found: list[Measurement]) -> dict[tuple[Any, Any], float | None]:
    return {
        (m.where["assumption"], m.where["source"]): m.value for m in found if m.metric == "assumption_holds"
    }


def epsilon(found: list[Measurement]) -> Measurement:
    (only,) = [m for m in found if m.metric == "epsilon"]
    return only


def test_an_honest_trainer_is_not_flagged(examined: Any) -> None:
    found = examined()
    assert set(held(found).values()) == {1.0}
    assert len(held(found)) == 9
    (prv,) = [m.value for m in found if m.metric == "epsilon_prv"]
    assert epsilon(found).value == pytest.approx(prv, rel=0.02)


def test_augmentation_dropout_and_views_are_not_mistaken_for_a_defect(examined: Any) -> None:
    recipe = PRIVATE.model_copy(
        update={
            "augment": "shift",
            "options": {"hidden": 16, "dropout": 0.3},
            "privacy": PrivacyBudget(epsilon=4, delta=1e-4, gradients="hooks", augmentations=2),
        }
    )
    assert set(held(examined(recipe)).values()) == {1.0}


def unclipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to clip lets everything pass, and the way that checks it does so too."""
    for module in (hooks, per_example, gradient_mode):
        monkeypatch.setattr(module, "clip_factors", lambda norms_B, clip: torch.ones_like(norms_B))


def leaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a batch released is still there in the next."""
    honest = PrivateStep.gradients

    def step(self: PrivateStep, *given: Any) -> Any:
        before = [None if p.grad is None else p.grad.clone() for p in self.classifier.parameters()]
        loss = honest(self, *given)
        for parameter, old in zip(self.classifier.parameters(), before, strict=True):
            if old is not None and parameter.grad is not None:
                parameter.grad += old
        return loss

    monkeypatch.setattr(PrivateStep, "gradients", step)


def private_divisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum is divided by how many examples were drawn."""
    honest = PrivateStep.gradients

    def step(self: PrivateStep, batch: Any, *given: Any) -> Any:
        loss = honest(self, batch, *given)
        for parameter in self.classifier.parameters():
            assert parameter.grad is not None
            parameter.grad *= self.divisor / max(1, len(batch.y_B))
        return loss

    monkeypatch.setattr(PrivateStep, "gradients", step)


def half_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = PrivateStep.gradients

    def step(self: PrivateStep, *given: Any) -> Any:
        sigma = self.sigma
        self.sigma = sigma / 2
        loss = honest(self, *given)
        self.sigma = sigma
        return loss

    monkeypatch.setattr(PrivateStep, "gradients", step)


def shuffled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one size, as an ordinary loader gives them."""

    def batches(self: PrivateStep, generator: torch.Generator) -> Any:
        yield from torch.split(torch.randperm(self.examples, generator=generator), int(self.divisor))

    monkeypatch.setattr(PrivateStep, "batches", batches)


@pytest.mark.parametrize(
    ("plant", "flagged"),
    [
        (unclipped, ("clipping", "rebuilt step")),
        (leaking, ("logical batches", "rebuilt step")),
        (private_divisor, ("public divisor", "rebuilt step")),
        (half_the_noise, ("noise", "rebuilt step")),
        (shuffled, ("Poisson sampling", "rebuilt step")),
        (shuffled, ("Poisson sampling", "training record")),
    ],
)
def test_a_planted_defect_is_flagged(
    plant: Any, flagged: tuple[str, str], examined: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = examined()
    assert held(found)[flagged] == 0
    assert epsilon(found).value is None
    assert flagged[0] in str(epsilon(found).reason)


def test_what_an_older_release_did_not_count_is_not_known_and_no_doubt(examined: Any) -> None:
    record = train(PRIVATE, blobs(), seed=1, device="cpu").record.privacy
    assert record is not None
    old = record.model_copy(update={"steps_taken": None, "batch_mean": None, "batch_variance": None})
    found = examined(privacy=old.model_dump())
    assert held(found)["logical batches", "training record"] is None
    assert held(found)["Poisson sampling", "training record"] is None
    assert epsilon(found).value is not None


def test_steps_that_were_not_accounted_for_are_a_doubt(audited: Any) -> None:
    assert "17 were taken" in audited(claim(steps_taken=17))["epsilon"].reason
    assert "the recipe plans 16" in audited(claim(steps=8, epsilon_pld=closed_form(4.0, 8)))["epsilon"].reason
    assert "divided by 90" in audited(claim(public_divisor=90.0))["epsilon"].reason


class Shelf:
    """A registry that lists what it is given."""

    def __init__(self, *kept: tuple[str, int, str, TrainingRecord]) -> None:
        self.kept = kept

    def models(self) -> list[RegisteredModel]:
        return [
            RegisteredModel(
                name,
                version,
                (),
                {
                    "raiaudit.data_digest": digest,
                    "raiaudit.recipe": "private" if record.privacy else "standard",
                },
                0,
                "",
            )
            for name, version, digest, record in self.kept
        ]

    def record(self, model: RegisteredModel) -> TrainingRecord:
        records: dict[tuple[str, int], TrainingRecord] = {kept[:2]: kept[3] for kept in self.kept}
        return records[model.name, model.version]


def test_every_private_model_of_the_same_data_is_disclosed(make_subject: Any, run_check: Any) -> None:
    dataset = Dataset("d", "tabular", ("a", "b"), TableSchema((Column("c", "real"),)), {}, digest="d")
    plain = {"recipe": MATCHING, "data_digest": "elsewhere"}
    subject = make_subject(MLP([1], 2), dataset, **plain, privacy=claim(), weights_digest="w1")

    def of(weights: str, privacy: PrivacyRecord | None, seed: int = 1) -> TrainingRecord:
        facts = subject.record.model_dump() | {"weights_digest": weights, "privacy": privacy, "seed": seed}
        return TrainingRecord(**facts)

    def audit(*kept: tuple[str, int, str, TrainingRecord]) -> dict[str, Measurement]:
        subject.registry = lambda: Shelf(*kept)
        check, config = Accounting(), AccountingConfig()
        ledger = run_check(check, subject, config)
        return {m.metric: m for m in check.summarise(ledger, subject, config)}

    kept = (
        ("kept", 3, "d", of("w1", claim())),  # the audited one
        ("copy", 1, "d", of("w2", claim(epsilon_pld=2.0))),
        ("copy", 2, "d", of("w2", claim(epsilon_pld=2.0))),  # the same weights again
        ("other", 1, "elsewhere", of("w3", claim())),
        ("open", 1, "d", of("w4", None)),
    )
    found = audit(*kept)
    assert found["private_trials"].value == 2
    assert found["epsilon_all_trials"].value == pytest.approx(EXACT + 2)
    assert found["epsilon_all_trials"].where["delta"] == 2 * DELTA
    assert "copy version" in str(found["epsilon_all_trials"].reason)

    same_noise = audit(*kept, ("again", 1, "d", of("w5", claim(epsilon_pld=1.0), seed=1)))
    assert same_noise["private_trials"].value == 3
    assert same_noise["epsilon_all_trials"].value is None
    assert "2 with seed 1" in str(same_noise["epsilon_all_trials"].reason)

    doubted = audit(kept[0], ("bad", 4, "d", of("w6", claim(certified=False, why="because"), seed=2)))
    assert doubted["epsilon_all_trials"].value is None
    assert "bad version 4" in str(doubted["epsilon_all_trials"].reason)


@pytest.mark.parametrize(("n", "warned"), [(99_999, False), (100_000, True), (0, False)])
def test_a_delta_that_allows_a_record_in_whole_is_told(n: int, warned: bool, audited: Any) -> None:
    """δ = 1e-5 is 1/n at a hundred thousand examples; certified or not."""
    for certified in (True, False):
        epsilon = audited(claim(certified=certified), metrics={"training_examples": float(n)})["epsilon"]
        assert (epsilon.value is not None) == certified
        assert ("one training record in whole" in (epsilon.reason or "")) == warned


def test_without_a_registry_the_trials_are_not_known(audited: Any) -> None:
    assert audited(claim())["private_trials"].value is None
