"""Robustness: curves, contributions, classes, adversarial pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import (
    PICTURES,
    Drawing,
    Figure,
    chart_figure,
    columns,
    example_title,
    points_of,
)
from raiaudit.reports.words.wording import eps_unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results

__all__ = ["FIGURES"]

_CLASSES = 20
_NORMS = {"linf": "L∞", "l2": "L2", "l1": "L1", "l0": "L0"}


def _eps_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import accuracy_against_eps

    norms = table["norm"].unique().sort().to_list() if "norm" in table.columns else [""]
    for norm in norms:
        part = _from_clean(table.filter(pl.col("norm") == norm) if norm else table, results)
        gate = _gate_on(results, "robust_accuracy", norm)
        chart = accuracy_against_eps(part, norm=norm, of=eps_unit(results.data.modality), threshold=gate)
        points = points_of(part, "attack", "eps", "robust_accuracy")
        yield chart_figure("Robust accuracy against the perturbation budget, with interval.", chart, points)


def _from_clean(table: pl.DataFrame, results: Results) -> pl.DataFrame:
    """With the clean accuracy of each attack's examples as its point at ε = 0."""
    import polars as pl

    clean = {
        (m.where.get("attack"), m.where.get("norm")): (m.value, m.low, m.high)
        for m in results.measurements
        if m.metric == "clean_accuracy" and m.value is not None
    }
    first = table.sort("eps").unique("attack", keep="first", maintain_order=True)
    origins = [
        {**row, "eps": 0.0} | dict(zip(("robust_accuracy", "low", "high"), found, strict=True))
        for row in first.iter_rows(named=True)
        if row["eps"] > 0 and (found := clean.get((row["attack"], row.get("norm"))))
    ]
    return pl.concat([pl.DataFrame(origins, schema=table.schema), table])


def _nearest_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import accuracy_against_eps

    for (norm,), part in table.group_by("norm", maintain_order=True):
        chart = accuracy_against_eps(part, norm=str(norm), of=eps_unit(results.data.modality), points=False)
        caption = "Robust accuracy at every radius, by the nearest error found of each example."
        yield chart_figure(caption, chart, points_of(part, "attack", "eps", "robust_accuracy"))


