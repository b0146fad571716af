"""The Example page in every state, and its filter against a plain loop over the same rows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from raiaudit.audit.check import Task
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.lock import run_lock
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.store import Home, Run
from raiaudit.dashboard.examples.attacked import changed_words
from raiaudit.dashboard.examples.finding import ANY_ATTACK, Filter, find, sortable
from raiaudit.dashboard.examples.links import gate_examples
from raiaudit.dashboard.examples.meanings import is_personal, meaning_of
from raiaudit.dashboard.examples.membership import standing
from raiaudit.dashboard.examples.rows import open_rows
from raiaudit.dashboard.examples.traces import curves

AddRun = Callable[..., Run]
HOSTILE = "<script>alert(1)</script>[x](javascript:1) $y$ ../../z =cmd()"
LONG = "n" * 10_000
IDS = [f"digits-{k:05d}" for k in range(60)]
TAGS = ("linf-0.05-pgd", "linf-0.15-pgd")


def put(run: Run, check: str, task: str, columns: Mapping[str, Any]) -> None:
    run.ledger.append(Task(check=check, name=task, config={}, version=1), "0" * 32, pl.DataFrame(columns))


def write_ledger(run: Run, *, classes: int = 10) -> list[dict[str, Any]]:
    """Sixty audited examples in two shards, attacks on the first forty, and other people's rows beside."""
    draw = random.Random(3)
    rows = [
        {
            "example_id": example,
            "accuracy.label": k % classes,
            "accuracy.predicted": k % classes if draw.random() < 0.7 else (k + 1) % classes,
            "accuracy.confidence": round(draw.random(), 2),  # ties on purpose
            "group.style": draw.choice(["upright", "slanted"]),
        }
        for k, example in enumerate(IDS)
    ]
    for row in rows:
        row["accuracy.correct"] = row["accuracy.label"] == row["accuracy.predicted"]
    for start in (0, 30):
        put(run, "performance.accuracy", f"test-{start}", pl.DataFrame(rows[start : start + 30]).to_dict())
    for tag in TAGS:
        broken = {row["example_id"]: draw.random() < 0.5 for row in rows[:40]}
        for row in rows:
            row[tag] = broken.get(row["example_id"])
        columns = {"example_id": list(broken), f"evasion.{tag}.broken": list(broken.values())}
        put(run, "robustness.evasion", tag, columns)
    put(
        run,
        "privacy.membership",
        "target",
        {
            "example_id": [*IDS[:4], "train-1", "train-2"],
            "membership.member": [False] * 4 + [True] * 2,
            "membership.phi": pl.Series([0.5, 1.0, 1.5, 2.125, 2.5, 3.0], dtype=pl.Float32),
        },
    )
    return rows


def example_page(**query: str) -> AppTest:
    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.examples import page

        page.show(Home.at(), {})

    page = AppTest.from_function(script, default_timeout=30)
    for key, value in query.items():
        page.query_params[key] = value
    return ok(page.run())


def ok(page: AppTest) -> AppTest:
    assert not page.exception, [element.value for element in page.exception]
    return page


def words(page: AppTest) -> str:
    parts: list[str] = []
    for kind in (page.markdown, page.caption, page.info, page.warning, page.error, page.subheader):
        parts += [str(element.value) for element in kind]
    for table in page.table:
        parts.append(table.value.to_csv())
    return "\n".join(parts)


def position(page: AppTest) -> str:
    return str(page.selectbox(key="example").label)


def alter(run: Run, **updates: Any) -> None:
    path = run.folder / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **updates}))


@pytest.fixture
def run(add: AddRun) -> Run:
    run = add()
    write_ledger(run)
    return run


def test_an_empty_home_says_how_to_start(home: Home) -> None:
    assert example_page().code[0].value.startswith("raiaudit run")


def test_a_running_run_has_no_examples_yet(add: AddRun) -> None:
    run = add(status="running")
    with run_lock(run.folder):
        assert "has not finished" in example_page(run=run.id).info[0].value


