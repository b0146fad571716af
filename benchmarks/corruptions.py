"""What a corrupted image costs: ours, a batch at once, beside imagecorruptions, one image after another.

    python benchmarks/corruptions.py [--side 32] [--batch 256] [--severity 3] [--repeats 5] [--json]

Both corrupt at the parameters of ImageNet-C, the only ones the peer has, whatever the size; ours alone
would take the milder ones of CIFAR-10-C below 64 pixels. All seconds are for one image; the total is over
the corruptions, which a few dear ones decide, so the ratio of each corruption is listed too, with their
geometric mean. The peer asks numpy and scikit-image for two names that newer versions lack; they are given
back to it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import math
import statistics
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from common import interleaved, report

from raiaudit.attacks.corruptions import CORRUPTIONS, severities

PEER = "imagecorruptions"


def peer() -> Any | None:
    """The peer's module, made to run; None where it is not installed."""
    if not importlib.util.find_spec(PEER):
        return None
    warnings.simplefilter("ignore")
    if not hasattr(np, "float_"):
        setattr(np, "float_", np.float64)  # noqa: B010 — numpy's stubs do not know the name any more
    module = importlib.import_module(PEER)
    gaussian = sys.modules[f"{PEER}.corruptions"].gaussian

    def with_channels(image: Any, sigma: Any, *, multichannel: bool = False, **options: Any) -> Any:
        return gaussian(image, sigma, channel_axis=-1 if multichannel else None, **options)

    sys.modules[f"{PEER}.corruptions"].gaussian = with_channels  # type: ignore[attr-defined]  # its own name
    return module


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--peer-images", type=int, default=8, help="images of a round that the peer corrupts")
    parser.add_argument("--severity", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    np.random.seed(arguments.seed)
    severities.SMALL_BELOW = 0

    generator = torch.Generator().manual_seed(arguments.seed)
    levels = torch.randint(0, 256, (arguments.batch, 3, arguments.side, arguments.side), generator=generator)
    x_BCHW = levels.float() / 255
    images = list(levels[: arguments.peer_images].permute(0, 2, 3, 1).to(torch.uint8).numpy())
    theirs = peer()

    def loop(name: str) -> None:
        assert theirs is not None
        for image in images:
            theirs.corrupt(image, severity=arguments.severity, corruption_name=name)

    totals: dict[str, list[float]] = {}
    speed_up = {}
    for name, corruption in CORRUPTIONS.items():
        contestants: dict[str, Callable[[], object]] = {}
        contestants["ours"] = partial(corruption, x_BCHW, arguments.severity, seed=arguments.seed)
        if theirs is not None:
            contestants[PEER] = partial(loop, name)
        seconds = interleaved(contestants, repeats=arguments.repeats, clock=arguments.clock)
        each = {
            who: [s / (len(x_BCHW) if who == "ours" else len(images)) for s in seconds[who]]
            for who in seconds
        }
        for who, turns in each.items():
            so_far = totals.setdefault(who, [0.0] * len(turns))
            totals[who] = [a + b for a, b in zip(so_far, turns, strict=True)]
        if theirs is not None:
            pairs = zip(each[PEER], each["ours"], strict=True)
            speed_up[name] = round(statistics.median(a / b for a, b in pairs), 2)
    more: dict[str, Any] = {}
    if speed_up:
        mean = math.exp(statistics.fmean(math.log(ratio) for ratio in speed_up.values()))
        more = {"speed_up": speed_up, "geometric_mean_speed_up": round(mean, 2)}
    report(
        "corruptions",
        totals,
        libraries=("torch", PEER, "numpy", "scikit-image", "opencv-python", "raiaudit"),
        seed=arguments.seed,
        missing=() if theirs is not None else (PEER,),
        as_json=arguments.json,
        images=f"{arguments.side}×{arguments.side}×3, batch {arguments.batch}, severity {arguments.severity}",
        clock=arguments.clock,
        **more,
    )


if __name__ == "__main__":
    main()
