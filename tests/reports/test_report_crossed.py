"""Measurements side by side: each is shown once, in its own cell, and only where a table says it better."""

from __future__ import annotations

from typing import Any

from raiaudit.audit.measurement import Measurement
from raiaudit.reports.content.crossed import crossed, in_common


def measured(
    metric: str, value: float | None, n: int = 100, where: dict[str, Any] | None = None, **more: Any
) -> Measurement:
    """`more` joins `where`, whose keys may be no names of Python."""
    return Measurement(
        check="c",
        metric=metric,
        value=value,
        n=n,
        better="higher",
        method="wilson1927",
        where={**(where or {}), **more},
        reason="too few" if value is None else None,
    )


def test_what_differs_in_one_key_is_a_row_with_numbers_ascending() -> None:
    given = [
        measured(metric, base + eps, n=n, eps=eps, norm="linf")
        for eps in (0.2, 0.1, 0.3)
        for metric, base, n in (
            ("accuracy", 0.5, 100),
            ("success", 0.1, 100 + int(10 * eps)),
            ("loss", 2.0, 9),
        )
    ]
    (table,), left = crossed([measured("headline", 1.0), *given], rows=60)
    assert [m.metric for m in left] == ["headline"]
    assert (table.caption, table.of) == ("By ε (norm = linf)", "Quantity")
    assert table.columns == ("ε = 0.1", "ε = 0.2", "ε = 0.3")
    assert [row.label for row in table.rows] == ["Accuracy", "Success", "Loss"]
    assert table.rows[0].cells == ("60.0 %", "70.0 %", "80.0 %")
    assert table.rows[2].cells == ("2.10", "2.20", "2.30")
    assert [row.n for row in table.rows] == ["100", "101–103", "9"]


def test_what_all_share_stands_in_the_order_of_the_measurements() -> None:
    """Not in that of a set, which is another in each process: the same run gives the same bytes."""
    names = [f"key{number}" for number in (3, 1, 7, 5, 2, 9, 4)]
    given = [
        measured(metric, base + eps, where={**dict.fromkeys(names, "same"), "eps": eps})
        for eps in (0.1, 0.2, 0.3)
        for metric, base in (("accuracy", 0.5), ("success", 0.1))
    ]
    (table,), _ = crossed(given, rows=60)
    assert table.caption == f"By ε ({', '.join(f'{name} = same' for name in names)})"
    slices = [[*((name, 1) for name in names), ("eps", eps)] for eps in (1, 2)]
    assert list(in_common(slices)) == names


def test_of_one_quantity_the_rows_have_the_names_of_what_differs() -> None:
    given = [
        measured("corruption_accuracy", 0.1 * s, corruption=name, severity=s)
        for name in ("gaussian_noise", "fog")
        for s in range(1, 6)
    ]
    (table,), left = crossed(given, rows=60)
    assert left == []
    assert (table.caption, table.of) == ("Corruption accuracy by severity", "Corruption")
    assert [(row.label, row.cells[4]) for row in table.rows] == [
        ("gaussian noise", "50.0 %"),
        ("fog", "50.0 %"),
    ]


def test_many_columns_are_continued_and_every_value_is_shown_once() -> None:
    names = [f"method_{i}" for i in range(9)]
    given = [
        measured(metric, (10 * j + i) / 1000, method=name)
        for i, name in enumerate(names)
        for j, metric in enumerate(("gain", "aopc", "detail"))
    ]
    tables, left = crossed(given, rows=60)
    assert left == []
    assert [len(table.columns) for table in tables] == [6, 3]
    assert [table.caption for table in tables] == ["By method", "By method, continued"]
    shown = sorted(cell for table in tables for row in table.rows for cell in row.cells)
    assert shown == sorted(f"{100 * m.value:.1f} %" for m in given if m.value is not None)


def test_what_is_undefined_says_so_and_what_was_not_measured_is_empty() -> None:
    given = [
        measured(metric, None if (metric, eps) == ("b", 1) else 0.5, eps=eps)
        for metric in ("a", "b", "d")
        for eps in (1, 2, 3)
        if (metric, eps) != ("d", 3)
    ]
    (table,), _ = crossed(given, rows=60)
    assert table.rows[1].cells == ("not defined", "50.0 %", "50.0 %")
    assert table.rows[2].cells == ("50.0 %", "50.0 %", "")


def test_a_list_stays_a_list_where_a_table_would_not_help() -> None:
    one_row = [measured("recall", 0.5, where={"class": str(i)}) for i in range(10)]
    sparse = [measured("gap", 0.5, rate=f"r{i}", group=g) for i in range(6) for g in (f"g{i}", f"g{i + 1}")]
    many = [measured(m, 0.5, where={"class": str(i)}) for m in ("recall", "precision") for i in range(13)]
    twice = [measured(m, 0.5, eps=e) for _ in range(2) for m in ("a", "b") for e in (1, 2, 3)]
    for given in (one_row, sparse, many, twice, []):
        assert crossed(given, rows=60) == ([], given)


def test_rows_beyond_the_limit_are_left_to_the_list() -> None:
    given = [measured(f"m{i}", 0.5, eps=e) for i in range(5) for e in (1, 2, 3)]
    (table,), left = crossed(given, rows=3)
    assert len(table.rows) == 3
    assert {m.metric for m in left} == {"m3", "m4"}
    assert crossed(given, rows=0) == ([], given)