def test_damaged_results_are_named(run: Run) -> None:
    (run.folder / "results.json").write_text("{")
    page = example_page(run=run.id)
    assert "others are not affected" in page.error[0].value


def test_a_damaged_shard_is_named_and_the_others_are_shown(run: Run) -> None:
    (shard,) = run.ledger.root.glob("robustness.evasion/linf-0.15-pgd.*")
    shard.write_bytes(b"PAR1 torn")
    page = example_page(run=run.id, example=IDS[0])
    assert "robustness\\.evasion/linf\\-0\\.15\\-pgd" in page.warning[0].value.replace("\\/", "/")
    assert "accuracy\\.correct" in words(page)
    assert "linf-0.15-pgd" not in page.selectbox(key="example-broken").options


def test_torn_evidence_costs_itself_alone(run: Run) -> None:
    for table in ("explanations.attribution/maps", "robustness.evasion/examples"):
        (run.folder / f"evidence/{table}.parquet").write_bytes(b"PAR1 torn")
    page = example_page(run=run.id, example=IDS[0])
    assert [one.value[:24] for one in page.warning] == ["Evidence cannot be read:"] * 2
    assert "accuracy\\.correct" in words(page)


def test_another_run_shows_the_same_example_or_its_own_first(add: AddRun, run: Run) -> None:
    twin, other = add("20261119-twin"), add("20261118-other")
    write_ledger(twin)
    put(other, "performance.accuracy", "test", {"example_id": ["z"], "accuracy.label": [1]})
    page = example_page(run=run.id, example=IDS[7])
    page.selectbox[0].set_value(twin.id)
    assert ok(page.run()).selectbox(key="example").value == IDS[7]
    page.selectbox[0].set_value(other.id)
    assert ok(page.run()).selectbox(key="example").value == "z"
    assert not page.warning


def test_predictions_from_a_file_have_no_examples(add: AddRun) -> None:
    run = add()
    results = json.loads((run.folder / "results.json").read_text())
    results["subject"]["record"]["architecture"] = "predictions"
    alter(run, subject=results["subject"])
    assert run.results.subject.record.is_predictions
    assert "predictions came from a file" in example_page(run=run.id).info[0].value


def test_an_image_with_everything_that_was_kept(run: Run) -> None:
    page = example_page(run=run.id, example=IDS[0])
    said = words(page)
    assert "covers 60 % of it" in said
    assert "Clean; the change × 5" in said.replace("\\", "")
    page.slider(key="one-opacity").set_value(100)
    assert "covers 100 % of it" in words(ok(page.run()))
    assert "In plain words" in said
    assert "evasion\\.\\*\\.broken" in said
    # The example, its map, and clean, change and adversarial side by side.
    alts = [image.alt for element in page.get("image") for image in element.proto.imgs]
    assert len(alts) == 3
    assert "at 100 % opacity. Of the relevance" in alts[1]
    assert "171 of 256 values changed" in alts[2]


def test_where_nothing_was_kept_the_page_says_so(run: Run) -> None:
    said = words(example_page(run=run.id, example=IDS[30]))
    assert "kept of this example no attribution maps, no adversarial input" in said
    assert "nothing here reads it from the data set" in said


def test_a_text_shows_its_words_and_what_an_attack_changed(run: Run) -> None:
    data = json.loads((run.folder / "results.json").read_text())["data"]
    alter(run, data=data | {"modality": "text", "classes": ["bad", "good"]})
    base = {"example_id": IDS[0], "label": "good", "predicted": "bad", "shape": []}
    attack = {
        "clean": "a fine film",
        "adversarial": f"a {HOSTILE} film",
        "eps": 0.3,
        "norm": "l0",
        "attack": "x",
    }
    pl.DataFrame([base | attack]).write_parquet(run.folder / "evidence/robustness.evasion/examples.parquet")
    one = {"input": None, "features": ["fine", HOSTILE], "map": [2.0, -1.0], "method": "occlusion"}
    schema = {"input": pl.List(pl.Float32), "shape": pl.List(pl.Int64)}
    table = pl.DataFrame([base | one], schema_overrides=schema)
    table.write_parquet(run.folder / "evidence/explanations.attribution/maps.parquet")
    page = example_page(run=run.id, example=IDS[0])
    assert "a **fine** film" in words(page)
    (heat,) = [element.proto.body for element in page.get("html")]
    assert "+100\u00a0%" in heat
    assert "−50\u00a0%" in heat
    assert "<script" not in heat
    assert "&lt;script&gt;" in heat
    assert "not judged" not in words(page)  # the run judged the only method it had


