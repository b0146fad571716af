"""Integrated gradients, its nodes where they are needed, against captum's at the same completeness.

    python benchmarks/integrated_gradients.py [--images 32] [--side 28] [--repeats 3] [--json]

A convolutional network of random weights. Captum's default asks for 50 nodes of all images at once. The
completeness error is |Σ a − (f(x) − f(0))| / Σ|a|; ours is given the largest tolerance with which neither the
mean nor the largest error exceeds captum's. Memory is the most that is resident beyond what was before the
call (Linux), each contestant in a process of its own, for as many images and for four times as many.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from pathlib import Path

import torch
from captum.attr import IntegratedGradients
from common import interleaved, report
from torch import Tensor

from raiaudit.audit.explanations.methods.integrated_gradients import integrated_gradients
from raiaudit.models.architectures.cnn import ConvNet


def network_of(side: int, seed: int) -> ConvNet:
    """The network, the same for everyone."""
    torch.manual_seed(seed)
    return ConvNet([1, side, side], 10).eval().requires_grad_(False)


def ours(network: ConvNet, x: Tensor, target_B: Tensor, tolerance: float) -> Tensor:
    """Attributions with 16 nodes, and more where they do not add up."""
    return integrated_gradients(
        lambda points, _rows: network(points), x, torch.zeros_like(x), target_B, tolerance=tolerance
    ).values


def captums(network: ConvNet, x: Tensor, target_B: Tensor, batch: int | None = None) -> Tensor:
    """Attributions by its default of 50 nodes, or in batches of its own."""
    found: Tensor = IntegratedGradients(network).attribute(x, target=target_B, internal_batch_size=batch)
    return found


def completeness(network: ConvNet, x: Tensor, target_B: Tensor, values: Tensor) -> Tensor:
    """|Σ a − gap| / Σ|a| of each image."""
    with torch.no_grad():
        gap_B = (network(x) - network(torch.zeros_like(x))).gather(1, target_B[:, None])[:, 0].double()
    flat = values.detach().flatten(1).double()
    error_B: Tensor = (flat.sum(1) - gap_B).abs() / flat.abs().sum(1)
    return error_B


def resident(what: str) -> int:
    """KiB of this process: now (VmRSS) or at most so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def peak(contestant: str, images: int, side: int, seed: int, tolerance: float) -> float:
    """MiB a process of its own holds at most beyond what it held before; measured by running this file."""
    asked = [sys.executable, str(Path(__file__)), "--peak", contestant, "--images", str(images)]
    asked += ["--side", str(side), "--seed", str(seed), "--tolerance", str(tolerance)]
    answer = subprocess.run(asked, check=True, capture_output=True, text=True)
    return float(json.loads(answer.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tolerance", type=float, default=0.01, help=argparse.SUPPRESS)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    network = network_of(asked.side, asked.seed)
    x = torch.rand(asked.images, 1, asked.side, asked.side)
    target_B = torch.arange(asked.images) % 10
    if asked.peak:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here
        before = resident("VmRSS")
        if asked.peak == "ours":
            ours(network, x, target_B, asked.tolerance)
        else:
            captums(network, x, target_B)
        print(json.dumps((resident("VmHWM") - before) / 1024))
        return
    theirs_B = completeness(network, x, target_B, captums(network, x, target_B))
    tolerance = float(theirs_B.max())
    while True:
        ours_B = completeness(network, x, target_B, ours(network, x, target_B, tolerance))
        if ours_B.max() <= theirs_B.max() and ours_B.mean() <= theirs_B.mean():
            break
        tolerance *= 0.9
    seconds = interleaved(
        {
            "ours": lambda: ours(network, x, target_B, tolerance),
            "captum": lambda: captums(network, x, target_B),
            "captum, 256 at once": lambda: captums(network, x, target_B, 256),
        },
        repeats=asked.repeats,
        clock="cpu",
    )
    report(
        f"integrated_gradients: {asked.images} images of {asked.side}×{asked.side}, CPU seconds",
        seconds,
        libraries=("torch", "captum"),
        seed=asked.seed,
        as_json=asked.json,
        completeness_mean={"ours": float(ours_B.mean()), "captum": float(theirs_B.mean())},
        completeness_max={"ours": float(ours_B.max()), "captum": float(theirs_B.max())},
        peak_mib={
            f"{name}, {images} images": round(peak(name, images, asked.side, asked.seed, tolerance))
            for name in ("ours", "captum")
            for images in (asked.images, 4 * asked.images)
        },
    )


if __name__ == "__main__":
    main()
