"""What real runs took, in units of what `raiaudit validate` estimates: seconds over the middle estimate.

    python benchmarks/forecast.py HOME        # a state folder with finished runs; their specs must be there

A check that stands several times in a spec is taken together. Below a second on both sides says nothing and
is left out. Times are those of the journal: with other work on the machine they are long.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from raiaudit.audit.forecast.forecast import Seconds, forecast
from raiaudit.audit.forecast.speeds import SPREAD
from raiaudit.audit.spec import load_spec

_LEAST = 1.0  # seconds


def taken(run: Path) -> dict[str, float]:
    """Seconds by check, and of training, as the journal has them."""
    seconds: dict[str, float] = defaultdict(float)
    for line in (run / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] in ("task_finished", "check_finished"):
            seconds[event["check"]] += event["seconds"]
        elif event["event"] == "trained":
            seconds["training"] += event["seconds"]
    return dict(seconds)


def expected(spec: Path, model: str) -> dict[str, float]:
    """The middle of the estimates for a model, by check, and for its training."""

    def middle(seconds: Seconds | None) -> float:
        return 0.0 if seconds is None else seconds[0] * SPREAD

    found: dict[str, float] = defaultdict(float)
    for told in forecast(load_spec(spec)).models:
        if told.model == model:
            found["training"] += middle(told.training)
            for check in told.checks:
                found[check.check] += middle(check.seconds)
    return dict(found)


def main() -> None:
    """One line a run and check, then how the ratios lie."""
    ratios = []
    for run in sorted(Path(sys.argv[1]).glob("runs/*")):
        header = json.loads((run / "header.json").read_text())
        spec = Path(header["spec_path"])
        if header["status"] != "finished" or header["partial"] or not spec.exists():
            continue
        real, told = taken(run), expected(spec, header["model"])
        for what, seconds in real.items():
            estimate = told.get(what, 0.0)
            if max(seconds, estimate) >= _LEAST and estimate:
                ratios.append(seconds / estimate)
                print(
                    f"{header['model']:26s} {what:28s} {seconds:8.1f} s {estimate:8.1f} s  {ratios[-1]:6.2f}"
                )
    if ratios:
        inside = sum(1 / SPREAD <= ratio <= SPREAD for ratio in ratios)
        print(
            f"{len(ratios)} comparisons: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to "
            f"{max(ratios):.2f}; {inside} within a factor of {SPREAD:g}"
        )


if __name__ == "__main__":
    main()
