"""Which engine trains an ensemble, and processes: exact, resumable, and clear about their death."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from raiaudit.errors import RaiauditError
from raiaudit.models.data import load_dataset
from raiaudit.models.recipe import Mitigation, PrivacyBudget, Recipe
from raiaudit.models.training import train
from raiaudit.models.training.ensemble import EnsembleProgress, Member, ensemble, train_ensemble, worker
from raiaudit.models.training.ensemble import members_on_disk as on_disk
from raiaudit.models.training.ensemble.member import Job
from raiaudit.models.training.ensemble.processes import MARK, Workers, write_job
from raiaudit.models.training.ensemble.timing import Trial
from raiaudit.models.weights import weights_digest

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = load_dataset("digits")
SMALL = Recipe(architecture="mlp", options={"hidden": 8}, epochs=2, batch_size=16, augment="shift")


def members(count: int, rows: int = 64) -> list[Member]:
    rng = np.random.default_rng(3)
    return [Member(rng.permutation(100)[:rows], seed) for seed in range(count)]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Planted seconds of a step: "serial", and "packed" members at a time; one core."""
    planted = {"serial": 1.0}
    monkeypatch.setattr(Trial, "serial", lambda _self: planted["serial"])
    monkeypatch.setattr(Trial, "packed", lambda _self, size: planted[f"packed {size}"])
    monkeypatch.setattr(Trial, "worth", lambda _self, _size: True)
    monkeypatch.setattr(ensemble, "cores", lambda: 1)
    return planted


def test_the_quickest_engine_is_chosen_and_recorded(timed: dict[str, float]) -> None:
    timed |= {"packed 8": 0.5, "packed 9": 0.4}
    found = train_ensemble(SMALL, DIGITS, members(9), device="cpu")
    assert str(found.choice.engine) == "packed 9"
    assert found.choice.timings == timed
    assert "packed 8 500 ms" in str(found.choice)
    assert len(found.classifiers) == 9


def test_nothing_slower_than_serial_is_chosen_nor_what_hardly_gains(timed: dict[str, float]) -> None:
    timed |= {"packed 4": 0.95}
    found = train_ensemble(SMALL, DIGITS, members(4), device="cpu")
    assert str(found.choice.engine) == "serial"
    assert found.choice.timings == timed


def test_an_engine_asked_for_is_used_or_the_reason_given(timed: dict[str, float]) -> None:
    timed |= {"packed 2": 3.0}
    assert str(train_ensemble(SMALL, DIGITS, members(2), mode="packed").choice.engine) == "packed 2"
    uneven = [*members(1), *members(1, rows=48)]
    found = train_ensemble(SMALL, DIGITS, uneven, mode="packed")
    assert str(found.choice.engine) == "serial"
    assert "different numbers of rows" in found.choice.why
    fair = SMALL.model_copy(
        update={"kind": "fair", "fairness": Mitigation(method="group_dro", attribute="stroke")}
    )
    assert "kind: fair" in train_ensemble(fair, DIGITS, members(2), mode="packed").choice.why
    alone = train_ensemble(SMALL, DIGITS, members(2), mode="processes")
    assert str(alone.choice.engine) == "serial"
    assert "one core" in alone.choice.why


def test_little_work_and_deterministic_recipes_are_not_packed(timed: dict[str, float]) -> None:
    timed["serial"] = 1e-4
    assert "too little work" in train_ensemble(SMALL, DIGITS, members(2)).choice.why
    repeats = SMALL.model_copy(update={"deterministic": True})
    assert train_ensemble(repeats, DIGITS, members(2)).choice.timings == {}


