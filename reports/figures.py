"""Which charts and pictures a check's evidence gives, with captions and texts for those who cannot see them.

A table that is missing or of another shape leaves its chart out with a line saying so; a report never
fails for want of a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiaudit.reports.wording import in_percent, metric_title

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.reports.charts.style import AnyChart

__all__ = ["Evidence", "Figure", "Words", "figures", "read_evidence", "word_maps"]

Evidence = Mapping[tuple[str, str], "pl.DataFrame"]
_PICTURES = 6
_GROUP_CHARTS = 4
_CLASSES = 20
_NORMS = {"linf": "L∞", "l2": "L2", "l1": "L1", "l0": "L0"}
_FIRST_METRICS = ("accuracy", "selection_rate", "robust_accuracy", "membership_auc")


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, or a picture as PNG, with its caption. `alt` says in words what it shows."""

    caption: str
    alt: str
    drawing: AnyChart | bytes

    @property
    def kind(self) -> str:
        """Of `content`: "svg" or "png"."""
        return "png" if isinstance(self.drawing, bytes) else "svg"

    @property
    def content(self) -> bytes:
        """The drawing as a file for a document."""
        if isinstance(self.drawing, bytes):
            return self.drawing
        from raiaudit.reports.charts import to_svg

        return to_svg(self.drawing).encode()


@dataclass(frozen=True, slots=True)
class Words:
    """An explained text or table row: its features with weights in [-1, 1] (share of the largest)."""

    caption: str
    words: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class _Drawing:
    table: str
    columns: frozenset[str]
    title: str
    draw: Callable[[pl.DataFrame, Results], Iterator[Figure]]
    optional: bool = False
    """Whether a run may lack the table without a word: not every attack fills it."""


def read_evidence(run: Run, checks: Sequence[str]) -> dict[tuple[str, str], pl.DataFrame]:
    """The tables that our drawings know, of the checks given; those a run lacks are not in it."""
    found = {}
    for check in checks:
        for drawing in _DRAWINGS.get(check, ()):
            table = run.evidence(check, drawing.table)
            if table is not None:
                found[check, drawing.table] = table
    return found


def figures(check: str, evidence: Evidence, results: Results) -> tuple[list[Figure], list[str]]:
    """The figures of one check, and a line for each that had to be left out."""
    drawn: list[Figure] = []
    left_out: list[str] = []
    for drawing in _DRAWINGS.get(check, ()):
        table = evidence.get((check, drawing.table))
        if (table is None or table.is_empty()) and drawing.optional:
            continue
        if table is None or table.is_empty():
            left_out.append(f"{drawing.title}: left out, the run holds no table “{drawing.table}”.")
        elif lacking := sorted(drawing.columns - set(table.columns)):
            left_out.append(f"{drawing.title}: left out, table “{drawing.table}” lacks {', '.join(lacking)}.")
        else:
            drawn += drawing.draw(table, results)
    return drawn, left_out


def word_maps(evidence: Evidence) -> list[Words]:
    """Explained texts and table rows, which have names for their features where images have pixels."""
    table = evidence.get(("explanations.attribution", "maps"))
    if table is None or "features" not in table.columns:
        return []
    shown = []
    for row in table.drop_nulls("features").head(_PICTURES).iter_rows(named=True):
        peak = max((abs(weight) for weight in row["map"]), default=0.0) or 1.0
        pairs = zip(row["features"], row["map"], strict=False)
        shown.append(Words(_example(row), tuple((word, weight / peak) for word, weight in pairs)))
    return shown


def _chart(caption: str, chart: AnyChart, points: str) -> Figure:
    return Figure(caption, f"Chart. {caption} {points}".strip(), chart)


