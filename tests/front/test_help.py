"""Every command's help has an example, and shows arguments and switches as the documents write them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from raiaudit.cli import app
from raiaudit.errors import UsageError


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    children: dict[str, Any] = getattr(command, "commands", {})
    if not children:
        yield path
    for name, child in children.items():
        yield from commands(child, (*path, name))


@pytest.mark.parametrize("path", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_help_has_an_example_and_no_value_after_a_switch(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(app, [*path, "--help"]).stdout
    assert f"raiaudit {' '.join(path)}" in shown.split("Example", 1)[1]
    assert "<bool>" not in shown
    usage = next(line for line in shown.splitlines() if "Usage:" in line)
    arguments = usage.split("[OPTIONS]")[1]
    assert arguments == arguments.upper()


def test_the_first_page_says_what_exit_codes_mean() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert "Exit codes: 0 every gate passed" in " ".join(shown.split())


def test_a_port_that_cannot_be_is_a_usage_error() -> None:
    done = CliRunner().invoke(app, ["view", "--port", "70000", "--no-browser"])
    assert (done.exit_code, "65535" in done.output) == (2, True)


def test_a_pdf_outside_its_run_asks_for_the_run(tmp_path: Path) -> None:
    (tmp_path / "signed.pdf").write_bytes(b"%PDF-1.7")
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "signed.pdf")])
    assert isinstance(done.exception, UsageError)
    assert "raiaudit verify" in str(done.exception.remedy)
    named = CliRunner().invoke(
        app, ["verify", str(tmp_path / "signed.pdf"), "nosuchrun", "--home", str(tmp_path)]
    )
    assert isinstance(named.exception, UsageError)
    assert "unknown run 'nosuchrun'" in str(named.exception)
