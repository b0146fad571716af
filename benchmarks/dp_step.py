"""One DP-SGD step: the clipped sum of per-example gradients, ours beside every mode of Opacus.

    python benchmarks/dp_step.py [--model cnn] [--batch 256] [--repeats 5] [--clock cpu] [--json]

Models: `cnn` and `mlp` on 28×28 images, `tempered` (the convolutional network of arXiv:2007.14191), `text`
(a transformer of two blocks, 40 tokens). "ours" is what `gradients: auto` chooses, timed after the choice;
"vmap" is our other mode and "plain" an update without privacy: forward and backward of the mean loss.

Opacus' modes: `hooks`, `ew` (ExpandedWeights), `functorch`, `ghost` (two backward passes); each forms the
clipped sum, without noise. A mode that cannot serve the model is left out and named. Before anything is
timed, each one's sum is compared with ours.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from common import interleaved, report
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.architectures.tempered_cnn import TemperedCNN
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.architectures.tokenizer import train_tokenizer
from raiaudit.models.training.gradient_mode import chosen
from raiaudit.models.training.per_example import Vmap

TOKENS, WORDS = 40, [f"{first}{last}" for first in "bcdfg" for last in ("ad", "en", "ip", "ol")]
CLIP = 1.0


def text_transformer() -> nn.Module:
    """Two blocks of width 64; dropout off, so that every way computes the same."""
    return TextTransformer(train_tokenizer([" ".join(WORDS)] * 3, vocabulary=200), TOKENS, 2, dropout=0.0)


def images(B: int) -> Tensor:
    """x_BCHW."""
    return torch.rand(B, 1, 28, 28)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Tensor]]] = {
    "cnn": (lambda: ConvNet([1, 28, 28], 10), images),
    "tempered": (lambda: TemperedCNN([1, 28, 28], 10), images),
    "mlp": (lambda: MLP([1, 28, 28], 10), images),
    "text": (text_transformer, lambda B: torch.randint(1, 40, (B, TOKENS))),
}


def summed_grads(model: nn.Module) -> list[Tensor]:
    """Opacus' clipped sums, parameter by parameter, cleared for the next step."""
    sums = []
    own: list[Any] = list(model.parameters())  # Opacus hangs attributes on parameters
    for parameter in own:
        sums.append(parameter.summed_grad)
        parameter.summed_grad = parameter.grad_sample = parameter.grad = None
    return sums


def opacus_step(model: nn.Module, mode: str, x: Tensor, y_B: Tensor) -> Callable[[], list[Tensor]]:
    """A step of one of Opacus' modes on a copy of the model."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.grad_sample.utils import wrap_model
    from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    own = copy.deepcopy(model)
    settings = {"noise_multiplier": 0.0, "max_grad_norm": CLIP, "expected_batch_size": len(y_B)}
    plain = torch.optim.SGD(own.parameters(), lr=0.1)
    if mode == "ghost":
        wrapped = GradSampleModuleFastGradientClipping(own, max_grad_norm=CLIP, loss_reduction="sum")
        optimizer = DPOptimizerFastGradientClipping(plain, **settings, loss_reduction="sum")
        criterion = DPLossFastGradientClipping(
            wrapped, optimizer, nn.CrossEntropyLoss(reduction="sum"), loss_reduction="sum"
        )

        def ghost() -> list[Tensor]:
            criterion(wrapped(x), y_B).backward()
            optimizer.accumulate()
            return summed_grads(own)

        return ghost
    wrapped = wrap_model(own, grad_sample_mode=mode, batch_first=True, loss_reduction="sum")
    optimizer = DPOptimizer(plain, **settings, loss_reduction="sum")

    def step() -> list[Tensor]:
        torch.autograd.backward(functional.cross_entropy(wrapped(x), y_B, reduction="sum"))
        optimizer.clip_and_accumulate()
        return summed_grads(own)

    return step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=sorted(MODELS), default="cnn")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    warnings.filterwarnings("ignore", message="Full backward hook is firing")

    build, inputs = MODELS[arguments.model]
    model, x = build().train(), inputs(arguments.batch)
    y_B = torch.randint(0, 2, (arguments.batch,))
    ours = chosen("auto", model, x[:, None], y_B, CLIP, label_smoothing=0.0)
    vmap = Vmap(model, label_smoothing=0.0)

    def unprotected() -> None:
        model.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(x), y_B))

    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: ours.clipped(x[:, None], y_B, CLIP),
        "vmap": lambda: vmap.clipped(x[:, None], y_B, CLIP),
        "plain": unprotected,
    }
    right = torch.cat([total.flatten() for total in ours.clipped(x[:, None], y_B, CLIP).sums.values()])
    missing = []
    for mode in ("hooks", "ew", "functorch", "ghost"):
        try:
            step = opacus_step(model, mode, x, y_B)
            found = torch.cat([total.flatten() for total in step()])
        except (ImportError, NotImplementedError, RuntimeError, ValueError, AttributeError) as error:
            missing.append(f"opacus {mode} ({type(error).__name__})")
            continue
        if (found - right).norm() > 1e-2 * right.norm():
            missing.append(f"opacus {mode} (another sum)")
            continue
        contestants[f"opacus {mode}"] = step
    report(
        "dp_step",
        interleaved(contestants, repeats=arguments.repeats, clock=arguments.clock),
        libraries=("torch", "opacus", "raiaudit"),
        seed=arguments.seed,
        missing=missing,
        as_json=arguments.json,
        model=f"{arguments.model}, {sum(p.numel() for p in model.parameters()):,} parameters",
        batch=arguments.batch,
        mode=ours.name,
        clock=arguments.clock,
    )


if __name__ == "__main__":
    main()
