"""Packed training: the weights of K members stacked, one vectorised step for all of them.

`torch.func.vmap` maps the forward pass over the members (K small matrix products become one batched product);
one backward pass of the summed losses then leaves each member its own gradient, for no member's loss
depends on another's weights. AdamW and SGD work element by element, so one optimiser serves the stack; norms
are taken, and gradients clipped, for each member alone.

The data are held once; a member is an index vector into them. Order, augmentation and mixup are drawn from
each member's own generators, as in `fit`. Dropout draws a mask of its own for each member, but not the masks
that `train` would draw.

Shapes: K members, N rows of each, B a batch of each, S steps of an epoch, C classes.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from raiaudit.errors import RaiauditError
from raiaudit.models.data.dataset import is_streamed
from raiaudit.models.recipe import TRAINING_VERSION
from raiaudit.models.training import checkpoint as checkpoints
from raiaudit.models.training.augment import augmented, mixed
from raiaudit.models.training.data import Examples
from raiaudit.models.training.ensemble.quick_layers import QuickLayers
from raiaudit.models.training.loop import optimizer_for, rate_at
from raiaudit.models.training.precision import autocast
from raiaudit.models.training.seeding import derived, generator
from raiaudit.models.training.threads import suited_threads
from raiaudit.models.training.train import repeatable

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.ensemble.member import Job, Member

__all__ = ["Pack", "fit_pack", "why_not_packed"]

SAVE_EVERY = 5.0
"""Seconds between checkpoints: a stack is large, and its epochs may be short."""

EpochReport = Callable[[int, float], None]
"""(epochs done, mean loss of the last one)."""


class Pack:
    """K members in training. `step` is one optimiser step of each. `classifiers` default to fresh ones."""

    def __init__(
        self, job: Job, members: Sequence[Member], classifiers: Sequence[Classifier] | None = None
    ) -> None:
        self.recipe = job.recipe
        self.device = torch.device(job.device)
        self.seeds = [member.seed for member in members]
        self.classifiers = list(classifiers or [job.fresh(member) for member in members])
        self.template = self.classifiers[0]
        self.bf16 = job.in_bf16(self.template)
        self.examples = Examples.of(job.dataset.splits["train"], self.template, self.device)
        self.rows_KN = torch.stack([torch.from_numpy(job.rows(member)) for member in members]).to(self.device)
        parameters, buffers = stack_module_state(self.classifiers)
        self.parameters = {
            name: tensor.detach().to(self.device).requires_grad_(tensor.requires_grad)
            for name, tensor in parameters.items()
        }
        self.buffers = {name: tensor.to(self.device) for name, tensor in buffers.items()}
        self.template.to(self.device).train()
        self.trained = [tensor for tensor in self.parameters.values() if tensor.requires_grad]
        self.optimizer = optimizer_for(self.trained, self.recipe, vector_dim=2)
        self.average = (
            {name: tensor.detach().clone() for name, tensor in self.parameters.items()}
            if self.recipe.average
            else {}
        )
        self.batch_size = min(self.recipe.batch_size, self.rows_KN.shape[1])
        self.steps_per_epoch = self.rows_KN.shape[1] // self.batch_size
        self.forward = _vectorised(self.template)

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def scalars(self) -> int:
        """Numbers in the inputs of one step."""
        return len(self) * self.batch_size * self.examples.scalars

    def epoch(self, epoch: int) -> Tensor:
        """Train one epoch; losses_SK."""
        torch.manual_seed(derived(self.seeds[0], "dropout", epoch))
        draws = [generator(self.device, seed, "draws", epoch) for seed in self.seeds]
        first = epoch * self.steps_per_epoch
        return torch.stack(
            [self.step(index_KB, first + place, draws) for place, index_KB in enumerate(self.batches(epoch))]
        )

    def batches(self, epoch: int) -> Sequence[Tensor]:
        """index_KB of each step: every member's own permutation of its rows, cut."""
        used, count = self.steps_per_epoch * self.batch_size, self.rows_KN.shape[1]
        order_KN = torch.stack(
            [
                torch.randperm(
                    count, generator=generator(self.device, seed, "order", epoch), device=self.device
                )
                for seed in self.seeds
            ]
        )
        return torch.split(self.rows_KN.gather(1, order_KN[:, :used]), self.batch_size, dim=1)

    def step(self, index_KB: Tensor, number: int, draws: Sequence[torch.Generator]) -> Tensor:
        """Step `number` of the whole training, on the rows `index_KB`; the losses_K before it."""
        total = self.recipe.epochs * self.steps_per_epoch
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.recipe, number / total)
        self.optimizer.zero_grad(set_to_none=True)
        losses_K = self.losses(index_KB, draws)
        losses_K.sum().backward()  # type: ignore[no-untyped-call]
        if self.recipe.gradient_clip:
            self._clip(self.recipe.gradient_clip)
        self.optimizer.step()
        self._follow(min(self.recipe.average, (number + 1) / (number + 10)))
        return losses_K.detach()

    def losses(self, index_KB: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        """The mean loss of each member on its batch."""
        batch = self.examples.batch(index_KB.flatten())
        y_KB = batch.y_B.view(index_KB.shape)
        x_KB = batch.x.view(*index_KB.shape, *batch.x.shape[1:])
        views = [
            mixed(augmented(x_B, self.recipe, own), y_B, self.recipe.mixup, own)
            for x_B, y_B, own in zip(x_KB, y_KB, draws, strict=True)
        ]
        x_KB = torch.stack([x_B for x_B, _, _ in views])
        # The fused attention kernels have no batching rule.
        with sdpa_kernel(SDPBackend.MATH), autocast(self.device, self.bf16):
            logits_KBC = self.forward(self.parameters, self.buffers, x_KB).float()
        own_K = self._cross_entropy(logits_KBC, y_KB)
        if not self.recipe.mixup:
            return own_K
        share_K = torch.stack([torch.as_tensor(share, device=self.device) for _, _, share in views])
        other_K = self._cross_entropy(logits_KBC, torch.stack([other_B for _, other_B, _ in views]))
        return share_K * own_K + (1 - share_K) * other_K

    def state(self) -> dict[str, Tensor]:
        """The stacked parameters and buffers."""
        return {**self.parameters, **self.buffers}

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Take over stacked parameters and buffers."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    def finished(self) -> list[Classifier]:
        """The members, averaged if the recipe says so, on the CPU in evaluation mode."""
        stacked = {name: tensor.detach().cpu() for name, tensor in {**self.state(), **self.average}.items()}
        self.template.cpu()
        for number, classifier in enumerate(self.classifiers):
            classifier.load_state_dict({name: tensor[number] for name, tensor in stacked.items()})
            classifier.eval()
        return self.classifiers

    def _cross_entropy(self, logits_KBC: Tensor, y_KB: Tensor) -> Tensor:
        losses = functional.cross_entropy(
            logits_KBC.flatten(0, 1),
            y_KB.flatten(),
            reduction="none",
            label_smoothing=self.recipe.label_smoothing,
        )
        return losses.view(y_KB.shape).mean(1)

    def _clip(self, limit: float) -> None:
        """`clip_grad_norm_` of each member."""
        grads = [tensor.grad for tensor in self.trained if tensor.grad is not None]
        norms_PK = torch.stack(
            [torch.linalg.vector_norm(grad.reshape(len(self), -1), dim=1) for grad in grads]
        )
        factor_K = (limit / (torch.linalg.vector_norm(norms_PK, dim=0) + 1e-6)).clamp_max(1.0)
        for grad in grads:
            grad.mul_(factor_K.view(-1, *[1] * (grad.dim() - 1)))

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        for name, average in self.average.items():
            average.lerp_(self.parameters[name], 1 - decay)


def fit_pack(
    job: Job, members: Sequence[Member], *, path: Path | None, report: EpochReport | None
) -> list[Classifier]:
    """Train `members` together, from the checkpoint at `path` if it is theirs (written every few seconds).

    Raises `RaiauditError` when a loss or a weight is no longer a number, like `fit`.
    """
    parts = "".join(job.key(member) for member in members)
    run = hashlib.sha256(f"pack|{TRAINING_VERSION}|{parts}".encode()).hexdigest()
    device, started, done, before = torch.device(job.device), time.perf_counter(), 0, 0.0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), repeatable(job.recipe):
        pack = Pack(job, members)
        saved = checkpoints.read(path, run, device) if path is not None else None
        if saved is not None:
            pack.load(saved.weights)
            pack.average = saved.average
            pack.optimizer.load_state_dict(saved.optimizer)
            done, before = saved.epoch, saved.seconds
        saved_at = time.perf_counter()
        with suited_threads(pack.scalars):
            for epoch in range(done, job.recipe.epochs):
                losses_SK = pack.epoch(epoch)
                _refuse_divergence(pack, losses_SK, epoch)
                if path is not None and time.perf_counter() - saved_at >= SAVE_EVERY:
                    seconds = before + time.perf_counter() - started
                    optimizer: dict[str, Any] = pack.optimizer.state_dict()
                    weights = {name: tensor.detach() for name, tensor in pack.state().items()}
                    saved = checkpoints.Checkpoint(
                        run, epoch + 1, weights, pack.average, {}, optimizer, {}, seconds
                    )
                    checkpoints.write(path, saved)
                    saved_at = time.perf_counter()
                if report is not None:
                    report(epoch + 1, float(losses_SK.mean()))
        return pack.finished()


