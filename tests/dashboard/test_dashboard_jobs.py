"""Jobs: child processes that outlive their server, and are stopped only if they are who they were.

The processes here are small scripts in place of `raiaudit run`: what is printed and how it ends is theirs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raiaudit.audit.spec import LoadedSpec, load_spec
from raiaudit.audit.store import Home
from raiaudit.dashboard.jobs import starting
from raiaudit.dashboard.jobs.job import Job, JobRecord, list_jobs
from raiaudit.dashboard.jobs.process import ProcessId, signal_group, spawn
from raiaudit.dashboard.jobs.progress import progress_of, sentence
from raiaudit.dashboard.jobs.starting import cancel, command_of, job_environment, resume, spec_path, start
from raiaudit.errors import RaiauditError, StorageError, UsageError

SPEC = """\
data: {name: digits}
model: {name: tiny, recipe: {architecture: mlp, epochs: 1}}
checks: [{use: performance.accuracy}]
"""
ENDPOINT = """\
data: {name: digits}
model: {name: far, endpoint: {url: "http://127.0.0.1:9", returns: scores, headers_env: {X-Key: MODEL_KEY}}}
checks: [{use: performance.accuracy}]
"""
TALKS = """
import json, sys, time
say = lambda **event: print(json.dumps(event), flush=True)
try:
    say(event="run_started", run="a-tiny-0", model="tiny")
    {middle}
    say(event="finished", run="a-tiny-0", runs=["a-tiny-0"], verdict="pass", exit_code=0)
except KeyboardInterrupt:
    say(event="finished", run=None, runs=[], verdict="interrupted", exit_code=130)
    sys.exit(130)
"""
WAITS = TALKS.format(middle="time.sleep(60)")
ENDS = TALKS.format(middle="pass")

Script = Callable[[str], None]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """`script(code)`: jobs run this code from now on."""

    def use(code: str) -> None:
        monkeypatch.setattr(starting, "command_of", lambda *_: (sys.executable, "-c", code))

    return use


@pytest.fixture
def begin(home: Home) -> Callable[..., Job]:
    """`begin(name)` starts a job on a small spec."""

    def go(name: str = "a", *, most: int = 1) -> Job:
        path = spec_path(home, name, SPEC)
        return start(home, "audit", load_spec(path, text=SPEC), SPEC, most=most)

    return go


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait until it holds, or fail."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def loaded(home: Home, text: str = SPEC) -> LoadedSpec:
    return load_spec(spec_path(home, "a", text), text=text)


def test_a_job_runs_and_its_verdict_is_read_by_another_session(
    home: Home, script: Script, begin: Callable[..., Job]
) -> None:
    script(ENDS)
    job = begin("first audit")
    assert Path(job.record.spec) == home.root / "specs" / "first-audit.yaml"
    assert Path(job.record.spec).read_text() == SPEC
    until(lambda: job.state == "finished")
    (seen,) = list_jobs(home)
    assert seen.id == job.id
    assert seen.conclusion is not None
    assert seen.conclusion["verdict"] == "pass"
    assert seen.record.models == ("tiny",)


def test_cancel_interrupts_and_resume_takes_up_the_same_spec(
    home: Home, script: Script, begin: Callable[..., Job]
) -> None:
    script(WAITS)
    job = begin()
    until(lambda: job.events)
    assert job.state == "running"
    assert cancel(job)
    until(lambda: job.state == "cancelled")
    assert job.conclusion is not None
    assert job.conclusion["exit_code"] == 130
    script(ENDS)
    until(lambda: not job.alive)
    again = resume(home, job, load_spec(Path(job.record.spec)))
    until(lambda: again.state == "finished")
    assert again.record.spec == job.record.spec
    assert again.id != job.id
    assert not cancel(job)


def test_a_job_that_is_killed_is_told_from_one_that_failed(script: Script, begin: Callable[..., Job]) -> None:
    script(WAITS)
    job = begin()
    until(lambda: job.events)
    assert job.record.process is not None
    os.kill(job.record.process.pid, signal.SIGKILL)
    until(lambda: job.exit_code is not None)
    assert job.exit_code == -signal.SIGKILL
    assert job.state == "orphaned"
    script("import sys; sys.exit('no such thing')")
    failed = begin("b")
    until(lambda: failed.exit_code is not None)
    assert failed.state == "failed"
    assert failed.log(5) == "no such thing"


def test_a_job_that_hears_no_interrupt_is_ended_at_once(script: Script, begin: Callable[..., Job]) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('{}', flush=True)"
    script(f"{deaf}; time.sleep(60)")
    job = begin()
    until(lambda: (job.folder / "events.jsonl").read_text())
    cancel(job)
    states = [job.state]
    cancel(job, at_once=True)
    until(lambda: not job.alive)
    assert [*states, job.state] == ["cancelling", "cancelled"]


def test_an_interrupt_reaches_the_child_of_a_server_that_ignores_it(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as `nohup raiaudit view &` has it
    try:
        process = spawn([sys.executable, "-c", WAITS], env={}, out=tmp_path / "out", err=tmp_path / "err")
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: (tmp_path / "out").read_text())
    assert os.getsid(process.pid) == process.pid
    assert signal_group(process, signal.SIGINT)
    until(lambda: not process.alive)
    assert "interrupted" in (tmp_path / "out").read_text()
    assert os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1]) == 130


def test_another_process_under_an_old_number_is_neither_alive_nor_touched(home: Home) -> None:
    ours = spawn_record(home, ProcessId(pid=os.getpid(), began="long ago"))
    assert not ours.alive
    assert ours.state == "orphaned"
    assert not cancel(ours)
    assert not signal_group(ProcessId(pid=os.getpid(), began="long ago"), signal.SIGKILL)


def spawn_record(home: Home, process: ProcessId | None, job_id: str = "20261121-190000-0a0a") -> Job:
    """A job's folder as a server that is gone has left it."""
    folder = home.root / "jobs" / job_id
    folder.mkdir(parents=True)
    record = JobRecord(
        kind="audit",
        title="left",
        spec=str(home.root / "specs" / "left.yaml"),
        command=("python", "-c", "pass"),
        models=("tiny",),
        created="2026-11-21T19:00:00+00:00",
        process=process,
    )
    (folder / "job.json").write_text(record.model_dump_json())
    return Job(folder, record)


