"""Robustness to evasion: the share of examples no attack within the threat model turns into an error.

Robust accuracy at radius ε as in arXiv:1706.06083: an example counts as robust when the attack found no
input within ε on which the model errs; clean errors count as broken. It is an upper bound of the true
robust accuracy, as tight as the attack is strong.

Ledger columns, one set per `<tag>` = `<norm>-<eps>-<attack>`: `evasion.<tag>.broken`, `.clean_broken`,
`.norm` (distance of the returned input), `.forwards`, `.backwards`; at the largest radius also
`.predicted` and `.adversarial` (the input itself, for the first few examples the attack broke).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from pydantic import Field, field_validator, model_validator

from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.robustness.attack_names import ATTACKS, DEFAULT_NORM, choose_attack
from raiaudit.audit.robustness.evasion_summary import at_radius, broken_examples, monotone, tag
from raiaudit.audit.robustness.text_attacks import constraint_columns, constraints, for_texts
from raiaudit.audit.robustness.unanswered import clean_errors, known_only
from raiaudit.errors import QueryFailedError, UnknownNameError, UsageError
from raiaudit.models.numbers import Fractions

if TYPE_CHECKING:
    from raiaudit.attacks.evasion.base import AttackResult, EvasionAttack
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Evasion", "EvasionConfig"]

_SHOWN = 8  # adversarial inputs kept for the report


class EvasionConfig(CheckConfig):
    """`eps` in the units of the input space (one radius or several; "8/255" is a number)."""

    norm: Norm | None = Field(
        default=None, description="default: linf for images, l0 for texts, l1 for tables"
    )
    eps: Fractions = Field(min_length=1)
    attack: str = Field(
        default="auto",
        description="auto: pgd for images, characters for texts, table for tables; "
        "for a black box what its answers allow",
    )
    steps: int | None = Field(default=None, ge=1, description="default: the attack's own")
    restarts: int | None = Field(default=None, ge=1, description="default: the attack's own")
    examples: int | None = Field(default=None, ge=1, description="attack only the first n test examples")
    shard: int = Field(default=512, ge=1, description="examples in one task")

    @field_validator("eps")
    @classmethod
    def _ascending(cls, eps: tuple[float, ...]) -> tuple[float, ...]:
        if any(radius < 0 for radius in eps):
            raise ValueError("eps must be ≥ 0")
        if len({f"{radius:g}" for radius in eps}) != len(eps):
            raise ValueError("eps holds the same radius twice (to six digits)")
        return tuple(sorted(eps))

    @model_validator(mode="after")
    def _attack_can_do_it(self) -> EvasionConfig:
        if self.attack == "auto":
            return self
        if self.attack not in ATTACKS:
            error = UnknownNameError("attack", self.attack, ATTACKS)
            raise ValueError(f"{error.problem}: {error.remedy}")
        facts = ATTACKS[self.attack]
        if self.norm is not None and self.norm not in facts.norms:
            raise ValueError(f"attack {self.attack!r} knows the norms {', '.join(sorted(facts.norms))} only")
        for option in ("steps", "restarts"):
            if getattr(self, option) is not None and option not in facts.options:
                raise ValueError(f"attack {self.attack!r} has no option {option!r}")
        return self


class Evasion:
    """Attack shards of the test examples at each radius."""

    id: ClassVar[str] = "robustness.evasion"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "How often does the model stay right when an adversary moves the input?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = EvasionConfig

    def tasks(self, subject: Subject, config: EvasionConfig) -> Sequence[Task]:
        """Shards of rows, small radii first.

        Raises `CapabilityError` for an attack on another modality, or one that must know more of the model.
        """
        norm, attack = _resolved(subject, config)
        total = _attacked(subject, config)
        return [
            Task(
                check=self.id,
                name=f"{tag(norm, eps, attack)}-{start:05d}",
                params={
                    "norm": norm,
                    "eps": eps,
                    "attack": attack,
                    "options": _options(config),
                    "start": start,
                    "stop": min(start + config.shard, total),
                    "keep": eps == config.eps[-1],
                },
                version=self.version,
            )
            for eps in config.eps
            for start in range(0, total, config.shard)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Attack one shard at one radius."""
        import torch

        from raiaudit.attacks.evasion import EVASION
        from raiaudit.attacks.evasion.queries import UNANSWERED, attack_despite_failures

        norm, eps, name = task.params["norm"], task.params["eps"], task.params["attack"]
        start, stop = task.params["start"], task.params["stop"]
        rows = subject.test.take(slice(start, stop))
        attack: EvasionAttack = EVASION[name](**task.params["options"])
        y_B = torch.from_numpy(rows.labels).to(subject.device)
        is_text = subject.dataset.modality == "text"
        attack, classifier = for_texts(attack, subject) if is_text else (attack, subject.classifier)
        result = attack_despite_failures(
            attack,
            classifier,
            rows.inputs if is_text else subject.tensor(rows.inputs),
            y_B,
            ThreatModel(norm=norm, eps=eps),
            space=subject.dataset.space,
            seed=subject.seed,
            ids=range(start, stop),
        )
        clean_broken = clean_errors(subject, rows)
        at = f"evasion.{tag(norm, eps, name)}"
        frame = pl.DataFrame(
            {
                "example_id": rows.ids,
                f"{at}.broken": known_only(result.broken_B, ~result.details[UNANSWERED]),
                f"{at}.clean_broken": clean_broken,
                f"{at}.norm": result.norm_B.float().cpu().numpy(),
                f"{at}.forwards": result.forwards_B.cpu().numpy(),
                f"{at}.backwards": result.backwards_B.cpu().numpy(),
                **constraint_columns(at, result),
            }
        )
        if not task.params["keep"]:
            return frame
        found = (frame[f"{at}.broken"] & ~clean_broken).fill_null(value=False)
        shown = found.arg_true()[:_SHOWN].to_list() if start == 0 else []
        return frame.with_columns(_kept(at, result, shown, subject))

    def summarise(self, ledger: LedgerReader, subject: Subject, config: EvasionConfig) -> list[Measurement]:
        """Robust and clean accuracy, success rate and cost at each radius; monotonicity over all."""
        norm, attack = _resolved(subject, config)
        found: list[Measurement] = []
        for eps in config.eps:
            found += at_radius(self.id, ledger, norm, eps, attack)
            found += constraints(self.id, ledger, norm, eps, attack, seed=subject.seed)
        if len(config.eps) > 1:
            found.append(monotone(self.id, ledger, norm, config.eps, attack))
        return found

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: EvasionConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`curve`: accuracy against ε. `examples`: inputs before and after, where any was broken."""
        norm, attack = _resolved(subject, config)
        measured = [m for m in self.summarise(ledger, subject, config) if m.metric == "robust_accuracy"]
        curve = pl.DataFrame(
            [
                {
                    "eps": eps,
                    "robust_accuracy": m.value,
                    "low": m.low,
                    "high": m.high,
                    "attack": attack,
                    "norm": norm,
                }
                for eps, m in zip(config.eps, measured, strict=True)
            ]
        )
        return {"curve": curve, "examples": broken_examples(ledger, subject, norm, config.eps[-1], attack)}


def _options(config: EvasionConfig) -> dict[str, int]:
    chosen = {"steps": config.steps, "restarts": config.restarts}
    return {name: value for name, value in chosen.items() if value is not None}


def _attacked(subject: Subject, config: EvasionConfig) -> int:
    total = len(subject.test)
    return total if config.examples is None else min(total, config.examples)


def _resolved(subject: Subject, config: EvasionConfig) -> tuple[Norm, str]:
    """The norm and the attack, with the defaults of the modality filled in."""
    modality = subject.dataset.modality
    attack = choose_attack(config.attack, modality, subject.capabilities, config.norm, where=Evasion.id)
    facts = ATTACKS[attack]
    norm = config.norm or DEFAULT_NORM[modality]
    if norm not in facts.norms:
        if config.norm is None:
            return min(facts.norms), attack
        raise UsageError(
            f"attack {attack!r} knows the norms {', '.join(sorted(facts.norms))} only",
            where=f"{Evasion.id} norm",
        )
    for option in _options(config):
        if option not in facts.options:
            raise UsageError(f"attack {attack!r} has no option {option!r}", where=f"{Evasion.id} {option}")
    return norm, attack


def _kept(at: str, result: AttackResult, shown: list[int], subject: Subject) -> Iterator[pl.Series]:
    """The columns `predicted` and `adversarial`: null but in the rows `shown` that are answered once more."""
    size = len(result.broken_B)
    predicted: list[int | None] = [None] * size
    if isinstance(result.adversarial, list):
        texts: list[str | None] = [None] * size
        for row in shown:
            with suppress(QueryFailedError):
                predicted[row] = int(subject.logits([result.adversarial[row]]).argmax())
                texts[row] = result.adversarial[row]
        yield pl.Series(f"{at}.adversarial", texts, dtype=pl.String)
    else:
        import torch

        values: list[list[float] | None] = [None] * size
        for row in shown:
            with torch.no_grad(), suppress(QueryFailedError):
                predicted[row] = int(subject.classifier(result.adversarial[row : row + 1]).argmax())
                values[row] = result.adversarial[row].flatten().float().tolist()
        yield pl.Series(f"{at}.adversarial", values, dtype=pl.List(pl.Float32))
    yield pl.Series(f"{at}.predicted", predicted, dtype=pl.Int32)
