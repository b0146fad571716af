"""The benchmark's six metrics are fairlearn's, and its line is the one others read."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from raiaudit.audit.fairness.counting.tally import Tally

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fairness_bootstrap.py"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="benchmarks are not part of an installed package")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("fairness_bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_contestants_compute_the_same(script: ModuleType) -> None:
    frame = script.rows(4000)
    tally = Tally.of(frame.rename({"group": "g"}), attributes=["g"], classes=("no", "yes"), positive=1)
    ours = script.six_metrics(tally.cells("g").counts)
    theirs = script.metric_frame(frame).to_numpy().T
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    spread = script.numpy_rows(frame, 300).std(axis=0)
    low, high = script.ours(frame)
    assert np.mean((high - low)[:, :5] / 3.92 / spread) == pytest.approx(1, abs=0.06)


def test_it_prints_one_json_line(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fairness_bootstrap.py", "--rows", "1000", "--repeats", "1", "--json"])
    script.main()
    line = json.loads(capsys.readouterr().out)
    assert {"name", "ours", "peers", "ratio", "machine", "versions", "seed"} <= set(line)
    assert line["peers"].keys() == {"numpy row bootstrap", "fairlearn MetricFrame"}
