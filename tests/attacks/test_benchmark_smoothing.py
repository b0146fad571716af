"""The benchmark runs as a user runs it, and prints the line that others read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "smoothing.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="benchmarks are not part of an installed package")
def test_smoothing_prints_one_json_line() -> None:
    few = "--model mlp --shape 1 8 8 --examples 3 --n 200 --repeats 1 --threads 1 --clock cpu --json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *few.split()], capture_output=True, text=True, check=True, timeout=300
    )
    line = json.loads(done.stdout)
    assert {"name", "ours", "peers", "ratio", "machine", "versions", "seed"} <= set(line)
    assert line["name"] == "smoothing"
    assert {"one at a time", "forwards", "noise"} <= set(line["peers"])
    assert ("locuslab" in line["peers"]) != ("locuslab" in line["missing"])
