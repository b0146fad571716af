"""Waivers: what a file may say, which gates they cover, and that only the day decides whether they count."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from raiaudit.audit.gates import Gate, Status, Verdict, overall
from raiaudit.audit.gating import attach, idle, in_force, renew_waivers, rule
from raiaudit.audit.results import DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.spec import load_spec
from raiaudit.audit.store import Run
from raiaudit.audit.waivers import Waiver, load_waivers
from raiaudit.errors import SpecError, StorageError
from raiaudit.models.version import TrainingRecord

ENTRY = {
    "check": "robustness.evasion",
    "metric": "robust_accuracy",
    "owner": "r.ait@example.org",
    "reason": "adversarial training lands in March",
    "expires": "2027-01-31",
}
DAY = date(2027, 1, 31)


def yaml_of(**changes: Any) -> str:
    """One entry, a key a line from line 1 on; None leaves a key out."""
    entry = {key: value for key, value in (ENTRY | changes).items() if value is not None}
    return "- " + "\n  ".join(f"{key}: {value}" for key, value in entry.items()) + "\n"


def read(tmp_path: Path, text: str) -> tuple[Waiver, ...]:
    path = tmp_path / "waivers.yaml"
    path.write_text(text)
    return load_waivers(path)


def waiver(**changes: Any) -> Waiver:
    return Waiver.model_validate(ENTRY | changes)


def verdict(status: Status, where: dict[str, Any] | None = None, **changes: Any) -> Verdict:
    gate = Gate(metric=changes.pop("metric", "robust_accuracy"), where=where or {}, min=0.5)
    check = changes.pop("check", "robustness.evasion")
    return Verdict(status=status, check=check, gate=gate, measurement=None, explanation="")


def results(*verdicts: Verdict) -> Results:
    record = TrainingRecord(architecture="mlp", config={}, code_version="0", parameters=1, weights_digest="w")
    data = DataCard(name="x", modality="image", classes=("a", "b"), digest="d", sizes={}, audited=1)
    return Results(
        run="r",
        verdict=overall(verdicts),
        partial=False,
        subject=SubjectCard(name="m", version=1, record=record),
        data=data,
        seed=0,
        checks=(),
        measurements=(),
        verdicts=verdicts,
    )


# The file


def test_an_entry_is_read_whole(tmp_path: Path) -> None:
    (found,) = read(tmp_path, yaml_of(where="{eps: 8/255}", model="cnn", issue="https://x.example/1"))
    assert (found.owner, found.expires, found.model) == (ENTRY["owner"], DAY, "cnn")
    assert found.where == {"eps": 8 / 255}
    assert found.title() == "robustness.evasion/robust_accuracy (eps=0.03137) of cnn"
    assert read(tmp_path, "[]") == ()


@pytest.mark.parametrize("key", ["owner", "reason", "expires", "check", "metric"])
def test_what_is_missing_is_named_with_its_line(tmp_path: Path, key: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, yaml_of() + yaml_of(**{key: None}))
    assert f"the key {key!r} is missing" in str(caught.value)
    assert caught.value.where == f"{tmp_path}/waivers.yaml:6 (1.{key})"


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ({"owner": '""'}, 3, "at least 1 character"),
        ({"reason": '"  "'}, 4, "at least 1 character"),
        ({"reason": "x" * 2001}, 4, "at most 2000 characters"),
        ({"owner": "x" * 301}, 3, "at most 300 characters"),
        ({"expires": "never"}, 5, "date"),
        ({"expires": "0"}, 5, "a date such as 2027-01-31"),  # not 1970
        ({"expires": "20270131"}, 5, "a date such as 2027-01-31"),
        ({"expires": "2027-01-31 10:00:00"}, 5, "a date such as 2027-01-31"),
        ({"expires": "2027-02-30"}, 1, "day"),
        ({"check": "robustness.evasoin"}, 1, "unknown check 'robustness.evasoin'"),
        ({"until": "2027-01-31"}, 6, "unknown key 'until'"),
        ({"where": "{eps: [1, 2]}"}, 6, "a number, a text or true/false"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, changes: dict[str, Any], line: int, words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, yaml_of(**changes))
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/waivers.yaml")
    if line > 1:
        assert f"waivers.yaml:{line} " in str(caught.value)


@pytest.mark.parametrize("text", ["", "# none\n", "check: x\n", "- just text\n", "- !tag {}\n", "- [\n"])
def test_what_is_no_list_of_mappings_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"waivers\.yaml"):
        read(tmp_path, text)


# Which gates it covers


@pytest.mark.parametrize(
    ("where", "gate", "covered"),
    [
        ({}, {"eps": 0.1}, True),
        ({"eps": 0.1}, {"eps": 0.1}, True),
        ({"eps": "8/255"}, {"eps": 8 / 255, "attack": "pgd"}, True),
        ({"eps": 0.1}, {"eps": 0.2}, False),
        ({"eps": 0.1}, {}, False),  # a gate about every radius is more than one radius
        ({"group": "a"}, {}, False),  # and one about all groups could hide a second that fails
    ],
)
def test_where_is_held_against_the_gates_own(where: Any, gate: Any, covered: bool) -> None:
    found = attach(results(verdict("fail", gate)), [waiver(where=where)], model="m")
    assert (found.verdicts[0].waiver is not None) == covered
    assert (found.idle_waivers == ()) == covered


def test_another_check_metric_or_model_is_not_covered() -> None:
    others = [
        verdict("fail", check="privacy.membership"),
        verdict("fail", metric="clean_accuracy"),
    ]
    assert all(v.waiver is None for v in attach(results(*others), [waiver()], model="m").verdicts)
    for model, covered in (("m", True), ("other", False)):
        found = attach(results(verdict("fail")), [waiver(model=model)], model="m")
        assert (found.verdicts[0].waiver is not None) == covered


def test_an_error_of_a_check_without_a_gate_cannot_be_waived() -> None:
    broken = Verdict(
        status="error", check="robustness.evasion", gate=None, measurement=None, explanation="boom"
    )
    found = attach(results(broken), [waiver()], model="m")
    assert (found.verdicts[0].waiver, len(found.idle_waivers)) == (None, 1)


def test_of_several_the_longest_counts_and_none_is_idle() -> None:
    long, short = waiver(expires="2028-01-01"), waiver(expires="2026-01-01")
    for order in ([long, short], [short, long]):
        found = attach(results(verdict("fail")), order, model="m")
        assert found.verdicts[0].waiver == long
        assert found.idle_waivers == ()


def test_attaching_replaces_what_was_attached_before() -> None:
    first = attach(results(verdict("fail")), [waiver()], model="m")
    assert attach(first, [], model="m") == results(verdict("fail"))


def test_idle_in_a_suite_is_what_no_run_has_a_gate_for() -> None:
    here, nowhere = waiver(model="m"), waiver(model="typo")
    a = attach(results(verdict("fail")), [here, nowhere], model="m")
    b = attach(results(verdict("fail")), [here, nowhere], model="n")
    assert idle([a, b]) == [nowhere]
    assert idle([b]) == [here, nowhere]
    assert idle([]) == []


# The day


@pytest.mark.parametrize("status", ["fail", "inconclusive", "not_run", "error"])
def test_a_waiver_counts_through_its_last_day_and_changes_no_status(status: Status) -> None:
    found = attach(results(verdict("pass"), verdict(status)), [waiver()], model="m")
    assert (found.verdict, found.verdicts[1].status) == (status, status)
    last, after = rule(found, DAY), rule(found, DAY + timedelta(days=1))
    assert (last.status, len(last.waived), len(last.expired)) == ("pass", 1, 0)
    assert (after.status, len(after.waived), len(after.expired)) == (status, 0, 1)


def test_what_is_not_waived_still_decides() -> None:
    two = results(verdict("fail", {"eps": 0.1}), verdict("inconclusive", {"eps": 0.2}))
    found = attach(two, [waiver(where={"eps": 0.1})], model="m")
    assert rule(found, DAY).status == "inconclusive"


def test_if_all_are_waived_the_run_passes_but_nothing_at_all_is_inconclusive() -> None:
    assert rule(attach(results(verdict("fail")), [waiver()], model="m"), DAY).status == "pass"
    assert rule(results(), DAY).status == "inconclusive"


def test_a_gate_that_passes_does_not_need_its_waiver() -> None:
    found = rule(attach(results(verdict("pass")), [waiver()], model="m"), DAY)
    assert (found.status, len(found.needless), found.waived) == ("pass", 1, ())


def test_results_survive_json_with_their_waivers() -> None:
    found = attach(results(verdict("fail")), [waiver(issue="RAI-12"), waiver(model="typo")], model="m")
    assert Results.model_validate_json(found.model_dump_json()) == found


# In a spec

SPEC = """\
data: {name: digits}
model: {name: m, recipe: {architecture: mlp}}
checks:
  - use: robustness.evasion
    with: {norm: linf, eps: 0.1}
    gate: {metric: robust_accuracy, min: 0.5}
