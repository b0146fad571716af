"""The nouns of an ensemble: what a member is, what trains it, and what is being trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from raiaudit.models.training import precision
from raiaudit.models.training.seeding import derived
from raiaudit.models.training.train import fresh_classifier, restricted, run_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Recipe

__all__ = ["SERIAL", "Engine", "Job", "Member", "Mode"]

Mode = Literal["auto", "serial", "packed", "processes"]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One model of an ensemble: its rows of the training split, in order, and its seed."""

    rows_N: NDArray[np.int64]
    seed: int


@dataclass(frozen=True, slots=True)
class Engine:
    """`workers` processes (1: this one), each training `pack` members at a time."""

    workers: int = 1
    pack: int = 1

    def __str__(self) -> str:
        here = "serial" if self.pack == 1 else f"packed {self.pack}"
        if self.workers == 1:
            return here
        return f"{self.workers} processes" + ("" if self.pack == 1 else f", {here}")


SERIAL = Engine()


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """An ensemble to train: plain data, picklable."""

    recipe: Recipe
    dataset: Dataset
    members: tuple[Member, ...]
    device: str

    def rows(self, member: Member) -> NDArray[np.int64]:
        """The rows it learns from, as the recipe limits them."""
        return member.rows_N[: self.recipe.train_limit]

    def fresh(self, member: Member) -> Classifier:
        """Its model as `train` begins with it, on the CPU."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived(member.seed, "weights"))
            return fresh_classifier(self.recipe, restricted(self.dataset, self.recipe, member.rows_N))

    def key(self, member: Member) -> str:
        """What decides its weights, up to rounding: sha256 (hex). Names its files."""
        return run_key(
            self.recipe, self.dataset, member.seed, member.rows_N, torch.device(self.device), False
        )

    def in_bf16(self, classifier: Classifier) -> bool:
        """Whether its forward passes are in bf16."""
        return precision.in_bf16(classifier, self.recipe, torch.device(self.device))
