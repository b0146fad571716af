"""AutoAttack: ours beside the reference implementation and ART's, on models that are and are not robust.

    python benchmarks/autoattack.py [--subjects fashion_robust mnist_robust fashion_plain] [--examples 256]
                                    [--peers reference art] [--version standard] [--precision auto]
                                    [--threads N] [--clock wall|cpu] [--seed 0] [--json]

One run for each subject (`robust_models.py` trains them), the contestants one after another in this process.
Targets beside the reference: robust accuracy at most 0.4 points above it, at least 99 % of the correct images
it broke broken by ours too, and a third of its time, a fifteenth on the undefended model. With 256 images the
reference needs several seconds for each image that survives: plan for twenty minutes a robust subject.

Passes are rows put through the model and rows whose gradient was asked for, read off the module for all.
The reference (fra31/auto-attack) is not on the package index: put its folder on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import torch
from common import report
from evasion_peers import autoattacks, counted, judge
from robust_models import SUBJECTS, Subject, subject
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.images.autoattack import VERSIONS, AutoAttack

_SHARE_OF_TIME = {"fashion_robust": 1 / 3, "mnist_robust": 1 / 3, "fashion_plain": 1 / 15}


def measured(it: Subject, arguments: argparse.Namespace) -> None:
    """Run every contestant once on this subject, and report."""
    attack = AutoAttack(version=arguments.version, precision=arguments.precision, batch_size=arguments.batch)

    def ours() -> Tensor:
        found = attack(
            it.classifier, it.x_BCHW, it.y_B, it.threat, space=it.space, seed=arguments.seed
        ).adversarial
        assert isinstance(found, Tensor)
        return found

    peers, missing = autoattacks(it, batch_size=arguments.batch, seed=arguments.seed)
    peers = {name: peer for name, peer in peers.items() if name in arguments.peers}
    clean_B = judge(it, it.x_BCHW)
    seconds, broken, forwards, backwards = {}, {}, {}, {}
    for name, contestant in {"ours": ours, **peers}.items():
        _warm_up(it)
        with counted(it.classifier) as counts:
            began = _now(arguments.clock)
            try:
                adversarial = contestant()
            except Exception as problem:  # one peer's failure must not cost the minutes of the others
                if name == "ours":
                    raise
                missing.append(f"{name} ({problem!r})")
                continue
            seconds[name] = [_now(arguments.clock) - began]
        broken[name] = judge(it, adversarial)
        forwards[name], backwards[name] = counts.forwards, counts.backwards
    robust = {name: 1 - float(broken_B.float().mean()) for name, broken_B in broken.items()}
    shares = {name: _share(broken["ours"], broken[name] & ~clean_B) for name in seconds if name != "ours"}
    report(
        "autoattack",
        seconds,
        libraries=("torch", "torchattacks", "adversarial-robustness-toolbox", "raiaudit"),
        seed=arguments.seed,
        missing=[name for name in missing if name.split()[0] in arguments.peers],
        as_json=arguments.json,
        subject=f"{it.name}, L∞ {it.threat.eps:g}, {len(it.y_B)} images",
        budget=f"{arguments.version}, {arguments.precision}",
        clock=arguments.clock,
        clean_accuracy=1 - float(clean_B.float().mean()),
        robust_accuracy=robust,
        share_of_theirs_broken_by_ours=shares,
        forwards=forwards,
        backwards=backwards,
        met=_met(it.name, seconds, robust, shares),
    )


def _now(clock: str) -> float:
    """Seconds that went by, or that this process and its children (a compiler, say) computed."""
    return time.perf_counter() if clock == "wall" else sum(os.times()[:4])


def _share(ours_B: Tensor, theirs_B: Tensor) -> float | None:
    """How much of what they broke ours broke as well; None where they broke nothing."""
    return float(ours_B[theirs_B].float().mean()) if bool(theirs_B.any()) else None


def _met(
    name: str, seconds: dict[str, list[float]], robust: dict[str, float], shares: dict[str, float | None]
) -> dict[str, bool]:
    """The targets, each against the reference; empty without it."""
    if "reference" not in seconds:
        return {}
    share = shares["reference"]
    return {
        "robust accuracy at most 0.4 points above": robust["ours"] <= robust["reference"] + 0.004,
        "99 % of its broken images broken": share is None or share >= 0.99,
        "time": seconds["ours"][0] <= _SHARE_OF_TIME[name] * seconds["reference"][0],
    }


def _warm_up(it: Subject) -> None:
    """One pass either way, so that the first contestant does not pay for everybody's first allocations."""
    x = it.x_BCHW.clone().requires_grad_()
    torch.autograd.grad(functional.cross_entropy(it.classifier(x), it.y_B), x)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add: Any = parser.add_argument
    add("--subjects", nargs="+", choices=sorted(SUBJECTS), default=list(SUBJECTS))
    add("--peers", nargs="*", choices=("reference", "art"), default=["reference", "art"])
    add("--examples", type=int, default=256)
    add("--batch", type=int, default=256)
    add("--version", choices=sorted(VERSIONS), default="standard", help="of ours; the peers run standard")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--clock", choices=("wall", "cpu"), default="wall", help="cpu: what a busy machine hardly changes")
    add("--seed", type=int, default=0)
    add("--json", action="store_true", help="one JSON line for each subject")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.subjects:
        measured(subject(name, examples=arguments.examples), arguments)


if __name__ == "__main__":
    main()
