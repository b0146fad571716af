"""The whole lattice of four attributes from a Parquet file of 10M predictions, beside group-bys.

    python benchmarks/fairness_lattice.py [--rows 10000000] [--repeats 3] [--clock wall|cpu] [--scores]
        [--peers polars pandas fairlearn] [--json]

Ours goes from the file to findings: counting, 1,133 subgroups × 6 metrics compared in two halves, tests,
correction, attribution and the table. The peers only make point estimates. `polars` and `pandas` group the
rows by each of the 15 sets of attributes once and count all outcomes in one go, which is what a competent
analyst would write. fairlearn's MetricFrame does the 15 sets once on 20,000 of the rows, not extrapolated:
most of its time goes into the number of groups. Each contestant runs in a process of its own, whose peak
memory is reported; reading the file counts, imports do not. `--clock cpu` counts what all threads computed.
Wanted: ≤ 5 s and ≤ 1.5 GB. The file is written to a temporary folder and deleted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

LEVELS = {"sex": 2, "race": 5, "age": 6, "region": 8}
SETS = [chosen for size in range(1, 5) for chosen in combinations(LEVELS, size)]
CHUNK = 1_000_000
SAMPLE = 20_000
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}


def write(path: Path, rows: int, seed: int, *, scores: bool) -> None:
    """Correlated attributes; women of race r1 are right 3 points less often than the 85 % of everyone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        codes = {name: np.minimum(rng.geometric(1.5 / k, n) - 1, k - 1) for name, k in LEVELS.items()}
        codes["race"] = (codes["race"] + codes["sex"]) % LEVELS["race"]
        harmed = (codes["sex"] == 1) & (codes["race"] == 1)
        label = rng.integers(2, size=n).astype(np.int8)
        wrong = rng.random(n) < 0.15 + 0.03 * harmed
        columns = {
            name: pa.DictionaryArray.from_arrays(
                code.astype(np.int8), [f"{name[0]}{i}" for i in range(LEVELS[name])]
            )
            for name, code in codes.items()
        }
        columns |= {"label": pa.array(label), "predicted": pa.array(np.where(wrong, 1 - label, label))}
        if scores:
            columns["score"] = pa.array(rng.beta(2, 2, n).astype(np.float32))
        batch = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd")
        writer.write_table(batch)
    if writer is not None:
        writer.close()


def ours(path: Path, seed: int, now: Clock) -> dict[str, object]:
    """File → tally → findings."""
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.fairness.subgroups.subgroups import SubgroupsConfig, subgroup_findings

    began = now()
    tally = Tally.of(pl.scan_parquet(path), attributes=tuple(LEVELS), classes=("no", "yes"), positive=1)
    counted = now()
    found = subgroup_findings(tally, SubgroupsConfig(), seed=seed)
    done = now()
    named = {m.where["subgroup"]: m.value for m in found.measurements if m.metric == "confirmed_gap"}
    return {
        "seconds": done - began,
        "counting": counted - began,
        "subgroups": found.measurements[0].value,
        "confirmed": named,
    }


def with_polars(path: Path, seed: int, now: Clock) -> dict[str, object]:
    """One group-by a set of attributes over the rows in memory."""
    began = now()
    rows = pl.read_parquet(path, columns=[*LEVELS, "label", "predicted"])
    y, p = pl.col("label") == 1, pl.col("predicted") == 1
    counts = {"tp": (y & p).sum(), "fp": (~y & p).sum(), "fn": (y & ~p).sum(), "tn": (~y & ~p).sum()}
    groups = sum(rows.group_by(*chosen).agg(**counts).height for chosen in SETS)
    return {"seconds": now() - began, "subgroups": groups}


def with_pandas(path: Path, seed: int, now: Clock) -> dict[str, object]:
    """The same with pandas, its attributes as categories and the outcomes as one column."""
    import pandas as pd

    began = now()
    rows = pd.read_parquet(path, columns=[*LEVELS, "label", "predicted"])
    rows["outcome"] = rows["label"] * 2 + rows["predicted"]
    groups = 0
    for chosen in SETS:
        counts = rows.groupby([*chosen, "outcome"], observed=True).size().unstack(fill_value=0)
        groups += len(counts)
    return {"seconds": now() - began, "subgroups": groups}


