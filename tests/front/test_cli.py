"""The commands through real processes: exit codes, the JSON protocol, and one-screen errors."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from raiaudit.audit.sealing import seal_of
from raiaudit.audit.store import Run
from raiaudit.reports import write_documents

if TYPE_CHECKING:
    from tests.front.conftest import Cli, Done, State


@pytest.fixture(scope="module")
def run(cli: Cli, tiny: str) -> Path:
    """A finished audit in the module's home."""
    done = cli("run", cli.spec(tiny), "--json")
    assert done.returncode == 0, done.stderr
    (cli.folder / "events.jsonl").write_text(done.stdout)
    return cli.only_run()


@pytest.fixture(scope="module")
def weights(cli: Cli, run: Path) -> Path:
    """The weights of that audit's model, as a file from outside: no registry is opened for it."""
    (stored,) = (cli.folder / ".raiaudit" / "artifacts").rglob("model.safetensors")
    path = cli.folder / "theirs.safetensors"
    path.write_bytes(stored.read_bytes())
    return path


def outside(gate: str, *, hidden: int = 32, check: str = "performance.accuracy", more: str = "") -> str:
    return f"""\
data: {{name: digits}}
model: {{name: theirs, path: theirs.safetensors, arch: mlp, options: {{hidden: {hidden}}}}}
run: {{seed: 3, device: cpu}}
checks:
  - use: {check}
    {gate}
{more}"""


def events(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def one_screen(text: str) -> bool:
    return len(text.splitlines()) <= 12


# Exit codes


def test_a_pass_is_0_and_the_events_tell_the_story(cli: Cli, run: Path) -> None:
    story = [json.loads(line) for line in (cli.folder / "events.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in story]
    for earlier, later in zip(
        ["run_started", "training", "trained", "plan", "task_finished", "check_finished", "run_finished"],
        ["training", "trained", "plan", "task_finished", "check_finished", "run_finished", "finished"],
        strict=True,
    ):
        assert kinds.index(earlier) < kinds.index(later)
    assert story[-1] == {
        "event": "finished",
        "run": run.name,
        "runs": [run.name],
        "verdict": "pass",
        "exit_code": 0,
        "seals": {run.name: seal_of(run)},
    }


def test_the_run_directory_is_complete(run: Path) -> None:
    expected = {"spec.lock.yaml", "header.json", "journal.jsonl", "ledger", "evidence", "results.json"}
    expected |= {"report.pdf", "report.html", "measurements.csv", "measurements.parquet", "model_card.md"}
    expected |= {"junit.xml", "results.sarif", "summary.md", "manifest.sha256", ".lock"}
    assert {path.name for path in run.iterdir()} >= expected
    assert (run / "report.pdf").read_bytes()[:5] == b"%PDF-"
    assert yaml.safe_load((run / "spec.lock.yaml").read_text())["run"]["seed"] == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gate", "code", "verdict"),
    [
        ("gate: {metric: accuracy, min: 1.0}", 1, "fail"),
        ("with: {confidence: 0.9}", 3, "inconclusive"),  # no gate: nothing was decided
    ],
)
def test_a_gate_that_fails_is_1_and_one_that_cannot_say_is_3(
    cli: Cli, weights: Path, gate: str, code: int, verdict: str
) -> None:
    done = cli("run", cli.spec(outside(gate), f"gate{code}.yaml"), "--json", "--home", "gates")
    last = events(done)[-1]
    assert (done.returncode, last["exit_code"], last["verdict"]) == (code, code, verdict)
    assert cli("gate", last["run"], "--home", "gates").returncode == code


@pytest.mark.parametrize("as_json", [False, True])
def test_a_wrong_spec_is_2(fresh: Cli, tiny: str, as_json: bool) -> None:
    spec = fresh.spec(tiny.replace("epochs", "epoch"))
    done = fresh("run", spec, *(["--json"] if as_json else []))
    assert done.returncode == 2
    assert "audit.yaml:4 (models.0.recipe.epoch): unknown key 'epoch'" in done.stderr
    assert "did you mean 'epochs'?" in done.stderr
    assert one_screen(done.stderr)
    assert sorted(path.name for path in fresh.folder.iterdir()) == ["audit.yaml"]  # nothing was made
    if as_json:
        last = events(done)[-1]
        assert (last["event"], last["verdict"], last["exit_code"]) == ("finished", "error", 2)
        assert "unknown key" in last["error"]


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["run"], ["run", "--limit", "0", "x"], ["gate", "--nope"], ["run", "none.yaml"]],
)
def test_wrong_usage_is_2(fresh: Cli, arguments: list[str]) -> None:
    assert fresh(*arguments).returncode == 2


