"""What a user decides: which rules, over which columns, and what the favourable outcome is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from raiaudit.audit.check import CheckConfig
from raiaudit.audit.fairness.profiles.profile import PROFILES, OwnRule, load_profile
from raiaudit.audit.yaml_source import read_yaml
from raiaudit.errors import SpecError, UnknownNameError

__all__ = ["LocalLaw144", "ProfilesConfig"]


class LocalLaw144(BaseModel):
    """Which group columns hold sex and race/ethnicity, and from which share on a category counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sex: str = "sex"
    race_ethnicity: str = "race"
    exclude_below: float = Field(default=0.02, ge=0, le=0.02, description="5-301(d) allows up to 0.02")
    justification: str = Field(default="", description="the auditor's, printed beside what is excluded")


class ProfilesConfig(CheckConfig):
    """Rules to look at. `favourable` is the class that is the selection: a positive prediction may be bad."""

    profiles: tuple[str | OwnRule, ...] = Field(
        default=("four_fifths", "eu_ai_act_10_2"),
        min_length=1,
        description="names, own rules written here, or paths of YAML files with one",
    )
    columns: tuple[str, ...] | None = Field(default=None, min_length=1, description="default: all of them")
    positive: str | None = Field(default=None, description="as in fairness.groups")
    favourable: str | None = Field(default=None, description="default: the positive class")
    ll144: LocalLaw144 = Field(
        default=LocalLaw144(), description="what nyc_ll144 means by sex and race, and whom it leaves out"
    )
    reference_shares: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="column → group → its share in the population of use"
    )
    min_group: int = Field(default=30, ge=1, description="fewest people for a group to be judged")
    min_share: float = Field(
        default=0.02, ge=0, lt=1, description="least share of the people, four-fifths rule"
    )
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of all intervals")
    permutations: int = Field(default=9999, ge=99, description="draws of the tests between groups")

    @field_validator("profiles", mode="before")
    @classmethod
    def _files_are_read(cls, value: Any, info: ValidationInfo) -> Any:
        folder = Path((info.context or {}).get("folder", "."))
        return [_read(item, folder) for item in value] if isinstance(value, list | tuple) else value

    @field_validator("profiles")
    @classmethod
    def _each_once(cls, value: tuple[str | OwnRule, ...]) -> tuple[str | OwnRule, ...]:
        names = [item if isinstance(item, str) else item.id for item in value]
        taken = [item.id for item in value if not isinstance(item, str) and item.id in PROFILES]
        if twice := [*taken, *(name for name in names if names.count(name) > 1)]:
            raise ValueError(f"two profiles are called {twice[0]!r}")
        return value

    @field_validator("reference_shares")
    @classmethod
    def _shares_add_up(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for column, shares in value.items():
            if not shares or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
                raise ValueError(f"the shares of {column} must be positive and add up to 1")
        return value

    @property
    def own_rules(self) -> list[OwnRule]:
        """Those of the user."""
        return [item for item in self.profiles if isinstance(item, OwnRule)]


def _read(item: Any, folder: Path) -> Any:
    """A path becomes the rule in the file, so that a run's lock holds what was judged by."""
    if isinstance(item, dict):
        return _own(item, "the rule")
    if not isinstance(item, str):
        return item
    if not item.endswith((".yaml", ".yml")):
        try:
            return load_profile(item).id
        except UnknownNameError as error:
            raise ValueError(f"{error.problem}: {error.remedy}; or a path that ends in .yaml") from None
    try:
        return _own(read_yaml(folder / item).data, item)
    except SpecError as error:
        raise ValueError(str(error)) from None


def _own(content: Any, where: str) -> OwnRule:
    try:
        return OwnRule.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {key}: {first['msg'].removeprefix('Value error, ')}") from None
