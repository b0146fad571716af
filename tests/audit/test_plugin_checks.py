"""Checks of installed packages: found by their entry point, audited like ours, refused with a reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raiaudit.audit.catalogue import CHECKS, all_checks, find_check
from raiaudit.audit.runner import run_suite
from raiaudit.audit.spec import load_spec
from raiaudit.audit.store import Home
from raiaudit.errors import SpecError, UnknownNameError, UsageError

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "own-check.md"


def code_of_the_guide() -> str:
    """The check that the documentation tells people to write."""
    return GUIDE.read_text().split("```python\n", 1)[1].split("```", 1)[0]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with an installed distribution; `entry_points.txt` is for the test to write."""
    (tmp_path / "their_checks.py").write_text(code_of_the_guide())
    (tmp_path / "theirs-1.0.dist-info").mkdir()
    (tmp_path / "theirs-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    all_checks.cache_clear()
    yield tmp_path / "theirs-1.0.dist-info" / "entry_points.txt"
    sys.modules.pop("their_checks", None)
    all_checks.cache_clear()


def test_a_plug_in_is_audited_and_gated_like_a_check_of_ours(installed: Path, tmp_path: Path) -> None:
    installed.write_text("[raiaudit.checks]\ntheirs.doubt = their_checks:Doubt\n")
    assert all_checks().keys() == CHECKS.keys() | {"theirs.doubt"}
    spec = tmp_path / "audit.yaml"
    spec.write_text(
        "data: {name: digits}\n"
        "model: {name: m, recipe: {architecture: mlp, options: {hidden: 8}, epochs: 1, train_limit: 100}}\n"
        "run: {limit: 50}\nchecks:\n  - use: theirs.doubt\n    with: {below: 0.9}\n"
        "    gate: {metric: doubtful_share, min: 0}\n"
    )
    (run,) = run_suite(
        load_spec(spec), Home.at(tmp_path / "home"), listener=lambda _: None, documents=lambda _: None
    )
    (measured,) = run.results.measurements
    assert (measured.metric, measured.n) == ("doubtful_share", 50)
    assert [str(verdict.status) for verdict in run.results.verdicts] == ["pass"]
    spec.write_text(spec.read_text().replace("below", "beyond"))
    with pytest.raises(SpecError, match="unknown key 'beyond'"):
        load_spec(spec)


def test_a_name_of_ours_is_not_to_be_had(installed: Path) -> None:
    installed.write_text("[raiaudit.checks]\nfairness.groups = their_checks:Doubt\n")
    with pytest.raises(UsageError, match=r"two checks are called 'fairness\.groups'"):
        all_checks()


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("theirs.doubt = nowhere:Doubt", "cannot be loaded .ModuleNotFoundError"),
        ("theirs.doubt = their_checks:Nothing", "cannot be loaded .AttributeError"),
        ("theirs.doubt = builtins:dict", "no check of that id"),
        ("theirs.other = their_checks:Doubt", "no check of that id"),
    ],
)
def test_a_broken_plug_in_is_named(entry: str, problem: str, installed: Path) -> None:
    installed.write_text(f"[raiaudit.checks]\n{entry}\n")
    with pytest.raises(UsageError, match=problem) as caught:
        all_checks()
    assert "plug-in" in str(caught.value)
    assert "uninstall" in str(caught.value)


def test_an_unknown_name_lists_the_choices_with_those_of_plug_ins(installed: Path) -> None:
    installed.write_text("[raiaudit.checks]\ntheirs.doubt = their_checks:Doubt\n")
    with pytest.raises(UnknownNameError, match=r"did you mean 'theirs\.doubt'"):
        find_check("theirs.dout")
