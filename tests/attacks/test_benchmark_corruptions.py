"""The benchmark runs as a user runs it, with or without its peer, and prints the line that others read."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "corruptions.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="benchmarks are not part of an installed package")
def test_corruptions_prints_one_json_line() -> None:
    arguments = [
        "--side",
        "32",
        "--batch",
        "4",
        "--peer-images",
        "1",
        "--repeats",
        "2",
        "--threads",
        "1",
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=True, timeout=300
    )
    line = json.loads(done.stdout.splitlines()[-1])
    assert {"name", "ours", "peers", "ratio", "machine", "versions", "seed", "missing"} <= set(line)
    assert line["name"] == "corruptions"
    assert line["ours"] > 0
    if importlib.util.find_spec("imagecorruptions"):
        assert len(line["speed_up"]) == 19
    else:
        assert line["missing"] == ["imagecorruptions"]
        assert line["peers"] == {}
