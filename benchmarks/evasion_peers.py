"""The peers' attacks as one kind of call, and one judge for all: what is broken is looked at anew, outside.

Every contestant is given the same module, images, labels and L∞ radius, and gives back images. `judge` counts
an image as broken if the model errs on it in float32, it lies in the box, and it is within the radius (to one
part in 10,000: not every peer allows for rounding). `counted` reads rows forward and backward off the module
itself, so that all are counted by the same stick.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import torch
from robust_models import Subject
from torch import Tensor, nn

__all__ = ["Counts", "autoattacks", "counted", "judge", "pgds"]

Contestant = Callable[[], Tensor]
_SLACK = 1e-4


@dataclass(slots=True)
class Counts:
    """Rows put through the model, and rows whose gradient was asked for."""

    forwards: int = 0
    backwards: int = 0


@contextmanager
def counted(model: nn.Module) -> Iterator[Counts]:
    """Counts every call of `model`, whoever makes it."""
    counts = Counts()

    def back(grad: Tensor) -> None:
        counts.backwards += len(grad)

    def seen(module: nn.Module, inputs: Any, logits_BK: Tensor) -> None:
        counts.forwards += len(logits_BK)
        if logits_BK.requires_grad:
            Tensor.register_hook(logits_BK, back)  # type: ignore[no-untyped-call]  # torch's own gap

    handle = model.register_forward_hook(seen)
    try:
        yield counts
    finally:
        handle.remove()


def judge(it: Subject, adversarial: Tensor) -> Tensor:
    """Which examples the returned images break (bool B); a clean error is broken by itself."""
    distance_B = (adversarial - it.x_BCHW).flatten(1).abs().amax(1)
    inside_B = ((adversarial >= it.space.low) & (adversarial <= it.space.high)).flatten(1).all(1)
    near_B = distance_B <= it.threat.eps * (1 + _SLACK)
    with torch.no_grad():
        wrong_B = it.classifier(adversarial).argmax(1) != it.y_B
    broken_B: Tensor = wrong_B & inside_B & near_B
    return broken_B


def pgds(it: Subject, *, steps: int) -> tuple[dict[str, Contestant], list[str]]:
    """PGD with one random start and steps of 2.5·eps/steps, of every peer found; and who is missing."""
    eps, step_size = it.threat.eps, 2.5 * it.threat.eps / steps
    found: dict[str, Contestant] = {}
    missing = []
    if importlib.util.find_spec("foolbox"):
        import foolbox

        fooled = foolbox.PyTorchModel(it.classifier, bounds=(it.space.low, it.space.high), device="cpu")
        attack = foolbox.attacks.LinfPGD(steps=steps, abs_stepsize=step_size)
        found["foolbox"] = lambda: attack(fooled, it.x_BCHW, it.y_B, epsilons=eps)[1]
    else:
        missing.append("foolbox")
    if importlib.util.find_spec("torchattacks"):
        import torchattacks

        theirs = torchattacks.PGD(it.classifier, eps=eps, alpha=step_size, steps=steps)
        found["torchattacks"] = lambda: theirs(it.x_BCHW, it.y_B)
    else:
        missing.append("torchattacks")
    if importlib.util.find_spec("art"):
        from art.attacks.evasion import ProjectedGradientDescentPyTorch

        descent = ProjectedGradientDescentPyTorch(
            _art_model(it),
            eps=eps,
            eps_step=step_size,
            max_iter=steps,
            num_random_init=1,
            batch_size=len(it.y_B),
            verbose=False,
        )
        found["art"] = lambda: torch.from_numpy(descent.generate(it.x_BCHW.numpy(), it.y_B.numpy()))
    else:
        missing.append("art")
    return found, missing


def autoattacks(it: Subject, *, batch_size: int, seed: int) -> tuple[dict[str, Contestant], list[str]]:
    """AutoAttack as the authors publish it (github.com/fra31/auto-attack) and as ART builds it from parts."""
    found: dict[str, Contestant] = {}
    missing = []
    published = _reference()
    if published is not None:
        reference = published.AutoAttack(
            it.classifier, norm="Linf", eps=it.threat.eps, seed=seed, verbose=False, device="cpu"
        )
        found["reference"] = lambda: reference.run_standard_evaluation(it.x_BCHW, it.y_B, bs=batch_size)
    else:
        missing.append("reference")
    if importlib.util.find_spec("art"):
        from art.attacks.evasion import AutoAttack

        theirs = AutoAttack(
            _art_model(it), eps=it.threat.eps, eps_step=2 * it.threat.eps, batch_size=batch_size
        )
        for part in theirs.attacks:
            part.set_params(verbose=False)
        found["art"] = lambda: torch.from_numpy(theirs.generate(it.x_BCHW.numpy(), it.y_B.numpy()))
    else:
        missing.append("art")
    return found, missing


def _reference() -> Any | None:
    """The authors' package `autoattack`, which has the name of a benchmark in this folder."""
    here = Path(__file__).resolve().parent
    elsewhere = [entry for entry in sys.path if Path(entry).resolve() != here]
    spec = PathFinder.find_spec("autoattack", elsewhere)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules["autoattack"] = module  # before it runs: its modules import each other by that name
    spec.loader.exec_module(module)
    return module


def _art_model(it: Subject) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        it.classifier,
        loss=nn.CrossEntropyLoss(),
        input_shape=it.space.shape,
        nb_classes=it.classifier.classes,
        clip_values=(it.space.low, it.space.high),
        device_type="cpu",
    )