def _listed(table: pl.DataFrame, by: str, x: str, y: str) -> str:
    """The points of a curve in words, at most eight a series."""
    parts = []
    for (name,), rows in table.sort(by, x).group_by(by, maintain_order=True):
        step = max(1, rows.height // 8)
        points = [
            f"{a:.3g}: {b:.3g}" for a, b in rows.select(x, y).drop_nulls().gather_every(step).iter_rows()
        ]
        parts.append(f"{name}: {', '.join(points)}")
    return "; ".join(parts)


def _eps_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import accuracy_against_eps

    norms = table["norm"].unique().sort().to_list() if "norm" in table.columns else [""]
    for norm in norms:
        part = table.filter(pl.col("norm") == norm) if norm else table
        chart = accuracy_against_eps(part, norm=norm, threshold=_gate_on(results, "robust_accuracy", norm))
        points = _listed(part, "attack", "eps", "robust_accuracy")
        yield _chart("Robust accuracy against the perturbation budget, with interval.", chart, points)


def _nearest_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import accuracy_against_eps

    for (norm,), part in table.group_by("norm", maintain_order=True):
        chart = accuracy_against_eps(part, norm=str(norm), points=False)
        caption = "Robust accuracy at every radius, by the nearest error found of each example."
        yield _chart(caption, chart, _listed(part, "attack", "eps", "robust_accuracy"))


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
        yield _chart(caption, attack_contributions(rows), told)


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
        yield _chart(f"{caption}, with intervals.", class_robustness(chosen), told)


def _query_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import accuracy_against_queries

    for (norm, eps), rows in table.group_by("norm", "eps", maintain_order=True):
        caption = f"Robust accuracy against the queries spent on each example ({_norm(norm)}, ε = {eps:.4g})."
        points = _listed(rows, "attack", "queries", "robust_accuracy")
        yield _chart(caption, accuracy_against_queries(rows), points)


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


def _flags(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import attack_flags

    for (norm, eps), rows in table.group_by("norm", "eps", maintain_order=True):
        raised = rows.filter("raised")["text"].to_list()
        told = f"Raised: {'; '.join(raised)}." if raised else "None was raised."
        at = f"{norm} radius {eps:.4g}"
        caption = f"Flags of the evaluation at {at}: share of the sample, interval, tolerance (tick). {told}"
        yield _chart(caption, attack_flags(rows), _told(rows))


def _told(rows: pl.DataFrame) -> str:
    shares = rows.drop_nulls("share").select("flag", "share").iter_rows()
    return "; ".join(f"{flag.replace('_', ' ')} {share:.1%}" for flag, share in shares)


def _severity_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import accuracy_against_severity

    points = _listed(table, "corruption", "severity", "accuracy")
    yield _chart("Accuracy against the severity of corruption.", accuracy_against_severity(table), points)


def _noise_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import accuracy_against_noise

    named = table.with_columns(pl.col("noise").str.replace_all("_", " "))
    points = _listed(named, "noise", "misspelt", "accuracy")
    yield _chart("Accuracy against the share of words misspelt.", accuracy_against_noise(named), points)


def _certified_curve(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import certified_accuracy_against_radius

    for (norm,), part in table.sort("norm").group_by("norm", maintain_order=True):
        points = _listed(part, "certificate", "radius", "certified_accuracy")
        chart = certified_accuracy_against_radius(part, norm=str(norm))
        yield _chart("Accuracy that is proved to hold within a radius, with interval.", chart, points)


def _roc(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import membership_roc

    ordered = table.sort("rank", maintain_order=True) if "rank" in table.columns else table
    first = f" ({ordered['attack'][0]})" if ordered["attack"].n_unique() > 2 else ""
    caption = (
        "Membership ROC on log–log axes; the dashed diagonal is chance, the band the interval of the "
        f"true-positive rate at each threshold by itself{first}."
    )
    yield _chart(caption, membership_roc(table), _listed(ordered, "attack", "fpr", "tpr"))


def _attributes(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import attribute_gain

    told = "; ".join(
        f"{column}, {of}: {value:+.1%}"
        for column, of, value in table.select("column", "of", "value").iter_rows()
    )
    caption = "What the model adds to guessing an attribute (dashed: nothing), for members and for others."
    yield _chart(caption, attribute_gain(table), told)


def _histogram(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import score_histogram

    caption = "Membership scores of members and non-members."
    yield _chart(caption, score_histogram(table), f"{table.height} bins.")


def _epsilon(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import epsilon_bar

    def number(value: float | None) -> str:
        return "not defined" if value is None else f"{value:.3g}"

    told = "; ".join(
        f"{row['canaries']} canaries, {row['bound']}: shown {number(row['low'])}, "
        f"a perfect attack {number(row['cap'])}, accountant {number(row['high'])}"
        for row in table.iter_rows(named=True)
    )
    caption = "ε from both sides: what canaries showed at least, and what the accountant claims at most."
    yield _chart(caption, epsilon_bar(table), told)


def _risk(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import risk_by_group

    for (attribute,), rows in table.group_by("attribute", maintain_order=True):
        told = "; ".join(
            f"{group} {'found' if metric == 'group_tpr' else 'accused'} "
            + ("not defined" if share is None else f"{share:.1%}")
            for group, metric, share in rows.select("group", "metric", "value").iter_rows()
        )
        rate, attack = rows.select(pl.first("fpr"), pl.first("attack")).row(0)
        caption = (
            f"Membership risk by {attribute} ({attack}): one threshold for all, set at {rate:.1%} FPR (tick)."
        )
        yield _chart(caption, risk_by_group(rows), told)


def _exposed(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import exposed_members

    if not {"phi", "mean_in", "mean_out"} <= set(table.columns):
        return  # without shadow models there is nothing beside the model's own confidence
    told = ", ".join(table["example_id"].to_list())
    caption = (
        "The most exposed members: how sure the model is of each, beside shadow models with and without it."
    )
    yield _chart(caption, exposed_members(table), told)


def _by_group(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import group_intervals

    if "slice" not in table.columns:
        table = table.with_columns(pl.lit("").alias("slice"))
    for metric in _group_metrics(table, results):
        rows = table.filter(pl.col("metric") == metric)
        # The strongest attack's slice: the largest radius sorts last, LiRA before the plain loss.
        slices = sorted(rows["slice"].unique().to_list())
        chosen = slices[-1] if metric == "robust_accuracy" else slices[0]
        rows = rows.filter(pl.col("slice") == chosen)
        shown = [
            f"{row['attribute']} {row['group']}: "
            + ("not defined" if row["value"] is None else f"{row['value']:.3g}")
            for row in rows.iter_rows(named=True)
        ]
        title = metric_title(metric) + (f" ({chosen})" if chosen else "")
        chart = group_intervals(rows, title=title, percent=in_percent(metric))
        yield _chart(f"{title} by group, with interval.", chart, "; ".join(shown))


def _group_metrics(table: pl.DataFrame, results: Results) -> list[str]:
    """Those with a gate, then the ones people ask for first."""
    known = table["metric"].unique(maintain_order=True).to_list()
    gated = [v.gate.metric for v in results.verdicts if v.check == "fairness.groups" and v.gate is not None]
    order = dict.fromkeys([*gated, *_FIRST_METRICS, *known])
    return [metric for metric in order if metric in known][:_GROUP_CHARTS]


def _reliability(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import reliability_diagram

    points = "; ".join(
        f"{a:.2f}: {b:.2f}" for a, b in table.select("confidence", "accuracy").drop_nulls().iter_rows()
    )
    caption = "Accuracy in bins of confidence, with interval; the diagonal is perfect calibration."
    yield _chart(caption, reliability_diagram(table), points)


def _deletion(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import deletion_curve

    caption = "Prediction while features are removed: by the explanation's ranking, and at random."
    means = table.drop("removed").mean().row(0, named=True)
    ends = "; ".join(f"{name}: mean {mean:.3f}" for name, mean in means.items())
    yield _chart(caption, deletion_curve(table), ends)


def _maps(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures import saliency_overlay

    for row in table.head(_PICTURES).iter_rows(named=True):
        if (picture := saliency_overlay(row)) is not None:
            yield Figure(_example(row), f"Attribution map over the input. {_example(row)}", picture)


def _adversarial(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures import adversarial_picture

    for row in table.head(_PICTURES).iter_rows(named=True):
        if (drawn := adversarial_picture(row)) is not None:
            picture, factor = drawn
            caption = f"{_example(row)} (× {factor:.3g})"
            alt = f"Clean input, perturbation × {factor:.3g}, adversarial input. {_example(row)}"
            yield Figure(caption, alt, picture)


def _example(row: Mapping[str, Any]) -> str:
    label, predicted = str(row["label"]), str(row["predicted"])
    # Short names stay on one line with their arrow; long ones may break.
    space = "\u00a0" if len(label) + len(predicted) < 16 else " "
    return f"{row['example_id']}: {label}{space}→{space}{predicted}"


def _columns(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DRAWINGS: dict[str, tuple[_Drawing, ...]] = {
    "robustness.evasion": (
        _Drawing("curve", _columns("eps robust_accuracy attack"), "Accuracy against ε", _eps_curve),
        _Drawing(
            "nearest",
            _columns("eps robust_accuracy attack norm"),
            "Accuracy at every radius",
            _nearest_curve,
            optional=True,
        ),
        _Drawing(
            "contribution",
            _columns("attack norm eps part order share"),
            "What broke the examples",
            _contribution,
            optional=True,
        ),
        _Drawing(
            "queries",
            _columns("queries robust_accuracy attack norm eps"),
            "Query curve",
            _query_curve,
            optional=True,
        ),
        _Drawing(
            "classes",
            _columns("attack norm eps class n clean robust"),
            "Classes under attack",
            _class_intervals,
            optional=True,
        ),
        _Drawing(
            "examples",
            _columns("example_id label predicted shape clean adversarial"),
            "Adversarial examples",
            _adversarial,
        ),
    ),
    "robustness.reliability": (
        _Drawing("flags", _columns("flag share low high tolerance n raised text"), "Flags", _flags),
    ),
    "robustness.corruption": (
        _Drawing("curve", _columns("corruption severity accuracy"), "Severity curve", _severity_curve),
    ),
    "robustness.character_noise": (
        _Drawing("curve", _columns("noise misspelt accuracy"), "Noise curve", _noise_curve),
    ),
    "robustness.certified": (
        _Drawing(
            "curve",
            _columns("radius certified_accuracy certificate norm"),
            "Certified accuracy curve",
            _certified_curve,
        ),
    ),
    "privacy.membership": (
        _Drawing("roc", _columns("fpr tpr attack"), "Membership ROC", _roc),
        _Drawing("histogram", _columns("low high count member"), "Score histogram", _histogram),
    ),
    "privacy.label_only": (
        _Drawing("roc", _columns("fpr tpr attack"), "Membership ROC by labels", _roc),
        _Drawing("histogram", _columns("low high count member"), "Score histogram", _histogram),
    ),
    "privacy.attribute_inference": (
        _Drawing("gain", _columns("column of value low high n"), "Attribute gain", _attributes),
    ),
    "privacy.canaries": (
        _Drawing(
            "epsilon", _columns("canaries threat_model bound low cap high"), "ε from both sides", _epsilon
        ),
    ),
    "privacy.at_risk": (
        _Drawing(
            "by_group",
            _columns("attribute group metric value low high n fpr attack"),
            "Risk by group",
            _risk,
            optional=True,
        ),
        _Drawing("exposed", _columns("example_id rank"), "Exposed members", _exposed, optional=True),
    ),
    "fairness.groups": (
        _Drawing("by_group", _columns("attribute group metric value low high n"), "Groups", _by_group),
    ),
    "explanations.attribution": (
        _Drawing("curve", _columns("removed"), "Deletion curve", _deletion),
        _Drawing("maps", _columns("example_id label predicted shape input map"), "Attribution maps", _maps),
    ),
    "reliability.calibration": (
        _Drawing("bins", _columns("confidence accuracy low high n"), "Reliability diagram", _reliability),
    ),
}
