"""Robustness to evasion: the share of examples no attack within the threat model turns into an error.

Robust accuracy at radius ε as in arXiv:1706.06083: an example counts as robust when the attack found no
input within ε on which the model errs; clean errors count as broken. It is an upper bound of the true
robust accuracy, as tight as the attack is strong.

Ledger columns, one set per `<tag>` = `<norm>-<eps>-<label of the attack>`: `evasion.<tag>.broken`,
`.clean_broken`, `.found_by` (the part that broke it; "clean": nothing had to), `.norm` (distance of the
returned input), `.forwards` (queries), `.backwards`; of attacks that tell, `.found_try` and `.found_step`
(−1: not found), `.margin` (the lowest logit margin within reach), `.dead_gradients`, `.certified`,
`.forwards_to_break`; at the largest radius also `.predicted` and `.adversarial` (the input itself, for the
first few examples the attack broke).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator, model_validator

from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.robustness.attack_names import ATTACKS
from raiaudit.audit.robustness.evasion_evidence import evidence_tables
from raiaudit.audit.robustness.evasion_parts import blind_survivors, by_class, contributions, margins
from raiaudit.audit.robustness.evasion_rows import kept_inputs, outcome_columns
from raiaudit.audit.robustness.evasion_summary import at_radius, broken_examples, monotone, tag
from raiaudit.audit.robustness.evasion_threat import (
    Plan,
    build,
    refuse_beyond_the_box,
    resolve,
    surrogate_digest,
)
from raiaudit.audit.robustness.text_attacks import constraint_columns, constraints, for_texts
from raiaudit.audit.robustness.unanswered import clean_errors
from raiaudit.errors import UnknownNameError
from raiaudit.models.numbers import Fractions

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Evasion", "EvasionConfig"]

_SHOWN = 8  # adversarial inputs kept for the report
_OPTIONS = ("steps", "restarts", "version", "precision", "surrogate")


class EvasionConfig(CheckConfig):
    """`eps` in the units of the input space (one radius or several; "8/255" is a number)."""

    norm: Norm | None = Field(
        default=None, description="default: linf for images, l0 for texts, l1 for tables"
    )
    eps: Fractions = Field(
        min_length=1, description="radii: pixels in [0, 1], a share of words, or of each column's range"
    )
    attack: str = Field(
        default="auto",
        description="auto: pgd for images, characters for texts, table for tables; "
        "for a black box what its answers allow",
    )
    steps: int | None = Field(default=None, ge=1, description="default: the attack's own")
    restarts: int | None = Field(default=None, ge=1, description="default: the attack's own")
    version: Literal["standard", "plus", "rand", "screen"] | None = Field(
        default=None, description="of autoattack; default: standard. screen is quick and not equivalent"
    )
    precision: Literal["auto", "fp32", "bf16"] | None = Field(
        default=None, description="of the search on images; every success is confirmed in float32"
    )
    surrogate: str | None = Field(
        default=None, description="with attack: transfer. A registered model: NAME@ALIAS or NAME/VERSION"
    )
    budget: int | None = Field(default=None, ge=1, description="queries (forwards) for each example, at most")
    examples: int | None = Field(default=None, ge=1, description="attack only the first n test examples")
    shard: int = Field(default=512, ge=1, description="examples in one task")

    @field_validator("eps")
    @classmethod
    def _ascending(cls, eps: tuple[float, ...]) -> tuple[float, ...]:
        if low := [radius for radius in eps if radius <= 0]:
            raise ValueError(f"{low[0]:g} is no radius: give eps > 0 (performance.accuracy is eps 0)")
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
        for option, given in self.options.items():
            if option not in facts.options:
                able = sorted(name for name, other in ATTACKS.items() if option in other.options)
                raise ValueError(
                    f"attack {self.attack!r} has no option {option!r} (got {given!r}): leave it out, or "
                    f"choose one of {', '.join(able)}"
                )
        if self.attack == "transfer" and self.surrogate is None:
            raise ValueError(
                "attack 'transfer' needs a `surrogate`: a model of the registry, such as digits-vit@candidate"
            )
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The attack's own, as far as they were given."""
        chosen = {name: getattr(self, name) for name in _OPTIONS}
        return {name: value for name, value in chosen.items() if value is not None}


