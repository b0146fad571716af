"""Faithfulness metrics of 128 maps of 28×28 pictures: ours from one trace, Quantus' from six calls.

Ours: deletion, insertion, AOPC, pixel flipping, monotonicity, comprehensiveness and sufficiency, read off one
trace of 28 steps. Quantus 0.6 gets the same model, maps, baseline (zeros) and 28 pixels a step:

- PixelFlipping of the probability, and the same of the maps' negative: deletion and insertion. The definition
  is ours but for the unperturbed start, which Quantus leaves out; `largest_difference` does too. (It returns
  curves here: its own area calls `numpy.trapz`, which NumPy no longer has.)
- PixelFlipping of the logit: likewise the same curve as ours.
- RegionPerturbation (AOPC): its regions are patches of 5×5, ours are pixels: another number.
- Monotonicity: 0.6 fills baseline into a picture of baseline: nothing changes, every map is monotone.
- Sufficiency as ERASER has it, Quantus lacks (its own compares maps of examples): PixelFlipping of the maps'
  negative once more, read at the four shares. Who keeps the curves of one call for the next saves calls.

`--metrics shared` times Quantus on the four that agree alone, ours on all seven as ever.
`python benchmarks/faithfulness.py [--examples N] [--repeats R] [--threads T] [--clock wall|cpu]
[--metrics all|shared] [--json]`. Times are seconds for all metrics together.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from common import interleaved, report

from raiaudit.audit.explanations.methods.views import View
from raiaudit.audit.explanations.quality.perturbation import ranking
from raiaudit.audit.explanations.quality.trace_metrics import TRACE_METRICS
from raiaudit.audit.explanations.quality.traces import Trace, perturb
from raiaudit.models.architectures.cnn import ConvNet

SEED = 7
SIDE = 28
STEPS = 28
LIBRARIES = ("raiaudit", "torch", "numpy", "quantus")
Metrics = dict[str, np.ndarray]


def setting(examples: int) -> tuple[ConvNet, torch.Tensor, np.ndarray, np.ndarray]:
    """An untrained network (time does not depend on weights), pictures, its predictions, input × gradient."""
    torch.manual_seed(SEED)
    network = ConvNet([1, SIDE, SIDE], 10).eval()
    x = torch.rand(examples, 1, SIDE, SIDE)
    point = x.clone().requires_grad_()
    logits = network(point)
    target_B = logits.argmax(1)
    (gradient,) = torch.autograd.grad(logits.gather(1, target_B[:, None]).sum(), point)
    return network, x, target_B.numpy(), (gradient * x).detach().numpy()


def ours(network: ConvNet, x: torch.Tensor, target_B: np.ndarray, maps: np.ndarray) -> tuple[Trace, Metrics]:
    """Ranked once, walked once."""
    present = torch.ones(len(x), SIDE * SIDE, dtype=torch.bool)
    view = View(
        x=x,
        baseline=torch.zeros_like(x),
        feature_E=torch.arange(SIDE * SIDE),
        present_BF=present,
        logits=lambda points, _rows: network(points),
        names=None,
    )
    rngs = [np.random.default_rng([SEED, row]) for row in range(len(x))]
    rank_BF = ranking(maps.reshape(len(x), -1).astype(np.float64), present.numpy(), rngs)
    (trace,) = perturb(view, [rank_BF], torch.from_numpy(target_B), levels=STEPS)
    return trace, {name: metric.of(trace) for name, metric in TRACE_METRICS.items()}


def quantus_calls(
    network: ConvNet, x: torch.Tensor, target_B: np.ndarray, maps: np.ndarray, *, shared: bool
) -> Callable[[], Metrics]:
    """The six calls (or the four that agree), each of all examples. Raises `ImportError` without Quantus."""
    import quantus

    plain: dict[str, Any] = {
        "abs": False,
        "normalise": False,
        "disable_warnings": True,
        "display_progressbar": False,
    }
    flip = {**plain, "features_in_step": STEPS, "perturb_baseline": 0.0}
    flipping = quantus.PixelFlipping(**flip)
    region = quantus.RegionPerturbation(**plain, patch_size=5, regions_evaluation=STEPS, perturb_baseline=0.0)
    monotone = quantus.Monotonicity(**plain, features_in_step=STEPS, perturb_baseline=0.0)
    data: dict[str, Any] = {
        "model": network,
        "x_batch": x.numpy(),
        "y_batch": target_B,
        "device": "cpu",
        "batch_size": 128,
    }
    calls: dict[str, Callable[[], Any]] = {
        "deletion_auc": lambda: flipping(**data, a_batch=maps, softmax=True),
        "insertion_auc": lambda: flipping(**data, a_batch=-maps, softmax=True),
        "pixel_flipping": lambda: flipping(**data, a_batch=maps, softmax=False),
        "sufficiency": lambda: flipping(**data, a_batch=-maps, softmax=True),
    }
    if not shared:
        calls |= {
            "aopc": lambda: region(**data, a_batch=maps, softmax=True),
            "monotonicity": lambda: monotone(**data, a_batch=maps, softmax=True),
        }
    return lambda: {name: np.asarray(call(), dtype=object) for name, call in calls.items()}


def largest_difference(trace: Trace, theirs: Metrics) -> dict[str, float]:
    """Of areas that share a definition: without the unperturbed start and in steps, as Quantus has them."""
    curves = {
        "deletion_auc": trace.most_BT,
        "insertion_auc": trace.least_BT,
        "pixel_flipping": trace.logit_BT,
        "sufficiency": trace.least_BT,
    }
    return {
        name: float(np.abs(np.trapezoid(curve[:, 1:] - theirs[name].astype(float), axis=1)).max())
        for name, curve in curves.items()
    }


def main() -> None:
    """Time both in turns, and compare what is comparable."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--metrics", choices=("all", "shared"), default="all")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    inputs = setting(chosen.examples)
    contestants: dict[str, Callable[[], object]] = {"ours": lambda: ours(*inputs)}
    missing, differences = [], {}
    try:
        calls = quantus_calls(*inputs, shared=chosen.metrics == "shared")
    except ImportError:
        missing = ["quantus"]
    else:
        contestants["quantus"] = calls
        differences = largest_difference(ours(*inputs)[0], calls())
    report(
        "faithfulness",
        interleaved(contestants, repeats=chosen.repeats, clock=chosen.clock),
        libraries=LIBRARIES,
        seed=SEED,
        missing=missing,
        as_json=chosen.json,
        examples=chosen.examples,
        steps=STEPS,
        clock=chosen.clock,
        metrics=chosen.metrics,
        largest_difference_of_shared_areas=differences,
    )


if __name__ == "__main__":
    main()