"""


def test_a_spec_names_its_file_and_its_identity_does_not_change(tmp_path: Path) -> None:
    (tmp_path / "waivers.yaml").write_text(yaml_of())
    without, with_ = tmp_path / "audit.yaml", tmp_path / "more" / "audit.yaml"
    with_.parent.mkdir()
    without.write_text(SPEC)
    with_.write_text(SPEC + "policy: {waivers: ../waivers.yaml}\n")
    plain, waived = load_spec(without), load_spec(with_)
    assert (plain.waivers, waived.waivers) == ((), (waiver(),))
    assert plain.digest() == waived.digest()
    assert plain.lock(plain.spec.subjects[0]) == waived.lock(waived.spec.subjects[0])


def test_a_spec_whose_waivers_cannot_be_read_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "audit.yaml"
    path.write_text(SPEC + "policy:\n  not_run: fail\n  waivers: none.yaml\n")
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert caught.value.where == f"{path}:9 (policy.waivers)"
    (tmp_path / "none.yaml").write_text(yaml_of(owner=None))
    with pytest.raises(SpecError, match=r"none\.yaml:1 \(0\.owner\)"):
        load_spec(path)


# The how-to page


def blocks() -> list[str]:
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "ci-gate.md"
    return re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_waiver_of_the_how_to_page_is_one(tmp_path: Path) -> None:
    (text,) = [block for block in blocks() if block.startswith("# waivers.yaml")]
    (found,) = read(tmp_path, text)
    assert found.covers("robustness.evasion", "robust_accuracy", {"eps": 8 / 255})


def test_the_baseline_of_the_how_to_page_is_one(tmp_path: Path) -> None:
    (text,) = [block for block in blocks() if "latest-passing" in block]
    path = tmp_path / "audit.yaml"
    path.write_text(
        f"data: {{name: digits}}\nmodel: {{name: m, recipe: {{architecture: mlp}}}}\nchecks:\n{text}"
    )
    gates = load_spec(path).spec.checks[0].gate
    assert [gate.vs_baseline.run for gate in gates if gate.vs_baseline] == ["latest-passing"] * 2


# After the run


def sealed(tmp_path: Path, *waivers: Waiver) -> Run:
    run = Run(tmp_path / "runs" / "r")
    header = RunHeader(
        id="r", suite="s", model="m", data="x", modality="image", status="finished", started="1"
    )
    run.write_header(header)
    found = attach(results(verdict("fail")), waivers, model="m")
    (run.folder / "results.json").write_text(found.model_dump_json())
    run.seal()
    return run


def test_a_waiver_added_later_counts_and_breaks_no_seal(tmp_path: Path) -> None:
    run = sealed(tmp_path)
    assert in_force(run) is run
    assert renew_waivers(run, (waiver(),)) is True
    assert renew_waivers(run, (waiver(),)) is False
    assert rule(in_force(run).results, DAY).status == "pass"
    assert run.broken_seals() == []
    assert rule(run.results, DAY).status == "fail"


def test_a_waiver_taken_out_later_counts_no_more(tmp_path: Path) -> None:
    run = sealed(tmp_path, waiver())
    assert renew_waivers(run, ()) is True
    assert rule(in_force(run).results, DAY).status == "fail"
    assert renew_waivers(run, (waiver(),)) is True  # as it was sealed: the note is gone
    assert in_force(run) is run
    assert renew_waivers(run, (waiver(),)) is False
    assert run.broken_seals() == []


def test_nothing_is_written_or_removed_where_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home on a read-only disk: taking away what is not there is an error of the kernel's, too."""
    run = sealed(tmp_path, waiver())

    def read_only(self: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "unlink", read_only)
    assert renew_waivers(run, (waiver(),)) is False


def test_a_damaged_note_of_waivers_is_no_pass(tmp_path: Path) -> None:
    run = sealed(tmp_path, waiver())
    (run.folder / "waivers.json").write_text("[{}]")
    with pytest.raises(StorageError, match=r"waivers\.json: is damaged"):
        in_force(run)