class Evasion:
    """Attack shards of the test examples at each radius."""

    id: ClassVar[str] = "robustness.evasion"
    version: ClassVar[int] = 2
    question: ClassVar[str] = "How often does the model stay right when an adversary moves the input?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = EvasionConfig

    def tasks(self, subject: Subject, config: EvasionConfig) -> Sequence[Task]:
        """Shards of rows, small radii first.

        Raises `CapabilityError` for an attack on another modality, or one that must know more of the model.
        """
        plan = _plan(subject, config)
        refuse_beyond_the_box(subject.dataset.space, plan.norm, config.eps, where=self.id)
        total = _attacked(subject, config)
        surrogate = config.surrogate and surrogate_digest(subject, config.surrogate, where=self.id)
        return [
            Task(
                check=self.id,
                name=f"{tag(plan.norm, eps, plan.label)}-{start:05d}",
                params={
                    "norm": plan.norm,
                    "eps": eps,
                    "attack": plan.attack,
                    "label": plan.label,
                    "options": plan.options,
                    "budget": plan.budget,
                    "surrogate": surrogate,
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

        from raiaudit.attacks.evasion.queries import UNANSWERED, attack_despite_failures

        norm, eps, name, label = (task.params[key] for key in ("norm", "eps", "attack", "label"))
        start, stop = task.params["start"], task.params["stop"]
        rows = subject.test.take(slice(start, stop))
        attack = build(subject, name, task.params["options"])
        y_B = torch.from_numpy(rows.labels).to(subject.device)
        is_text = subject.dataset.modality == "text"
        attack, classifier = for_texts(attack, subject) if is_text else (attack, subject.classifier)
        result = attack_despite_failures(
            attack,
            classifier,
            rows.inputs if is_text else subject.tensor(rows.inputs),
            y_B,
            ThreatModel(norm=norm, eps=eps, budget=task.params["budget"]),
            space=subject.dataset.space,
            seed=subject.seed,
            ids=range(start, stop),
        )
        clean_broken = clean_errors(subject, rows)
        at = f"evasion.{tag(norm, eps, label)}"
        outcome = outcome_columns(
            at, result, clean_broken, attack=name, answered_B=~result.details[UNANSWERED]
        )
        frame = pl.DataFrame({"example_id": rows.ids, **outcome, **constraint_columns(at, result)})
        if not task.params["keep"]:
            return frame
        found = (frame[f"{at}.broken"] & ~clean_broken).fill_null(value=False)
        shown = found.arg_true()[:_SHOWN].to_list() if start == 0 else []
        return frame.with_columns(kept_inputs(at, result, shown, subject))

    def summarise(self, ledger: LedgerReader, subject: Subject, config: EvasionConfig) -> list[Measurement]:
        """Accuracies, success, cost and who broke what at each radius; classes at the largest."""
        plan = _plan(subject, config)
        norm, label = plan.norm, plan.label
        found: list[Measurement] = []
        for eps in config.eps:
            found += at_radius(self.id, ledger, norm, eps, label)
            found += margins(self.id, ledger, subject, norm, eps, label)
            found += contributions(self.id, ledger, norm, eps, label)
            found += blind_survivors(self.id, ledger, norm, eps, label)
            found += constraints(self.id, ledger, norm, eps, label, seed=subject.seed)
        if len(config.eps) > 1:
            found.append(monotone(self.id, ledger, norm, config.eps, label))
        return found + by_class(self.id, ledger, subject, norm, config.eps[-1], label)

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: EvasionConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`examples`: inputs before and after, where any was broken; the tables of `evidence_tables`."""
        plan = _plan(subject, config)
        tables = evidence_tables(self.id, ledger, subject, plan.norm, config.eps, plan.label)
        shown = broken_examples(ledger, subject, plan.norm, config.eps[-1], plan.label)
        return {**tables, "examples": shown}


def _plan(subject: Subject, config: EvasionConfig) -> Plan:
    return resolve(
        subject,
        attack=config.attack,
        norm=config.norm,
        options=config.options,
        budget=config.budget,
        where=Evasion.id,
    )


def _attacked(subject: Subject, config: EvasionConfig) -> int:
    total = len(subject.test)
    return total if config.examples is None else min(total, config.examples)