def test_a_row_of_a_table_is_bars_and_its_columns(run: Run) -> None:
    data = json.loads((run.folder / "results.json").read_text())["data"]
    alter(run, data=data | {"modality": "tabular"})
    (run.folder / "evidence/robustness.evasion/examples.parquet").unlink()
    one = {"features": ["age = 39", HOSTILE], "map": [2.0, -1.0], "shape": [2], "input": [39.0, 1.0]}
    row = {"example_id": IDS[0], "label": "1", "predicted": "2", "method": "kernel_shap"} | one
    pl.DataFrame([row]).write_parquet(run.folder / "evidence/explanations.attribution/maps.parquet")
    page = example_page(run=run.id, example=IDS[0])
    assert "age \\= 39" in words(page)
    (chart,) = page.get("arrow_vega_lite_chart") or page.get("vega_lite_chart")
    assert chart.proto.alt.startswith("Chart. Most weight: age = 39 +100\u00a0%")


@pytest.mark.parametrize("name", [HOSTILE, LONG, "\u202eevil", "#let x = 1"])
def test_hostile_names_stay_names(add: AddRun, name: str) -> None:
    run = add(classes=(name, *map(str, range(1, 10))))
    write_ledger(run)
    put(run, "plug-in", "rows", {"example_id": [IDS[0]], name: [1.5], f"group.{name}": [name]})
    page = example_page(run=run.id, example=IDS[0])
    for text in words(page).splitlines():
        assert "<script" not in text.replace("\\<", "")
        assert "](javascript" not in text
    assert page.selectbox(key="example-group").options[1:]


def test_an_unknown_id_is_said_and_the_first_is_shown(run: Run) -> None:
    page = example_page(run=run.id, example=HOSTILE)
    assert "knows no example" in page.warning[0].value
    assert "<script>" not in page.warning[0].value
    assert page.query_params["example"] in (IDS[0], [IDS[0]])


def test_previous_next_and_the_filter_are_in_the_address(run: Run) -> None:
    page = example_page(run=run.id, answer="wrong", sort="accuracy.confidence", down="yes")
    wrong = find(
        open_rows(run), Filter(answer="wrong", sort="accuracy.confidence", down=True), tuple("0123456789")
    )["example_id"].to_list()
    assert position(page) == f"Example 1 of {len(wrong)} that match"
    assert page.selectbox(key="example").value == wrong[0]
    previous, following = page.button[0], page.button[1]
    assert (previous.disabled, following.disabled) == (True, False)
    following.click()
    ok(page.run())
    assert page.selectbox(key="example").value == wrong[1]
    assert page.query_params["example"] in (wrong[1], [wrong[1]])
    page.selectbox(key="example-answer").set_value("right")
    ok(page.run())
    assert page.query_params["answer"] in ("right", ["right"])
    assert page.selectbox(key="example").value not in wrong
    page.text_input(key="example-find").set_value("no such id")
    assert "No example matches" in words(ok(page.run())) or "not among the 0" in position(page)


def test_a_training_example_is_outside_the_filter(run: Run) -> None:
    put(run, "explanations.influence", "x", {"example_id": ["train-1"], "influence.self": [0.5]})
    page = example_page(run=run.id, example="train-1")
    assert "not among the 60 that match" in position(page)
    assert "Not one of the audited examples" in words(page)


def test_that_only_privacy_knows_somebody_is_not_told(run: Run) -> None:
    assert "knows no example train" in words(example_page(run=run.id, example="train-1"))


