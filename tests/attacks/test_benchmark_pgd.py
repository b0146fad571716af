"""The benchmark runs as a user runs it, and prints the line that others read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pgd.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="benchmarks are not part of an installed package")
def test_pgd_prints_one_json_line() -> None:
    arguments = [
        "--model",
        "cnn",
        "--batch",
        "8",
        "--steps",
        "5",
        "--repeats",
        "2",
        "--threads",
        "1",
        "--clock",
        "cpu",
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=True, timeout=300
    )
    line = json.loads(done.stdout)
    assert {"name", "ours", "peers", "ratio", "machine", "versions", "seed"} <= set(line)
    assert set(line["peers"]) == set(line["ratio"]) >= {"passes"}
    # Nothing breaks at the default radius: a clean look, then five steps and a last look each.
    assert (line["broken"], line["forwards"], line["backwards"]) == (0, 8 * 7, 8 * 5)
