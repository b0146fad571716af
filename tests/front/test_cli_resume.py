"""kill -9, a torn file, a second call: the same command finishes the work and repeats none of it."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.front.conftest import Cli, State

pytestmark = pytest.mark.slow

TASKS = 2 * 500 // 25 + 1  # two radii in shards of 25, and the accuracy of the 500 test digits

MODULES = """
import atexit, sys
atexit.register(lambda: print("MODULES", *sorted(sys.modules), file=sys.stderr))
sys.argv = ["raiaudit", "run", "audit.yaml", "--home", "{home}"]
from raiaudit.cli import main
main()
"""


def finished_tasks(run: Path) -> list[tuple[str, str]]:
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return [(e["check"], e["task"]) for e in events if e["event"] == "task_finished"]


def plans(run: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "plan"]


def tables(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.fixture(scope="module")
def undisturbed(cli: Cli, tiny: str) -> Path:
    """A run from start to end."""
    done = cli("run", cli.spec(tiny), "--home", "undisturbed")
    assert done.returncode == 0, done.stderr
    return cli.only_run("undisturbed")


@pytest.fixture(scope="module")
def resumed(cli: Cli, tiny: str) -> Path:
    """A run in another home, killed in the middle and started again."""
    spec = cli.spec(tiny)
    process = cli.start("run", spec, "--home", "killed")
    cli.wait_for_shards(process, 3, "killed")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    run = cli.only_run("killed")
    assert 3 <= len(finished_tasks(run)) < TASKS  # killed in the middle, or the test shows nothing
    assert not (run / "results.json").exists()
    seen = cli("gate", "--home", "killed")
    assert (seen.returncode, "interrupted" in seen.stdout) == (3, True), seen.stdout
    done = cli("run", spec, "--home", "killed")
    assert done.returncode == 0, done.stderr
    return run


def test_a_killed_run_ends_as_an_undisturbed_one(undisturbed: Path, resumed: Path) -> None:
    assert resumed.name == undisturbed.name
    for name in ("results.json", "spec.lock.yaml", "summary.md"):
        assert (resumed / name).read_bytes() == (undisturbed / name).read_bytes(), name
    for part in ("ledger", "evidence"):
        assert tables(resumed / part) == tables(undisturbed / part)
    assert json.loads((resumed / "header.json").read_text())["status"] == "finished"
    assert not list(resumed.rglob(".part-*"))


def test_no_finished_task_is_repeated(resumed: Path) -> None:
    """At most one task may stand twice: one whose shard was written and whose event was not."""
    counts = Counter(finished_tasks(resumed))
    assert max(counts.values()) == 1
    assert TASKS - 1 <= len(counts) <= TASKS
    first, second = plans(resumed)
    assert (first["tasks"], first["done"]) == (TASKS, 0)
    assert second["done"] >= 3


def test_a_second_run_changes_nothing_and_loads_nothing_heavy(
    cli: Cli, undisturbed: Path, state_of: Callable[[Path], State]
) -> None:
    before = state_of(cli.folder / "undisturbed")
    done = cli.python(MODULES.format(home="undisturbed"))
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    assert state_of(cli.folder / "undisturbed") == before
    loaded = set(done.stderr.partition("MODULES")[2].split())
    assert "raiaudit.audit.runner" in loaded
    assert not loaded & {"torch", "mlflow", "sqlalchemy", "streamlit", "typst", "altair"}


def test_a_damaged_shard_is_redone_alone_and_a_forged_one_removed(cli: Cli, undisturbed: Path) -> None:
    """A forged shard has a valid checksum, but no task of this plan yields it; its rows would stack."""
    results = (undisturbed / "results.json").read_bytes()
    damaged = sorted((undisturbed / "ledger" / "robustness.evasion").iterdir())[5]
    content, already = damaged.read_bytes(), len(finished_tasks(undisturbed))
    damaged.write_bytes(content[: len(content) // 2])
    genuine = sorted((undisturbed / "ledger" / "performance.accuracy").iterdir())[0]
    task, _, checksum, suffix = genuine.name.rsplit(".", 3)
    forged = genuine.with_name(f"{task}.{'0' * 16}.{checksum}.{suffix}")
    forged.write_bytes(genuine.read_bytes())

    checked = cli("verify", str(undisturbed))
    assert checked.returncode == 1
    assert damaged.name in checked.stdout
    assert forged.name in checked.stdout
    done = cli("run", "audit.yaml", "--home", "undisturbed")
    assert done.returncode == 0, done.stderr
    assert finished_tasks(undisturbed)[already:] == [("robustness.evasion", damaged.name.rsplit(".", 3)[0])]
    assert damaged.read_bytes() == content
    assert not forged.exists()
    assert (undisturbed / "results.json").read_bytes() == results
    assert cli("verify", str(undisturbed)).returncode == 0


def test_a_verdict_written_into_the_header_does_not_count(cli: Cli, resumed: Path) -> None:
    header = resumed / "header.json"
    header.write_text(header.read_text().replace('"verdict": "pass"', '"verdict": "fail"'))
    assert cli("gate", "--home", "killed").returncode == 0
    assert cli("verify", str(resumed)).returncode == 1
    done = cli("run", "audit.yaml", "--home", "killed")
    assert done.returncode == 0
    assert '"verdict": "pass"' in header.read_text()
    assert cli("verify", str(resumed)).returncode == 0
