"""Randomized smoothing: ours beside the reference's loop over examples, at equal n.

    python benchmarks/smoothing.py [--model cnn] [--examples 8] [--n 1000] [--clock cpu] [--json]

"locuslab" is the class `Smooth` of github.com/locuslab/smoothing (arXiv:1902.02918), taken from `core` where
PYTHONPATH has it in a form that runs on this device (the original asks for CUDA noise and for functions that
scipy has dropped). "one at a time" restates its loop in our words: one example, batches of 1000 noisy copies,
votes counted in Python. "forwards" is the floor: as many rows through the same network in our batches and
order of memory, without noise or votes; "noise" the price of our noise alone.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util

import numpy as np
import torch
from common import interleaved, report
from scipy.stats import beta, norm
from torch import Tensor, nn

from raiaudit.attacks.certificates.smoothing import Smoothing
from raiaudit.attacks.spaces import ImageBox
from raiaudit.models.architectures import build

BATCH = 1000  # the reference's default
BLOCK = 64  # ours on a CPU


def one_at_a_time(model: nn.Module, x: Tensor, attempt: Smoothing) -> list[tuple[int, float]]:
    """CERTIFY as the reference runs it."""

    def votes(image: Tensor, count: int) -> np.ndarray:
        counts = np.zeros(10, dtype=int)
        while count > 0:
            rows = min(BATCH, count)
            count -= rows
            batch = image.repeat(rows, 1, 1, 1)
            for label in model(batch + torch.randn_like(batch) * attempt.sigma).argmax(1).cpu().numpy():
                counts[label] += 1
        return counts

    found = []
    with torch.no_grad():
        for image in x:
            top = int(votes(image, attempt.n0).argmax())
            hits = votes(image, attempt.n)[top]
            low = beta.ppf(attempt.alpha, hits, attempt.n - hits + 1)
            found.append((top, attempt.sigma * norm.ppf(low)) if low > 0.5 else (-1, 0.0))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="cnn", help="an architecture of the project (mlp, cnn, resnet18…)")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--norm", choices=("none", "group", "batch"), default=None)
    parser.add_argument("--shape", type=int, nargs=3, default=(1, 28, 28))
    parser.add_argument("--examples", type=int, default=8)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--n0", type=int, default=100)
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options = {} if arguments.model == "mlp" else {"width": arguments.width}
    if arguments.norm is not None:
        options["norm"] = arguments.norm
    shape = tuple(arguments.shape)
    model = build(arguments.model, {"shape": list(shape), "classes": 10, **options}).eval().to(device)
    x = torch.rand(arguments.examples, *shape, device=device)
    attempt = Smoothing(sigma=arguments.sigma, n0=arguments.n0, n=arguments.n)
    blocks = arguments.examples * -(-(arguments.n + arguments.n0) // BLOCK)
    block = x[:1].expand(BLOCK, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    noise = torch.empty(BLOCK, *shape, device=device)

    def forwards() -> None:
        with torch.no_grad():
            for _ in range(blocks):
                model(block)

    def noises() -> None:
        generator = torch.Generator(device)
        for number in range(blocks):
            noise.normal_(generator=generator.manual_seed(number)).mul_(arguments.sigma)

    contestants = {
        "ours": lambda: attempt(model, x, space=ImageBox(shape), seed=arguments.seed),
        "one at a time": lambda: one_at_a_time(model, x, attempt),
        "forwards": forwards,
        "noise": noises,
    }
    missing = []
    if importlib.util.find_spec("core"):
        theirs = importlib.import_module("core").Smooth(model, 10, arguments.sigma)
        contestants["locuslab"] = lambda: [
            theirs.certify(image, arguments.n0, arguments.n, attempt.alpha, BATCH) for image in x
        ]
    else:
        missing.append("locuslab")

    report(
        "smoothing",
        interleaved(contestants, repeats=arguments.repeats, clock=arguments.clock),
        libraries=("torch", "scipy", "raiaudit"),
        seed=arguments.seed,
        missing=missing,
        as_json=arguments.json,
        model=f"{arguments.model} {options}, {arguments.examples} examples of {shape}, n {arguments.n}",
        clock=arguments.clock,
    )


if __name__ == "__main__":
    main()
