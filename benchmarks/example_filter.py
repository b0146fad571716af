"""The Example page over a ledger of 100,000 examples: how long a filter takes, and what the page costs.

    python benchmarks/example_filter.py [--examples 100000] [--json]

The ledger is made up, with the columns and the sizes of shards that an audit of an image classifier with
every check writes: accuracy, calibration and groups in shards of 2,048 rows, three attacks in shards of 500,
fifteen corruptions at five severities, membership signals with eight shadow models, maps of two methods on
2,000 examples. It is read in a process of its own, whose largest size in memory is told.

`open` is the first look at a ledger (every checksum compared), `open again` the same while nothing changed. A
filter is asked for the first time each. `page` draws the whole page as a browser would have it (Streamlit's
AppTest), first with the ledger just opened, then after a click on "Next" and after a change of the filter.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = tuple("0123456789")
CHECKS = {
    "performance.accuracy": 2048,
    "reliability.calibration": 2048,
    "fairness.groups": 2048,
    "robustness.evasion": 500,
}
ATTACKS = ("linf-0.05-pgd", "linf-0.15-pgd", "linf-0.15-autoattack")


def write_ledger(folder: Path, n: int, seed: int) -> None:
    """Made-up rows in real shards."""
    import polars as pl

    from raiaudit.audit.check import Task
    from raiaudit.audit.ledger import Ledger

    rng, ledger = np.random.default_rng(seed), Ledger(folder / "ledger")
    ids = [f"test/{row:06d}" for row in range(n)]
    label = rng.integers(0, len(CLASSES), n)
    predicted = np.where(rng.random(n) < 0.93, label, rng.integers(0, len(CLASSES), n))
    sure = rng.random(n).astype(np.float32)
    groups = {"sex": rng.choice(["f", "m"], n), "race": rng.choice(list("abcde"), n)}

    def put(check: str, task: str, columns: dict[str, Any], size: int, total: int = n) -> None:
        for start in range(0, total, size):
            rows = slice(start, min(total, start + size))
            frame = {"example_id": ids[rows], **{name: values[rows] for name, values in columns.items()}}
            name = f"{task}-{start:07d}"
            ledger.append(Task(check=check, name=name, config={}, version=1), "0" * 32, pl.DataFrame(frame))

    accuracy = {"correct": label == predicted, "predicted": predicted, "label": label, "confidence": sure}
    columns = {f"accuracy.{name}": values for name, values in accuracy.items()}
    columns |= {f"group.{name}": values for name, values in groups.items()}
    put("performance.accuracy", "test", columns, CHECKS["performance.accuracy"])
    columns = {"calibration.confidence": sure, "calibration.correct": label == predicted}
    put("reliability.calibration", "test", {**columns, "calibration.brier": sure**2}, 2048)
    columns = {"fairness.label": label, "fairness.predicted": predicted}
    columns |= {f"fairness.group.{name}": values for name, values in groups.items()}
    put("fairness.groups", "test", columns, 2048)
    for attack in ATTACKS:
        counts = dict.fromkeys(("forwards", "backwards", "found_try", "found_step", "dead_gradients"), label)
        columns = {"broken": rng.random(n) < 0.6, "clean_broken": label != predicted, "norm": sure, **counts}
        columns["margin"] = rng.normal(size=n)
        put("robustness.evasion", attack, {f"evasion.{attack}.{k}": v for k, v in columns.items()}, 500)
    for kind in range(15):
        columns = {f"corruption.c{kind}-{level}.correct": rng.random(n) < 0.8 for level in range(1, 6)}
        put("robustness.corruption", f"c{kind}", columns, n)
    signals = ("phi", "loss", "loss.score", "confidence_logit", "entropy", "modified_entropy")
    columns = {f"membership.{name}": rng.random(n) for name in signals}
    put("privacy.membership", "target", {"membership.member": rng.random(n) < 0.5, **columns}, n)
    for k in range(8):
        at = f"membership.shadow.{k:02d}"
        columns = {f"{at}.phi": rng.normal(size=n), f"{at}.keep": rng.random(n) < 0.5}
        put("privacy.membership", f"shadow-{k}", columns, n)
    explained = min(n, 2000)
    for method in ("integrated_gradients", "saliency"):
        at = f"attribution.{method}"
        maps = rng.normal(size=(explained, 784)).astype(np.float32)
        columns = {f"{at}.deletion": rng.random(explained), f"{at}.profile": maps}
        put("explanations.attribution", method, columns, 50, explained)


def write_run(folder: Path, n: int, seed: int) -> None:
    """What the page reads of a run beside its ledger."""
    from raiaudit.audit.results import CheckOutcome, DataCard, Results, RunHeader, SubjectCard
    from raiaudit.audit.store import Run
    from raiaudit.models.version import TrainingRecord

    run = Run(folder)
    folder.mkdir(parents=True)
    facts = {"id": run.id, "suite": "s", "model": "made-up", "data": "made-up", "modality": "image"}
    times = {"started": "2026-11-21T00:00:00+00:00", "status": "finished", "verdict": "pass"}
    run.write_header(RunHeader.model_validate({**facts, **times, "spec_path": "made-up.yaml"}))
    record = TrainingRecord(
        architecture="cnn", config={}, data_name="made-up", data_digest="0" * 64, recipe=None, seed=0,
        code_version="0", parameters=1, weights_digest="0" * 64, seconds=0.0,
    )  # fmt: skip
    sizes = {"train": n, "validation": 1, "test": n}
    results = Results(
        run=run.id,
        verdict="pass",
        partial=False,
        subject=SubjectCard(name="made-up", version=1, record=record),
        data=DataCard(
            name="made-up", modality="image", classes=CLASSES, digest="0" * 64, sizes=sizes, audited=n,
            groups={"sex": {"f": n // 2, "m": n - n // 2}},
        ),
        seed=seed,
        checks=tuple(CheckOutcome(check=check, question="", status="ran", tasks=1) for check in CHECKS),
        measurements=(),
        verdicts=(),
    )  # fmt: skip
    (folder / "results.json").write_text(results.model_dump_json())
    write_ledger(folder, n, seed)


def measured(folder: Path) -> dict[str, float]:
    """Seconds of each step, and megabytes of this process at its largest."""
    from streamlit.testing.v1 import AppTest

    from raiaudit.audit.store import Run
    from raiaudit.dashboard.examples.finding import ANY_ATTACK, Filter, find
    from raiaudit.dashboard.examples.rows import open_rows

    import_module("raiaudit.dashboard.examples.page")  # a dashboard has loaded it long before
    found: dict[str, float] = {}

    def timed(name: str, step: Callable[[], object]) -> Any:
        began = time.perf_counter()
        result = step()
        found[name] = time.perf_counter() - began
        return result

    rows = timed("open", lambda: open_rows(Run(folder)))
    timed("open again", lambda: open_rows(Run(folder)))
    found["shards"], found["columns"] = len(rows.shards), len(rows.columns)
    filters = {
        "none": Filter(),
        "wrong": Filter(answer="wrong"),
        "broken by any attack, by group, sorted": Filter(
            answer="right", broken=ANY_ATTACK, group="sex", level="f", sort="accuracy.confidence", down=True
        ),
        "part of an id": Filter(find="999"),
        "a class, sorted by a corruption": Filter(label="3", sort="corruption.c3-4.correct"),
    }
    for name, chosen in filters.items():
        timed(f"filter: {name}", partial(find, rows, chosen, CLASSES))
    timed("one example", lambda: rows.of("test/001234"))
    page = AppTest.from_string(_PAGE.format(home=str(folder.parent.parent)), default_timeout=60)
    timed("page", page.run)
    page.button[1].click()
    timed("page after Next", page.run)
    page.selectbox(key="example-answer").set_value("right")
    timed("page after a filter", page.run)
    right = find(rows, Filter(answer="right"), CLASSES)["example_id"][0]
    assert not page.exception
    assert page.selectbox(key="example").value == right
    found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


_PAGE = """
from raiaudit.audit.store import Home
from raiaudit.dashboard.examples import page
page.show(Home.at({home!r}), {{}})
"""


def main() -> None:
    """Make the ledger in one process, read it in another, report from here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(measured(arguments.read)))
        return
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "runs" / "made-up"
        write_run(folder, arguments.examples, arguments.seed)
        command = [sys.executable, __file__, "--read", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if arguments.json:
        from common import machine, versions

        about = {"machine": machine(), "versions": versions(["polars", "streamlit"]), "seed": arguments.seed}
        print(json.dumps({"name": "example_filter", "ours": found, "peers": {}, "ratio": {}, **about}))
        return
    for name, value in found.items():
        print(f"{name:<45}{value:>10.3f}" if isinstance(value, float) else f"{name:<45}{value:>10,}")


if __name__ == "__main__":
    main()