class Bomb:
    """Unpickling it creates a file."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, ("EXPLODED",)


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "theirs.safetensors"])
def test_a_pickle_is_4_before_anything_else_happens(fresh: Cli, name: str) -> None:
    (fresh.folder / name).write_bytes(pickle.dumps(Bomb()))
    text = outside("gate: {metric: accuracy, min: 0}").replace("theirs.safetensors", name)
    done = fresh("run", fresh.spec(text), "--json")
    assert (done.returncode, events(done)[-1]["exit_code"]) == (4, 4)
    assert name in done.stderr
    assert "safetensors.torch.save_file" in done.stderr
    assert one_screen(done.stderr)
    assert not (fresh.folder / "EXPLODED").exists()
    assert not (fresh.folder / ".raiaudit").exists()


@pytest.mark.slow
def test_weights_that_do_not_fit_are_4_and_leave_no_result(cli: Cli, weights: Path) -> None:
    spec = cli.spec(outside("gate: {metric: accuracy, min: 0}", hidden=16), "misfit.yaml")
    done = cli("run", spec, "--home", "misfit")
    assert done.returncode == 4
    assert "the weights do not fit mlp" in done.stderr
    assert one_screen(done.stderr)
    folder = cli.only_run("misfit")
    assert not (folder / "results.json").exists()
    assert json.loads((folder / "header.json").read_text())["status"] == "failed"
    assert cli("gate", "--home", "misfit").returncode == 3
    assert cli("report", "--home", "misfit").returncode == 3
    assert cli("verify", str(folder)).returncode == 3


@pytest.mark.slow
def test_ctrl_c_is_130_and_the_same_command_goes_on(cli: Cli, weights: Path) -> None:
    attack = "with: {norm: linf, eps: 0.1, steps: 40, shard: 5}"
    spec = cli.spec(outside(attack, check="robustness.evasion"), "long.yaml")
    process = cli.start("run", spec, "--json", "--home", "stopped")
    cli.wait_for_shards(process, 2, "stopped")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    last = json.loads(out.splitlines()[-1])
    assert process.returncode == 130, err
    assert (last["event"], last["verdict"], last["exit_code"]) == ("finished", "interrupted", 130)
    assert "the same command resumes" in err
    assert "Traceback" not in err
    folder = cli.only_run("stopped")
    assert json.loads((folder / "header.json").read_text())["status"] == "interrupted"
    assert not (folder / "results.json").exists()
    done = cli("run", spec, "--json", "--home", "stopped")
    plan = next(event for event in events(done) if event["event"] == "plan")
    assert plan["done"] >= 2
    assert done.returncode == 3  # it has no gate


def test_a_home_that_is_a_file_is_3_with_a_remedy(fresh: Cli, tiny: str) -> None:
    (fresh.folder / "home").write_text("")
    done = fresh("run", fresh.spec(tiny), "--home", "home", "--json")
    assert (done.returncode, events(done)[-1]["exit_code"]) == (3, 3)
    assert "cannot be written" in done.stderr
    assert one_screen(done.stderr)


# Other commands over the finished run


def test_gate_prints_verdicts_and_writes_for_ci(cli: Cli, run: Path) -> None:
    done = cli("gate", "latest", "--junit", "out/audit.xml", "--summary", "summary.md")
    assert done.returncode == 0
    assert "accuracy" in done.stdout
    assert "<testsuite" in (cli.folder / "out" / "audit.xml").read_text()
    before = (cli.folder / "summary.md").read_text()
    assert "tiny" in before
    cli("gate", "--summary", "summary.md")
    assert (cli.folder / "summary.md").read_text() == before * 2  # appended, as GitHub wants it


def test_gate_without_runs_is_2(fresh: Cli) -> None:
    done = fresh("gate")
    assert done.returncode == 2
    assert "there are none yet" in done.stderr


def test_an_unwritable_summary_is_never_a_failed_gate(cli: Cli, run: Path) -> None:
    assert cli("gate", "--summary", "missing/summary.md").returncode == 3


@pytest.mark.parametrize(
    ("form", "name", "begins"),
    [
        ("pdf", "report.pdf", b"%PDF-"),
        ("html", "report.html", b"<!doctype html>"),
        ("md", "summary.md", b"## Audit of"),
        ("csv", "measurements.csv", b'\xef\xbb\xbf"run",'),
        ("parquet", "measurements.parquet", b"PAR1"),
        ("card", "model_card.md", b"---\nlibrary_name"),
    ],
)
def test_report_writes_every_document_as_the_run_has_it(
    cli: Cli, run: Path, form: str, name: str, begins: bytes
) -> None:
    assert cli("report", "--format", form).stdout.strip() == str(run / name)
    assert cli("report", run.name, "--format", form, "--out", f"again.{form}").returncode == 0
    content = (cli.folder / f"again.{form}").read_bytes()
    assert content == (run / name).read_bytes()
    assert content.lstrip().startswith(begins)


def test_report_names_the_pdf_and_copies_it(cli: Cli, run: Path) -> None:
    assert cli("report").stdout.strip() == str(run / "report.pdf")
    assert cli("report", run.name, "--out", "copy.pdf").returncode == 0
    assert (cli.folder / "copy.pdf").read_bytes() == (run / "report.pdf").read_bytes()


def test_verify_sees_one_changed_byte(cli: Cli, run: Path) -> None:
    assert cli("verify", str(run)).returncode == 0
    assert cli("verify", str(run / "report.pdf")).returncode == 0
    report = run / "report.pdf"
    whole = report.read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    foreign = cli.folder / "foreign.pdf"
    foreign.write_bytes(bytes(flipped))
    assert cli("verify", str(foreign), str(run)).returncode == 1
    report.write_bytes(bytes(flipped))
    try:
        done = cli("verify", str(run))
        assert (done.returncode, "report.pdf" in done.stdout) == (1, True)
    finally:
        report.write_bytes(whole)
    assert cli("verify", "none.pdf").returncode == 2
    done = cli("verify", str(cli.folder / "events.jsonl"))  # its folder is no sealed run
    assert done.returncode == 2
    assert "name its run as well" in " ".join((done.stdout + done.stderr).split())


@pytest.mark.slow
def test_verify_deep_derives_everything_again_and_sees_what_never_followed(cli: Cli, run: Path) -> None:
    """The forger's seals are in order, for they were made after the numbers."""
    done = cli("verify", str(run), "--deep")
    assert done.returncode == 0, done.stdout
    told = json.loads((run / "results.json").read_text())
    count = len(told["measurements"])
    assert f"{count:,} of {count:,} measurements derived again from the ledger" in done.stdout
    assert re.search(r"(\d+) of \1 documents come out the same to the byte", done.stdout)
    forged = Run(cli.folder / "forged" / run.name)
    shutil.copytree(run, forged.folder)
    accuracy = next(m for m in told["measurements"] if m["metric"] == "accuracy")
    accuracy["value"] += 0.01
    told["verdicts"][0]["status"] = "pass"
    (forged.folder / "results.json").write_text(json.dumps(told))
    write_documents(forged)
    forged.seal()
    assert cli("verify", str(forged.folder)).returncode == 0
    done = cli("verify", str(forged.folder), "--deep")
    assert done.returncode == 1
    assert "says accuracy = " in done.stdout
    assert "its rows give" in done.stdout
    noted = cli("verify", str(run)).stdout.partition("seal: ")[2].split()[0]
    assert cli("verify", str(run), "--seal", noted).returncode == 0
    assert "made anew" in cli("verify", str(forged.folder), "--seal", noted).stdout


