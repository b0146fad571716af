"""Rules and laws as data: what a text asks, what it does not say, since when, and how we test it.

One YAML file a rule, beside this one. Texts change; so each names the date from which it applies, the day
it was last looked up and how, and a report prints both. A rule of the user's own is an `OwnRule`: thresholds
on any metric of `fairness.groups`, with who set them, when, and on what ground.
"""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from raiaudit.audit.gates import Gate
from raiaudit.errors import UnknownNameError

__all__ = ["PROFILES", "OwnRule", "Profile", "load_profile"]

PROFILES = ("four_fifths", "nyc_ll144", "eu_ai_act_10_2")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Profile(_Frozen):
    """One of our rules. `words` quotes the text where it may be quoted exactly, else it is empty."""

    id: str
    title: str
    jurisdiction: str
    citation: str
    url: str
    in_force: datetime.date
    checked: datetime.date
    how_checked: str
    words: str
    asks: tuple[str, ...]
    does_not_say: tuple[str, ...]
    how_we_test: tuple[str, ...]


class OwnRule(_Frozen):
    """Thresholds of an organisation: on what ground, whose, and since when."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    title: str
    citation: str = Field(min_length=1, description="the policy, standard or study the thresholds come from")
    owner: str = Field(min_length=1, description="who answers for them")
    date: datetime.date
    thresholds: tuple[Gate, ...] = Field(min_length=1)

    @field_validator("thresholds")
    @classmethod
    def _bounds_alone(cls, value: tuple[Gate, ...]) -> tuple[Gate, ...]:
        if any(gate.vs_baseline is not None for gate in value):
            raise ValueError("a threshold has `min` or `max`; `vs_baseline` is for gates of a spec")
        return value


@cache
def load_profile(name: str) -> Profile:
    """The rule called `name`. Raises `UnknownNameError`."""
    if name not in PROFILES:
        raise UnknownNameError("profile", name, PROFILES)
    text = (Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return Profile.model_validate(content)
