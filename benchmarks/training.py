"""Training throughput beside a plain PyTorch loop with a DataLoader: one epoch of the same model.

    python benchmarks/training.py [--model cnn] [--width 16] [--images 6000] [--compile]
                                  [--threads 1] [--clock cpu] [--json]

The plain loop is what tutorials write: a `Dataset` that makes a float tensor of one image, crops and
mirrors it, a shuffling `DataLoader` (no workers, and 2 beside it on the wall clock), images channels
first, SGD with momentum as it comes, gradient clipped. Ours is `fit`, as `raiaudit models train` runs it:
images as bytes on the device, augmentation of the whole batch, channels last where it convolves.
Fashion-MNIST where `RAIAUDIT_DATA` or the cache has it, else noise of the same shape. Seconds are of one
epoch; target: at most half of the plain loop's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from common import interleaved, report
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from raiaudit.errors import RaiauditError
from raiaudit.models.architectures import Classifier, build
from raiaudit.models.data import load_dataset
from raiaudit.models.recipe import Recipe
from raiaudit.models.training import precision
from raiaudit.models.training.data import Examples
from raiaudit.models.training.loop import fit
from raiaudit.models.training.standard import StandardStep

SHAPE = (1, 28, 28)
CPU = torch.device("cpu")


class OneByOne(TorchDataset[tuple[Tensor, int]]):
    """An image at a time, made a float, cropped from a border of 3 pixels and mirrored half the time."""

    def __init__(self, images_NCHW: Tensor, labels_N: Tensor) -> None:
        self.images_NCHW, self.labels_N = images_NCHW, labels_N

    def __len__(self) -> int:
        return len(self.labels_N)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images_NCHW[index].float() / 255
        top, left = torch.randint(0, 7, (2,)).tolist()
        image = nn.functional.pad(image, (3, 3, 3, 3))[:, top : top + 28, left : left + 28]
        if torch.rand(()) < 0.5:
            image = image.flip(-1)
        return image, int(self.labels_N[index])


def images(count: int, device: torch.device) -> tuple[Tensor, Tensor, str]:
    """uint8 images and labels on the device, and what they are."""
    try:
        train = load_dataset("fashion_mnist").splits["train"].take(slice(count))
        found, labels, what = torch.from_numpy(train.inputs), torch.from_numpy(train.labels), "Fashion-MNIST"
    except RaiauditError:
        rng = np.random.default_rng(0)
        found = torch.from_numpy(rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8))
        labels, what = torch.from_numpy(rng.integers(0, 10, count)), "noise"
    return found.to(device), labels.to(device), what


def plain_epoch(model: Classifier, loader: DataLoader[tuple[Tensor, int]], device: torch.device) -> None:
    """The loop of a tutorial."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    criterion = nn.CrossEntropyLoss()
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x.to(device)), y.to(device))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="cnn", help="an image architecture of the project")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--compile", action="store_true", help="ours with torch.compile")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    device = torch.device(arguments.device)
    found_NCHW, labels_N, what = images(arguments.images, device)
    recipe = Recipe(
        architecture=arguments.model,
        epochs=1,
        batch_size=arguments.batch,
        optimizer="sgd",
        learning_rate=0.01,
        weight_decay=5e-4,
        augment="crop-flip",
        compile=arguments.compile,
    )
    options = {} if arguments.model == "mlp" else {"width": arguments.width}

    def fresh() -> Classifier:
        return build(arguments.model, {"shape": list(SHAPE), "classes": 10, **options}).to(device)

    mine = fresh()
    if precision.channels_last(mine, recipe):
        mine.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    bf16 = precision.in_bf16(mine, recipe, device)
    step = StandardStep(mine, recipe, examples=len(labels_N), device=device, bf16=bf16)
    examples = Examples(found_NCHW, labels_N)

    def ours() -> None:
        fit(
            mine,
            examples,
            examples.spread(1),
            recipe,
            step,
            seed=arguments.seed,
            device=device,
            run="",
            path=None,
            progress=None,
        )

    data, theirs = OneByOne(found_NCHW.cpu(), labels_N.cpu()), fresh()
    contestants: dict[str, Callable[[], object]] = {"ours": ours}
    # On the clock of this process the work of worker processes would not be counted.
    for workers in (0,) if arguments.clock == "cpu" else (0, 2):
        loader = DataLoader(data, arguments.batch, shuffle=True, drop_last=True, num_workers=workers)
        contestants[f"plain loop, {workers} workers"] = partial(plain_epoch, theirs, loader, device)
    seconds = interleaved(contestants, repeats=arguments.repeats, clock=arguments.clock)
    used = step.steps_per_epoch * arguments.batch
    report(
        "training",
        seconds,
        libraries=("torch", "raiaudit"),
        seed=arguments.seed,
        as_json=arguments.json,
        model=f"{arguments.model} {options}, batch {arguments.batch}, {used} images of {what} an epoch",
        clock=arguments.clock,
        images_per_second={name: round(used / min(values)) for name, values in seconds.items()},
        precision="bf16" if bf16 else "fp32",
        compiled=arguments.compile,
    )


if __name__ == "__main__":
    main()