def test_membership_is_told_only_when_asked(run: Run) -> None:
    page = example_page(run=run.id, example=IDS[3], **{f"personal-{IDS[3]}": "true"})
    assert "membership" not in words(page).replace("Membership", "membership").split("entitled")[1]
    assert "2.12" not in words(page).replace("\\", "")
    page.toggle(key=f"personal-{IDS[3]}").set_value(True)
    said = words(ok(page.run())).replace("\\", "")
    assert "membership.phi" in said
    assert "larger than that of 0.0 % of the members and of 75.0 % of the non-members" in said


def test_what_the_spec_disclosed_is_shown(run: Run) -> None:
    exposed = {"rank": [1], "example_id": ["train-2"], "score": [-0.05], "fpr": [0.02], "fpr_high": [0.1]}
    path = run.folder / "evidence/privacy.at_risk/exposed.parquet"
    path.parent.mkdir()
    pl.DataFrame(exposed).write_parquet(path)
    assert "disclosed by the spec" in words(example_page(run=run.id, example="train-2"))
    assert "knows no example train" in words(example_page(run=run.id, example="train-1"))


def test_training_examples_lead_on(run: Run) -> None:
    kin = {"example_id": IDS[0], "label": "3", "predicted": "3", "rank": 1, "score": 0.5, "train_label": "8"}
    rows = [
        kin | {"relation": name, "train_id": f"train-{k}"} for k, name in enumerate(("helpful", "nearest"), 1)
    ]
    path = run.folder / "evidence/explanations.influence/examples.parquet"
    path.parent.mkdir()
    pl.DataFrame(rows).write_parquet(path)
    put(run, "explanations.influence", "x", {"example_id": ["train-1"], "influence.self": [0.5]})
    page = example_page(run=run.id, example=IDS[0])
    (button,) = [one for one in page.button if "train\\-1" in one.label]
    button.click()
    ok(page.run())
    assert page.query_params["example"] in ("train-1", ["train-1"])
    assert "stands behind 1 audited predictions" in words(page)


FILTERS = [
    Filter(),
    Filter(answer="wrong"),
    Filter(answer="right", broken=ANY_ATTACK),
    Filter(broken=TAGS[0], group="style", level="upright"),
    Filter(label="3", predicted="4"),
    Filter(find="0001", sort="accuracy.confidence"),
    Filter(sort="accuracy.confidence", down=True),
    Filter(broken="no such attack"),
    Filter(sort=f"evasion.{TAGS[1]}.broken", down=True, group="style", level="slanted"),
]


@pytest.mark.parametrize("chosen", FILTERS)
def test_the_filter_finds_what_a_loop_finds(add: AddRun, chosen: Filter) -> None:
    run = add()
    rows = write_ledger(run)
    tags = TAGS if chosen.broken == ANY_ATTACK else [tag for tag in TAGS if tag == chosen.broken]

    def matches(row: dict[str, Any]) -> bool:
        return (
            (not chosen.answer or row["accuracy.correct"] == (chosen.answer == "right"))
            and (not chosen.broken or any(row[tag] for tag in tags))
            and (not chosen.label or str(row["accuracy.label"]) == chosen.label)
            and (not chosen.predicted or str(row["accuracy.predicted"]) == chosen.predicted)
            and (not chosen.level or row["group.style"] == chosen.level)
            and chosen.find in row["example_id"]
        )

    expected = [row for row in rows if matches(row)]
    if chosen.sort:
        key = TAGS[1] if chosen.sort.startswith("evasion") else chosen.sort
        sign = -1 if chosen.down else 1
        known = [row for row in expected if row[key] is not None]
        known.sort(key=lambda row: (sign * row[key], row["example_id"]))
        expected = known + [row for row in expected if row[key] is None]
    found = find(open_rows(run), chosen, tuple("0123456789"))
    assert found["example_id"].to_list() == [row["example_id"] for row in expected]
    if chosen.broken not in ("", "no such attack"):
        assert found.height, "the filter was tried on something"


