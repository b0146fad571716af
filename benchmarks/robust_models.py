"""The models that the robustness benchmarks attack: two trained adversarially, one left undefended.

    python benchmarks/robust_models.py [--only NAME] [--examples 500]

trains what is missing and prints clean accuracy, accuracy under PGD-40, and the minutes that training took.
Weights are kept as safetensors under `$RAIAUDIT_HOME/cache/benchmarks` (default `./.raiaudit`), in a file
named by the digest of recipe, data and seed, so that another setting never finds the wrong model; a run that
was killed resumes after its last whole epoch. `subject(NAME)` gives a model with test images and a radius.

Adversarial training as in arXiv:1706.06083 with few steps from a random start. One step of 1.25 eps is the
fast adversarial training of arXiv:2001.03994; PGD-40 shows whether it failed as that is known to do, by
learning to withstand the one step alone.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from raiaudit.attacks.evasion.images.pgd import PGD
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel
from raiaudit.models.architectures import Classifier, build
from raiaudit.models.data import load_dataset
from raiaudit.models.recipe import Adversary, Recipe, training_key
from raiaudit.models.training.train import train
from raiaudit.models.weights import load_weights, save_weights

__all__ = ["SUBJECTS", "Subject", "subject"]

SEED = 0

SUBJECTS: dict[str, tuple[str, float, Recipe]] = {
    "fashion_robust": (
        "fashion_mnist",
        0.1,
        Recipe(
            kind="adversarial",
            architecture="resnet18",
            options={"width": 16},
            epochs=2,
            train_limit=40_000,
            adversary=Adversary(eps=0.1, steps=1, step_size=0.125),
        ),
    ),
    "mnist_robust": (
        "mnist",
        0.3,
        Recipe(
            kind="adversarial",
            architecture="cnn",
            epochs=5,
            adversary=Adversary(eps=0.3, steps=3, step_size=0.15),
        ),
    ),
    "fashion_plain": (
        "fashion_mnist",
        0.1,
        Recipe(architecture="resnet18", options={"width": 16}, epochs=1, train_limit=20_000),
    ),
}
"""Name: data set, L∞ radius of the attack, and how the model is trained."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model in evaluation mode, the first test images with their labels, and the threat it faces."""

    name: str
    classifier: Classifier
    x_BCHW: Tensor
    y_B: Tensor
    space: ImageBox
    threat: ThreatModel


def subject(name: str, *, examples: int) -> Subject:
    """The benchmark subject of that name, trained on the spot where its weights are not in the cache."""
    data_name, eps, recipe = SUBJECTS[name]
    dataset = load_dataset(data_name)
    space = dataset.space
    assert isinstance(space, ImageBox)
    folder = Path(os.environ.get("RAIAUDIT_HOME") or ".raiaudit") / "cache" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{training_key(recipe, data_digest=dataset.digest, seed=SEED)[:16]}.safetensors"
    if not path.exists():
        checkpoint = path.with_suffix(".checkpoint")
        version = train(
            recipe, dataset, name=name, seed=SEED, device="cpu", checkpoint=checkpoint, progress=print
        )
        save_weights(version.classifier, path)
        checkpoint.unlink()
        print(f"{name}: {(version.record.seconds or 0) / 60:.1f} minutes of training")
    config = {"shape": list(space.shape), "classes": len(dataset.classes), **recipe.options}
    classifier = build(recipe.architecture, config)
    load_weights(classifier, path)
    test = dataset.splits["test"].take(slice(examples))
    x_BCHW = torch.tensor(test.inputs, dtype=torch.float32).div_(255)
    return Subject(
        name, classifier.eval(), x_BCHW, torch.tensor(test.labels), space, ThreatModel("linf", eps)
    )


def main() -> None:
    """Train what is missing and print how each subject fares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=sorted(SUBJECTS), help="one subject; default: all")
    parser.add_argument("--examples", type=int, default=500, help="test images to look at")
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else SUBJECTS:
        it = subject(name, examples=arguments.examples)
        with torch.no_grad():
            clean = float((it.classifier(it.x_BCHW).argmax(1) == it.y_B).float().mean())
        result = PGD(steps=40)(it.classifier, it.x_BCHW, it.y_B, it.threat, space=it.space, seed=SEED)
        robust = 1 - float(result.broken_B.float().mean())
        print(f"{name}: clean {clean:.1%}, PGD-40 at L∞ {it.threat.eps:g} {robust:.1%}, n={len(it.y_B)}")


if __name__ == "__main__":
    main()
