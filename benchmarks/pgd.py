"""What PGD-k costs beside k bare passes of the same model and batch, and beside foolbox's PGD.

    python benchmarks/pgd.py [--model resnet18] [--batch 64] [--steps 40] [--repeats 7] [--clock cpu] [--json]

"passes" is the floor: k times one forward and one backward to the input alone, parameters frozen. The main
figure is the dear case in which nothing breaks, so that every example takes all k steps (target: at most
1.15 × passes). `--eps` sets a radius instead, and then shows what leaving early saves.
"""

from __future__ import annotations

import argparse
import importlib.util

import torch
from common import interleaved, report
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.attacks.evasion.base import prepared
from raiaudit.attacks.evasion.pgd import PGD
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel
from raiaudit.models.architectures import build

SHAPE = (1, 28, 28)
HARMLESS = 1e-6


def confident(model: nn.Module, count: int) -> tuple[Tensor, Tensor]:
    """The images, of eight times as many, that a model is surest of, and the labels it gives them."""
    pool = torch.rand(8 * count, *SHAPE)
    with torch.no_grad():
        top = torch.cat([model(part).topk(2, dim=1).values for part in torch.split(pool, count)])
    x = pool[(top[:, 0] - top[:, 1]).topk(count).indices]
    with torch.no_grad():
        y: Tensor = model(x).argmax(1)
    return x, y


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resnet18", help="an architecture of the project (cnn, resnet18…)")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--eps", type=float, default=HARMLESS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)

    options = {"width": arguments.width} if arguments.model == "resnet18" else {}
    model = build(arguments.model, {"shape": list(SHAPE), "classes": 10, **options}).eval()
    x, y = confident(model, arguments.batch)
    threat = ThreatModel("linf", arguments.eps)
    attack = PGD(steps=arguments.steps)

    def ours() -> object:
        return attack(model, x, y, threat, space=ImageBox(SHAPE), seed=arguments.seed)

    def passes() -> None:
        with prepared(model):
            for _ in range(arguments.steps):
                inputs = x.clone().requires_grad_()
                torch.autograd.grad(functional.cross_entropy(model(inputs), y, reduction="sum"), inputs)

    contestants = {"ours": ours, "passes": passes}
    missing = []
    if importlib.util.find_spec("foolbox"):
        import foolbox

        theirs = foolbox.attacks.LinfPGD(steps=arguments.steps, rel_stepsize=2.5 / arguments.steps)
        fooled = foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device)
        contestants["foolbox"] = lambda: theirs(fooled, x, y, epsilons=arguments.eps)
    else:
        missing.append("foolbox")

    result = attack(model, x, y, threat, space=ImageBox(SHAPE), seed=arguments.seed)
    report(
        "pgd",
        interleaved(contestants, repeats=arguments.repeats, clock=arguments.clock),
        libraries=("torch", "foolbox", "raiaudit"),
        seed=arguments.seed,
        missing=missing,
        as_json=arguments.json,
        model=f"{arguments.model}, batch {arguments.batch}, {arguments.steps} steps, eps {arguments.eps:g}",
        clock=arguments.clock,
        broken=int(result.broken_B.sum()),
        forwards=int(result.forwards_B.sum()),
        backwards=int(result.backwards_B.sum()),
    )


if __name__ == "__main__":
    main()
