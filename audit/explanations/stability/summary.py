"""Measurements of `explanations.stability`, from the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Literal

import polars as pl

from raiaudit.audit.explanations.stability.maps import surrogate_of
from raiaudit.audit.fairness.by_group.quantities import Quantity, mean_by_group
from raiaudit.audit.fairness.by_group.reporting import Reporter
from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import mean_bootstrap, wilson
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Scalar
    from raiaudit.audit.subject import Subject

__all__ = ["by_group", "overall", "why_refused", "without_maps"]

Better = Literal["higher", "lower", "neither"]

_METRICS: tuple[tuple[str, str, Better, str], ...] = (
    ("topk_overlap", "overlap", "higher", ""),
    ("map_correlation", "correlation", "higher", ""),
    ("centre_shift", "centre_shift", "lower", "pixels"),
)
_BY_GROUP: tuple[tuple[str, dict[str, Scalar]], ...] = (("ghorbani", {}), ("pgd", {"outcome": "broken"}))
_PAPERS = {"noise": "ghorbani2019", "ghorbani": "ghorbani2019", "pgd": "madry2018"}


class _Means:
    """Means over examples with bootstrap intervals, as measurements."""

    def __init__(self, check: str, ledger: LedgerReader, seed: int) -> None:
        self.check, self.ledger, self.seed = check, ledger, seed
        self.held = ledger.columns()

    def of(
        self,
        metric: str,
        columns: Sequence[str],
        where: dict[str, Scalar],
        better: Better,
        method: str,
        *,
        unit: str = "",
        among: tuple[str, bool] | None = None,
        reason: str | None = None,
    ) -> Measurement:
        """The mean of the first column, less the second if there are two; of the rows `among` those where a
        column has a value.
        """
        used = [*columns, *([among[0]] if among else [])]
        rows = self.ledger.scan(*used).drop_nulls(used).collect()
        if among is not None:
            rows = rows.filter(pl.col(among[0]) == among[1])
        first, *rest = (rows[name].cast(pl.Float64).to_numpy() for name in columns)
        values_N = first - rest[0] if rest else first
        n, low, high = len(values_N), None, None
        if n > 1:
            rng = keyed_rng(self.seed, self.check, metric, *map(str, where.values()))
            low, high = mean_bootstrap(values_N, rng=rng)
        few = "fewer than two examples" if n < 2 else None
        stuck = _left_out(self.ledger, where)
        return Measurement(
            check=self.check,
            metric=metric,
            value=float(values_N.mean()) if n > 1 else None,
            low=low,
            high=high,
            n=n,
            unit=unit,
            better=better,
            where=where,
            method=method,
            reason="; ".join(part for part in (few, stuck, reason) if part) or None,
            evidence=tuple(used),
        )

    def share(
        self, metric: str, column: str, where: dict[str, Scalar], better: Better, method: str
    ) -> Measurement:
        """Of a true or false column, with Wilson's interval."""
        values = self.ledger.scan(column).drop_nulls().collect()[column]
        n, true = len(values), int(values.sum())
        low, high = wilson(true, n)
        return Measurement(
            check=self.check,
            metric=metric,
            value=true / n if n else None,
            low=low if n else None,
            high=high if n else None,
            n=n,
            better=better,
            where=where,
            method=method,
            reason=None if n else _left_out(self.ledger, where) or "no examples",
            evidence=(column,),
        )


def _left_out(ledger: LedgerReader, where: Mapping[str, Scalar]) -> str | None:
    """How many examples say nothing, and why: nothing can move, or the map has no most relevant features."""
    at, reasons = f"{where['eps']:g}", []
    movable = ledger.scan(f"stability.noise-{at}.movable").drop_nulls().collect().to_series(1)
    if stuck := int((~movable).sum()):
        why = "no valid input lies within the radius (integers move by whole steps)"
        reasons.append(f"{stuck} of {len(movable)} examples are left out: {why}")
    if "method" in where:
        column = f"stability.ghorbani-{at}-{where['method']}.blank"
        blank = ledger.scan(column).drop_nulls().collect()[column]
        if blank.any():
            why = "their map is the same everywhere"
            reasons.append(f"{int(blank.sum())} of {len(blank)} examples are left out: {why}")
    return "; ".join(reasons) or None


