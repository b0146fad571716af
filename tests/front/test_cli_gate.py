"""`raiaudit gate` in every case: exit codes, waivers on either side of their day, files for pipelines."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from raiaudit.audit.gates import Gate, Status, Verdict, overall
from raiaudit.audit.gating import attach
from raiaudit.audit.results import DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.store import Run
from raiaudit.audit.waivers import Waiver
from raiaudit.cli import main
from raiaudit.models.version import TrainingRecord

TODAY = datetime.now(UTC).date()
Call = Callable[..., tuple[int, str, str]]
MakeRun = Callable[..., Run]


def waiver(days: int = 30, **changes: Any) -> dict[str, Any]:
    """For the gate of `make_run`, expiring so many days from now."""
    entry = {
        "check": "performance.accuracy",
        "metric": "accuracy",
        "owner": "r.ait",
        "reason": "known",
        "expires": TODAY + timedelta(days=days),
    }
    return entry | changes


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A run in `tmp_path/home`, later ones newer, with a gate of each status (or unfinished)."""
    made: list[Run] = []

    def make(*statuses: Status, waivers: list[dict[str, Any]] | None = None, **header: Any) -> Run:
        name = header.pop("id", f"audit-m{len(made)}")
        run = Run(tmp_path / "home" / "runs" / name)
        verdicts = tuple(
            Verdict(
                status=status,
                check="performance.accuracy",
                gate=Gate(metric="accuracy", where={"i": i}, min=0.9),
                measurement=None,
                explanation=f"found {status}",
            )
            for i, status in enumerate(statuses)
        )
        record = TrainingRecord(
            architecture="mlp", config={}, code_version="0", parameters=1, weights_digest="w"
        )
        results = Results(
            run=name,
            verdict=overall(verdicts),
            partial=False,
            subject=SubjectCard(name=name, version=1, record=record),
            data=DataCard(name="x", modality="image", classes=("a", "b"), digest="d", sizes={}, audited=1),
            seed=0,
            checks=(),
            measurements=(),
            verdicts=verdicts,
        )
        attached = attach(results, [Waiver.model_validate(entry) for entry in waivers or []], model=name)
        facts: dict[str, Any] = {"suite": "s", "status": "finished", "started": f"2026-01-0{len(made) + 1}"}
        facts["started"] += "T00:00:00+00:00"
        facts |= {"model": name, "data": "x", "modality": "image"} | header
        run.folder.mkdir(parents=True)
        run.write_header(RunHeader(id=name, **facts))
        if facts["status"] == "finished":
            (run.folder / "results.json").write_text(attached.model_dump_json())
        made.append(run)
        return run

    return make


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`raiaudit gate …` in `tmp_path` → exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["raiaudit", "gate", *arguments, "--home", "home"])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err, shown.err
        return int(left.value.code or 0), shown.out, shown.err

    return run


def write(tmp_path: Path, *entries: dict[str, Any]) -> str:
    lines = [f"- {json.dumps(entry, default=str)}" for entry in entries]
    (tmp_path / "waivers.yaml").write_text("\n".join(lines or ["[]"]))
    return "waivers.yaml"


# Exit codes


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["pass"], 0),
        (["pass", "fail"], 1),
        (["fail", "error", "inconclusive"], 1),
        (["pass", "inconclusive"], 3),
        (["pass", "error"], 3),
        (["pass", "not_run"], 3),
        ([], 3),
    ],
)
def test_what_the_gates_come_to(call: Call, make_run: MakeRun, statuses: list[Status], code: int) -> None:
    make_run(*statuses)
    assert call()[0] == code


def test_the_worst_of_several_runs_decides(call: Call, make_run: MakeRun) -> None:
    first, second = make_run("pass"), make_run("inconclusive")
    assert call()[0] == 3
    assert call(first.id)[0] == 0
    assert call(first.id, second.id)[0] == 3
    make_run("fail")
    assert call("latest")[0] == 1
    make_run("pass", suite="another")
    assert call("latest")[0] == 0


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_a_run_that_did_not_finish_is_3_and_says_why(call: Call, make_run: MakeRun, status: str) -> None:
    make_run("pass")
    make_run(status=status, error="the disk is full" if status == "failed" else None)
    code, out, _ = call()
    assert code == 3
    assert "audit-m1 is" in out
    make_run("fail")
    assert call()[0] == 1  # and what failed is still a failure


def test_no_run_is_2(call: Call, make_run: MakeRun) -> None:
    code, _, err = call()
    assert (code, "there are none yet" in err) == (2, True)
    make_run("pass")
    code, _, err = call("nobody")
    assert (code, "choices: audit-m0" in err) == (2, True)


