"""What teams put raiaudit into: pytest, GitHub Actions, pre-commit, each as it runs there.

One small audit serves all: its first gate passes, its second fails, its third cannot be decided.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from raiaudit.audit.gates import Gate, Status, Verdict
from raiaudit.audit.results import DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.store import Run
from raiaudit.models.version import TrainingRecord
from raiaudit.pytest_plugin import Audited

ROOT = Path(__file__).resolve().parents[2]
SPEC = """\
data: {name: digits}
model:
  name: tiny
  recipe: {architecture: mlp, options: {hidden: 16}, epochs: 1, train_limit: 100}
run: {seed: 3, device: cpu, limit: 50}
checks:
  - use: performance.accuracy
    gate:
      - {metric: accuracy, min: 0}
      - {metric: accuracy, min: 1}
      - {metric: accuracy, min: 0, confidence: 0.999}
"""
TODAY = datetime.now(UTC).date()


def waivers(days: int = 30) -> str:
    """All three gates are on one metric, so one entry covers them."""
    expires = TODAY + timedelta(days=days)
    entry = "- {check: performance.accuracy, metric: accuracy, owner: r.ait, reason: known, expires: %s}\n"
    return entry % expires


@dataclass(frozen=True)
class Repository:
    """A git repository in a pipeline (`CI` is set), with `raiaudit` on the PATH and nothing else of ours."""

    folder: Path
    tools: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAIAUDIT_", "PYTEST_", "GITHUB_"))}
        path = f"{self.tools}{os.pathsep}{kept['PATH']}"
        quiet = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200", "CI": "true"}
        return {**kept, **quiet, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path), **more}

    def __call__(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
        )

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tool(path: Path, script: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """With the spec, and its audit done once in `.raiaudit`."""
    folder, tools = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("tools")
    tool(tools / "raiaudit", f'exec {sys.executable} -m raiaudit "$@"')
    tool(tools / "raiaudit-validate", f'exec {sys.executable} -m raiaudit.hook "$@"')
    pip = f'if [ "$1 $2" = "-m pip" ]; then echo "$@" "$PIP_EXTRA_INDEX_URL" >> "{tools}/pip.log"; exit; fi'
    tool(tools / "python", f'{pip}\nexec {sys.executable} "$@"')
    made = Repository(folder, tools)
    made.write("audit.yaml", SPEC)
    made("git", "init", "-q", ".")
    assert made("raiaudit", "run", "audit.yaml").returncode == 1
    return made


# pytest

PLUGIN = [] if entry_points(group="pytest11", name="raiaudit") else ["-p", "raiaudit.pytest_plugin"]


def pytest_in(repository: Repository, test: str, *options: str) -> tuple[int, str]:
    repository.write("checks/test_audit.py", test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGIN, "checks", *options]
    done = repository(*command)
    return done.returncode, done.stdout + done.stderr


AUDITS = """
import sys

def test_the_plugin_alone_loads_nothing(raiaudit):
    heavy = {"torch", "numpy", "polars", "pydantic", "streamlit", "yaml", "mlflow", "typer", "rich"}
    ours = {name for name in sys.modules if name.startswith("raiaudit")}
    assert (ours, heavy & set(sys.modules)) == ({"raiaudit", "raiaudit.pytest_plugin"}, set())

def test_audit(raiaudit):
    raiaudit.run("audit.yaml").assert_passed()

def test_waived(raiaudit):
    done = raiaudit.run("waived_audit.yaml")
    done.assert_passed()
    assert done.verdict == "pass"
    assert len(done.runs) == 1

def test_wrong(raiaudit):
    raiaudit.run("nothing.yaml")