def test_the_job_goes_on_when_its_server_ends(home: Home, tmp_path: Path) -> None:
    (tmp_path / "go").write_text("")
    waits = TALKS.format(
        middle=f"import os\n    while os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.02)"
    )
    server = f"""
import sys
from pathlib import Path
from raiaudit.audit.spec import load_spec
from raiaudit.audit.store import Home
from raiaudit.dashboard.jobs import starting
starting.command_of = lambda *_: (sys.executable, "-c", {waits!r})
home = Home.at()
path = starting.spec_path(home, "a", {SPEC!r})
starting.start(home, "audit", load_spec(path, text={SPEC!r}), {SPEC!r})
"""
    subprocess.run([sys.executable, "-c", server], check=True, timeout=60)
    (job,) = list_jobs(home)
    assert job.alive
    assert job.state == "running"
    (tmp_path / "go").unlink()
    until(lambda: job.state == "finished" and not job.alive)
    assert job.exit_code is None  # nobody waited for it; what it said is enough


def test_two_sessions_that_start_at_once_start_one(
    home: Home, script: Script, begin: Callable[..., Job]
) -> None:
    script(WAITS)

    def attempt(name: str) -> Job | str:
        try:
            return begin(name)
        except UsageError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(attempt, ("a", "b", "c", "d")))
    (job,) = (each for each in found if isinstance(each, Job))
    assert [each.id for each in list_jobs(home)] == [job.id]
    assert sum("running" in each or "being started" in each for each in found if isinstance(each, str)) == 3
    second = begin("e", most=2)
    for each in (job, second):
        cancel(each, at_once=True)
        until(lambda each=each: not each.alive)  # type: ignore[misc]


def test_a_process_that_has_said_its_last_word_keeps_nobody_from_starting(
    script: Script, begin: Callable[..., Job]
) -> None:
    script(ENDS + "\ntime.sleep(60)")
    job = begin("a")
    until(lambda: job.conclusion)
    assert job.alive
    second = begin("b")
    for each in (job, second):
        assert each.record.process is not None
        signal_group(each.record.process, signal.SIGKILL)
        until(lambda each=each: not each.alive)  # type: ignore[misc]


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "/etc/passwd",
        "--unsafe-load",
        "-rf",
        "a\nb",
        "x" * 10_000,
        "",
        ".",
        "..",
        "\u202egnp.exe",
        "a/../b\0",
    ],
)
def test_a_spec_lies_in_its_folder_whatever_its_name(home: Home, name: str) -> None:
    path = spec_path(home, name, SPEC)
    assert path.parent == home.root / "specs"
    assert path.suffix == ".yaml"
    assert path.resolve().parent == (home.root / "specs").resolve()
    assert not path.name.startswith((".", "-"))
    assert len(path.name) <= 90


def test_no_spec_is_written_over_another_and_no_link_is_followed(
    home: Home, script: Script, begin: Callable[..., Job], tmp_path: Path
) -> None:
    specs = home.root / "specs"
    specs.mkdir(parents=True)
    (specs / "a.yaml").write_text("somebody's\n")
    (specs / "a-2.yaml").symlink_to(tmp_path / "elsewhere")
    script(ENDS)
    job = begin("a")
    assert Path(job.record.spec).name == "a-3.yaml"
    assert (specs / "a.yaml").read_text() == "somebody's\n"
    assert not (tmp_path / "elsewhere").exists()
    until(lambda: not job.alive)
    assert begin("a").record.spec == job.record.spec  # the same text needs no second file


