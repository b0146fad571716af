"""The documents say what is: their commands, links and files exist, and the site builds."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from raiaudit.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOUNS = "list|show|train|add|compare|ablate|card"
COMMAND = re.compile(rf"(?<!from )raiaudit ([a-z]+)(?: ({NOUNS})\b)?([^`#\n]*)")


def code_in(document: Path) -> str:
    """Fenced blocks and code spans alone."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", document.read_text(), re.DOTALL))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    command = typer.main.get_command(app)
    assert isinstance(command, click.Group | typer.core.TyperGroup)
    for verb, noun, options in COMMAND.findall(code_in(document)):
        assert verb in command.commands, f"{document.name}: raiaudit {verb}"
        chosen = command.commands[verb]
        if noun:
            chosen = chosen.commands[noun]  # type: ignore[attr-defined]  # a group, or the test fails
        known = {name for parameter in chosen.params for name in parameter.opts + parameter.secondary_opts}
        for option in re.findall(r" (--[a-z-]+)", options):
            assert option in known | {"--help"}, f"{document.name}: raiaudit {verb} {option}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_in_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    targets = re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r'src="([^":]+)"', text)
    for target in targets:
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_reference_is_what_the_code_says() -> None:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import generate_reference, json; print(json.dumps(generate_reference.pages()))",
        ],
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    for name, text in json.loads(found.stdout).items():
        drifted = f"docs/reference/{name} is not what the code says: run `python docs/generate_reference.py`"
        assert (ROOT / "docs" / "reference" / name).read_text() == text, drifted


@pytest.mark.parametrize("page", ["spec-keys.md", "checks.md", "cli.md"])
def test_every_key_and_option_has_a_meaning(page: str) -> None:
    rows = re.findall(r"^\| `.*$", (ROOT / "docs" / "reference" / page).read_text(), re.MULTILINE)
    assert len(rows) > 50
    assert not [row for row in rows if re.search(r"\| *\|$", row)]


def test_the_site_builds_and_needs_nobody_else(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[docs]'")
    pytest.importorskip("material", reason="mkdocs-material is not installed: pip install -e '.[docs]'")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not included in the" not in done.stderr, done.stderr  # a page that the navigation lacks
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text()
        fetched = re.findall(r"""<(?:script|img|iframe)[^>]+src="(https?:[^"]+)""", text)
        fetched += re.findall(r"""<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="(https?:[^"]+)""", text)
        assert not fetched, f"{page.name} fetches {fetched}"


def test_make_targets_in_documents_exist() -> None:
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        assert set(re.findall(r"\bmake ([a-z]+)", code_in(document))) <= rules