def why_refused(ledger: LedgerReader, methods: Sequence[str], radii: Sequence[float]) -> dict[str, str]:
    """The methods that this model cannot give, or that cannot be attacked, with the reason."""
    found = {}
    for method in methods:
        columns = [f"stability.ghorbani-{eps:g}-{method}.refused" for eps in radii]
        reasons = (
            ledger.scan(*columns).select(pl.coalesce(columns).drop_nulls().alias("why")).collect()["why"]
        )
        if len(reasons):
            found[method] = str(reasons[0])
    return found


def without_maps(check: str, method: str, eps: float, reason: str) -> Measurement:
    """A method of which nothing was measured."""
    return Measurement(
        check=check,
        metric="topk_overlap",
        value=None,
        n=0,
        better="higher",
        where=_where(method, "ghorbani", eps),
        method="ghorbani2019",
        reason=reason,
    )


def overall(
    check: str, ledger: LedgerReader, methods: Sequence[str], radii: Sequence[float], *, seed: int
) -> list[Measurement]:
    """Overlaps and kept labels at every radius, the rest at the largest; `where` = {method, attack, eps}."""
    means, found = _Means(check, ledger, seed), []
    for eps in radii:
        for method in methods:
            found += _overlaps(means, method, eps)
        kept = f"stability.noise-{eps:g}.label_kept"
        found.append(
            means.of("label_kept_share", [kept], {"attack": "noise", "eps": eps}, "higher", "yeh2019")
        )
    for method in methods:
        found += _details(means, method, radii[-1])
    return found


def _where(method: str, attack: str, eps: float, **more: Scalar) -> dict[str, Scalar]:
    return {"method": method, "attack": attack, "eps": eps, **more}


def _overlaps(means: _Means, method: str, eps: float) -> list[Measurement]:
    """Under the attack on the map, under noise, and what lies between them."""
    attacked, noisy = (f"stability.{attack}-{eps:g}-{method}" for attack in ("ghorbani", "noise"))
    after, at_random, worst = f"{attacked}.overlap", f"{noisy}.overlap", f"{noisy}.lowest"
    by_attack, by_noise = _where(method, "ghorbani", eps), _where(method, "noise", eps)
    beyond: dict[str, Scalar] = {"method": method, "eps": eps}
    paper, note = "ghorbani2019", _note(means.ledger, f"{attacked}.no_gradient", method)
    return [
        means.of("topk_overlap", [after], by_attack, "higher", paper, reason=note),
        means.of("topk_overlap", [at_random], by_noise, "higher", paper),
        means.of("overlap_beyond_noise", [worst, after], beyond, "lower", paper, reason=note),
        means.share("label_kept_share", f"{attacked}.label_kept", by_attack, "higher", paper),
    ]


def _details(means: _Means, method: str, eps: float) -> list[Measurement]:
    """The worst of the noise, order and place of the maps, and adversarial inputs."""
    noisy, broken = f"stability.noise-{eps:g}-{method}", f"stability.pgd-{eps:g}.broken"
    lowest, by_noise = _where(method, "noise_lowest", eps), _where(method, "noise", eps)
    unit = "of the map's norm"
    found = [
        means.of("topk_overlap", [f"{noisy}.lowest"], lowest, "higher", "yeh2019"),
        means.of("max_sensitivity", [f"{noisy}.sensitivity"], by_noise, "lower", "yeh2019", unit=unit),
    ]
    for attack, among in (
        ("ghorbani", None),
        ("noise", None),
        ("pgd", (broken, True)),
        ("pgd", (broken, False)),
    ):
        at, paper = f"stability.{attack}-{eps:g}-{method}", _PAPERS[attack]
        outcome: dict[str, Scalar] = {"outcome": "broken" if among[1] else "held"} if among else {}
        for metric, column, better, unit in _METRICS:
            measured = among is None and metric == "topk_overlap"  # already, at every radius
            if f"{at}.{column}" in means.held and not measured:
                where = _where(method, attack, eps, **outcome)
                found.append(
                    means.of(metric, [f"{at}.{column}"], where, better, paper, unit=unit, among=among)
                )
    return found


