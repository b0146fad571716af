"""The documents say what is: their specs are valid, their commands and files exist."""

import re
from pathlib import Path

import click
import pytest
import typer

from raiaudit.audit.spec import load_spec
from raiaudit.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"raiaudit ([a-z]+)(?: (list|show|train|add|compare|ablate|card)\b)?([^`#\n]*)")


def code_in(document: Path) -> str:
    """Fenced blocks and code spans alone."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", document.read_text(), re.DOTALL))


def specs() -> list[tuple[str, str]]:
    found = []
    for document in DOCUMENTS:
        blocks = re.findall(r"```yaml\n(.*?)```", document.read_text(), re.DOTALL)
        found += [(f"{document.name}-{i}", text) for i, text in enumerate(blocks) if "checks:" in text]
    return found


@pytest.mark.parametrize(("name", "text"), specs(), ids=[name for name, _ in specs()])
def test_specs_in_documents_are_valid(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    assert load_spec(path).spec.checks


def test_the_readme_shows_a_spec() -> None:
    assert any(name.startswith("README") for name, _ in specs())


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


def test_make_targets_in_documents_exist() -> None:
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        assert set(re.findall(r"\bmake ([a-z]+)", code_in(document))) <= rules
