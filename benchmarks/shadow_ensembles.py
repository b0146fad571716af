"""An ensemble of shadow models: ours, by the engine that timing chooses, beside one model after the other.

    python benchmarks/shadow_ensembles.py [--model mlp] [--members 32] [--epochs 4] [--batch 128]
                                          [--clock cpu] [--json]

Models: `mlp` and `ft_transformer` on rows with Adult's columns, `mlp_image`, `cnn` and `resnet18` (width 16)
on 28×28 images, `lstm` and `text_transformer` on texts of 40 words; noise of that form, 1,024 rows for each
member. A second is a second of a whole ensemble, from the data to trained models, the choice of the engine
included. Targets on two cores: serial / ours at least 2.5 for `mlp`, 1.8 for `ft_transformer`, never below 1.

On a machine with other work, `--clock cpu` counts what was computed instead of the time that went by: this
process on one thread, plus the processes' seconds divided by their number, which is the time they would take
on cores of their own. `--engines` times a step of each engine instead of training, for models too slow for
that.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable

import numpy as np
import polars as pl
import torch
from common import machine, report

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Recipe
from raiaudit.models.training.ensemble import Member, train_ensemble, why_not_packed
from raiaudit.models.training.ensemble.member import Job
from raiaudit.models.training.ensemble.timing import Trial

ROWS = 1024
LEVELS = (7, 16, 7, 14, 6, 5, 2, 41)  # Adult's categories; six numbers beside them


def split(inputs: object, classes: int, rng: np.random.Generator) -> Split:
    """Labels are coin flips: only the clock matters."""
    count = len(inputs)  # type: ignore[arg-type]
    return Split(pl.Series([str(row) for row in range(count)]), inputs, rng.integers(0, classes, count))


def table() -> Dataset:
    """Rows with Adult's columns."""
    columns = [Column(f"n{i}", "real", -4, 4) for i in range(6)]
    columns += [
        Column(f"c{i}", "category", categories=tuple(map(str, range(count))))
        for i, count in enumerate(LEVELS)
    ]

    def rows(count: int, rng: np.random.Generator) -> Split:
        parts = [rng.normal(size=(count, 6))] + [
            np.eye(width)[rng.integers(0, width, count)] for width in LEVELS
        ]
        return split(np.hstack(parts).astype(np.float32), 2, rng)

    return dataset("table", ("no", "yes"), TableSchema(tuple(columns)), rows)


def images() -> Dataset:
    """Bytes, 28×28."""

    def rows(count: int, rng: np.random.Generator) -> Split:
        return split(rng.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8), 10, rng)

    return dataset("images", tuple("0123456789"), ImageBox((1, 28, 28)), rows)


def texts() -> Dataset:
    """Forty words of two hundred."""
    words = [f"{a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "lmnprstz"]

    def rows(count: int, rng: np.random.Generator) -> Split:
        return split([" ".join(rng.choice(words, 40)) for _ in range(count)], 2, rng)

    return dataset("texts", ("no", "yes"), TokenSpace(vocabulary=300, max_length=40), rows)


def dataset(
    name: str, classes: tuple[str, ...], space: object, rows: Callable[[int, np.random.Generator], Split]
) -> Dataset:
    """Training and validation rows of a seed."""
    rng = np.random.default_rng(0)
    splits = {"train": rows(2 * ROWS, rng), "validation": rows(64, rng)}
    modality = {"table": "tabular", "images": "image", "texts": "text"}[name]
    return Dataset(name, modality, classes, space, splits, digest=name)  # type: ignore[arg-type]


MODELS: dict[str, tuple[Callable[[], Dataset], dict[str, object]]] = {
    "mlp": (table, {"architecture": "mlp"}),
    "ft_transformer": (table, {"architecture": "ft_transformer"}),
    "mlp_image": (images, {"architecture": "mlp"}),
    "cnn": (images, {"architecture": "cnn"}),
    "resnet18": (images, {"architecture": "resnet18", "options": {"width": 16}}),
    "lstm": (texts, {"architecture": "lstm"}),
    "text_transformer": (texts, {"architecture": "text_transformer"}),
}


def cpu_seconds() -> tuple[float, float]:
    """Of this process, and of its children that have ended."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, others.ru_utime + others.ru_stime


def engines(job: Job) -> dict[str, float]:
    """Seconds (of this process) of a member's step by each engine of one process."""
    clock, time.perf_counter = time.perf_counter, time.process_time  # what `Trial` reads
    try:
        trial = Trial(job)
        found = {"serial": trial.serial()}
        why = why_not_packed(job.recipe, trial.classifier, job.dataset.splits["train"].inputs)
        sizes = [size for size in (8, 16) if size <= len(job.members)]
        return found | ({} if why else {f"packed {size}": trial.packed(size) for size in sizes})
    finally:
        time.perf_counter = clock


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=sorted(MODELS), default="mlp")
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--mode", choices=("auto", "packed", "processes"), default="auto")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--engines", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.clock == "cpu" or given.engines:
        torch.set_num_threads(1)
    make, options = MODELS[given.model]
    data = make()
    recipe = Recipe(**options, epochs=given.epochs, batch_size=given.batch)  # type: ignore[arg-type]
    rng = np.random.default_rng(given.seed)
    members = [Member(rng.permutation(2 * ROWS)[:ROWS], number) for number in range(given.members)]
    if given.engines:
        steps = engines(Job(recipe, data, tuple(members), "cpu"))
        print(json.dumps({"model": given.model, "batch": given.batch, "cpu s": steps, "machine": machine()}))
        return
    seconds: dict[str, list[float]] = {"ours": [], "serial": []}
    chosen = ""
    for _ in range(given.repeats):
        for name, mode in (("serial", "serial"), ("ours", given.mode)):
            (own, others), began = cpu_seconds(), time.perf_counter()
            found = train_ensemble(recipe, data, members, device="cpu", mode=mode)  # type: ignore[arg-type]
            wall, (own_then, others_then) = time.perf_counter() - began, cpu_seconds()
            chosen = str(found.choice)
            shared = (others_then - others) / found.choice.engine.workers
            seconds[name].append(wall if given.clock == "wall" else own_then - own + shared)
    report(
        "shadow_ensembles",
        seconds,
        libraries=("torch", "raiaudit"),
        seed=given.seed,
        as_json=given.json,
        model=given.model,
        members=given.members,
        batch=given.batch,
        engine=chosen,
        clock=given.clock,
        load=f"{os.getloadavg()[0]:.1f}",
        speedup=round(float(np.median(np.divide(seconds["serial"], seconds["ours"]))), 2),
    )


if __name__ == "__main__":
    main()