def _note(ledger: LedgerReader, column: str, method: str) -> str | None:
    """What weakens the attack: no slope to climb, or another method's map climbed in its stead."""
    notes = []
    dead = ledger.scan(column).drop_nulls().collect()[column]
    if dead.any():
        here = f"{int(dead.sum())} of {len(dead)} examples"
        notes.append(f"no slope of the map at {here}: the attack had no direction there")
    if (climbed := surrogate_of(method)) != method:
        notes.append(f"attacked through the {climbed.replace('_', ' ')} map; its own may be easier to move")
    return "; ".join(notes) or None


def by_group(
    check: str,
    ledger: LedgerReader,
    subject: Subject,
    methods: Sequence[str],
    eps: float,
    *,
    columns: Sequence[str] | None,
    minimum: int,
    permutations: int,
) -> list[Measurement]:
    """Overlap under both attacks by group of every group column: means, gaps and a permutation test.

    Under PGD that of the inputs that broke. The p-values are adjusted for all columns, methods and attacks
    (Benjamini and Hochberg).
    """
    found: list[Measurement] = []
    for attribute in subject.dataset.group_names if columns is None else columns:
        split = subject.test
        groups = pl.DataFrame({"example_id": split.ids, "group": split.groups[attribute].cast(pl.String)})
        for method, (attack, outcome) in product(methods, _BY_GROUP):
            column, broken = f"stability.{attack}-{eps:g}-{method}.overlap", f"stability.pgd-{eps:g}.broken"
            rows = ledger.scan(column, broken).drop_nulls(column).collect().join(groups, on="example_id")
            rows = rows.filter(broken) if outcome else rows
            if not rows.height:
                continue
            level = rows["group"].fill_null(UNKNOWN)
            sizes = dict(level.value_counts().iter_rows())
            report = Reporter(
                check=check,
                attribute=attribute,
                reference=_largest(sizes),
                confidence=0.95,
                seed=subject.seed,
                draws=permutations,
                evidence=(column, *([broken] if outcome else [])),
                where=_where(method, attack, eps, **outcome),
            )
            values_N = rows[column].to_numpy()
            quantity = Quantity((column,), "higher")
            found += mean_by_group(report, "topk_overlap", level, values_N, quantity, minimum)
    return _adjusted([_beside(measurement) for measurement in found])


def _largest(sizes: Mapping[str, int]) -> str:
    return max(sorted(sizes), key=lambda level: (level != UNKNOWN, sizes[level]), default=UNKNOWN)


def _beside(measurement: Measurement) -> Measurement:
    """A gate on the overlap is about everybody, unless it names an attribute.

    Student's intervals of a few examples leave the range of a share; it ends where the range does.
    """
    lowest = -1.0 if measurement.metric == "topk_overlap_gap" else 0.0
    limits = {
        name: None if limit is None else min(1.0, max(lowest, limit))
        for name, limit in (("low", measurement.low), ("high", measurement.high))
    }
    return measurement.model_copy(update={"beside": "attribute", **limits})


def _adjusted(found: list[Measurement]) -> list[Measurement]:
    tests = [i for i, m in enumerate(found) if m.metric.endswith("_p_value") and m.value is not None]
    if len(tests) < 2:
        return found
    for i, p in zip(tests, benjamini_hochberg([found[i].value for i in tests]), strict=True):
        raw = f"{found[i].value:.4g} before it was adjusted for {len(tests)} tests"
        found[i] = found[i].model_copy(update={"value": p, "reason": raw})
    return found