@pytest.mark.parametrize("folder", ["specs", "jobs"])
def test_a_folder_that_is_a_link_is_refused(
    home: Home, script: Script, begin: Callable[..., Job], tmp_path: Path, folder: str
) -> None:
    home.root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (home.root / folder).symlink_to(tmp_path / "elsewhere")
    script(ENDS)
    with pytest.raises(StorageError, match="link"):
        begin("a")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert list_jobs(home) == []


def test_the_command_is_a_list_with_the_spec_last_and_without_unsafe_load(home: Home) -> None:
    path = spec_path(home, "--unsafe-load", SPEC)
    for kind in ("audit", "training"):
        command = command_of(kind, home, path)
        assert command[:4] == (sys.executable, "-P", "-m", "raiaudit")
        assert command[-2:] == ("--", str(path))
        assert "--unsafe-load" not in command


def test_the_environment_is_what_a_job_needs_and_what_its_spec_names(home: Home) -> None:
    given = {
        "PATH": "/bin",
        "RAIAUDIT_DATA": "/d",
        "AWS_SECRET_ACCESS_KEY": "s",
        "MODEL_KEY": "k",
        "LC_ALL": "C",
    }
    assert job_environment(loaded(home), given) == {"PATH": "/bin", "RAIAUDIT_DATA": "/d", "LC_ALL": "C"}
    assert job_environment(loaded(home, ENDPOINT), given)["MODEL_KEY"] == "k"


def test_the_child_gets_that_environment_and_no_more(
    script: Script, begin: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_SECRET", "s")
    told = "{'event': 'finished', 'verdict': 'pass', 'names': list(os.environ)}"
    script(f"import json, os; print(json.dumps({told}))")
    job = begin()
    until(lambda: job.state == "finished")
    assert job.conclusion is not None
    assert "SOME_SECRET" not in job.conclusion["names"]
    assert "RAIAUDIT_HOME" in job.conclusion["names"]


def test_a_failed_start_leaves_an_explained_error(
    home: Home, begin: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "command_of", lambda *_: ("/nonexistent/python",))
    with pytest.raises(RaiauditError):
        begin()
    (job,) = list_jobs(home)
    assert job.state == "orphaned"


def test_only_real_job_folders_are_listed(home: Home, tmp_path: Path) -> None:
    kept = spawn_record(home, None)
    other = Home.at(tmp_path / "other")
    (home.root / "jobs" / "20261121-190000-ffff").symlink_to(spawn_record(other, None).folder)
    (home.root / "jobs" / "..hidden").mkdir()
    damaged = home.root / "jobs" / "20261121-190000-eeee"
    damaged.mkdir()
    (damaged / "job.json").write_text('{"kind": "audit"')
    assert [job.id for job in list_jobs(home)] == [kept.id]


def test_lines_that_are_no_events_are_passed_over(home: Home) -> None:
    job = spawn_record(home, None)
    lines = [
        '{"event": "plan", "tasks": 4, "done": 1}',
        "a library said hello",
        "[1]",
        "3",
        '{"event": "task_fin',
    ]
    (job.folder / "events.jsonl").write_text("\n".join(lines))
    assert [event["event"] for event in job.events] == ["plan"]


def test_progress_counts_the_phase_and_foretells_it_from_its_pace() -> None:
    def at(second: int, **event: object) -> dict[str, object]:
        return {"time": f"2026-11-21T19:00:{second:02}+00:00", **event}

    events = [
        at(0, event="run_started", run="r-a", model="a"),
        *(at(2 * n, event="training", model="a", epoch=n, epochs=10, loss=0.5) for n in (1, 2, 3)),
    ]
    training = progress_of(events)
    assert (training.phase, training.done, training.total) == ("training", 3, 10)
    assert training.left == pytest.approx(7 * 2)
    assert training.share == pytest.approx(0.3)
    resumed = progress_of([events[0], at(1, event="training", model="a", epoch=8, epochs=10, loss=0.1)])
    assert resumed.done == 8
    events += [
        at(20, event="trained", model="a", version=1),
        at(21, event="plan", run="r-a", tasks=8, done=5),
        at(22, event="task_finished", check="c", task="t", seconds=1, done=6, tasks=8),
        at(25, event="task_finished", check="c", task="u", seconds=3, done=7, tasks=8),
    ]
    auditing = progress_of(events)
    assert (auditing.phase, auditing.done, auditing.total) == ("auditing", 7, 8)
    assert auditing.left == pytest.approx(3)
    assert auditing.runs == ("r-a",)
    assert progress_of([]).phase == "starting"


def test_every_event_of_a_run_has_a_sentence_on_one_line() -> None:
    said = sentence({"event": "check_failed", "check": "c", "error": "first\nsecond"})
    assert said == "FAILED c: first second"
    assert sentence({"event": "note"}) == "note"
    assert sentence({"event": "heartbeat"}) is None


def test_what_a_job_wrote_is_json_anyone_can_read(script: Script, begin: Callable[..., Job]) -> None:
    script(ENDS)
    job = begin()
    until(lambda: job.exit_code == 0)
    record = json.loads((job.folder / "job.json").read_text())
    assert record["kind"] == "audit"
    assert record["process"]["pid"] > 1
