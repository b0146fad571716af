"""What the rows of `robustness.evasion` amount to: rates with intervals, cost, and examples to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.measurement import Measurement
from raiaudit.audit.robustness.attack_names import ATTACKS
from raiaudit.audit.statistics.intervals import wilson

if TYPE_CHECKING:
    from raiaudit.attacks.threats import Norm
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["at_radius", "broken_examples", "monotone", "tag"]


def tag(norm: str, eps: float, attack: str) -> str:
    """Names a threat in columns and tasks: `linf-0.15-pgd`."""
    return f"{norm}-{eps:g}-{attack}"


def at_radius(check: str, ledger: LedgerReader, norm: Norm, eps: float, attack: str) -> list[Measurement]:
    """Robust and clean accuracy, success among clean-correct examples, passes, and distance if minimal."""
    at = f"evasion.{tag(norm, eps, attack)}"
    columns = [f"{at}.{name}" for name in ("broken", "clean_broken", "norm", "forwards", "backwards")]
    rows = ledger.scan(*columns).drop_nulls(columns).collect()
    broken, clean_broken, distance, forwards, backwards = (rows[column].to_numpy() for column in columns)
    where: dict[str, Any] = {"norm": norm, "eps": eps, "attack": attack}
    n, correct = rows.height, int((~clean_broken).sum())
    success = broken & ~clean_broken
    method = f"attack.{attack}"

    def share(metric: str, count: int, of: int, better: Any, *used: str, reason: str = "") -> Measurement:
        low, high = wilson(count, of) if of else (None, None)
        return Measurement(
            check=check,
            metric=metric,
            value=count / of if of else None,
            low=low,
            high=high,
            n=of,
            better=better,
            where=where,
            method="wilson",
            reason=None if of else reason,
            evidence=tuple(f"{at}.{name}" for name in used),
        )

    def cost(metric: str, passes: Any, used: str) -> Measurement:
        return Measurement(
            check=check,
            metric=metric,
            value=float(passes.mean()),
            n=n,
            unit="passes per example",
            better="neither",
            where=where,
            method=method,
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
    if ATTACKS[attack].minimal:
        distances = distance[success]
        found.append(
            Measurement(
                check=check,
                metric="median_norm",
                value=float(np.median(distances)) if len(distances) else None,
                n=len(distances),
                unit=norm,
                better="higher",
                where=where,
                method=method,
                reason=None if len(distances) else "the attack broke no example",
                evidence=(f"{at}.norm",),
            )
        )
    return found


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
    low, high = wilson(count, n)
    return Measurement(
        check=check,
        metric="monotone_in_eps",
        value=count / n,
        low=low,
        high=high,
        n=n,
        better="higher",
        where={"norm": norm, "attack": attack},
        method="wilson",
        reason=None
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
        shape = list(chosen.inputs.shape[1:])
        scale = 255.0 if chosen.inputs.dtype == np.uint8 else 1.0
        flat = chosen.inputs.reshape(len(chosen), -1).astype(np.float32) / scale
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