def test_a_pack_too_large_for_the_memory_is_not_tried(
    timed: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed |= {"packed 8": 0.5}
    monkeypatch.setattr(Trial, "pack_bytes", lambda _self, size: size * 2**28)
    assert str(train_ensemble(SMALL, DIGITS, members(9), device="cpu").choice.engine) == "packed 8"


def test_a_hopeless_pack_ends_the_search_and_a_short_training_times_none(
    timed: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed |= {"packed 8": 1.5}
    assert train_ensemble(SMALL, DIGITS, members(9), device="cpu").choice.timings == timed
    monkeypatch.setattr(Trial, "worth", lambda _self, _size: False)
    assert "too little work" in train_ensemble(SMALL, DIGITS, members(9), device="cpu").choice.why
    asked_for = train_ensemble(SMALL, DIGITS, members(9), device="cpu", mode="packed").choice
    assert str(asked_for) == "packed 8 (a member's step: serial 1e+03 ms)"


def test_a_trial_times_real_steps_and_weighs_what_they_keep() -> None:
    trial = Trial(Job(SMALL, DIGITS, tuple(members(3)), "cpu"))
    assert trial.steps == 2 * 4
    assert 0 < trial.serial() < 5
    assert 0 < trial.packed(3) < 5
    inputs = 16 * 64 * 4  # the batch is kept for the first layer's gradient
    assert inputs < trial.kept_bytes < 100 * inputs


def test_a_private_ensemble_is_timed_and_trained() -> None:
    private = SMALL.model_copy(
        update={
            "kind": "private",
            "privacy": PrivacyBudget(epsilon=8, delta=1e-3, gradients="vmap"),
            "epochs": 1,
        }
    )
    found = train_ensemble(private, DIGITS, members(2), device="cpu", mode="packed")
    assert str(found.choice.engine) == "serial"
    assert found.choice.timings["serial"] > 0
    assert "kind: private" in found.choice.why


def test_an_ensemble_goes_on_with_the_engine_and_the_members_it_has(
    timed: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed |= {"packed 3": 2.0}

    class _KilledError(Exception):
        pass

    def stop(progress: EnsembleProgress) -> None:
        if progress.done == 1:
            raise _KilledError

    with pytest.raises(_KilledError):
        train_ensemble(SMALL, DIGITS, members(3), folder=tmp_path, progress=stop)
    trained: list[int] = []
    really = train

    def counted(*args: object, **more: object) -> object:
        trained.append(1)
        return really(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(on_disk, "train", counted)
    timed |= {"packed 3": 0.1}
    found = train_ensemble(SMALL, DIGITS, members(3), folder=tmp_path)
    assert str(found.choice.engine) == "serial"
    assert len(trained) == 2
    assert not list(tmp_path.glob("*.checkpoint"))
    whole = train_ensemble(SMALL, DIGITS, members(3), mode="serial")
    for one, other in zip(found.classifiers, whole.classifiers, strict=True):
        assert weights_digest(one.state_dict()) == weights_digest(other.state_dict())


def test_processes_train_what_train_trains_and_a_killed_one_costs_nothing_finished(tmp_path: Path) -> None:
    given = members(3)
    job = Job(SMALL, DIGITS, tuple(given), "cpu")
    finished: list[int] = []
    with Workers(job, 2, tmp_path) as workers:
        workers.wait()
        workers.train(1, finished.append)
        assert sorted(finished) == [0, 1, 2]
        os.kill(workers._processes[1].pid, signal.SIGKILL)
        with pytest.raises(RaiauditError, match="SIGKILL"):
            workers.seconds(1)
    assert all(process.poll() is not None for process in workers._processes)
    for member in given:
        there = on_disk.load(job, member, tmp_path)
        assert there is not None
        here = train(SMALL, DIGITS, seed=member.seed, device="cpu", indices=member.rows_N)
        assert weights_digest(there.state_dict()) == here.record.weights_digest


def test_an_error_in_a_process_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    diverging = SMALL.model_copy(update={"optimizer": "sgd", "learning_rate": 1e18, "gradient_clip": 0.0})
    write_job(Job(diverging, DIGITS, tuple(members(1)), "cpu"), tmp_path)
    monkeypatch.setattr(worker, "_listen", lambda orders: orders.put("train 1"))
    monkeypatch.setattr(sys, "argv", ["worker", str(tmp_path), str(tmp_path / "members"), "0", "1"])
    worker.main()
    lines = capsys.readouterr().out.splitlines()
    ready, failed = (json.loads(line.removeprefix(MARK)) for line in lines)
    assert "ready" in ready
    assert "training diverged" in failed["failed"]
    assert failed["remedy"]