def _contribution(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import attack_contributions

    # Of an attack without parts the curve above says the same.
    tried = pl.col("part").is_in(["clean", "survived"]).not_().sum().over("norm", "attack", "eps")
    named = table.filter(tried > 1).with_columns(
        line=pl.format("{}, ε = {}", "attack", pl.col("eps").round_sig_figs(3)),
        part=pl.when(pl.col("part") == "clean").then(pl.lit("clean error")).otherwise("part"),
    )
    for (norm,), rows in named.group_by("norm", maintain_order=True):
        told = "; ".join(
            f"{line}, {part}: {share:.1%}"
            for line, part, share in rows.drop_nulls("share").select("line", "part", "share").iter_rows()
        )
        caption = f"What broke the examples first ({_norm(norm)}); the pale end survived everything."
        yield chart_figure(caption, attack_contributions(rows), told)


def _class_intervals(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    """Of each norm one attack at the largest radius: on the most examples, and of these the strongest."""
    import polars as pl

    from raiaudit.reports.charts import class_robustness

    for (norm,), rows in table.group_by("norm", maintain_order=True):
        largest = rows.filter(pl.col("eps") == pl.col("eps").max())
        left = largest.group_by("attack", maintain_order=True).agg(
            (pl.col("robust") * pl.col("n")).sum() / pl.col("n").sum(), pl.col("n").sum()
        )
        attack = left.sort("n", "robust", descending=[True, False], maintain_order=True)["attack"][0]
        chosen = largest.filter(pl.col("attack") == attack)
        caption = f"Accuracy by class, clean and under {attack} ({_norm(norm)}, ε = {chosen['eps'][0]:.4g})"
        if chosen.height > _CLASSES:
            caption += f"; the {_CLASSES} of {chosen.height} classes that suffer most"
            chosen = chosen.sort("robust", nulls_last=True, maintain_order=True).head(_CLASSES)
        told = "; ".join(
            f"{name} {clean:.1%} and {robust:.1%}"
            for name, clean, robust in chosen.select("class", "clean", "robust").drop_nulls().iter_rows()
        )
        yield chart_figure(f"{caption}, with intervals.", class_robustness(chosen), told)


def _query_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import accuracy_against_queries

    for (norm, eps), rows in table.group_by("norm", "eps", maintain_order=True):
        caption = f"Robust accuracy against the queries spent on each example ({_norm(norm)}, ε = {eps:.4g})."
        points = points_of(rows, "attack", "queries", "robust_accuracy")
        yield chart_figure(caption, accuracy_against_queries(rows), points)


def _adversarial(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures.examples import adversarial_picture

    for row in table.head(PICTURES).iter_rows(named=True):
        if (drawn := adversarial_picture(row)) is not None:
            picture, factor = drawn
            caption = f"{example_title(row)} (× {factor:.3g})"
            alt = f"Clean input, perturbation × {factor:.3g}, adversarial input. {example_title(row)}"
            yield Figure(caption, alt, picture)


def _severity_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import accuracy_against_severity

    points = points_of(table, "corruption", "severity", "accuracy")
    yield chart_figure(
        "Accuracy against the severity of corruption.", accuracy_against_severity(table), points
    )


def _noise_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import accuracy_against_noise

    named = table.with_columns(pl.col("noise").str.replace_all("_", " "))
    points = points_of(named, "noise", "misspelt", "accuracy")
    yield chart_figure("Accuracy against the share of words misspelt.", accuracy_against_noise(named), points)


def _certified_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import certified_accuracy_against_radius

    for (norm,), part in table.sort("norm").group_by("norm", maintain_order=True):
        points = points_of(part, "certificate", "radius", "certified_accuracy")
        chart = certified_accuracy_against_radius(part, norm=str(norm))
        yield chart_figure("Accuracy that is proved to hold within a radius, with interval.", chart, points)


def _norm(norm: object) -> str:
    return _NORMS.get(str(norm), str(norm))


def _gate_on(results: Results, metric: str, norm: str) -> tuple[float, float] | None:
    """(ε, minimum) of the first gate on this curve."""
    for verdict in results.verdicts:
        m, gate = verdict.measurement, verdict.gate
        if m is None or gate is None or gate.min is None or m.metric != metric:
            continue
        eps = m.where.get("eps")
        if isinstance(eps, int | float) and m.where.get("norm", norm) == norm:
            return float(eps), gate.min
    return None


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "robustness.evasion": (
        Drawing("curve", columns("eps robust_accuracy attack"), "Accuracy against ε", _eps_curve),
        Drawing(
            "nearest",
            columns("eps robust_accuracy attack norm"),
            "Accuracy at every radius",
            _nearest_curve,
            optional=True,
        ),
        Drawing(
            "contribution",
            columns("attack norm eps part order share"),
            "What broke the examples",
            _contribution,
            optional=True,
        ),
        Drawing(
            "queries",
            columns("queries robust_accuracy attack norm eps"),
            "Query curve",
            _query_curve,
            optional=True,
        ),
        Drawing(
            "classes",
            columns("attack norm eps class n clean robust"),
            "Classes under attack",
            _class_intervals,
            optional=True,
        ),
        Drawing(
            "examples",
            columns("example_id label predicted shape clean adversarial"),
            "Adversarial examples",
            _adversarial,
        ),
    ),
    "robustness.corruption": (
        Drawing("curve", columns("corruption severity accuracy"), "Severity curve", _severity_curve),
    ),
    "robustness.character_noise": (
        Drawing("curve", columns("noise misspelt accuracy"), "Noise curve", _noise_curve),
    ),
    "robustness.certified": (
        Drawing(
            "curve",
            columns("radius certified_accuracy certificate norm"),
            "Certified accuracy curve",
            _certified_curve,
        ),
    ),
}
