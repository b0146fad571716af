"""Which flags of `robustness.reliability` are raised on honest models and on masked ones, and at what cost.

    python benchmarks/reliability.py [--examples 64] [--subjects mnist_robust fashion_robust]

trains two small CNNs on the bundled digits, one plainly and one adversarially, puts eight known masks around
the plain one, and runs the check on all of them; `--subjects` adds the models of `robust_models.py`, with
their own data and radius. One line a model, as a table in Markdown: flags raised (count of n), accuracy after
everything that was tried, passes for each example of the sample, seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from common import machine
from robust_models import SUBJECTS
from robust_models import subject as robust_subject
from torch import Tensor

from raiaudit.audit.ledger import Ledger
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.robustness.reliability import Reliability, ReliabilityConfig
from raiaudit.audit.robustness.reliability_flags import FLAGS
from raiaudit.audit.subject import Subject
from raiaudit.models.architectures import Classifier
from raiaudit.models.data import load_dataset
from raiaudit.models.data.dataset import Dataset
from raiaudit.models.recipe import Adversary, Recipe
from raiaudit.models.training.train import train
from raiaudit.models.version import ModelVersion, TrainingRecord

SEED = 0
EPS = 0.15
OPTIONS = {"norm": "none", "downsample": "stride"}

Step = Callable[[Tensor], Tensor]
MASKS: dict[str, tuple[Step | None, Step | None]] = {
    "input rounded to 5 levels": (lambda x: (x * 4).round() / 4, None),
    "input cut at one half": (lambda x: (x > 0.5).float(), None),
    "input detached from the graph": (Tensor.detach, None),
    "steep sigmoid of the input": (lambda x: torch.sigmoid(200 * (x - 0.5)), None),
    "ripple on the input": (lambda x: x + 0.02 * torch.sin(1e4 * x), None),
    "noise on the input": (lambda x: x + 0.1 * torch.randn_like(x), None),
    "logits × 10⁴": (None, lambda logits: 1e4 * logits),
    "softmax of the logits": (None, lambda logits: logits.softmax(1)),
}


class Masked(Classifier):
    """A classifier behind a change of its input or its logits."""

    architecture = "masked"
    modality = "image"

    def __init__(self, classifier: Classifier, before: Step | None = None, after: Step | None = None) -> None:
        super().__init__()
        self.classifier, self.before, self.after = classifier, before, after
        self.classes = classifier.classes

    def forward(self, inputs: Tensor) -> Tensor:
        """logits_BK, or what the mask makes of them."""
        logits: Tensor = self.classifier(inputs if self.before is None else self.before(inputs))
        return logits if self.after is None else self.after(logits)


def models(names: list[str]) -> Iterator[tuple[str, Classifier, Dataset, float]]:
    """Name, classifier, data and radius of everything that is looked at."""
    digits = load_dataset("digits")
    adversary = Adversary(eps=0.18, steps=3)
    recipes = {
        "plain CNN": Recipe(
            architecture="cnn", options=OPTIONS, epochs=15, learning_rate=4e-3, batch_size=64
        ),
        "adversarially trained CNN": Recipe(
            kind="adversarial",
            architecture="cnn",
            options=OPTIONS,
            epochs=20,
            learning_rate=4e-3,
            batch_size=64,
            adversary=adversary,
        ),
    }
    trained = {
        name: train(recipe, digits, name=name, seed=SEED, device="cpu").classifier.eval()
        for name, recipe in recipes.items()
    }
    for name, classifier in trained.items():
        yield name, classifier, digits, EPS
    for name, (before, after) in MASKS.items():
        yield f"plain CNN, {name}", Masked(trained["plain CNN"], before, after).eval(), digits, EPS
    for name in names:
        known = robust_subject(name, examples=1)
        yield name, known.classifier, load_dataset(SUBJECTS[name][0]), known.threat.eps


def measured(
    classifier: Classifier, dataset: Dataset, config: ReliabilityConfig
) -> tuple[dict[str, Measurement], float]:
    """The check's measurements by metric, and its seconds."""
    record = TrainingRecord(
        architecture=classifier.architecture,
        config={},
        data_name=dataset.name,
        data_digest=dataset.digest,
        code_version="benchmark",
        parameters=0,
        weights_digest="0",
    )
    version = ModelVersion("benchmark", 0, classifier, record)
    subject = Subject("benchmark", dataset, record, version, seed=SEED, device_name="cpu")
    check, began = Reliability(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        for task in check.tasks(subject, config):
            ledger.append(task, "0" * 64, check.execute(task, subject))
        found = check.summarise(ledger, subject, config)
    return {m.metric: m for m in found}, time.perf_counter() - began


def main() -> None:
    """One line a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=64, help="of the sample")
    parser.add_argument("--subjects", nargs="*", default=[], choices=sorted(SUBJECTS))
    arguments = parser.parse_args()
    print(f"{machine()}, torch {torch.__version__}, seed {SEED}\n")
    print("| model | L∞ | flags raised | accuracy after everything | forwards + backwards | s |")
    print("|---|---|---|---|---|---|")
    for name, classifier, dataset, eps in models(arguments.subjects):
        found, seconds = measured(
            classifier, dataset, ReliabilityConfig(eps=eps, examples=arguments.examples)
        )
        raised = [
            f"{flag.name.replace('_', ' ')} {m.value:.0%}"
            for flag in FLAGS
            if (m := found[flag.name]).value is not None and m.reason
        ]
        left, forwards, backwards = (
            found[key].value
            for key in ("accuracy_after_everything_tried", "forward_passes", "backward_passes")
        )
        assert left is not None
        print(
            f"| {name} | {eps:g} | {', '.join(raised) or 'none'} | {left:.1%} "
            f"| {forwards:.0f} + {backwards:.0f} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
