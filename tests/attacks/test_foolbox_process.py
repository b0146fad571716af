"""Foolbox in a process of its own: the same result, and neither a hang nor a crash takes anything with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.foolbox import process
from raiaudit.attacks.evasion.foolbox.attacks import BrendelBethge, NewtonFool
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel

UNBOUNDED = float("inf")

# The process imports its attacks by name: these are written where it can find them.
PLANTED = '''
import os
from dataclasses import dataclass
from raiaudit.attacks.evasion.foolbox.attacks import NewtonFool

@dataclass(frozen=True, slots=True, kw_only=True)
class Apart(NewtonFool):
    name = "apart"
    apart = True

@dataclass(frozen=True, slots=True, kw_only=True)
class Bad(NewtonFool):
    """Asks about the negative; then hangs or dies if a first pixel is 0.125."""

    name = "bad"
    apart = True
    how: str = "hang"

    def run_foolbox(self, model, job):
        model(1 - job.x)
        while (job.x[:, 0, 0, 0] == 0.125).any():
            if self.how == "die":
                os._exit(3)
            if self.how == "raise":
                raise ValueError("planted")
        return 1 - job.x
'''


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled() -> Iterator[None]:
    """Solvers are compiled without optimisation: the same numbers in three fifths of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_OPT", "0")
        process._Worker.living().kill()
        yield
        process._Worker.living().kill()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import importlib

    folder: Path = tmp_path_factory.mktemp("planted")
    (folder / "planted_attacks.py").write_text(PLANTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        process._Worker.living().kill()  # the next one is told where to look
        yield importlib.import_module("planted_attacks")
    process._Worker.living().kill()


@pytest.fixture
def model(linear: Any) -> nn.Module:
    made = linear(2, seed=2)
    with torch.no_grad():
        made.layer.bias[0] -= 0.5 * (made.layer.weight[0] - made.layer.weight[1]).sum() + made.layer.bias[0]
        made.layer.bias[1] = 0  # now mid-grey is on the boundary: every image and its negative differ
    assert isinstance(made, nn.Module)
    return made


def some_images(count: int) -> Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def test_the_process_gives_what_this_process_gives(model: nn.Module, counting: Any, planted: Any) -> None:
    x = some_images(12)
    y = model(x).argmax(1)
    here_model, there_model = counting(model), counting(model)
    space, threat = ImageBox((1, 4, 4), -4.0, 5.0), ThreatModel("l2", UNBOUNDED)
    here = NewtonFool(steps=20)(here_model, x, y, threat, space=space, seed=0)
    there = planted.Apart(steps=20)(there_model, x, y, threat, space=space, seed=0)
    assert bool(here.broken_B.any())
    assert torch.equal(here.adversarial, there.adversarial)
    assert torch.equal(here.norm_B, there.norm_B)
    assert torch.equal(here.forwards_B, there.forwards_B)
    assert torch.equal(here.backwards_B, there.backwards_B)
    assert there_model.forwards == int(there.forwards_B.sum())
    assert there_model.backwards == int(there.backwards_B.sum())


@pytest.mark.parametrize("how", ["hang", "die", "raise"])
def test_a_hang_or_a_crash_keeps_what_it_had(
    how: str, model: nn.Module, planted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    x = some_images(2)
    x[1, 0, 0, 0] = 0.125
    y = model(x).argmax(1)
    began = time.monotonic()
    result = planted.Bad(how=how, patience=1.0)(
        model, x, y, ThreatModel("l2", UNBOUNDED), space=ImageBox((1, 4, 4)), seed=0
    )
    assert time.monotonic() - began < 60
    assert bool(result.broken_B.all())  # the question asked before the hang was answered, and kept
    assert torch.equal(result.adversarial, 1 - x)
    assert "example 1" in caplog.text
    assert "example 0" not in caplog.text


def test_a_budget_stops_the_attack_and_not_its_process(model: nn.Module, planted: Any) -> None:
    x = some_images(4)
    y = model(x).argmax(1)
    before = process._Worker.living().process.pid
    space = ImageBox((1, 4, 4), -4.0, 5.0)
    result = planted.Apart(steps=1000)(
        model, x, y, ThreatModel("l2", UNBOUNDED, budget=8), space=space, seed=0
    )
    assert int(result.forwards_B.max()) <= 8
    assert process._Worker.living().process.pid == before
    again = planted.Apart(steps=20)(model, x, y, ThreatModel("l2", UNBOUNDED), space=space, seed=0)
    assert int(again.forwards_B.max()) > 20


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_brendel_bethge_on_a_linear_model(norm: Norm, linear: Any) -> None:
    model = linear(5, seed=5)
    x = some_images(6)
    logits, weight = model(x).detach(), model.layer.weight.detach()
    y = logits.argmax(1)
    gap, difference = logits.gather(1, y[:, None]) - logits, weight[y][:, None] - weight[None]
    space = ImageBox((1, 4, 4), -20.0, 20.0)
    result = BrendelBethge(steps=300)(model, x, y, ThreatModel(norm, UNBOUNDED), space=space, seed=0)
    assert bool(result.broken_B.all())
    if norm == "l0":  # at the price of reaching across the box, one pixel is mostly enough
        assert float(result.norm_B.median()) <= 2
        return
    dual = {"linf": difference.abs().sum(2), "l2": difference.norm(dim=2), "l1": difference.abs().amax(2)}
    ratio = result.norm_B / (gap / dual[norm]).masked_fill(dual[norm] == 0, torch.inf).amin(1)
    assert 0.9999 <= float(ratio.min()) <= float(ratio.median()) <= 1.02