def why_not_packed(recipe: Recipe, classifier: Classifier, inputs: Any) -> str:
    """Why members like `classifier` cannot train packed on raw `inputs` (of a split); "" if they can.

    Where nothing else stands against it, two copies take a trial step: a layer without a batching rule shows
    itself there, by an error or by torch's warning that it goes through the members one by one.
    """
    if recipe.kind != "standard":
        return f"kind: {recipe.kind} trains by steps that packing does not know"
    if recipe.compile:
        return "compiled models do not stack"
    if classifier.modality == "text":
        return "each member learns a tokenizer of its own from its texts"
    if is_streamed(inputs):
        return "the images are read from disk batch by batch"
    x_B = classifier.encode(inputs[:2])
    with warnings.catch_warnings(record=True) as caught, torch.random.fork_rng(devices=[]):
        warnings.simplefilter("always")
        try:
            _trial(classifier, x_B)
        except (RuntimeError, ValueError, NotImplementedError) as error:
            return f"a layer cannot be vectorised over members: {str(error).splitlines()[0]}"
    slow = [str(warning.message) for warning in caught if "batching rule" in str(warning.message)]
    return f"a layer has no vectorised form: {slow[0].splitlines()[0]}" if slow else ""


def _vectorised(template: Classifier) -> Callable[[dict[str, Tensor], dict[str, Tensor], Tensor], Tensor]:
    """(stacked parameters, stacked buffers, x_KB…) → logits_KBC; dropout draws for each member."""

    def forward(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        logits_BC: Tensor = functional_call(template, (parameters, buffers), (x,))
        return logits_BC

    mapped = vmap(forward, randomness="different")

    def quickly(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        with QuickLayers() if x.device.type == "cpu" else nullcontext():
            logits_KBC: Tensor = mapped(parameters, buffers, x)
        return logits_KBC

    return quickly


def _trial(classifier: Classifier, x_B: Tensor) -> None:
    parameters, buffers = stack_module_state([classifier, classifier])
    template_mode = classifier.training
    classifier.train()
    try:
        with sdpa_kernel(SDPBackend.MATH):
            logits = _vectorised(classifier)(parameters, buffers, torch.stack([x_B, x_B]))
        logits.float().square().sum().backward()  # type: ignore[no-untyped-call]
    finally:
        classifier.train(template_mode)


def _refuse_divergence(pack: Pack, losses_SK: Tensor, epoch: int) -> None:
    wrong_K = ~losses_SK.isfinite().all(0)
    for tensor in pack.trained:
        wrong_K |= ~tensor.detach().reshape(len(pack), -1).isfinite().all(1)
    if not wrong_K.any():
        return
    which = int(wrong_K.nonzero()[0])
    recipe = pack.recipe
    raise RaiauditError(
        f"training diverged: member {which + 1} of {len(pack)} has a loss or a weight that is no longer a "
        f"number after epoch {epoch + 1}",
        where=f"recipe {recipe.architecture}/{recipe.kind}",
        remedy=f"lower learning_rate (now {recipe.learning_rate:g}), set gradient_clip or raise batch_size",
    )
