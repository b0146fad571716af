"""A trade-off study end to end on tiny digits models, and the variants it derives."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from raiaudit.audit.measurement import Measurement
from raiaudit.audit.spec import LoadedSpec, load_spec
from raiaudit.audit.statistics.intervals import clopper_pearson, paired_difference, wilson
from raiaudit.audit.statistics.paired_auc import paired_auc_difference
from raiaudit.audit.store import Home, Run
from raiaudit.audit.studies.metrics import _worst_change
from raiaudit.audit.studies.study import Study
from raiaudit.audit.tradeoff.cells import epsilon_lower
from raiaudit.audit.tradeoff.study import TRADEOFFS, study
from raiaudit.audit.tradeoff.variants import Wishes, derive
from raiaudit.cli import app
from raiaudit.errors import StorageError, UsageError
from raiaudit.reports import charts
from raiaudit.reports.studies.study import cell_lines, study_markdown
from raiaudit.reports.studies.tradeoff import write_tradeoff_pdf

RECIPE = (
    "{architecture: mlp, options: {hidden: 16}, epochs: 4, train_limit: 240, batch_size: 40, average: 0.5}"
)
SPEC = f"""\
data: {{name: digits}}
models:
  - name: tiny
    recipe: {RECIPE}
run: {{seed: 3, device: cpu}}
checks:
  - use: robustness.evasion
    with: {{norm: linf, eps: [0.02, 0.05], attack: pgd, steps: 2, examples: 120}}
  - use: privacy.membership
    with: {{attack: loss, pool: 240, population: 0}}
  - use: fairness.groups
    with: {{permutations: 99}}