def test_results_that_cannot_be_read_are_3(call: Call, make_run: MakeRun) -> None:
    (make_run("pass").folder / "results.json").write_text("{")
    code, _, err = call()
    assert (code, "damaged" in err) == (3, True)


# Waivers


@pytest.mark.parametrize("status", ["fail", "inconclusive", "not_run", "error"])
def test_a_sealed_waiver_counts_today_and_not_the_day_after_it_ends(
    call: Call, make_run: MakeRun, status: Status
) -> None:
    make_run(status, "pass", waivers=[waiver(days=0)])
    code, out, _ = call()
    assert code == 0
    assert f"waived by r.ait until {TODAY}: known" in out
    assert "(1 waived)" in out
    late = make_run(status, "pass", suite="late", waivers=[waiver(days=-1)])
    code, out, _ = call(late.id)
    assert code == (1 if status == "fail" else 3)
    assert f"WAIVER EXPIRED on {TODAY - timedelta(days=1)}: it was r.ait's" in out


def test_a_file_of_waivers_replaces_the_sealed_ones_and_touches_nothing(
    call: Call, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run("fail", waivers=[waiver()])
    before = (run.folder / "results.json").read_bytes()
    assert call()[0] == 0
    assert call("--waivers", write(tmp_path))[0] == 1
    assert call("--waivers", write(tmp_path, waiver(where={"i": 0}, model=run.id)))[0] == 0
    assert call("--waivers", write(tmp_path, waiver(model="someone-else")))[0] == 1
    assert (run.folder / "results.json").read_bytes() == before


def test_a_waiver_that_matches_no_gate_is_named(call: Call, make_run: MakeRun, tmp_path: Path) -> None:
    make_run("pass")
    typo = waiver(metric="acuracy", owner="r.ait")
    code, out, _ = call("--waivers", write(tmp_path, typo))
    assert code == 0
    assert "a waiver of r.ait matches no gate here: performance.accuracy/acuracy" in out


def test_a_waiver_that_is_not_needed_any_more_is_named(call: Call, make_run: MakeRun) -> None:
    make_run("pass", waivers=[waiver()])
    code, out, _ = call()
    assert code == 0
    assert "a waiver of r.ait is not needed: audit-m0 passes performance.accuracy/accuracy" in out


@pytest.mark.parametrize("key", ["owner", "reason", "expires"])
def test_a_wrong_waiver_file_is_2_with_file_line_and_key(
    call: Call, make_run: MakeRun, tmp_path: Path, key: str
) -> None:
    make_run("pass")
    entry = waiver()
    del entry[key]
    code, _, err = call("--waivers", write(tmp_path, entry))
    assert code == 2
    assert f"waivers.yaml:1 (0.{key})" in err
    assert call("--waivers", "none.yaml")[0] == 2


# For pipelines


def test_one_json_object(call: Call, make_run: MakeRun) -> None:
    runs = [make_run("fail", waivers=[waiver()]), make_run("pass")]
    code, out, _ = call("--json")
    told = json.loads(out)
    counts = {"waived": 1, "expired": 0}
    assert told == {"verdict": "pass", "runs": [run.id for run in runs], **counts, "exit_code": 0}
    assert code == 0
    make_run("error")
    assert json.loads(call("--json")[1])["verdict"] == "inconclusive"


def test_every_file_says_the_same(call: Call, make_run: MakeRun, tmp_path: Path) -> None:
    make_run("fail", "inconclusive", waivers=[waiver(where={"i": 0})])
    code, *_ = call("--junit", "a.xml", "--sarif", "a.sarif", "--summary", "a.md")
    assert code == 3
    root = ET.parse(tmp_path / "a.xml").getroot()
    assert [len(list(root.iter(tag))) for tag in ("failure", "error", "skipped")] == [0, 1, 1]
    (run,) = json.loads((tmp_path / "a.sarif").read_text())["runs"]
    assert [bool(result.get("suppressions")) for result in run["results"]] == [True, False]
    assert "1 gate waived" in (tmp_path / "a.md").read_text()


def test_the_summary_leaves_room_for_what_is_there(call: Call, make_run: MakeRun, tmp_path: Path) -> None:
    make_run("fail")
    (tmp_path / "a.md").write_text("x" * 999_000)
    call("--summary", "a.md")
    text = (tmp_path / "a.md").read_text()
    assert len(text) <= 1_000_000
    assert text.startswith("x" * 999_000)


def test_hostile_names_do_not_steer_the_terminal(call: Call, make_run: MakeRun, tmp_path: Path) -> None:
    make_run("fail")
    hostile = "\x1b[31m[bold]\u202e"
    _, out, _ = call("--waivers", write(tmp_path, waiver(owner=hostile, reason=hostile)))
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[bold]" in out