def test_rows_of_other_people_are_no_audited_examples(run: Run) -> None:
    rows = open_rows(run)
    audited = rows.audited()
    assert audited is not None
    assert set(audited.collect()["example_id"]) == set(IDS)
    assert not any(is_personal(name) for name in sortable(rows))


def test_values_of_an_example_come_from_every_check(run: Run) -> None:
    values = {value.column: value.value for value in open_rows(run).of(IDS[3])}
    assert values["membership.phi"] == 2.125
    assert {"accuracy.label", f"evasion.{TAGS[0]}.broken"} <= values.keys()
    assert open_rows(run).of("no such example") == ()


@pytest.mark.parametrize(
    ("column", "title", "variant", "pattern"),
    [
        ("accuracy.confidence", "Confidence", "", "accuracy.confidence"),
        ("evasion.linf-0.15-pgd.broken", "Wrong under attack", "linf-0.15-pgd", "evasion.*.broken"),
        ("corruption.fog-3.correct", "Fog", "severity 3", "corruption.fog-*.correct"),
        ("faithfulness.blurred:grad_cam.aopc", "AOPC", "blurred:grad_cam", "faithfulness.*.aopc"),
        ("stability.pgd-0.5-cam.lowest", "Lowest overlap", "pgd-0.5-cam", "stability.*.lowest"),
        ("fairness.group.sex", "Group sex", "", "fairness.group.sex"),
        ("my_plugin.odd_thing", "Odd thing", "", "my_plugin.odd_thing"),
        ("no dots", "No dots", "", "no dots"),
    ],
)  # fmt: skip
def test_columns_are_said_in_words(column: str, title: str, variant: str, pattern: str) -> None:
    meaning = meaning_of(column)
    assert (meaning.title, meaning.variant, meaning.pattern) == (title, variant, pattern)


def gate(run: Run, check: str, metric: str, **where: Any) -> dict[str, str] | None:
    measured = Measurement(
        check=check,
        metric=metric,
        value=0.1,
        low=0.0,
        high=0.2,
        n=9,
        better="higher",
        where=where,
        method="x",
    )
    return gate_examples(decide(check, Gate(metric=metric, where=where, min=0.9), [measured]), open_rows(run))


def test_a_failing_gate_leads_to_its_examples(run: Run) -> None:
    attacked = {"norm": "linf", "eps": 0.15, "attack": "pgd"}
    assert gate(run, "robustness.evasion", "robust_accuracy", **attacked) == {
        "broken": "linf-0.15-pgd",
        "answer": "right",
    }
    assert gate(run, "robustness.evasion", "robust_accuracy") == {"broken": ANY_ATTACK, "answer": "right"}
    assert gate(run, "performance.accuracy", "recall", **{"class": "3"}) == {"answer": "wrong", "label": "3"}
    people = {"attribute": "style", "group": "slanted"}
    assert gate(run, "fairness.groups", "accuracy", **people) == {
        "answer": "wrong",
        "group": "style",
        "level": "slanted",
    }
    assert gate(run, "privacy.membership", "membership_auc") is None


def test_the_trace_of_one_example_is_read_from_the_ledger(run: Run) -> None:
    columns = {
        "faithfulness.saliency.most": [[0.9, 0.5, 0.1]],
        "faithfulness.saliency.least": [[0.9, 0.8, 0.1]],
        "faithfulness.random.most": [[0.9, 0.6, 0.1]],
        "faithfulness.blurred:saliency.most": [[0.9, 0.4, 0.1]],  # the chart would be too full
        "faithfulness.saliency.aopc": [0.4],
    }
    attribution = {
        "attribution.occlusion.deletion_curve": [[0.9, 0.2]],
        "attribution.random_curve": [[0.9, 0.3]],
    }
    put(run, "explanations.attribution", "x", {"example_id": [IDS[1]], **attribution})
    values = open_rows(run).of(IDS[1])
    deletion = curves(values, "most")
    assert deletion is not None
    assert deletion.rows() == [
        ("occlusion", 0.0, 0.9),
        ("occlusion", 1.0, 0.2),
        ("random", 0.0, 0.9),
        ("random", 1.0, 0.3),
    ]
    assert curves(values, "least") is None
    put(run, "explanations.faithfulness", "x", {"example_id": [IDS[0]], **columns})
    values = open_rows(run).of(IDS[0])
    most, least = curves(values, "most"), curves(values, "least")
    assert most is not None
    assert least is not None
    assert most.filter(map="saliency").rows() == [
        ("saliency", x, p) for x, p in ((0, 0.9), (0.5, 0.5), (1, 0.1))
    ]
    assert set(most["map"]) == {"saliency", "random"}
    assert least["probability"].to_list() == [0.9, 0.8, 0.1]


