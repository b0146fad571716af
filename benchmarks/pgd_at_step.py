"""One step of PGD adversarial training beside (steps + 1) × (forward + backward), and a textbook's step.

    python benchmarks/pgd_at_step.py [--model cnn] [--steps 10] [--threads 1] [--clock cpu] [--json]

A forward and backward is that of plain training, with the gradient of every parameter; the inner steps of
ours need only that of the input. The textbook's step (arXiv:1706.06083 as tutorials write it) computes both
and keeps one. Same model, batch and precision for all three, images in [0, 1] of noise, L∞ 0.3; the model
takes its layout from the recipe's rule in ours and is channels first in the textbook's. Seconds are of one
step with its update; target: ours at most 1 × the former.
"""

from __future__ import annotations

import argparse

import torch
from common import interleaved, report
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.attacks.spaces import ImageBox
from raiaudit.models.architectures import Classifier, build
from raiaudit.models.recipe import Adversary, Recipe
from raiaudit.models.training import precision
from raiaudit.models.training.adversarial import AdversarialStep
from raiaudit.models.training.data import Batch
from raiaudit.models.training.loop import optimizer_of

EPS = 0.3


def textbook(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y_B: Tensor, steps: int) -> None:
    """PGD from a random start, then a step on what it found."""
    delta = torch.empty_like(x).uniform_(-EPS, EPS)
    for _ in range(steps):
        delta.requires_grad_()
        functional.cross_entropy(model((x + delta).clamp(0, 1)), y_B).backward()  # type: ignore[no-untyped-call]
        assert delta.grad is not None
        delta = (delta.detach() + 2.5 * EPS / steps * delta.grad.sign()).clamp(-EPS, EPS)
    optimizer.zero_grad()
    functional.cross_entropy(model((x + delta).clamp(0, 1)), y_B).backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()


def plain(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y_B: Tensor, times: int) -> None:
    """Forwards and backwards of plain training, the last one with an update."""
    for _ in range(times):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y_B).backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="cnn", help="an image architecture of the project")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--shape", type=int, nargs=3, default=[1, 28, 28])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    device, shape = torch.device(arguments.device), tuple(arguments.shape)
    draws = torch.Generator(device).manual_seed(arguments.seed)
    x = torch.rand((arguments.batch, *shape), generator=draws, device=device)
    y_B = torch.randint(0, 10, (arguments.batch,), generator=draws, device=device)
    recipe = Recipe(
        kind="adversarial",
        architecture=arguments.model,
        batch_size=arguments.batch,
        optimizer="sgd",
        learning_rate=0.01,
        adversary=Adversary(eps=EPS, steps=arguments.steps),
    )

    def fresh(*, layout: bool) -> tuple[Classifier, torch.optim.Optimizer]:
        options = {"shape": list(shape), "classes": 10, "width": arguments.width}
        model = build(arguments.model, options).to(device).train()
        if layout and precision.channels_last(model, recipe):
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model, optimizer_of(model, recipe)

    mine, my_optimizer = fresh(layout=True)
    bf16 = precision.in_bf16(mine, recipe, device)
    step = AdversarialStep(
        mine, recipe, examples=arguments.batch, space=ImageBox(shape), device=device, bf16=bf16
    )
    same, same_optimizer = fresh(layout=True)
    first, first_optimizer = fresh(layout=False)
    layout = torch.channels_last if precision.channels_last(mine, recipe) else torch.contiguous_format
    x_like_mine = x.contiguous(memory_format=layout)

    def ours() -> None:
        step.gradients(Batch(x, y_B, y_B), 1.0, draws)
        my_optimizer.step()

    def passes() -> None:
        with precision.autocast(device, bf16):
            plain(same, same_optimizer, x_like_mine, y_B, arguments.steps + 1)

    def tutorial() -> None:
        with precision.autocast(device, bf16):
            textbook(first, first_optimizer, x, y_B, arguments.steps)

    name = f"{arguments.steps + 1} × (forward + backward)"
    seconds = interleaved(
        {"ours": ours, name: passes, "textbook PGD-AT": tutorial},
        repeats=arguments.repeats,
        clock=arguments.clock,
    )
    report(
        "pgd_at_step",
        seconds,
        libraries=("torch", "raiaudit"),
        seed=arguments.seed,
        as_json=arguments.json,
        model=f"{arguments.model}, width {arguments.width}, batch {arguments.batch} of {list(shape)}",
        clock=arguments.clock,
        precision="bf16" if bf16 else "fp32",
    )


if __name__ == "__main__":
    main()
