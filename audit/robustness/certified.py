"""Certified robustness: the share of examples on which no attack within a radius can succeed, proved.

Two certificates. *smoothing* (arXiv:1902.02918): the model answers by majority under Gaussian noise of
deviation σ; each certificate is about that smoothed model, in L2, and holds with probability 1 − α.
*interval* (arXiv:1810.12715): bounds through every layer of the model itself, in L∞ (or L1 and L2 through
the box around their ball), without any doubt; for tables the radius is in units of the columns' ranges
(L∞) or of cost (L1), over rows that respect immutable and monotone columns.

Certified accuracy at radius r counts the examples whose certified class is the label and whose radius is at
least r; its interval (Clopper–Pearson) is over examples, on top of the certificates' own α. The average
certified radius (arXiv:2001.02378) counts 0 where the class is wrong or withheld; its interval is
bootstrapped.

Ledger columns, one set per `<tag>` = `smoothing-<σ>` or `interval-<norm>`: `certified.<tag>.predicted` (−1:
abstained), `.correct`, `.radius`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from raiaudit.attacks.spaces import ImageBox, InputSpace, TableSchema
from raiaudit.attacks.threats import Norm
from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import clopper_pearson, mean_bootstrap
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError
from raiaudit.models.numbers import Fractions

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["CertifiedConfig", "CertifiedRobustness"]

_METHODS = {"image": "smoothing", "tabular": "interval"}
_RADII = {
    ("smoothing", "image"): (0.25, 0.5, 0.75, 1.0),
    ("interval", "image"): (2 / 255, 4 / 255, 8 / 255),
    ("interval", "tabular"): (0.01, 0.05, 0.1),
}
_POINTS = 40  # of the curve


class CertifiedConfig(CheckConfig):
    """`sigma` and the radii of smoothing are in the units of the input, L2 over the whole image."""

    method: Literal["auto", "smoothing", "interval"] = Field(
        default="auto", description="auto: smoothing for images, interval for tables"
    )
    norm: Literal["linf", "l2", "l1"] | None = Field(
        default=None, description="default: l2 for smoothing, which has no other; linf for interval"
    )
    radii: Fractions | None = Field(default=None, min_length=1, description="default: by method and data")
    sigma: Fractions = Field(default=(0.25,), min_length=1, description="noise of smoothing")
    n0: int = Field(default=100, ge=1, description="samples that guess the class")
    n: int = Field(default=10_000, ge=1, description="samples that estimate its probability")
    alpha: float = Field(default=0.001, gt=0, lt=0.5, description="error probability of each certificate")
    examples: int | None = Field(
        default=200, ge=1, description="certify only the first n test examples (null: all)"
    )
    shard: int = Field(default=64, ge=1, description="examples in one task")

    @field_validator("radii", "sigma")
    @classmethod
    def _ascending(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if values is not None and any(value <= 0 for value in values):
            raise ValueError("must be above 0")
        return None if values is None else tuple(sorted(set(values)))

    @model_validator(mode="after")
    def _smoothing_is_l2(self) -> CertifiedConfig:
        if self.method == "smoothing" and self.norm not in (None, "l2"):
            raise ValueError("smoothing certifies in l2 alone: choose norm l2, or method interval")
        return self


class CertifiedRobustness:
    """Certify shards of the test examples, once for each σ."""

    id: ClassVar[str] = "robustness.certified"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "How far from an input can it be proved that no attack succeeds?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "tabular"})
    Config: ClassVar[type[CheckConfig]] = CertifiedConfig

    def tasks(self, subject: Subject, config: CertifiedConfig) -> Sequence[Task]:
        """Shards of rows. Raises `CapabilityError` where the data or the model do not allow the method."""
        total = len(subject.test)
        count = total if config.examples is None else min(total, config.examples)
        return [
            Task(
                check=self.id,
                name=f"{tag}-{start:05d}",
                params={
                    "tag": tag,
                    "certificate": method,
                    "options": options,
                    "start": start,
                    "stop": min(start + config.shard, count),
                },
                version=self.version,
            )
            for tag, method, options, _ in _certificates(subject, config)
            for start in range(0, count, config.shard)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Certify one shard."""
        from raiaudit.attacks.certificates import CERTIFICATES

        start, stop = task.params["start"], task.params["stop"]
        rows = subject.test.take(slice(start, stop))
        certificate = CERTIFICATES[task.params["certificate"]](**task.params["options"])
        found = certificate(
            subject.classifier,
            subject.tensor(rows.inputs),
            space=subject.dataset.space,
            seed=subject.seed,
            ids=range(start, stop),
        )
        predicted_B = found.predicted_B.cpu().numpy()
        at = f"certified.{task.params['tag']}"
        return pl.DataFrame(
            {
                "example_id": rows.ids,
                f"{at}.predicted": predicted_B.astype(np.int32),
                f"{at}.correct": predicted_B == rows.labels,
                f"{at}.radius": found.radius_B.cpu().numpy(),
            }
        )

    def summarise(self, ledger: LedgerReader, subject: Subject, config: CertifiedConfig) -> list[Measurement]:
        """Certified accuracy at 0 and each radius, abstention, average certified radius; for each σ."""
        radii = (0.0, *_radii(subject, config))
        found: list[Measurement] = []
        for tag, method, options, where in _certificates(subject, config):
            predicted_N, correct_N, radius_N = _rows(ledger, tag)
            n = len(radius_N)
            base: dict[str, Any] = {"check": self.id, "n": n}
            base["method"] = "cohen2019" if method == "smoothing" else "gowal2018"
            doubt = None
            if method == "smoothing":
                doubt = (
                    f"of the smoothed model; each certificate holds with probability {1 - options['alpha']:g}"
                )
            for radius, value, low, high in _accuracy(correct_N, radius_N, radii):
                found.append(
                    Measurement(
                        metric="certified_accuracy",
                        value=value,
                        low=low,
                        high=high,
                        better="higher",
                        where={**where, "radius": radius},
                        reason=doubt,
                        evidence=(f"certified.{tag}.correct", f"certified.{tag}.radius"),
                        **base,
                    )
                )
            if method == "smoothing":
                abstained = int((predicted_N < 0).sum())
                low, high = clopper_pearson(abstained, n)
                found.append(
                    Measurement(
                        metric="abstention_rate",
                        value=abstained / n,
                        low=low,
                        high=high,
                        better="lower",
                        where=where,
                        evidence=(f"certified.{tag}.predicted",),
                        **base,
                    )
                )
            counted_N = np.where(correct_N, radius_N, 0.0)
            rng = keyed_rng(subject.seed, self.id, tag)
            bounds = mean_bootstrap(counted_N, rng=rng) if n > 1 else (None, None)
            found.append(
                Measurement(
                    metric="average_certified_radius",
                    value=float(counted_N.mean()),
                    low=bounds[0],
                    high=bounds[1],
                    unit=where["norm"],
                    better="higher",
                    where=where,
                    reason=doubt,
                    evidence=(f"certified.{tag}.correct", f"certified.{tag}.radius"),
                    **base,
                )
            )
        return found

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: CertifiedConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`curve`: radius, certified_accuracy, low, high, certificate, norm."""
        rows = []
        for tag, _, _, where in _certificates(subject, config):
            _, correct_N, radius_N = _rows(ledger, tag)
            ends = np.concatenate([radius_N[correct_N], np.array(_radii(subject, config))])
            grid = np.linspace(0, float(ends.max()), _POINTS)
            series = f"σ = {where['sigma']:g}" if "sigma" in where else "interval bounds"
            for radius, value, low, high in _accuracy(correct_N, radius_N, grid.tolist()):
                rows.append(
                    {
                        "radius": radius,
                        "certified_accuracy": value,
                        "low": low,
                        "high": high,
                        "certificate": series,
                        "norm": where["norm"],
                    }
                )
        return {"curve": pl.DataFrame(rows)}


def _certificates(
    subject: Subject, config: CertifiedConfig
) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """(tag, name in `CERTIFICATES`, its options, the slice of its measurements), one a σ."""
    method = _method(subject, config)
    if method == "smoothing":
        shared = {"n0": config.n0, "n": config.n, "alpha": config.alpha}
        return [
            (
                f"smoothing-{sigma:g}",
                method,
                {"sigma": sigma, **shared},
                {"certificate": method, "norm": "l2", "sigma": sigma},
            )
            for sigma in config.sigma
        ]
    norm: Norm = config.norm or "linf"
    options = {"norm": norm, "limit": _limit(subject.dataset.space, norm)}
    return [(f"interval-{norm}", method, options, {"certificate": method, "norm": norm})]


def _method(subject: Subject, config: CertifiedConfig) -> str:
    modality = subject.dataset.modality
    method = _METHODS[modality] if config.method == "auto" else config.method
    if (method, modality) not in _RADII:
        raise CapabilityError(
            f"Gaussian noise makes no valid rows: smoothing does not fit {modality} data",
            where=f"{CertifiedRobustness.id} method",
            remedy="choose method interval",
        )
    if method == "smoothing" and config.norm not in (None, "l2"):
        raise CapabilityError("smoothing certifies in l2 alone", where=f"{CertifiedRobustness.id} norm")
    if method == "interval" and Capability.WEIGHTS not in subject.capabilities:
        raise CapabilityError(
            "interval bounds need the weights of the model",
            where=f"{CertifiedRobustness.id} method",
            remedy="choose method smoothing, which asks for labels alone",
        )
    return method


def _radii(subject: Subject, config: CertifiedConfig) -> tuple[float, ...]:
    return config.radii or _RADII[_method(subject, config), subject.dataset.modality]


def _limit(space: InputSpace, norm: Norm) -> float:
    """A radius beyond which the box grows no more."""
    if isinstance(space, ImageBox):
        return space.high - space.low
    assert isinstance(space, TableSchema)
    return 1.0 if norm == "linf" else max(column.cost for column in space.columns)


def _rows(ledger: LedgerReader, tag: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = [f"certified.{tag}.{name}" for name in ("predicted", "correct", "radius")]
    rows = ledger.scan(*columns).drop_nulls(columns).collect()
    predicted_N, correct_N, radius_N = (rows[column].to_numpy() for column in columns)
    return predicted_N, correct_N, radius_N


def _accuracy(
    correct_N: np.ndarray, radius_N: np.ndarray, radii: Sequence[float]
) -> list[tuple[float, float, float, float]]:
    """(radius, certified accuracy, low, high), one a radius."""
    found = []
    for radius in radii:
        count = int((correct_N & (radius_N >= radius)).sum())
        found.append((radius, count / len(radius_N), *clopper_pearson(count, len(radius_N))))
    return found
