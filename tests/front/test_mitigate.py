"""A mitigation study end to end on tiny models of images with a group column; what is derived and refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from raiaudit.audit.mitigation.study import MITIGATIONS, MitigationStudy, study
from raiaudit.audit.mitigation.variants import Wishes, derive
from raiaudit.audit.spec import load_spec
from raiaudit.audit.store import Home
from raiaudit.cli import app
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.reports import charts
from raiaudit.reports.studies.mitigation import write_mitigation_pdf
from raiaudit.reports.studies.study import cell_lines

RECIPE = "architecture: mlp, options: {hidden: 16}, epochs: 4, train_limit: 240, batch_size: 40"
SPEC = f"""\
data: {{name: digits}}
models:
  - name: tiny
    recipe: {{{RECIPE}}}
  - name: mine
    recipe: {{{RECIPE}, kind: fair, fairness: {{method: reweighing, attribute: stroke}}}}
run: {{seed: 3, device: cpu}}
checks:
  - use: fairness.groups
    with: {{permutations: 99}}
"""
WISHES = Wishes("stroke", ("reweighing", "shared_threshold"), positive="8")


@dataclass(frozen=True)
class Made:
    """A study, its home, and its spec."""

    study: MitigationStudy
    home: Home
    spec: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("mitigation")
    spec = folder / "tiny.yaml"
    spec.write_text(SPEC)
    home = Home.at(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        found = study(load_spec(spec), WISHES, home, listener=lambda _: None, documents=lambda _: None)
    return Made(found, home, spec)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def test_the_specs_own_model_is_taken_and_the_other_derived(made: Made) -> None:
    assert [(row.variant, row.model) for row in made.study.rows] == [
        ("standard", "tiny"),
        ("reweighing", "mine"),
        ("shared_threshold", "tiny.shared_threshold.stroke"),
    ]
    run = made.home.run(made.study.rows[2].run)
    recipe = run.results.subject.record.recipe
    assert recipe is not None
    assert recipe.fairness is not None
    assert (recipe.fairness.method, recipe.fairness.positive) == ("shared_threshold", "8")
    assert run.results.subject.version > 0  # registered like any model


def test_gaps_and_rates_are_those_of_the_ledgers(made: Made) -> None:
    """The demographic parity difference: the share answered "8", thick against thin."""
    shares: dict[str, dict[str, float]] = {}
    for row in made.study.rows:
        columns = ("fairness.group.stroke", "fairness.label", "fairness.predicted")
        rows = made.home.run(row.run).ledger.scan(*columns).collect()
        selected = rows.group_by("fairness.group.stroke").agg((pl.col("fairness.predicted") == 8).mean())
        shares[row.variant] = dict(selected.iter_rows())
        for group, cell in row.groups["selection_rate"].items():
            assert cell.value == pytest.approx(shares[row.variant][group])
        gap = row.cells["demographic_parity_difference"]
        assert gap.value == pytest.approx(
            max(shares[row.variant].values()) - min(shares[row.variant].values())
        )
        if row.variant == "standard":
            assert gap.change is None
            continue
        base = made.study.rows[0].cells["demographic_parity_difference"].value or 0.0
        assert gap.change is not None
        assert gap.change.difference == pytest.approx((gap.value or 0.0) - base)
        assert gap.change.low <= gap.change.difference <= gap.change.high
        assert row.told[0].split(" the ")[1].startswith("demographic parity difference")


def test_the_command_prints_json_and_writes_markdown_and_pdf(made: Made) -> None:
    folder, runner = made.spec.parent, CliRunner()
    asked = ["mitigate", str(made.spec), "--attribute", "stroke", "--positive", "8"]
    asked += ["--method", "reweighing", "--method", "shared_threshold", "--home", str(made.home.root)]
    files = ["--markdown", str(folder / "m.md"), "--pdf", str(folder / "m.pdf")]
    done = runner.invoke(app, [*asked, *files, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["id"] == made.study.id
    text = (folder / "m.md").read_text()
    lines = cell_lines("clean_accuracy", made.study.rows[0].cells["clean_accuracy"])
    assert f"| Clean accuracy | {lines[0]}" in text
    assert "### Selection rate by stroke" in text
    assert "- **shared_threshold**. " in text
    first = (folder / "m.pdf").read_bytes()
    assert first.startswith(b"%PDF-1.7")
    kept = MITIGATIONS.read(MITIGATIONS.paths(made.home)[0])
    assert write_mitigation_pdf(kept, folder / "m.pdf").read_bytes() == first
    shown = runner.invoke(app, asked)
    assert shown.exit_code == 0, shown.output
    assert "True positive rate by stroke" in shown.stdout


def test_the_charts_mark_what_another_variant_beats(made: Made) -> None:
    chart = charts.accuracy_against_disparity(made.study)
    assert chart is not None
    (rows,) = chart.to_dict(validate=False)["datasets"].values()
    by_hand = {
        a["variant"]
        for a in rows
        if any(b["y"] >= a["y"] and b["x"] <= a["x"] and (b["y"], b["x"]) != (a["y"], a["x"]) for b in rows)
    }
    assert {row["variant"] for row in rows if row["dominated"]} == by_hand
    by_group = charts.groups_by_variant(made.study, "selection_rate")
    assert by_group is not None
    assert ">shared_threshold<" in charts.to_svg(by_group)
    assert charts.groups_by_variant(made.study, "impact") is None


def test_the_page_shows_who_pays(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAIAUDIT_HOME", str(made.home.root))

    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.studies import mitigation

        mitigation.show(Home.at(), {})

    page = AppTest.from_function(script, default_timeout=60).run()
    assert not page.exception
    assert [header.value for header in page.subheader] == ["Who pays", "By group", "The audits behind it"]
    assert any("**shared\\_threshold**" in text.value for text in page.markdown)
    monkeypatch.setenv("RAIAUDIT_HOME", str(made.spec.parent / "empty"))
    empty = AppTest.from_function(script, default_timeout=60).run()
    assert "raiaudit mitigate" in "".join(code.value for code in empty.code)


def spec(tmp_path: Path, text: str = SPEC) -> Any:
    (tmp_path / "audit.yaml").write_text(text)
    return load_spec(tmp_path / "audit.yaml")


def test_by_default_every_method_that_suits_the_data(tmp_path: Path) -> None:
    found = derive(spec(tmp_path), Wishes("stroke", positive="8", criterion="equal_opportunity"))
    assert list(found.titles) == [
        "standard",
        "reweighing",
        "group_dro",
        "adversarial_debiasing",
        "lagrangian",
        "shared_threshold",
    ]
    assert found.titles["lagrangian"] == "tiny.lagrangian.stroke.equal_opportunity"
    assert found.titles["group_dro"] == "tiny.group_dro.stroke"  # which knows no criterion
    assert [note.split(":")[0] for note in found.notes] == ["correlation_remover", "group_thresholds"]
    groups = [c for c in found.loaded.configs if hasattr(c, "min_group")]
    assert [config.positive for config in groups] == ["8"]  # type: ignore[attr-defined]  # of fairness.groups
    other = SPEC.replace("method: reweighing", "method: shared_threshold, positive: '8'")
    taken = [
        derive(spec(tmp_path, other), Wishes("stroke", criterion=criterion, positive="8")).titles[
            "shared_threshold"
        ]
        for criterion in ("demographic_parity", "equalized_odds")
    ]
    assert taken == ["mine", "tiny.shared_threshold.stroke.equalized_odds"]
    narrow = SPEC.replace("permutations: 99", "columns: [label_of_somebody], permutations: 99")
    changed = derive(spec(tmp_path, narrow), Wishes("stroke", ("group_dro",)))
    assert changed.loaded.spec.checks[0].with_["columns"] == ("label_of_somebody", "stroke")


def test_what_cannot_be_is_refused_before_any_training(tmp_path: Path) -> None:
    loaded = spec(tmp_path)
    with pytest.raises(UnknownNameError, match="unknown group column 'sex'"):
        derive(loaded, Wishes("sex"))
    with pytest.raises(UnknownNameError, match="unknown method 'magic'"):
        derive(loaded, Wishes("stroke", ("magic",)))
    with pytest.raises(UsageError, match="reads stroke from the input"):
        derive(loaded, Wishes("stroke", ("group_thresholds",), positive="8"))
    with pytest.raises(UsageError, match="which of 10 classes"):
        derive(loaded, Wishes("stroke", ("lagrangian",)))
    with pytest.raises(UsageError, match="bound") as refused:
        derive(loaded, Wishes("stroke", ("lagrangian",), positive="8", bound=2.0))
    assert "mitigate" in str(refused.value)
