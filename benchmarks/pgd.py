"""What PGD-k costs beside k bare passes of the same model and batch, and beside the peers' PGD.

    python benchmarks/pgd.py [--model resnet18] [--batch 64] [--steps 40] [--repeats 7] [--clock cpu] [--json]
    python benchmarks/pgd.py --subject fashion_robust --batch 256 --repeats 3

"passes" is the floor: k times one forward and one backward to the input alone, parameters frozen. The main
figure is the dear case in which nothing breaks, so that every example takes all k steps (target: at most
1.15 × passes). `--eps` sets a radius instead, and then shows what leaving early saves.

`--subject` attacks a trained model of `robust_models.py` at its own radius, on test images. All take one
random start and k steps of 2.5·eps/k; targets: robust accuracy at most 0.2 points above the strongest peer's,
and two thirds of the fastest peer's time. Peers: foolbox, torchattacks, ART, where importable.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from common import interleaved, report
from evasion_peers import judge, pgds
from robust_models import SUBJECTS, Subject, subject
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.base import prepared
from raiaudit.attacks.evasion.images.pgd import PGD
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel
from raiaudit.models.architectures import build

SHAPE = (1, 28, 28)
HARMLESS = 1e-6


def untrained(architecture: str, *, width: int, batch: int, eps: float) -> Subject:
    """Random weights, and the images, of eight times as many, that they are surest of."""
    options = {"width": width} if architecture == "resnet18" else {}
    model = build(architecture, {"shape": list(SHAPE), "classes": 10, **options}).eval()
    pool = torch.rand(8 * batch, *SHAPE)
    with torch.no_grad():
        top = torch.cat([model(part).topk(2, dim=1).values for part in torch.split(pool, batch)])
        x = pool[(top[:, 0] - top[:, 1]).topk(batch).indices]
        y = model(x).argmax(1)
    return Subject(f"untrained {architecture}", model, x, y, ImageBox(SHAPE), ThreatModel("linf", eps))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subject", choices=sorted(SUBJECTS), help="a trained model in place of --model")
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

    if arguments.subject:
        it = subject(arguments.subject, examples=arguments.batch)
    else:
        it = untrained(arguments.model, width=arguments.width, batch=arguments.batch, eps=arguments.eps)
    attack = PGD(steps=arguments.steps)
    result = attack(it.classifier, it.x_BCHW, it.y_B, it.threat, space=it.space, seed=arguments.seed)

    def ours() -> Tensor:
        found = attack(it.classifier, it.x_BCHW, it.y_B, it.threat, space=it.space, seed=arguments.seed)
        assert isinstance(found.adversarial, Tensor)
        return found.adversarial

    def passes() -> None:
        with prepared(it.classifier):
            for _ in range(arguments.steps):
                x = it.x_BCHW.clone().requires_grad_()
                torch.autograd.grad(functional.cross_entropy(it.classifier(x), it.y_B, reduction="sum"), x)

    peers, missing = pgds(it, steps=arguments.steps)
    contestants: dict[str, Callable[[], object]] = {"ours": ours, "passes": passes, **peers}
    robust = {
        name: 1 - float(judge(it, contestant()).float().mean())
        for name, contestant in {"ours": ours, **peers}.items()
    }
    report(
        "pgd",
        interleaved(contestants, repeats=arguments.repeats, clock=arguments.clock),
        libraries=("torch", "foolbox", "torchattacks", "adversarial-robustness-toolbox", "raiaudit"),
        seed=arguments.seed,
        missing=missing,
        as_json=arguments.json,
        model=f"{it.name}, batch {arguments.batch}, {arguments.steps} steps, L∞ {it.threat.eps:g}",
        clock=arguments.clock,
        robust_accuracy=robust,
        broken=int(result.broken_B.sum()),
        forwards=int(result.forwards_B.sum()),
        backwards=int(result.backwards_B.sum()),
    )


if __name__ == "__main__":
    main()
