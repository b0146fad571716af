"""A pytest plugin: an audit as a test.

    def test_audit(raiaudit):
        raiaudit.run("audit.yaml").assert_passed()

The audit runs in a process of its own, by this Python: warnings that your pytest turns into errors, patched
modules and a changed working folder are not its business, and neither torch nor a model is loaded into the
tests. A spec that has not changed since it was audited costs no new run. Paths start at pytest's root folder;
state is in `--raiaudit-home`, else `$RAIAUDIT_HOME`, else `.raiaudit` there.

Pytest loads this module in every session of an environment that has raiaudit: it imports nothing heavy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.store import Run

__all__ = ["Audited", "Auditor"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The state folder as an option."""
    parser.getgroup("raiaudit").addoption(
        "--raiaudit-home",
        metavar="DIR",
        help="State folder of audits. Default: $RAIAUDIT_HOME, else .raiaudit in the root folder",
    )


@pytest.fixture(scope="session")
def raiaudit(pytestconfig: pytest.Config) -> Auditor:
    """Runs audits: `raiaudit.run("audit.yaml").assert_passed()`."""
    root = pytestconfig.rootpath
    chosen = pytestconfig.getoption("--raiaudit-home") or os.environ.get("RAIAUDIT_HOME")
    home = pytestconfig.invocation_params.dir / chosen if chosen else root / ".raiaudit"
    return Auditor(root, home)


@dataclass(frozen=True)
class Auditor:
    """Audits specs under `root`, with their state in `home`."""

    root: Path
    home: Path

    def run(self, spec: str | Path, *, limit: int | None = None, unsafe_load: bool = False) -> Audited:
        """Audit a spec, or find that this was done. Fails the test if no verdict was reached."""
        __tracebackhide__ = True
        command = [sys.executable, "-m", "raiaudit", "run", "--json", "--home", str(self.home)]
        command += [f"--limit={limit}"] if limit is not None else []
        command += ["--unsafe-load"] if unsafe_load else []
        command += ["--", str(spec)]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        last = json.loads(lines[-1]) if lines else {}
        if not last.get("runs"):
            why = done.stderr.strip() or f"exit code {done.returncode}"
            pytest.fail(f"the audit {spec} reached no verdict:\n{why}", pytrace=False)
        return Audited(str(spec), self.home, tuple(last["runs"]))


@dataclass(frozen=True)
class Audited:
    """The finished runs of a spec, one a model."""

    spec: str
    home: Path
    runs: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """`pass`, `fail` or `inconclusive`: what all gates come to today, waivers counted."""
        verdicts = {status for _, status, _ in self._found()}
        return "fail" if "fail" in verdicts else "pass" if verdicts == {"pass"} else "inconclusive"

    def assert_passed(self) -> None:
        """Fail, naming every gate that stands in the way, unless all passed or are waived."""
        __tracebackhide__ = True
        verdict = self.verdict
        if verdict == "pass":
            return
        said = {
            "fail": f"the audit {self.spec} failed",
            "inconclusive": f"the audit {self.spec} is inconclusive: no gate failed, but these could not be "
            "decided, and what is not shown to hold has not passed",
        }[verdict]
        lines = [f"{said}:"]
        for run, status, complaints in self._found():
            if status != "pass":
                report = run.folder / "report.pdf"
                lines += [f"  {run.header.model}", *(f"    {text}" for text in complaints), f"    {report}"]
        raise AssertionError("\n".join(lines))

    def _found(self) -> Iterator[tuple[Run, str, list[str]]]:
        """Every run with what it comes to and one line a gate in the way."""
        from raiaudit.audit.gating import in_force, rule, today
        from raiaudit.audit.store import Home
        from raiaudit.models.markdown import flat
        from raiaudit.reports.theme import VERDICTS
        from raiaudit.reports.words.waiving import waiver_note
        from raiaudit.reports.words.wording import check_title

        day = today()
        for name in self.runs:
            run = in_force(Home(self.home).run(name))
            results = run.results
            complaints = [] if results.verdicts else ["no gate was set, so nothing was decided"]
            for verdict in results.verdicts:
                if verdict.status == "pass" or verdict.waived(day):
                    continue
                parts = [f"{VERDICTS[verdict.status].word}: {check_title(verdict.check)}"]
                if verdict.gate is not None and verdict.measurement is None:
                    parts.append(f", {verdict.gate.metric} {verdict.gate.threshold()}")
                note = waiver_note(verdict, day)
                parts.append(f": {verdict.explanation}{f' — {note}' if note else ''}")
                complaints.append(flat("".join(parts)))
            yield run, rule(results, day).status, complaints
