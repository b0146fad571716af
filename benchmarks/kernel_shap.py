"""KernelSHAP with one design for all rows against captum's, which solves each row anew, and exact Shapley.

    python benchmarks/kernel_shap.py [--rows 100] [--features 14] [--samples 200] [--repeats 3] [--json]

A small network of random weights, the same number of coalitions for everyone. The error is the root mean
square distance to exact Shapley values over rows and features, of the last round (captum draws anew).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
import torch
from captum.attr import KernelShap
from common import interleaved, report
from torch import Tensor, nn

from raiaudit.audit.explanations.methods.shapley import ExactShapley, KernelSHAP
from raiaudit.audit.explanations.methods.views import View


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--features", type=int, default=14)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(asked.seed)
    network = nn.Sequential(nn.Linear(asked.features, 32), nn.GELU(), nn.Linear(32, 32), nn.Tanh())
    network.append(nn.Linear(32, 3)).requires_grad_(False)
    x, target_B = torch.randn(asked.rows, asked.features), torch.arange(asked.rows) % 3
    view = View(
        x=x,
        baseline=torch.zeros_like(x),
        feature_E=torch.arange(asked.features),
        present_BF=torch.ones(x.shape, dtype=torch.bool),
        logits=lambda points, _rows: network(points),
        names=None,
    )
    rngs = [np.random.default_rng(row) for row in range(asked.rows)]
    found: dict[str, Tensor] = {}

    def ours() -> None:
        found["ours"] = KernelSHAP(samples=asked.samples).explain(view, target_B, rngs=rngs).scores_BF

    def exact() -> None:
        found["exact"] = ExactShapley().explain(view, target_B, rngs=rngs).scores_BF

    def captum(at_once: int) -> Callable[[], None]:
        def ask() -> None:
            found[f"captum, {at_once} at once"] = KernelShap(network).attribute(
                x, target=target_B, n_samples=asked.samples, perturbations_per_eval=at_once
            )

        return ask

    contestants: dict[str, Callable[[], object]] = {
        "ours": ours,
        "captum, 1 at once": captum(1),
        f"captum, {asked.samples} at once": captum(asked.samples),
        "exact": exact,
    }
    seconds = interleaved(contestants, repeats=asked.repeats, clock="cpu")
    error = {
        name: float((values.double() - found["exact"]).square().mean().sqrt())
        for name, values in found.items()
        if name != "exact"
    }
    report(
        f"kernel_shap: {asked.rows} rows × {asked.features} features × {asked.samples} samples, CPU seconds",
        seconds,
        libraries=("torch", "captum"),
        seed=asked.seed,
        as_json=asked.json,
        rmse={name: round(value, 5) for name, value in error.items()},
        rmse_scale=round(float(found["exact"].square().mean().sqrt()), 5),
    )


if __name__ == "__main__":
    main()
