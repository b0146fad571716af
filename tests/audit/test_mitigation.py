"""Who pays, counted by hand; paired changes of gaps that hold as often as they say; the words that follow."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from raiaudit.audit.mitigation.cells import harm
from raiaudit.audit.mitigation.gaps import gap_change, ratio_change
from raiaudit.audit.mitigation.outcomes import Outcomes, Rate
from raiaudit.audit.mitigation.payers import levels_down, told
from raiaudit.audit.statistics.extremes import Paired, Term, change_of_largest
from raiaudit.audit.statistics.intervals import paired_difference, wilson
from raiaudit.audit.studies.cells import Cell, Change


def outcomes() -> Outcomes:
    """Ten of group a (5 positive), six of b (3 positive), two of an unknown one."""
    label = [1] * 5 + [0] * 5 + [1] * 3 + [0] * 3 + [1, 0]
    standard = [*(1, 1, 1, 1, 0), *(1, 1, 0, 0, 0), *(1, 0, 0), *(0, 0, 0), *(1, 1)]
    fair = [*(1, 1, 1, 0, 0), *(1, 0, 0, 0, 0), *(1, 1, 0), *(1, 0, 0), *(0, 0)]
    return Outcomes(
        label_N=np.array(label),
        group_N=np.array(["a"] * 10 + ["b"] * 6 + ["unknown"] * 2),
        predicted={"standard": np.array(standard), "fair": np.array(fair)},
        positive=1,
        minimum=3,
    )


def test_harm_by_group_by_hand() -> None:
    found = harm(outcomes(), "fair")
    by_hand = {
        "accuracy": {"a": (7, 10, 7), "b": (4, 6, 4)},
        "selection_rate": {"a": (4, 10, 6), "b": (3, 6, 1)},
        "true_positive_rate": {"a": (3, 5, 4), "b": (2, 3, 1)},
        "false_positive_rate": {"a": (1, 5, 2), "b": (1, 3, 0)},
    }
    assert {metric: set(groups) for metric, groups in found.items()} == {m: {"a", "b"} for m in by_hand}
    for metric, groups in by_hand.items():
        for group, (ours, n, theirs) in groups.items():
            cell = found[metric][group]
            assert cell.change is not None
            assert cell.value == pytest.approx(ours / n)
            assert cell.n == n
            assert (cell.low, cell.high) == pytest.approx(tuple(wilson(ours, n)))
            assert cell.change.difference == pytest.approx((ours - theirs) / n)
    selected = found["selection_rate"]["a"].change
    assert selected is not None
    a, b = (outcomes().predicted[name][:10] == 1 for name in ("fair", "standard"))
    assert (selected.low, selected.high) == pytest.approx(tuple(paired_difference(a, b, 0.975)))
    assert all(
        cell.change is None for cells in harm(outcomes(), "standard").values() for cell in cells.values()
    )


def test_a_group_below_the_minimum_is_not_compared() -> None:
    few = Outcomes(**{**{f: getattr(outcomes(), f) for f in Outcomes.__slots__}, "minimum": 4})
    assert set(harm(few, "fair")["true_positive_rate"]) == {"a"}
    assert gap_change([(few.rates("fair", "true_positive_rate"),) * 2]) is None


def drawn(
    rng: np.random.Generator, sizes: tuple[int, ...], ours: tuple[float, ...], base: tuple[float, ...]
) -> tuple[dict[str, Rate], dict[str, Rate]]:
    """One draw for both models: they decide about the same people, and mostly alike."""
    sides: tuple[dict[str, Rate], dict[str, Rate]] = ({}, {})
    for place, (n, p, q) in enumerate(zip(sizes, ours, base, strict=True)):
        u: NDArray[np.float64] = rng.random(n)
        sides[0][f"g{place}"], sides[1][f"g{place}"] = Rate(u < p), Rate(u < q)
    return sides


@pytest.mark.parametrize(
    ("sizes", "ours", "base"),
    [
        ((400, 200), (0.2, 0.2), (0.26, 0.1)),  # a gap closed: the widest pair may be either way round
        ((300, 200, 150), (0.5, 0.45, 0.4), (0.5, 0.2, 0.3)),
        ((300, 300), (0.3, 0.2), (0.3, 0.2)),
        ((60, 40), (0.9, 0.95), (0.9, 0.95)),
    ],
)
def test_changes_of_gaps_and_ratios_cover_the_truth(
    sizes: tuple[int, ...], ours: tuple[float, ...], base: tuple[float, ...]
) -> None:
    rng, gap, ratio, rounds = np.random.default_rng(0), 0, 0, 100
    true_gap = np.ptp(ours) - np.ptp(base)
    true_ratio = min(ours) / max(ours) - min(base) / max(base)
    for _ in range(rounds):
        family = drawn(rng, sizes, ours, base)
        change, of_ratio = gap_change([family]), ratio_change(family)
        assert change is not None
        assert of_ratio is not None
        assert change.low <= change.difference <= change.high
        gap += change.low <= true_gap <= change.high
        ratio += of_ratio.low <= true_ratio <= of_ratio.high
    assert gap >= 0.95 * rounds
    assert ratio >= 0.95 * rounds


def test_a_clear_change_is_found() -> None:
    family = drawn(np.random.default_rng(1), (4000, 2000), (0.17, 0.16), (0.26, 0.08))
    change = gap_change([family])
    assert change is not None
    assert change.high < -0.1
    ratio = ratio_change(family)
    assert ratio is not None
    assert ratio.low > 0.3
    nobody = ({"a": Rate(np.zeros(50, dtype=bool)), "b": family[0]["g0"]}, family[1])
    assert ratio_change(nobody) is None


def test_the_change_of_the_largest_by_hand() -> None:
    """Two groups, one rate: max(s, −s) of one model minus that of the other, from s_a − s_b and s_a + s_b."""
    a, b = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1] * 9, dtype=bool), np.array([1, 0] * 45, dtype=bool)
    c, d = np.array([0, 0, 1] * 20, dtype=bool), np.array([0, 0, 0, 1] * 15, dtype=bool)
    people = {"g": Paired.of(a, b), "h": Paired.of(c, d)}
    assert people["g"] == (90, 36, 45, 18)
    signed = [people["g"].shares[side] - people["h"].shares[side] for side in (0, 1)]
    terms = [[Term(s, {"g": 1.0, "h": -1.0}), Term(-s, {"g": -1.0, "h": 1.0})] for s in signed]
    low, high = change_of_largest(terms[0], terms[1], people, comparisons=2, confidence=0.95)
    z = 2.2414027276  # of 2.5 % on both sides
    difference, total = (
        z * np.sqrt(sum(pairs.variance(1.0, sign) for pairs in people.values())) for sign in (1.0, -1.0)
    )
    apart, together = signed[0] - signed[1], signed[0] + signed[1]
    assert low == pytest.approx(
        max(min(apart - difference, together - total), min(-together - total, -apart - difference))
    )
    assert high == pytest.approx(
        max(min(apart + difference, together + total), min(-together + total, -apart + difference))
    )
    # α·a − β·b person by person, with the four added outcomes of half a person each.
    y = np.concatenate([a * 1.0 - b * 0.5, [0, 1, -0.5, 0.5]])
    w = np.concatenate([np.ones(90), np.full(4, 0.5)])
    mean = np.average(y, weights=w)
    assert people["g"].variance(1.0, 0.5) == pytest.approx(np.average((y - mean) ** 2, weights=w) / 92)


def cell(difference: float, low: float, high: float) -> Cell:
    change = Change(difference=difference, low=low, high=high, n=100)
    return Cell(value=0.5, low=0.4, high=0.6, n=100, change=change)


def test_levelling_down_is_said_only_where_every_group_loses_and_the_gap_narrows() -> None:
    narrower, same = cell(-0.1, -0.15, -0.05), cell(-0.1, -0.25, 0.05)
    lose, gain, level = cell(-0.03, -0.05, -0.01), cell(0.03, 0.01, 0.05), cell(0.0, -0.01, 0.01)
    assert levels_down(narrower, {"a": lose, "b": lose})
    assert not levels_down(same, {"a": lose, "b": lose})
    assert not levels_down(narrower, {"a": lose, "b": gain})
    assert not levels_down(narrower, {"a": lose, "b": level})
    assert not levels_down(narrower, {})
    words = " ".join(
        told(
            narrower,
            {"accuracy": {"a": lose, "b": lose}, "selection_rate": {"a": lose, "b": level}},
            "demographic_parity",
        )
    )
    assert words == (
        "Narrows the demographic parity difference: −10.0 points [−15.0, −5.0]. Less accurate for a (−3.0), "
        "b (−3.0). Selected less often: a (−3.0). LEVELLING DOWN: the gap narrows, and every group is served "
        "less accurately than before. The gap narrows by taking from some; no group measurably gains."
    )
    taking = " ".join(told(narrower, {"true_positive_rate": {"a": lose, "b": lose}}, "equal_opportunity"))
    assert "every group has fewer of its positives found than before" in taking
    fine = " ".join(told(same, {"accuracy": {"a": gain, "b": level}}, "equalized_odds"))
    start = "No measurable change of the equalized odds difference: −10.0 points [−25.0, +5.0]."
    assert fine == f"{start} More accurate for a (+3.0)."
    nobody = {"selection_rate": {"a": level.model_copy(update={"value": 0.0})}}
    assert "Nobody is selected any more." in list(told(narrower, nobody, "demographic_parity"))
    unknown = Cell(value=None, reason="no group has enough examples")
    assert "no group has enough examples" in " ".join(told(unknown, {}, "demographic_parity"))