"""


def test_an_audit_is_a_test_and_says_what_failed(repository: Repository) -> None:
    """With and without waivers it is the same run: they are no part of what an audit is."""
    repository.write("waivers.yaml", waivers())
    repository.write("waived_audit.yaml", f"name: audit\n{SPEC}policy: {{waivers: waivers.yaml}}\n")
    runs = sorted((repository.folder / ".raiaudit" / "runs").iterdir())
    code, out = pytest_in(repository, AUDITS, "--raiaudit-home", ".raiaudit")
    assert (code, "2 failed, 2 passed" in out) == (1, True), out
    assert "the audit audit.yaml failed:" in out
    assert re.search(r"Fail: Accuracy: accuracy = 0\.\d+ \[0\.\d+, 0\.\d+\] misses ≥ 1", out)
    assert "Inconclusive: Accuracy: accuracy has a 95% interval where the gate asks for 100%" in out
    (report,) = set(re.findall(r"(/\S+report\.pdf)", out))  # in a pipeline, pytest's summary repeats it
    assert Path(report).is_file()
    assert "the audit nothing.yaml reached no verdict:" in out
    assert "nothing.yaml: no such file" in out
    assert "subprocess" not in out  # no traceback into ours
    assert sorted((repository.folder / ".raiaudit" / "runs").iterdir()) == runs
    assert Run(runs[0]).broken_seals() == []


@pytest.mark.parametrize("status", ["inconclusive", "error", "not_run"])
def test_what_is_undecided_fails_in_words_of_its_own(
    make_results: Callable[..., Run], status: Status
) -> None:
    run = make_results(status)
    audited = Audited("audit.yaml", run.folder.parent.parent, (run.id,))
    assert audited.verdict == "inconclusive"
    with pytest.raises(AssertionError, match=r"audit\.yaml is inconclusive: no gate failed, but") as caught:
        audited.assert_passed()
    assert "accuracy ≥ 0.9: [U+001B][31mfound" in str(caught.value)


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Run]:
    """A finished run with one gate of that status."""

    def make(status: Status) -> Run:
        gate = Gate(metric="accuracy", min=0.9)
        verdict = Verdict(
            status=status,
            check="performance.accuracy",
            gate=gate,
            measurement=None,
            explanation="\x1b[31mfound",
        )
        record = TrainingRecord(
            architecture="mlp", config={}, code_version="0", parameters=1, weights_digest="w"
        )
        results = Results(
            run="r",
            verdict=status,
            partial=False,
            subject=SubjectCard(name="m", version=1, record=record),
            data=DataCard(name="x", modality="image", classes=("a", "b"), digest="d", sizes={}, audited=1),
            seed=0,
            checks=(),
            measurements=(),
            verdicts=(verdict,),
        )
        run = Run(tmp_path / "runs" / "r")
        run.folder.mkdir(parents=True)
        (run.folder / "results.json").write_text(results.model_dump_json())
        header = RunHeader(
            id="r", suite="s", model="m", data="x", modality="image", status="finished", started="1"
        )
        run.write_header(header)
        return run

    return make


def test_the_plugin_is_an_entry_point() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"raiaudit": "raiaudit.pytest_plugin"}
    assert project["scripts"]["raiaudit-validate"] == "raiaudit.hook:main"


# GitHub Actions


@dataclass
class Workflow:
    """The steps of our composite action with `run`, as GitHub would run them."""

    repository: Repository
    temporary: Path
    inputs: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    log: str = ""

    def run(self, *only: str) -> int:
        """Every step, or those with these ids; the exit code of the last that failed."""
        action = yaml.safe_load((ROOT / "action.yml").read_text())
        defaults = {name: str(of.get("default", "")) for name, of in action["inputs"].items()}
        self.inputs = defaults | self.inputs
        failed = 0
        for step in action["runs"]["steps"]:
            chosen = not only or step.get("id", "install") in only
            if "run" in step and chosen and self._wanted(step.get("if", ""), failed):
                failed = self._step(step) or failed
        return failed

    def _wanted(self, condition: str, failed: int) -> bool:
        """The few conditions that the action uses; any other is a mistake."""
        if failed and "always()" not in condition:
            return False
        known = condition.removeprefix("always() && ")
        if not known:
            return True
        found = re.fullmatch(r"(\S+) != ''", known)
        assert found, condition
        return self._value(found[1]) != ""

    def _value(self, name: str) -> str:
        if name.startswith("inputs."):
            return self.inputs[name.removeprefix("inputs.")]
        if name == "github.action_path":
            return str(ROOT)
        found = re.fullmatch(r"steps\.(\w+)\.outputs\.(\w+)", name)
        assert found, name
        return self.outputs.get(f"{found[1]}.{found[2]}", "")

    def _step(self, step: dict[str, Any]) -> int:
        name = step.get("id", "install")
        expression = re.compile(r"\$\{\{ (\S+) \}\}")
        assert not expression.search(step["run"])  # what is pasted into a script could be a command
        given = {k: expression.sub(lambda m: self._value(m[1]), v) for k, v in step.get("env", {}).items()}
        script, output = self.temporary / f"{name}.sh", self.temporary / f"{name}.out"
        script.write_text(step["run"])
        output.touch()
        files = {"GITHUB_OUTPUT": output, "GITHUB_STEP_SUMMARY": self.temporary / "summary.md"}
        more = {key: str(path) for key, path in files.items()} | {"RUNNER_TEMP": str(self.temporary)}
        done = self.repository(
            "bash", "--noprofile", "--norc", "-eo", "pipefail", str(script), **more, **given
        )
        self.log += done.stdout + done.stderr
        self.codes[name] = done.returncode
        text = output.read_text()
        for key, value in re.findall(r"^(\w+)<<RAIAUDIT_END\n(.*?)RAIAUDIT_END$", text, re.M | re.S):
            self.outputs[f"{name}.{key}"] = value.strip()
        for key, value in re.findall(r"^(\w+)=(.*)$", text, re.M):
            self.outputs[f"{name}.{key}"] = value
        return done.returncode


@pytest.fixture
def workflow(repository: Repository, tmp_path: Path) -> Any:
    def make(**inputs: str) -> Workflow:
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        return Workflow(repository, tmp_path, {"python-version": ""} | given)

    return make


def test_the_action_fails_with_the_gate_and_leaves_what_it_promises(workflow: Any, tmp_path: Path) -> None:
    job = workflow(spec="audit.yaml")
    assert job.run() == 1, job.log
    assert job.codes == {"audit": 0, "gate": 1}
    assert job.outputs["gate.verdict"] == "fail"
    folder = job.repository.folder
    assert (folder / ".raiaudit" / "runs" / job.outputs["audit.run"] / "results.json").is_file()
    assert (folder / job.outputs["audit.reports"]).read_bytes().startswith(b"%PDF")
    assert "<testsuite" in (folder / "raiaudit-junit.xml").read_text()
    assert json.loads((folder / "raiaudit.sarif").read_text())["version"] == "2.1.0"
    assert (tmp_path / "summary.md").read_text().startswith("## Audit of 1 model")
    assert "misses ≥ 1" in job.log


def test_the_action_passes_with_waivers_beside_the_pipeline(workflow: Any) -> None:
    job = workflow(spec="audit.yaml", waivers="beside.yaml", junit="", sarif="my.sarif")
    (run,) = (job.repository.folder / ".raiaudit" / "runs").iterdir()
    job.outputs["audit.run"] = run.name
    job.repository.write("beside.yaml", waivers())
    assert job.run("gate") == 0, job.log
    assert job.outputs["gate.verdict"] == "pass"
    (log,) = json.loads((job.repository.folder / "my.sarif").read_text())["runs"]
    assert all(result["suppressions"] for result in log["results"])
    job.repository.write("beside.yaml", "- {owner: nobody}")
    assert job.run("gate") == 2, job.log  # and not what the interpreter says of an empty answer


def test_an_older_run_does_not_stand_in_for_a_wrong_spec(workflow: Any) -> None:
    job = workflow(spec="broken.yaml", junit="none.xml")
    job.repository.write("broken.yaml", SPEC.replace("epochs", "epoch"))
    assert job.run() == 2
    assert job.codes == {"audit": 2}
    assert job.outputs["audit.run"] == ""
    assert "did you mean 'epochs'" in job.log
    assert not (job.repository.folder / "none.xml").exists()


def test_the_action_installs_what_it_was_checked_out_as(workflow: Any) -> None:
    job = workflow(spec="broken.yaml", python_version="3.12", extra_index_url="https://mirror.example/simple")
    assert job.run("install") == 0
    said = (job.repository.tools / "pip.log").read_text()
    assert said == f"-m pip install --quiet {ROOT} https://mirror.example/simple\n"


def test_the_actions_it_uses_are_pinned_by_tag() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    used = [step["uses"] for step in action["runs"]["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)


# pre-commit


def test_the_hook_refuses_a_commit_with_a_wrong_spec(repository: Repository, tmp_path: Path) -> None:
    pytest.importorskip("pre_commit", reason="pre-commit is not installed")
    ours = Repository(tmp_path / "hooks", repository.tools)
    ours.write(".pre-commit-hooks.yaml", (ROOT / ".pre-commit-hooks.yaml").read_text())
    theirs = Repository(tmp_path / "theirs", repository.tools)
    theirs.write("fine_audit.yaml", SPEC)
    theirs.write("other.yaml", "no: spec")
    for each in (ours, theirs):
        each("git", "init", "-q", ".")
        each("git", "config", "user.email", "a@example.org")
        each("git", "config", "user.name", "a")
        each("git", "add", "-A")
        assert each("git", "commit", "-qm", "first").returncode == 0
    revision = ours("git", "rev-parse", "HEAD").stdout.strip()
    hook = {"repo": str(ours.folder), "rev": revision, "hooks": [{"id": "raiaudit-validate"}]}
    theirs.write(".pre-commit-config.yaml", yaml.safe_dump({"repos": [hook]}))
    theirs("git", "add", "-A")
    run = (sys.executable, "-m", "pre_commit", "run")
    more = {"PRE_COMMIT_HOME": str(tmp_path / "cache")}
    skipped = theirs(*run, **more)
    assert (skipped.returncode, "no files to check" in skipped.stdout) == (0, True), skipped.stdout
    fine = theirs(*run, "--all-files", **more)
    assert (fine.returncode, "Passed" in fine.stdout) == (0, True), fine.stdout
    theirs.write("audits/audit-b.yml", SPEC.replace("epochs", "epoch"))
    theirs.write("waivers.yaml", waivers().replace("owner: r.ait, ", ""))
    theirs("git", "add", "-A")
    wrong = theirs(*run, **more)
    assert wrong.returncode == 1
    assert "audits/audit-b.yml:4 (model.recipe.epoch): unknown key 'epoch'" in wrong.stdout
    assert "waivers.yaml:1 (0.owner): the key 'owner' is missing" in wrong.stdout
    assert "exit code: 2" in wrong.stdout