"""
WISHES = Wishes(eps=0.05, steps=1, epsilon=(1.0,))
VARIANTS = ["standard", "adversarial", "private", "adversarial+private"]


@dataclass(frozen=True)
class Made:
    """A study, its home, and the events of making it."""

    study: Study
    home: Home
    spec: Path
    events: list[dict[str, Any]]

    def run(self, variant: str) -> Run:
        return self.home.run(next(row.run for row in self.study.rows if row.variant == variant))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("tradeoff")
    spec = folder / "tiny.yaml"
    spec.write_text(SPEC)
    home = Home.at(folder / "home")
    events: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        found = study(load_spec(spec), WISHES, home, listener=events.append, documents=lambda _: None)
    return Made(found, home, spec, events)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def outcomes(run: Run, *columns: str) -> pl.DataFrame:
    return run.ledger.scan(*columns).drop_nulls().sort("example_id").collect()


def test_every_variant_is_trained_as_its_name_says(made: Made) -> None:
    assert [row.variant for row in made.study.rows] == VARIANTS
    recipes = {v: made.run(v).results.subject.record.recipe for v in VARIANTS}
    kinds = {
        v: (recipe.adversary is not None, recipe.privacy is not None)
        for v, recipe in recipes.items()
        if recipe
    }
    assert kinds == {
        "standard": (False, False),
        "adversarial": (True, False),
        "private": (False, True),
        "adversarial+private": (True, True),
    }
    epsilon = {row.variant: row.cells["epsilon"].value for row in made.study.rows}
    assert epsilon["standard"] is None
    assert 0 < (epsilon["private"] or 0) <= 1
    assert 0 < (epsilon["adversarial+private"] or 0) <= 1


def test_accuracies_and_their_paired_differences_are_those_of_the_ledgers(made: Made) -> None:
    """Robust: right under every attack at every radius."""
    broken = ["evasion.linf-0.02-pgd.broken", "evasion.linf-0.05-pgd.broken"]
    for metric, columns, size in (
        ("clean_accuracy", ["accuracy.correct"], 500),
        ("robust_accuracy", broken, 120),
    ):
        right: dict[str, Any] = {}
        for row in made.study.rows:
            table = outcomes(made.run(row.variant), *columns).drop("example_id").to_numpy()
            good: Any = table[:, 0] if metric == "clean_accuracy" else ~table.any(axis=1)
            right[row.variant] = good
            cell = row.cells[metric]
            assert cell.n == size == len(good)
            assert cell.value == pytest.approx(good.mean())
            assert (cell.low, cell.high) == pytest.approx(tuple(wilson(int(good.sum()), size)))
            if row.variant == "standard":
                assert cell.change is None
                continue
            base = right["standard"]
            assert cell.change is not None
            assert cell.change.difference == pytest.approx(good.mean() - base.mean())
            assert (cell.change.low, cell.change.high) == pytest.approx(tuple(paired_difference(good, base)))


def test_the_true_positive_rate_is_at_the_smallest_rate_the_pool_supports(made: Made) -> None:
    cell = made.study.rows[0].cells["membership_tpr"]
    assert cell.slice == "loss at 8.4 % FPR"  # 10 of 120, rounded up
    assert cell.remark == "8.4 % is the smallest FPR that 240 non-members support"
    assert cell.n == 240
    assert cell.value is not None
    assert cell.low is not None
    assert cell.high is not None
    members = clopper_pearson(round(cell.value * 240), 240)  # whose luck is but a part
    assert 0 <= cell.low < members.low < members.high < cell.high <= 1
    area = made.study.rows[0].cells["membership_auc"]
    measured = {m.label(): m for m in made.run("standard").results.measurements}
    assert area.value == pytest.approx(measured["membership_auc (attack=loss)"].value)


def test_the_worst_group_is_the_worst(made: Made) -> None:
    smallest = {}
    for row in made.study.rows:
        table = outcomes(
            made.run(row.variant), "fairness.group.stroke", "fairness.label", "fairness.predicted"
        )
        right = table.with_columns(right=pl.col("fairness.label") == pl.col("fairness.predicted"))
        by_group = right.group_by("fairness.group.stroke").agg(pl.col("right").mean()).sort("right")
        worst, share = by_group.row(0)
        cell = row.cells["worst_group_accuracy"]
        assert cell.slice == f"stroke = {worst}"
        assert cell.value == pytest.approx(share)
        smallest[row.variant] = share
        if cell.change is not None:
            assert cell.change.difference == pytest.approx(share - smallest["standard"])
            assert cell.change.low <= cell.change.difference <= cell.change.high


def test_the_difference_of_worst_groups_is_covered_wherever_they_are() -> None:
    """Coverage over 300 pairs of models whose worst groups differ (true difference −0.05)."""
    rng, covered = np.random.default_rng(1), 0
    sizes, a, b = (400, 300, 40), (0.75, 0.9, 0.9), (0.9, 0.8, 0.85)
    for _ in range(300):
        ours, base = [], []
        for n, p, q in zip(sizes, a, b, strict=True):
            u = rng.random(n)  # one draw for both: the models err on the same examples
            ours.append(u < p)
            base.append(u < q)
        change = _worst_change(ours, base)
        covered += change.low <= -0.05 <= change.high
    assert covered >= 0.95 * 300
    assert change.high - change.low < 0.3


def test_a_finished_study_is_made_again_without_work(made: Made) -> None:
    events: list[dict[str, Any]] = []
    again = study(load_spec(made.spec), WISHES, made.home, listener=events.append, documents=lambda _: None)
    assert {event["event"] for event in events} == {"run_unchanged"}
    assert again.model_copy(update={"made": made.study.made}) == made.study
    assert TRADEOFFS.read(TRADEOFFS.paths(made.home)[0]) == again


def test_the_command_prints_json_and_writes_markdown(made: Made) -> None:
    out, pdf = made.spec.parent / "table.md", made.spec.parent / "table.pdf"
    wishes = ["--eps", "0.05", "--steps", "1", "--epsilon", "1", "--home", str(made.home.root)]
    done = CliRunner().invoke(
        app, ["tradeoff", str(made.spec), *wishes, "--json", "--markdown", str(out), "--pdf", str(pdf)]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["id"] == made.study.id
    first = pdf.read_bytes()
    assert first.startswith(b"%PDF-1.7")
    assert write_tradeoff_pdf(TRADEOFFS.read(TRADEOFFS.paths(made.home)[0]), pdf).read_bytes() == first
    text = out.read_text()
    header = [cell.strip() for cell in text.splitlines()[0].strip("|").split("|")]
    assert header == ["", "standard", "adversarial", "private", "adversarial+private"]
    assert (
        "| Clean accuracy | " + cell_lines("clean_accuracy", made.study.rows[0].cells["clean_accuracy"])[0]
        in text
    )
    assert "private: derived, ε ≤ 1 at δ = 1e-05" in text
    assert "no privacy.canaries in the spec" in text
    told = CliRunner().invoke(app, ["tradeoff", str(made.spec), *wishes])
    assert told.exit_code == 0, told.output
    assert "Worst-group accuracy" in told.stdout


def test_differences_that_leave_zero_out_are_marked_by_what_is_better(made: Made) -> None:
    cell = made.study.rows[1].cells["clean_accuracy"]
    assert cell.change is not None
    worse = cell.change.model_copy(update={"difference": -0.1, "low": -0.2, "high": -0.05})
    lines = cell_lines("clean_accuracy", cell.model_copy(update={"change": worse}))
    assert lines[1] == "Δ −10.0 [−20.0, −5.0] ▼"
    leak = cell.model_copy(update={"change": worse, "better": "lower"})
    assert cell_lines("membership_tpr", leak)[1].endswith("▲")
    unclear = worse.model_copy(update={"high": 0.05})
    assert cell_lines("clean_accuracy", cell.model_copy(update={"change": unclear}))[1].endswith("+5.0]")


def test_names_from_outside_are_escaped_in_markdown(made: Made) -> None:
    named = made.study.model_copy(update={"notes": ("a|b<c>",)})
    assert "a\\|b&lt;c>" in study_markdown(named)


def test_the_charts_show_every_variant(made: Made) -> None:
    for chart in (charts.accuracy_against_leakage(made.study), charts.shares_by_variant(made.study)):
        assert chart is not None
        svg = charts.to_svg(chart)
        assert all(f">{variant}<" in svg for variant in VARIANTS)
    leakage = charts.accuracy_against_leakage(made.study)
    assert leakage is not None
    drawn = leakage.to_dict(validate=False)
    (rows,) = drawn["datasets"].values()
    best = {row["variant"] for row in rows if row["best"]}
    by_hand = {
        a["variant"]
        for a in rows
        if not any(
            (b["y"] >= a["y"] and b["x"] <= a["x"]) and (b["y"], b["x"]) != (a["y"], a["x"]) for b in rows
        )
    }
    assert best == by_hand
    budget = charts.accuracy_against_budget(made.study)
    assert budget is not None
    assert ">clean (adversarial)<" in charts.to_svg(budget)
    plain = made.study.model_copy(update={"rows": made.study.rows[:2]})
    assert charts.accuracy_against_budget(plain) is None


def test_an_unreadable_study_says_how_to_make_it_anew(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "tradeoff.json"
    path.write_text('{"schema_version": 1}')
    with pytest.raises(StorageError, match="tradeoff SPEC"):
        TRADEOFFS.read(path)


def test_what_canaries_show_is_the_largest_of_the_bound_all_variants_have(made: Made) -> None:
    """Planted: two kinds of canary and two bounds; the private variant has both, the other one alone."""

    def found(bound: str, kind: str, value: float, metric: str = "epsilon_lower_bound") -> Measurement:
        where: dict[str, Any] = {"bound": bound, "canaries": kind}
        check = "privacy.canaries"
        return Measurement(
            check=check, metric=metric, value=value, n=9, better="lower", where=where, method="steinke2023"
        )

    plain = [found("(ε, δ)", "label", 0.5), found("(ε, δ)", "input", 0.7)]
    private = [*plain, found("f-DP", "label", 2.0), found("(ε, δ)", "label", 3.0, "epsilon_power_cap")]
    runs: Any = {}
    for name, measured in (("standard", plain), ("private", private)):
        results = made.run("standard").results.model_copy(update={"measurements": tuple(measured)})
        runs[name] = SimpleNamespace(results=results)
    cells = epsilon_lower(runs)
    assert cells["standard"].value == cells["private"].value == 0.7
    assert cells["private"].slice.endswith("a perfect attack would show 3")
    runs["standard"] = runs["private"]
    assert epsilon_lower(runs)["private"].value == 2.0


def test_paired_areas_agree_with_the_bootstrap_and_beat_independent_ones() -> None:
    rng = np.random.default_rng(0)
    shared_M, shared_N = rng.normal(0.8, 1, 300), rng.normal(0, 1, 300)
    a = shared_M + rng.normal(0, 0.3, 300), shared_N + rng.normal(0, 0.3, 300)
    b = shared_M + rng.normal(0, 0.6, 300), shared_N + rng.normal(0, 0.6, 300)

    def area(pos: Any, neg: Any) -> float:
        return float((pos[:, None] > neg[None]).mean())

    gaps = []
    for _ in range(400):
        i, j = rng.integers(300, size=300), rng.integers(300, size=300)
        gaps.append(area(a[0][i], a[1][j]) - area(b[0][i], b[1][j]))
    found = paired_auc_difference(*a, *b)
    gap = area(*a) - area(*b)
    assert (found.low + found.high) / 2 == pytest.approx(gap)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(gaps), rel=0.15)
    assert paired_auc_difference(*a, *a).low < 0 < paired_auc_difference(*a, *a).high
    with pytest.raises(ValueError, match="same positives"):
        paired_auc_difference(a[0][:5], a[1], *b)


# What is derived


def loaded(tmp_path: Path, models: str, checks: str = "  - use: performance.accuracy\n") -> LoadedSpec:
    path = tmp_path / "audit.yaml"
    path.write_text(f"data: {{name: digits}}\nmodels:\n{models}checks:\n{checks}")
    return load_spec(path)


STANDARD = "  - {name: net, recipe: {architecture: resnet18, mixup: 0.2, train_limit: 100}}\n"
TRADES = (
    "  - {name: hard, recipe: {kind: adversarial, architecture: cnn, "
    "adversary: {eps: 0.1, objective: trades, weight_perturbation: 0.01}}}\n"
)
PRIVATE = (
    "  - {name: quiet, recipe: {kind: private, architecture: cnn, privacy: {epsilon: 2, delta: 1e-4}}}\n"
)


def test_what_is_derived_is_fit_for_its_training(tmp_path: Path) -> None:
    found = derive(loaded(tmp_path, STANDARD), Wishes(eps=0.1, norm="l2", epsilon=(1, 8), delta=1e-6))
    recipes = {
        title: model.recipe for title, model in zip(found.titles, found.loaded.spec.models, strict=True)
    }
    assert list(recipes) == [
        "standard", "adversarial",
        "private ε=1", "adversarial+private ε=1", "private ε=8", "adversarial+private ε=8",
    ]  # fmt: skip
    for name, recipe in recipes.items():
        assert recipe is not None
        assert recipe.mixup == (0.2 if name == "standard" else 0)
        assert recipe.options == ({"norm": "group"} if "private" in name else {})
        assert recipe.train_limit == 100
        if recipe.adversary is not None:
            assert (recipe.adversary.norm, recipe.adversary.eps) == ("l2", 0.1)
    eight = recipes["private ε=8"]
    assert eight is not None
    assert eight.privacy is not None
    assert (eight.privacy.epsilon, eight.privacy.delta) == (8, 1e-6)
    assert any("norm: group" in note for note in found.notes)


def test_the_specs_own_variants_are_taken_as_they_are(tmp_path: Path) -> None:
    found = derive(loaded(tmp_path, STANDARD + TRADES + PRIVATE), Wishes())
    assert found.titles == {
        "standard": "net",
        "adversarial": "hard",
        "private": "quiet",
        "adversarial+private": "net.adversarial-private",
    }
    both = found.loaded.spec.models[-1].recipe
    assert both is not None
    assert both.adversary is not None
    assert both.adversary.moves_only
    assert both.adversary.eps == 0.1
    assert both.privacy is not None
    assert both.privacy.epsilon == 2
    assert any("plain PGD" in note for note in found.notes)


def test_all_variants_get_the_checks_of_the_first(tmp_path: Path) -> None:
    checks = (
        "  - {use: privacy.membership, with: {attack: lira, shadows: 4}, only: [net]}\n"
        "  - {use: privacy.membership, with: {attack: loss}, only: [quiet]}\n"
    )
    found = derive(loaded(tmp_path, STANDARD + PRIVATE, checks), Wishes(eps=0.1)).loaded
    used = [(check.use, check.only, check.with_.get("attack")) for check in found.spec.checks]
    assert used == [
        ("privacy.membership", (), "lira"),
        ("performance.accuracy", (), None),
        ("privacy.accounting", (), None),
    ]
    assert len(found.configs) == 3


@pytest.mark.parametrize(
    ("models", "wishes", "says"),
    [
        (STANDARD + PRIVATE, Wishes(), "--eps RADIUS.*audits ε = 0.05, 0.1"),
        (STANDARD + TRADES, Wishes(), "--epsilon"),
        (TRADES, Wishes(), "kind: standard first"),
        (STANDARD, Wishes(eps=-1, epsilon=(1,)), "greater than 0"),
        (STANDARD, Wishes(eps=0.1, epsilon=(1,), delta=2), "less than 1"),
        ("  - {name: words, recipe: {architecture: lstm}}\n", Wishes(eps=1, epsilon=(1,)), "texts"),
    ],
)
def test_what_cannot_be_derived_is_refused(tmp_path: Path, models: str, wishes: Wishes, says: str) -> None:
    checks = "  - {use: robustness.evasion, with: {eps: [0.05, 0.1]}}\n"
    with pytest.raises(UsageError) as caught:
        derive(loaded(tmp_path, models, checks), wishes)
    assert re.search(says, str(caught.value), re.DOTALL), caught.value
