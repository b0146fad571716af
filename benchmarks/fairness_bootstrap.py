"""Six fairness metrics of five groups over a million predictions, with 1,000 bootstrap replicates of each.

Ours counts once and resamples the cells (a multinomial draw, distributed as the bootstrap of the rows is);
the time includes the counting and the percentile intervals of all groups and gaps. Beside it:

- a competent numpy bootstrap of the rows: rows encoded as cell numbers in one byte, resampled by one `take`
  and one `bincount` a replicate. A few replicates are timed; 1,000 are extrapolated;
- fairlearn's MetricFrame with the same six metrics: the point estimate is timed; of 1,000 bootstraps (as
  many MetricFrames over resampled rows) the same is extrapolated.

`python benchmarks/fairness_bootstrap.py [--rows N] [--repeats R] [--clock wall|cpu] [--json]`. In the
JSON line `ours` and `peers` are seconds for all 1,000 replicates; `measured` has what was timed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import polars as pl
from common import report

from raiaudit.audit.fairness.by_group.metrics import RATES, Confusion, right
from raiaudit.audit.fairness.counting.tally import Tally

SEED = 7
BOOTSTRAPS = 1000
GROUPS = 5
ROW_REPLICATES = 5
CHECKED = 100
METRICS = ("selection_rate", "true_positive_rate", "false_positive_rate", "positive_predictive_value")
LIBRARIES = ("raiaudit", "numpy", "polars", "fairlearn", "pandas", "scikit-learn")

Quantiles = tuple[np.ndarray, np.ndarray]


def rows(n: int) -> pl.DataFrame:
    """Groups of unequal size and base rate, predictions right four times out of five."""
    rng = np.random.default_rng(SEED)
    group = rng.choice(GROUPS, n, p=[0.45, 0.25, 0.15, 0.1, 0.05])
    label = (rng.random(n) < 0.3 + 0.05 * group).astype(np.int8)
    predicted = np.where(rng.random(n) < 0.8, label, 1 - label).astype(np.int8)
    names = pl.Series([f"group {index}" for index in range(GROUPS)], dtype=pl.Categorical)
    return pl.DataFrame({"group": names.gather(group), "label": label, "predicted": predicted})


def six_metrics(counts_BGKK: np.ndarray) -> np.ndarray:
    """(…, 6, G): accuracy, balanced accuracy and the rates of `METRICS`."""
    confusion = Confusion.of(counts_BGKK, 1)
    rates = {name: np.divide(*RATES[name].counts(confusion)) for name in (*METRICS, "true_negative_rate")}
    balanced = (rates["true_positive_rate"] + rates.pop("true_negative_rate")) / 2
    return np.stack([np.divide(*right(counts_BGKK)), balanced, *rates.values()], axis=-2)


def intervals(replicates_B6G: np.ndarray) -> Quantiles:
    """95 % percentile limits of each group's value and of max − min."""
    gaps_B6 = np.ptp(replicates_B6G, axis=-1)
    whole = np.concatenate([replicates_B6G, gaps_B6[..., None]], axis=-1)
    low, high = np.quantile(whole, [0.025, 0.975], axis=0)
    return low, high


def ours(frame: pl.DataFrame) -> Quantiles:
    """Counted, resampled, quantiles taken."""
    renamed = frame.rename({"group": "g"})
    cells = Tally.of(renamed, attributes=["g"], classes=("no", "yes"), positive=1).cells("g")
    return intervals(six_metrics(cells.resample(np.random.default_rng(SEED), BOOTSTRAPS)))


def numpy_rows(frame: pl.DataFrame, replicates: int) -> np.ndarray:
    """The rows themselves resampled: the quickest numpy we know."""
    rng, n = np.random.default_rng(SEED), frame.height
    group = frame["group"].to_physical().to_numpy()
    cell = (group * 4 + frame["label"].to_numpy() * 2 + frame["predicted"].to_numpy()).astype(np.uint8)
    drawn = [
        np.bincount(cell.take(rng.integers(0, n, n, dtype=np.uint32)), minlength=4 * GROUPS)
        for _ in range(replicates)
    ]
    return six_metrics(np.stack(drawn).reshape(replicates, GROUPS, 2, 2))


def metric_frame(frame: pl.DataFrame) -> object:
    """fairlearn's six, by group."""
    from fairlearn import metrics as fl
    from sklearn import metrics as sk

    functions: dict[str, Callable[..., Any]] = {
        "accuracy": sk.accuracy_score,
        "balanced_accuracy": sk.balanced_accuracy_score,
        "selection_rate": fl.selection_rate,
        "true_positive_rate": fl.true_positive_rate,
        "false_positive_rate": fl.false_positive_rate,
        "positive_predictive_value": sk.precision_score,
    }
    label, predicted = frame["label"].to_numpy(), frame["predicted"].to_numpy()
    groups = frame["group"].cast(pl.String).to_numpy()
    return fl.MetricFrame(
        metrics=functions, y_true=label, y_pred=predicted, sensitive_features=groups
    ).by_group


def clocked(function: Callable[[], object], clock: str) -> float:
    """Seconds that went by, or of processor time."""
    now = time.process_time if clock == "cpu" else time.perf_counter
    began = now()
    function()
    return now() - began


def main() -> None:
    """Time them in turns, and check that ours and the rows' bootstrap say the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    frame = rows(chosen.rows)
    low, high = ours(frame)
    spread = numpy_rows(frame, CHECKED).std(axis=0, ddof=1)
    agreement = float(np.mean((high - low)[:, :GROUPS] / 3.92 / spread))
    try:
        from fairlearn.metrics import MetricFrame  # noqa: F401 — whether it is there
    except ImportError:
        missing = ["fairlearn"]
    else:
        missing = []
    seconds: dict[str, list[float]] = {"ours": [], "numpy row bootstrap": []}
    point: list[float] = []
    for _ in range(chosen.repeats):
        seconds["ours"].append(clocked(lambda: ours(frame), chosen.clock))
        each = clocked(lambda: numpy_rows(frame, ROW_REPLICATES), chosen.clock) / ROW_REPLICATES
        seconds["numpy row bootstrap"].append(each * BOOTSTRAPS)
    if not missing:
        point = [clocked(lambda: metric_frame(frame), chosen.clock) for _ in range(min(2, chosen.repeats))]
        middle = min(point)
        seconds["fairlearn MetricFrame"] = [middle * BOOTSTRAPS] * chosen.repeats
    measured = {
        "ours": seconds["ours"],
        "numpy row bootstrap, one replicate": [s / BOOTSTRAPS for s in seconds["numpy row bootstrap"]],
        "fairlearn MetricFrame, point estimate": point,
    }
    report(
        "fairness_bootstrap",
        seconds,
        libraries=LIBRARIES,
        seed=SEED,
        missing=missing,
        as_json=chosen.json,
        rows=chosen.rows,
        clock=chosen.clock,
        extrapolated=f"peers: {ROW_REPLICATES} replicates and 1 point estimate timed, times {BOOTSTRAPS}",
        measured=measured,
        mean_ratio_of_standard_errors_to_the_row_bootstrap=agreement,
    )


if __name__ == "__main__":
    main()