def test_compare_a_run_with_itself_finds_no_change(cli: Cli, run: Path) -> None:
    done = cli("compare", run.name, "audit-tiny")
    assert done.returncode == 0
    assert "nothing: same data, seed, code, model and spec" in done.stdout
    assert "= unchanged" in done.stdout
    assert "▲" not in done.stdout
    told = json.loads(cli("compare", run.name, run.name, "--json").stdout)
    assert {delta["difference"] for delta in told["paired"]} == {0.0}
    assert cli("compare", run.name, run.name, "--out", "c.pdf", "--html", "c.html").returncode == 0
    assert (cli.folder / "c.pdf").read_bytes().startswith(b"%PDF")
    assert (cli.folder / "c.html").read_text().startswith("<!doctype html>")
    for arguments in ([run.name], [run.name, "nobody"]):
        assert cli("compare", *arguments).returncode == 2


def test_models_list(cli: Cli, run: Path) -> None:
    listed = cli("models", "list")
    assert listed.returncode == 0
    assert "tiny" in listed.stdout
    assert "candidate" in listed.stdout


@pytest.mark.slow
def test_models_show(cli: Cli, run: Path) -> None:
    record = json.loads(cli("models", "show", "tiny@candidate").stdout)
    assert record["seed"] == 3
    assert record["recipe"]["train_limit"] == 200


