"""Seconds of one step of one member, by each way to train it.

The first step, which allocates and chooses algorithms, is not counted. Then at least three steps are timed,
and as many as fit into a window that is the same for all engines: what else the machine does would interrupt
every long step and hardly a short one. The better of two windows counts, where steps are not so long that one
is enough. Threads are those the training would have.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raiaudit.models.training.data import Examples
from raiaudit.models.training.ensemble.packed import Pack
from raiaudit.models.training.loop import follow, optimizer_of
from raiaudit.models.training.precision import channels_last, in_bf16
from raiaudit.models.training.seeding import generator
from raiaudit.models.training.threads import suited_threads
from raiaudit.models.training.train import repeatable, restricted, step_of

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.training.ensemble.member import Job

__all__ = ["Trial"]

_STEPS = 3
_WINDOW = 0.25  # seconds
_SHARE = 0.005  # of the whole training, that a window may take
_SHARE_ALL = 0.05  # of the whole training, that the steps of one engine may take
_PACK_BYTES = 2 * 2**30  # a pack that would need more is not tried


class Trial:
    """What can be timed of a job, and how much memory a serial step keeps for its backward pass."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.device = torch.device(job.device)
        self.classifier: Classifier = job.fresh(job.members[0])
        self.data = restricted(job.dataset, job.recipe, job.members[0].rows_N)
        self.kept_bytes = 0
        self.window = _WINDOW

    @property
    def steps(self) -> int:
        """Steps of a whole training of one member."""
        rows = len(self.data.splits["train"])
        return self.job.recipe.epochs * max(1, rows // min(self.job.recipe.batch_size, rows))

    def serial(self) -> float:
        """Seconds of a step of `fit`."""
        job, recipe = self.job, self.job.recipe
        classifier = self.classifier.to(self.device)
        if channels_last(classifier, recipe):
            classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        classifier.train()
        examples = Examples.of(self.data.splits["train"], classifier, self.device)
        bf16 = in_bf16(classifier, recipe, self.device)
        step = step_of(classifier, recipe, self.data, len(examples), self.device, bf16)
        optimizer = optimizer_of(classifier, recipe)
        average = {name: p.detach().clone() for name, p in classifier.named_parameters()}
        draws = generator(self.device, 0, "draws")
        batches = examples.batches(itertools.cycle(step.batches(generator(self.device, 0, "order"))))

        def one() -> None:
            step.gradients(next(batches), 0.5, draws)
            optimizer.step()
            if recipe.average:
                follow(average, classifier, recipe.average)

        with suited_threads(recipe.batch_size * examples.scalars):
            if recipe.kind == "standard":
                self._weighed(one)
            else:  # is never packed, and per-example gradients do not go with being watched
                one()
            self.window = 0.0
            self.window = min(_WINDOW, _SHARE * self._seconds(one) * self.steps * len(job.members))
            seconds = self._timed(one)
        classifier.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return seconds

    def packed(self, size: int) -> float:
        """Seconds of a step of a pack of `size` members, divided by `size`."""
        members = [self.job.members[number % len(self.job.members)] for number in range(size)]
        with torch.random.fork_rng(devices=[]):
            pack = Pack(self.job, members, [self.classifier] * size)
            draws = [generator(self.device, number, "draws") for number in range(size)]
            index_KB = pack.batches(0)[0]
            with suited_threads(pack.scalars):
                pack.step(index_KB, 0, draws)
                seconds = self._timed(lambda: pack.step(index_KB, 0, draws)) / size
        self.classifier.cpu()
        return seconds

    def pack_bytes(self, size: int) -> int:
        """About what a pack of `size` needs: activations kept, weights, gradients, moments and average."""
        weights = sum(p.numel() * p.element_size() for p in self.classifier.parameters())
        return size * (self.kept_bytes + 5 * weights)

    def fits(self, size: int) -> bool:
        """Whether the memory holds a pack of `size`."""
        return self.pack_bytes(size) <= _PACK_BYTES

    def worth(self, size: int) -> bool:
        """Whether timing a pack of `size` costs little of the training."""
        return (_STEPS + 1) * size <= _SHARE_ALL * self.steps * len(self.job.members)

    def _timed(self, one: Callable[[], object]) -> float:
        with torch.random.fork_rng(devices=[]), repeatable(self.job.recipe):
            seconds = self._seconds(one)
            return seconds if _STEPS * seconds > 2 * self.window else min(seconds, self._seconds(one))

    def _seconds(self, one: Callable[[], object]) -> float:
        """Of one call, the mean over a window."""
        began, calls, passed = time.perf_counter(), 0, 0.0
        while calls < _STEPS or passed < self.window:
            one()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            calls, passed = calls + 1, time.perf_counter() - began
        return passed / calls

    def _weighed(self, one: Callable[[], object]) -> None:
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            one()
        self.kept_bytes = sum(kept.values())
