"""Every command and snippet of the documents runs.

Fenced blocks are run in the order of their document, in a scratch folder of its own, unless a comment before
one says why not:

    <!-- not run: opens a server -->

`bash`: the lines must be `raiaudit` commands, which must exit with 0, 1 or 3; runs are cut short (`--limit`,
two epochs). `python` is executed. `yaml` is a spec, or a part of one, and must be valid. `text`, `json` and
`toml` are shown alone. A block of no language or another one fails, and so does a reason that is empty.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from raiaudit.audit.drafting import recipes
from raiaudit.audit.model_spec import ModelSpec
from raiaudit.audit.spec import load_spec
from raiaudit.audit.waivers import load_waivers
from raiaudit.cli import app
from raiaudit.models.recipe import Adversary, PrivacyBudget

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = {"text", "json", "toml"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (not run: ?(.*)|run) -->\n\Z")
LIMIT = "16"
RECIPE = "{architecture: mlp, options: {hidden: 16}, epochs: 1, train_limit: 100}"
CHECKS = "checks:\n  - use: performance.accuracy\n    gate: {metric: accuracy, min: 0}\n"
TINY = f"data: {{name: digits}}\nmodel: {{name: tiny, recipe: {RECIPE}}}\n{CHECKS}"
PLACEHOLDER = re.compile(r"\b(REFERENCE|RUN|RUN_B|RUN_C)\b")
HOUSE_RULE = """\
{id: house, title: Ours, citation: none, owner: us, date: 2026-01-01,
 thresholds: [{metric: demographic_parity_difference, max: 0.1}]}
"""


@dataclass(frozen=True)
class Block:
    document: Path
    line: int
    language: str
    text: str
    reason: str | None

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text()
    for found in FENCE.finditer(text):
        mark = MARK.search(text[: found.start()])
        reason = mark.group(2) if mark else None
        yield Block(document, text.count("\n", 0, found.start()) + 1, found.group(1), found.group(2), reason)


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block, without comments; a backslash continues a line."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words:
            yield words


def scratch(folder: Path) -> None:
    """What the documents take to lie around: the examples, some data, a rule of the house."""
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "house.yaml").write_text(HOUSE_RULE)
    rng, n = np.random.default_rng(0), 120
    income = rng.normal(3, 1, n).round(2)
    people = {
        "application": [f"a{row}" for row in range(n)],
        "income": income,
        "sex": rng.choice(["f", "m"], n),
        "age_band": rng.choice(["young", "old"], n),
        "repaid": np.where(income > 3, "yes", "no"),
    }
    pl.DataFrame(people).write_csv(folder / "loans.csv")
    score = rng.random(n)
    predictions = {
        "y": (score + rng.normal(0, 0.3, n) > 0.5).astype(int),
        "yhat": (score > 0.5).astype(int),
        "p": score,
        "sex": people["sex"],
        "race": rng.choice(["a", "b"], n),
    }
    pl.DataFrame(predictions).write_parquet(folder / "predictions.parquet")


def some_runs() -> list[str]:
    """Ids of the runs that a document means by REFERENCE, RUN, RUN_B and RUN_C; made when first asked for."""
    runs = Path(".raiaudit/runs")
    if not runs.exists():
        models = "".join(f"  - {{name: tiny{number}, recipe: {RECIPE}}}\n" for number in range(4))
        Path("tiny.yaml").write_text(f"data: {{name: digits}}\nmodels:\n{models}{CHECKS}")
        assert CliRunner().invoke(app, ["run", "tiny.yaml", "--limit", LIMIT]).exit_code in (0, 3)
        first = min(runs.iterdir())
        Path("report.pdf").write_bytes((first / "report.pdf").read_bytes())
    return sorted(path.name for path in runs.iterdir())


def run_command(words: list[str], place: str) -> None:
    if any(PLACEHOLDER.search(word) for word in words):
        ids = dict(zip(("RUN", "REFERENCE", "RUN_B", "RUN_C"), some_runs(), strict=True))
        words = [PLACEHOLDER.sub(lambda found: ids[found.group()], word) for word in words]
    assert words[0] == "raiaudit", (
        f"{place}: {words[0]} is not run here: say why in a comment before the block"
    )
    arguments = words[1:]
    if arguments[0] != "init" and "audit.yaml" in arguments and not Path("audit.yaml").exists():
        Path("audit.yaml").write_text(TINY)
    if arguments[0] == "run" and "--limit" not in arguments:
        arguments += ["--limit", LIMIT]
    done = CliRunner().invoke(app, arguments)
    problem = "" if done.exception is None else repr(done.exception)
    assert done.exit_code in (0, 1, 3), f"{place}: {shlex.join(words)}\n{done.output}\n{problem}"
    assert done.exception is None or isinstance(done.exception, SystemExit), f"{place}: {problem}"


def spec_of(data: Any, text: str) -> str:
    """A whole spec around a block of YAML that is one, or the checks of one; "" for another part."""
    whole = {"data": {"name": "adult"}, "model": {"name": "m", "recipe": {"architecture": "mlp"}}}
    if isinstance(data, list):
        return yaml.safe_dump({**whole, "checks": data}, sort_keys=False)
    if "checks" in data:
        return text
    return ""


def check_yaml(block: Block, folder: Path) -> None:
    data = yaml.safe_load(block.text)
    if isinstance(data, list) and "owner" in data[0]:
        (folder / "waivers.yaml").write_text(block.text)
        assert load_waivers(folder / "waivers.yaml")
        return
    if spec := spec_of(data, block.text):
        path = folder / "block.yaml"
        path.write_text(spec)
        assert load_spec(path).spec.checks
        return
    (key, value), *others = data.items()
    kinds: dict[str, Callable[[Any], Any]] = {
        "privacy": PrivacyBudget.model_validate,
        "adversary": Adversary.model_validate,
        "endpoint": lambda endpoint: ModelSpec.model_validate({"name": "m", "endpoint": endpoint}),
    }
    assert key in kinds, f"{block.place}: {key!r} is no part of a spec that is known here"
    assert not others
    kinds[key](value)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_the_document_shows_runs(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(blocks(document))
    assert len(found) == document.read_text().count("\n```") / 2 or not found, (
        "a fence is not closed or indented"
    )
    scratch(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAIAUDIT_HOME", str(tmp_path / ".raiaudit"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(recipes, "_MOST_EPOCHS", 2)
    for block in found:
        if block.reason is not None:
            assert len(block.reason) > 5, f"{block.place}: say why it is not run"
            continue
        if block.language == "bash":
            for words in commands(block.text):
                run_command(words, block.place)
        elif block.language == "python":
            exec(compile(block.text, block.place, "exec"), {"__name__": "documented"})
        elif block.language == "yaml":
            check_yaml(block, tmp_path)
        else:
            assert block.language in SHOWN, f"{block.place}: name a language, or text"