def with_fairlearn(path: Path, seed: int, now: Clock) -> dict[str, object]:
    """MetricFrame on a sample."""
    from fairlearn import metrics as fl
    from sklearn.metrics import accuracy_score, precision_score

    rows = pl.read_parquet(path, columns=[*LEVELS, "label", "predicted"])
    part = rows.sample(SAMPLE, seed=seed).to_pandas()
    functions = {
        "accuracy": accuracy_score,
        "selection_rate": fl.selection_rate,
        "true_positive_rate": fl.true_positive_rate,
        "false_positive_rate": fl.false_positive_rate,
        "positive_predictive_value": lambda y, p: precision_score(y, p, zero_division=np.nan),
        "negative_predictive_value": lambda y, p: precision_score(1 - y, 1 - p, zero_division=np.nan),
    }
    began, groups = now(), 0
    for chosen in SETS:
        frame = fl.MetricFrame(
            metrics=functions,
            y_true=part["label"],
            y_pred=part["predicted"],
            sensitive_features=part[list(chosen)].astype(str),
        )
        groups += len(frame.by_group.dropna(how="all"))
    return {"seconds": now() - began, "subgroups": groups}


CONTESTANTS: dict[str, tuple[Callable[[Path, int, Clock], dict[str, object]], str]] = {
    "ours": (ours, "raiaudit"),
    "polars": (with_polars, "polars"),
    "pandas": (with_pandas, "pandas"),
    "fairlearn": (with_fairlearn, "fairlearn"),
}


def peak() -> float:
    """Gigabytes this process has held at most (Linux). `ru_maxrss` would include its parent's."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1e6


PEERS = [name for name in CONTESTANTS if name != "ours"]


def measured(name: str, path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One contestant in a process of its own; `gigabytes` is its peak resident memory."""
    options = ["--one", name, "--file", str(path), "--seed", str(arguments.seed), "--clock", arguments.clock]
    command = [sys.executable, "-W", "ignore", __file__, *options]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--scores", action="store_true", help="the file has scores, and they are binned")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        found = CONTESTANTS[arguments.one][0](arguments.file, arguments.seed, CLOCKS[arguments.clock])
        print(json.dumps({**found, "gigabytes": peak()}))
        return
    # Imports torch, which a measured process must not hold.
    from common import report

    asked = ["ours", *arguments.peers]
    able = [name for name in asked if importlib.util.find_spec(CONTESTANTS[name][1])]
    quick = [name for name in able if name != "fairlearn"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        write(path, arguments.rows, arguments.seed, scores=arguments.scores)
        megabytes = path.stat().st_size / 1e6
        slow = measured("fairlearn", path, arguments) if "fairlearn" in able else None
        turns = [
            {name: measured(name, path, arguments) for name in (quick if turn % 2 else reversed(quick))}
            for turn in range(arguments.repeats)
        ]
    seconds = {name: [turn[name]["seconds"] for turn in turns] for name in quick}
    if slow:
        seconds["fairlearn"] = [slow["seconds"]] * arguments.repeats
    report(
        "fairness_lattice",
        seconds,
        libraries=("raiaudit", "polars", "pandas", "fairlearn", "numpy"),
        seed=arguments.seed,
        missing=[name for name in asked if name not in able],
        as_json=arguments.json,
        rows=arguments.rows,
        file_megabytes=round(megabytes),
        seconds_of_counting=[round(turn["ours"]["counting"], 2) for turn in turns],
        peak_gigabytes={name: round(max(turn[name]["gigabytes"] for turn in turns), 2) for name in quick},
        subgroups={name: turns[0][name]["subgroups"] for name in quick},
        confirmed=turns[0]["ours"]["confirmed"],
        fairlearn_rows=SAMPLE,
        clock=arguments.clock,
    )


if __name__ == "__main__":
    main()
