"""How long one example takes each architecture: where the table of `audit/forecast/speeds.py` comes from.

Microseconds of one core for each example: a forward in evaluation mode without gradients (batches of 64, of
4 for the largest), and a forward with its backward to inputs and weights, as training and attacks need it
(batches of 32 or 2); processor time, the least of three. Images at two sizes, texts of 64 tokens, tables of
13 columns.

    python benchmarks/forecast_speeds.py [ARCHITECTURE …]       # all: about five minutes of one core
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

from raiaudit.models.architectures import build
from raiaudit.models.architectures.tokenizer import train_tokenizer
from raiaudit.models.names import ARCHITECTURE_NAMES

FORWARD, BACKWARD = 64, 32
_LARGE = ("resnet18", "resnet50", "efficientnet_b0", "vit_ti16", "vit_s16", "vit_b16", "alexnet", "vgg16")
_HEAVY = ("nfnet_f0", "vit_b16", "wide_resnet28_10")  # smaller batches
_SMALL = ("cnn", "strided_cnn", "vit_tiny", "mlp")
_TEXTS = [
    f"the film number {i} was {'good' if i % 2 else 'bad'} and {i * 7} people saw it" for i in range(500)
]


def least_seconds(work: Callable[[], object]) -> float:
    """The least processor time of three, after one that does not count."""
    work()
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def microseconds(name: str, shape: tuple[int, int, int] | str) -> tuple[float, float]:
    """(forward, forward with backward) of one example."""
    scale = 16 if shape == (3, 224, 224) or name in _HEAVY else 1
    if shape == "text":
        model = build(
            name, {"tokenizer": train_tokenizer(_TEXTS, vocabulary=500), "max_length": 64, "classes": 2}
        )
        ids = torch.ones((FORWARD, 64), dtype=torch.int64)
        inputs = torch.randint(4, 100, ids.shape)
    elif shape == "table":
        config = (
            {"levels": [0] * 5 + [8] * 8, "classes": 2}
            if name == "ft_transformer"
            else {"shape": [69], "classes": 2}
        )
        model = build(name, config)
        inputs = torch.zeros(FORWARD, 69)
        inputs[:, 5::8] = 1
    else:
        model = build(name, {"shape": list(shape), "classes": 10})
        inputs = torch.rand(FORWARD // scale, *shape)
    model.eval()

    def forward() -> None:
        with torch.no_grad():
            model(inputs)

    some = inputs[: max(2, BACKWARD // scale)]
    if some.is_floating_point():
        some = some.clone().requires_grad_()

    def both() -> None:
        model.zero_grad()
        model(some).logsumexp(dim=1).sum().backward()

    return least_seconds(forward) / len(inputs) * 1e6, least_seconds(both) / len(some) * 1e6


def main() -> None:
    """Print one line an architecture and size."""
    torch.set_num_threads(1)
    wanted = sys.argv[1:] or list(ARCHITECTURE_NAMES)
    for name in wanted:
        kinds = ARCHITECTURE_NAMES[name]
        shapes: list[tuple[int, int, int] | str] = []
        if "image" in kinds:
            shapes = [(3, 32, 32)]
            shapes += [(1, 8, 8), (1, 28, 28)] if name in _SMALL else []
            shapes += [(3, 224, 224)] if name in _LARGE else []
        shapes += ["text"] if "text" in kinds else []
        shapes += ["table"] if "tabular" in kinds else []
        for shape in shapes:
            forward, both = microseconds(name, shape)
            print(f"{name:18s} {shape!s:16s} {forward:10.1f} {both:10.1f}", flush=True)


if __name__ == "__main__":
    main()
