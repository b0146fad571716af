"""A model to train for data of a kind and size, and the checks that apply to it.

Thresholds are starting points and say so: nobody but the owner of a system can set them. The accuracy asked
for is that of the constant answer, the one threshold that data alone can justify.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Modality

__all__ = ["DraftedCheck", "Shape", "draft_checks", "draft_recipe"]

_STEPS = 2_500  # of training, about; between a few and _MOST_EPOCHS epochs
_MOST_EPOCHS = 40
_ENOUGH = 200_000  # rows to train a first model on
_TRAINED = 0.7  # share of the rows that training sees when we split


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides a recipe. `side` and `channels` are of images, `majority` the share of the commonest class
    (None: not known), `groups` the columns of people, `flips` those of them that are categories of a table.
    """

    modality: Modality
    rows: int
    classes: int
    side: int = 0
    channels: int = 1
    majority: float | None = None
    groups: tuple[str, ...] = ()
    flips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftedCheck:
    """One entry of `checks`, with what a person should know about it."""

    use: str
    why: str
    options: dict[str, Any] = field(default_factory=dict)
    gates: tuple[tuple[dict[str, Any], str], ...] = ()


def draft_recipe(shape: Shape) -> tuple[dict[str, Any], str]:
    """The recipe as plain data, and why."""
    batch = 64 if shape.rows < 5_000 or shape.modality == "text" else 256
    steps_an_epoch = max(1.0, min(_TRAINED * shape.rows, _ENOUGH) / batch)
    least = 3 if shape.modality == "text" else 4
    epochs = int(min(_MOST_EPOCHS, max(least, round(_STEPS / steps_an_epoch))))
    recipe: dict[str, Any] = {"kind": "standard", "epochs": epochs, "batch_size": batch}
    if shape.modality == "tabular":
        recipe |= {"architecture": "mlp", "options": {"hidden": 64, "dropout": 0.1}}
        why = "a small network; ft_transformer is the stronger and slower one"
    elif shape.modality == "text":
        recipe |= {"architecture": "text_transformer", "options": {"dropout": 0.2}, "learning_rate": 1.0e-3}
        why = "a small transformer of its own vocabulary; lstm is the other one"
    elif shape.side <= 64:
        recipe |= {"architecture": "cnn", "learning_rate": 4.0e-3}
        why = "a small network that a CPU trains in minutes; resnet18 is stronger and many times slower"
    else:
        recipe |= {"architecture": "resnet18", "learning_rate": 1.0e-3}
        why = "for images of this size; a CPU takes long"
    if _TRAINED * shape.rows > _ENOUGH:
        recipe["train_limit"] = _ENOUGH
        why += f"; of so many rows the first {_ENOUGH:,} train it: take `train_limit` out to use all"
    order = ("kind", "architecture", "options", "epochs", "batch_size", "learning_rate", "train_limit")
    return {key: recipe[key] for key in order if key in recipe}, why


def draft_checks(shape: Shape) -> list[DraftedCheck]:
    """Every pillar that has something to ask of data of this kind."""
    checks = [_accuracy(shape)]
    if shape.modality == "image":
        checks += [
            DraftedCheck(
                "robustness.evasion",
                "changes nobody sees that turn the answer; eps in the units of pixels in [0, 1]",
                {"norm": "linf", "eps": ["2/255", "8/255"], "attack": "pgd", "examples": 500},
                (
                    (
                        {"metric": "robust_accuracy", "where": {"eps": "2/255"}, "min": 0.5},
                        "half of the answers",
                    ),
                ),
            ),
            DraftedCheck("robustness.corruption", "noise, blur, weather and JPEG", {"examples": 200}),
        ]
    elif shape.modality == "text":
        checks += [
            DraftedCheck(
                "robustness.evasion",
                "typing mistakes in at most this share of the words",
                {"attack": "characters", "eps": [0.1, 0.3], "examples": 200},
                (({"metric": "robust_accuracy", "where": {"eps": 0.1}, "min": 0.5}, "half of the answers"),),
            ),
            DraftedCheck("robustness.character_noise", "typing mistakes at random", {"examples": 500}),
        ]
    else:
        checks.append(
            DraftedCheck(
                "robustness.evasion",
                "changes a person could make; eps is a share of each column's range",
                {"attack": "projected_table", "norm": "linf", "eps": [0.05, 0.1], "examples": 500},
                (({"metric": "robust_accuracy", "where": {"eps": 0.05}, "min": 0.5}, "half of the answers"),),
            )
        )
    checks.append(
        DraftedCheck(
            "privacy.membership",
            "can one tell who was in the training data? `attack: lira` with `shadows: 16` is the strong "
            "test, and trains as many models",
            {"attack": "loss"},
            (({"metric": "membership_auc", "where": {"attack": "loss"}, "max": 0.6}, "0.5 is guessing"),),
        )
    )
    checks += _fairness(shape)
    checks += [
        DraftedCheck(
            "explanations.attribution",
            "which inputs decide; judged against random maps",
            {"examples": 40 if shape.modality == "text" else 100},
            (({"metric": "deletion_gain", "min": 0}, "better than a random map"),),
        ),
        DraftedCheck(
            "reliability.calibration",
            "is a 90 % sure answer right 9 times in 10?",
            {},
            (({"metric": "ece", "max": 0.1}, "a tenth off, on the mean"),),
        ),
    ]
    return checks


def _accuracy(shape: Shape) -> DraftedCheck:
    if shape.majority is None:
        least, basis = round(1 / shape.classes, 2), "what guessing reaches"
    else:
        least, basis = round(shape.majority, 2), "what the commonest answer, always given, reaches"
    return DraftedCheck(
        "performance.accuracy",
        "how often it is right, by class as well",
        {},
        (({"metric": "accuracy", "min": least}, basis),),
    )


def _fairness(shape: Shape) -> list[DraftedCheck]:
    if not shape.groups:
        return []
    gates = [
        (
            {"metric": "accuracy_difference", "where": {"attribute": name}, "max": 0.1},
            "a tenth between the best and the worst treated group",
        )
        for name in shape.groups
    ]
    if shape.classes == 2:
        gates = [
            (
                {"metric": "equalized_odds_difference", "where": {"attribute": name}, "max": 0.1},
                "a tenth between the best and the worst treated group",
            )
            for name in shape.groups
        ]
    checks = [DraftedCheck("fairness.groups", "are groups of people treated alike?", {}, tuple(gates))]
    if shape.flips:
        checks.append(
            DraftedCheck(
                "fairness.counterfactual",
                "would the answer be another, had only the group been another?",
                {"columns": list(shape.flips)},
            )
        )
    return checks