def test_the_answer_with_another_group_stands_beside(run: Run) -> None:
    ids = [IDS[0], f"{IDS[0]}#sex={HOSTILE}", f"{IDS[0]}#sex=f", f"{IDS[0]}1#sex=f"]
    columns = {"counterfactual.class": [0, 1, 0, 1], "counterfactual.score": [0.4, 0.6, 0.3, 0.9]}
    put(run, "fairness.counterfactual", "x", {"example_id": ids, **columns})
    page = example_page(run=run.id, example=IDS[0])
    (table,) = [one.value for one in page.table if "Exchanged" in one.value.columns]
    assert len(table) == 3  # not the one of another example
    turned = [answer for answer in table["Answer"] if "turned" in answer]
    assert turned == ["1 :red-badge[✗ turned]"]
    assert "With another group" not in [one.value for one in example_page(run=run.id, example=IDS[1]).header]


def test_changed_words_and_standing() -> None:
    assert changed_words("a b c", "a X c d") == ("a **b** c", "a **X** c **d**")
    pool = pl.DataFrame({"member": [True, True, False, False], "score": [0.1, 0.3, 0.0, 0.4]})
    assert standing(pool, 0.2) == (0.5, 0.5)
    assert standing(pool, 0.05) == (0.0, 0.5)


def test_maps_side_by_side_with_one_verdict_each(add: AddRun) -> None:
    run = add()
    path = run.folder / "evidence/explanations.attribution/maps.parquet"
    table = pl.read_parquet(path).head(2)
    methods = ("saliency", "grad_cam", "occlusion", "kernel_shap")
    pl.concat(table.with_columns(method=pl.lit(name)) for name in methods).write_parquet(path)
    results = json.loads((run.folder / "results.json").read_text())
    gains = {"saliency": (-0.2, -0.1), "grad_cam": (-0.1, 0.1), "occlusion": (0.1, 0.2)}
    judged = [
        Measurement(
            check="explanations.faithfulness",
            metric="faithfulness_gain",
            value=(low + high) / 2,
            low=low,
            high=high,
            n=9,
            better="higher",
            where={"method": name},
            method="petsiuk2018",
        ).model_dump()
        for name, (low, high) in gains.items()
    ]
    kept = [m for m in results["measurements"] if m["metric"] != "deletion_gain"]
    alter(run, measurements=kept + judged)

    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.explanations import maps

        (run,) = Home.at().runs()
        maps.show(run, run.results, {})

    page = ok(AppTest.from_function(script, default_timeout=30).run())
    assert page.multiselect[0].value == ["occlusion", "saliency", "grad_cam"]  # the best first
    assert "most faithful of 4" in page.multiselect[0].label
    page.multiselect[0].set_value(list(methods))
    said = words(ok(page.run()))
    for verdict in (
        "saliency  \n:red-badge[✗ no better than its controls]",
        "grad cam  \n:orange-badge[◐ not shown to beat its controls]",
        "occlusion  \n:green-badge[✓ beats its controls]",
        "kernel shap  \n:gray-badge[○ not judged]",
    ):
        assert verdict in said
    page.multiselect[0].set_value([])
    assert "Choose a method" in words(ok(page.run()))