@pytest.mark.slow
def test_models_add_and_audit_by_reference(cli: Cli, weights: Path) -> None:
    add = ["models", "add", weights.name, "--arch", "mlp", "--data", "digits", "--option", "hidden=32"]
    done = cli(*add, "--name", "added", "--alias", "prod")
    assert done.returncode == 0, done.stderr
    assert "registered added version 1" in done.stdout
    text = outside("gate: {metric: accuracy, min: 0}").replace(
        "{name: theirs, path: theirs.safetensors, arch: mlp, options: {hidden: 32}}",
        "{ref: 'registry:added@prod'}",
    )
    audited = cli("run", cli.spec(text, "by_reference.yaml"), "--json")
    assert audited.returncode == 0, audited.stderr
    assert events(audited)[-1]["run"].startswith("by_reference-added-")


@pytest.mark.slow
def test_models_train_finds_what_is_trained(cli: Cli, run: Path) -> None:
    done = cli("models", "train", "audit.yaml")
    assert done.returncode == 0, done.stderr
    assert "tiny version 1" in done.stdout
    assert "epoch" not in done.stdout  # nothing was trained again
    assert cli("models", "train", "audit.yaml", "--only", "tinny").returncode == 2


def test_init_writes_a_spec_that_validates_and_never_overwrites(fresh: Cli) -> None:
    assert fresh("init").returncode == 0
    written = (fresh.folder / "audit.yaml").read_text()
    done = fresh("validate", "audit.yaml")
    assert (done.returncode, "valid" in done.stdout) == (0, True)
    assert fresh("init").returncode == 2
    assert (fresh.folder / "audit.yaml").read_text() == written
    assert fresh("init", "--force").returncode == 0
    assert fresh("validate", "nothing.yaml").returncode == 2


def test_catalogues_and_schemas(fresh: Cli) -> None:
    from raiaudit.attacks.evasion import EVASION
    from raiaudit.audit.catalogue import CHECKS
    from raiaudit.audit.schemas import schema_of

    checks = fresh("checks", "list").stdout
    assert all(name in checks for name in CHECKS)
    assert "with.eps" in checks
    attacks = fresh("attacks", "list").stdout
    assert all(name in attacks for name in EVASION)
    assert json.loads(fresh("schema", "spec").stdout) == schema_of("spec")


def test_version(fresh: Cli) -> None:
    from raiaudit import __version__

    assert fresh("--version").stdout == f"raiaudit {__version__}\n"


def test_reading_commands_change_nothing(cli: Cli, run: Path, state_of: Callable[[Path], State]) -> None:
    before = state_of(run)
    for arguments in (["gate"], ["report"], ["compare", run.name, run.name], ["verify", str(run)]):
        assert cli(*arguments).returncode == 0
    assert state_of(run) == before


# What must stay light

HEAVY = {"torch", "numpy", "polars", "mlflow", "sqlalchemy", "streamlit", "scipy", "sklearn", "yaml"}

LOADED = """
import atexit, sys
atexit.register(lambda: print("MODULES", *sorted(sys.modules), file=sys.stderr))
sys.argv = ["raiaudit", *{arguments}]
from raiaudit.cli import main
main()
"""


def loaded(cli: Cli, *arguments: str) -> set[str]:
    done = cli.python(LOADED.format(arguments=list(arguments)))
    assert done.returncode == 0, done.stderr
    return set(done.stderr.partition("MODULES")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["models", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(fresh: Cli, arguments: list[str]) -> None:
    modules = loaded(fresh, *arguments)
    assert "raiaudit.cli" in modules
    assert not modules & HEAVY


def test_validate_loads_no_tensors_and_no_registry(fresh: Cli, tiny: str) -> None:
    modules = loaded(fresh, "validate", fresh.spec(tiny))
    assert "raiaudit.audit.spec" in modules
    assert not modules & {"torch", "mlflow", "sqlalchemy", "sklearn", "streamlit", "altair"}


def test_help_is_quick(fresh: Cli) -> None:
    """Processor time of the child, since the machine may be busy with other tests: 0.5 s is promised."""
    code = "import subprocess, sys, resource\n"
    code += f"subprocess.run([{sys.executable!r}, '-m', 'raiaudit', '--help'], stdout=subprocess.DEVNULL)\n"
    code += "used = resource.getrusage(resource.RUSAGE_CHILDREN)\nprint(used.ru_utime + used.ru_stime)"
    assert min(float(fresh.python(code).stdout) for _ in range(3)) < 0.5


def test_nobody_reading_is_not_a_failed_gate(cli: Cli, run: Path) -> None:
    """`raiaudit … | head`: the pipe closes before anything was written to it."""
    process = cli.start("schema", "spec")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.returncode == 141, errors
    assert "Traceback" not in errors


def test_a_forged_length_in_a_safetensors_file_is_4(fresh: Cli) -> None:
    (fresh.folder / "theirs.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    done = fresh("run", fresh.spec(outside("gate: {metric: accuracy, min: 0}")))
    assert (done.returncode, "not a safetensors file" in done.stderr) == (4, True)
