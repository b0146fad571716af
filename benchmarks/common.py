"""What every benchmark here shares: the clock, the machine line, the one-line JSON and the table.

Ours and its peers run in one process, in turns, so that a noisy neighbour slows them alike; a ratio is the
median over turns of ours / peer (below 1: ours is quicker).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

__all__ = ["interleaved", "machine", "report", "versions"]


def interleaved(
    contestants: Mapping[str, Callable[[], object]], *, repeats: int, clock: str = "wall"
) -> dict[str, list[float]]:
    """Seconds of each contestant in each of `repeats` rounds, after one round unmeasured to warm up.

    Every other round runs backwards, so that nobody always goes first. `clock` "cpu" counts what this process
    computed, which a busy machine hardly changes, instead of the time that went by.
    """
    now = time.process_time if clock == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(repeats + 1):
        for name in names if turn % 2 else reversed(names):
            began = now()
            contestants[name]()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                seconds[name].append(now() - began)
    return seconds


def machine() -> str:
    """Processor, threads and accelerator."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 — not a path of ours
            model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    except OSError:
        pass
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads{device}"


def versions(names: Sequence[str]) -> dict[str, str]:
    """Versions of the distributions that are installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def report(
    name: str,
    seconds: Mapping[str, Sequence[float]],
    *,
    libraries: Sequence[str],
    seed: int,
    missing: Sequence[str] = (),
    as_json: bool,
    **more: Any,
) -> None:
    """Print one JSON line, or a table. `seconds["ours"]` is held against every other entry."""
    peers = [peer for peer in seconds if peer != "ours"]
    ratio = {
        peer: statistics.median(
            ours / theirs for ours, theirs in zip(seconds["ours"], seconds[peer], strict=True)
        )
        for peer in peers
    }
    middle = {contestant: statistics.median(values) for contestant, values in seconds.items()}
    if as_json:
        line = {
            "name": name,
            "ours": middle["ours"],
            "peers": {peer: middle[peer] for peer in peers},
            "ratio": ratio,
            "machine": machine(),
            "versions": versions(libraries),
            "seed": seed,
            "missing": list(missing),
            **more,
        }
        print(json.dumps(line))
        return
    print(f"{name}: {machine()}")
    print(", ".join(f"{library} {number}" for library, number in versions(libraries).items()), f"seed {seed}")
    for key, value in more.items():
        print(f"{key}: {value}")
    print(f"{'':<28}{'median s':>10}{'best s':>10}{'ours / it':>11}")
    for contestant, values in seconds.items():
        against = "" if contestant == "ours" else f"{ratio[contestant]:>11.3f}"
        print(f"{contestant:<28}{middle[contestant]:>10.4f}{min(values):>10.4f}{against}")
    for peer in missing:
        print(f"{peer:<28}{'not importable, left out':>31}")
