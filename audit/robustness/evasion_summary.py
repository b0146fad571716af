"""What the rows of `robustness.evasion` amount to: rates with intervals, cost, and examples to look at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.special import bdtr

from raiaudit.audit.measurement import Measurement
from raiaudit.audit.robustness.attack_names import caveat, facts_of
from raiaudit.audit.statistics.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.attacks.threats import Norm
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["at_radius", "broken_examples", "monotone", "tag"]


def tag(norm: str, eps: float, attack: str) -> str:
    """Names a threat in columns and tasks: `linf-0.15-pgd`."""
    return f"{norm}-{eps:g}-{attack}"


def at_radius(check: str, ledger: LedgerReader, norm: Norm, eps: float, attack: str) -> list[Measurement]:
    """Robust and clean accuracy, success among clean-correct examples, passes, and distance if minimal.

    Where a black box gave no answer about some examples, the rates are those of the others, and their
    intervals allow for either outcome of the missing ones.
    """
    at = f"evasion.{tag(norm, eps, attack)}"
    columns = [f"{at}.{name}" for name in ("broken", "clean_broken", "norm", "forwards", "backwards")]
    attacked = ledger.scan(*columns).drop_nulls(f"{at}.forwards").collect()
    rows = attacked.drop_nulls(columns)
    lost = attacked.height - rows.height
    broken, clean_broken, distance, forwards, backwards = (rows[column].to_numpy() for column in columns)
    where: dict[str, Any] = {"norm": norm, "eps": eps, "attack": attack}
    n, correct = rows.height, int((~clean_broken).sum())
    success = broken & ~clean_broken
    method = "madry2018"

    def share(metric: str, count: int, of: int, better: Any, *used: str, reason: str = "") -> Measurement:
        low, high = wilson(count, of) if of else (None, None)
        told = caveat(attack) if metric == "robust_accuracy" else None
        if lost and of:
            low, high = wilson(count, of + lost).low, wilson(count + lost, of + lost).high
            reason = f"no answer about {lost} of {lost + n} examples: the interval allows for either outcome"
        elif lost:
            reason = f"no answer about {lost} of {lost + n} examples"
        return Measurement(
            check=check,
            metric=metric,
            value=count / of if of else None,
            low=low,
            high=high,
            n=of,
            better=better,
            where=where,
            method=method,
            reason="; ".join(filter(None, (told, reason if lost or not of else None))) or None,
            evidence=tuple(f"{at}.{name}" for name in used),
        )

    def cost(metric: str, passes: Any, used: str) -> Measurement:
        return Measurement(
            check=check,
            metric=metric,
            value=float(passes.mean()) if n else None,
            n=n,
            unit="passes per example",
            better="neither",
            where=where,
            method=method,
            reason=None if n else f"no answer about any of the {lost} examples",
            evidence=(f"{at}.{used}",),
        )

    found = [
        share("robust_accuracy", int((~broken).sum()), n, "higher", "broken"),
        share("clean_accuracy", correct, n, "higher", "clean_broken"),
        share(
            "attack_success_rate",
            int(success.sum()),
            correct,
            "lower",
            "broken",
            "clean_broken",
            reason="the model errs on every clean example: there is nothing to attack",
        ),
        cost("forward_passes", forwards, "forwards"),
        cost("backward_passes", backwards, "backwards"),
    ]
    if facts_of(attack).minimal:
        found.append(_median_norm(check, distance[~clean_broken], lost, where, f"{at}.norm"))
    return found


def _median_norm(
    check: str, distance: NDArray[Any], lost: int, where: dict[str, Any], column: str
) -> Measurement:
    """Median distance to the nearest error over clean-correct examples, with the exact interval of a median.

    An example for which nothing was found has norm 0 in the ledger, and counts as infinitely far. The
    `lost` ones, of which nothing is known, may be anywhere: the interval allows for that.
    """
    far = np.sort(np.where(distance > 0, distance, np.inf).astype(np.float64))
    value = float(np.median(far)) if len(far) else np.inf
    n = len(far) + lost
    # The k-th smallest bounds the median from below unless at most k−1 values lie under it: Bin(n, ½).
    tail = int((bdtr(np.arange(n), n, 0.5) <= 0.025).sum())
    low, high = 0.0, np.inf
    if tail:
        low = np.append(np.zeros(lost), far)[tail - 1]
        high = np.append(far, np.full(lost, np.inf))[n - tail]
    bounded = np.isfinite([value, low, high]).all()
    known = bool(np.isfinite(value) and (bounded or not lost))
    missing = (
        f"no answer about {lost} examples" if lost else "no error was found for half of the examples or more"
    )
    return Measurement(
        check=check,
        metric="median_norm",
        value=value if known else None,
        low=float(low) if bounded else None,
        high=float(high) if bounded else None,
        n=n,
        unit=where["norm"],
        better="higher",
        where=where,
        method="thompson1936",
        reason=None if known else missing,
        evidence=(column,),
    )


def monotone(
    check: str, ledger: LedgerReader, norm: Norm, radii: tuple[float, ...], attack: str
) -> Measurement:
    """Share of examples that, once broken at a radius, are broken at every larger one.

    A larger ball holds the smaller one, so anything below 1 is the attack's failure, not robustness.
    """
    columns = [f"evasion.{tag(norm, eps, attack)}.broken" for eps in radii]
    broken_NE = ledger.scan(*columns).drop_nulls(columns).select(columns).collect().to_numpy()
    nested = (broken_NE[:, 1:] >= broken_NE[:, :-1]).all(axis=1)
    n, count = nested.size, int(nested.sum())
    low, high = wilson(count, n) if n else (None, None)
    return Measurement(
        check=check,
        metric="monotone_in_eps",
        value=count / n if n else None,
        low=low,
        high=high,
        n=n,
        better="higher",
        where={"norm": norm, "attack": attack},
        method="wilson1927",
        reason="no example was answered for at every radius"
        if not n
        else None
        if count == n
        else f"{n - count} examples broken at one radius survive a larger one: the attack is too weak there",
        evidence=tuple(columns),
    )


def broken_examples(
    ledger: LedgerReader, subject: Subject, norm: Norm, eps: float, attack: str
) -> pl.DataFrame:
    """At most eight rows: example_id, label, predicted, shape, clean, adversarial (texts, or flat floats)."""
    at = f"evasion.{tag(norm, eps, attack)}"
    rows = (
        ledger.scan(f"{at}.adversarial", f"{at}.predicted")
        .drop_nulls(f"{at}.adversarial")
        .rename({f"{at}.adversarial": "adversarial", f"{at}.predicted": "predicted"})
        .collect()
    )
    split, classes = subject.test, subject.dataset.classes
    position = {example: row for row, example in enumerate(split.ids.to_list())}
    chosen = split.take(np.array([position[example] for example in rows["example_id"]], dtype=np.int64))
    if isinstance(chosen.inputs, list):
        shape: list[int] = []
        clean = pl.Series("clean", chosen.inputs, dtype=pl.String)
    else:
        pixels = np.asarray(chosen.inputs)
        shape = list(pixels.shape[1:])
        scale = 255.0 if pixels.dtype == np.uint8 else 1.0
        flat = pixels.reshape(len(chosen), math.prod(shape)).astype(np.float32) / scale
        clean = pl.Series("clean", flat.tolist(), dtype=pl.List(pl.Float32))
    return rows.select(
        "example_id",
        pl.Series("label", [classes[label] for label in chosen.labels], dtype=pl.String),
        pl.Series("predicted", [classes[label] for label in rows["predicted"]], dtype=pl.String),
        pl.Series("shape", [shape] * rows.height, dtype=pl.List(pl.Int64)),
        clean,
        "adversarial",
        eps=pl.lit(eps),
        norm=pl.lit(norm),
        attack=pl.lit(attack),
    )
