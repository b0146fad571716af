"""The spec: what is audited, on which data, by which checks, against which thresholds.

`load_spec` reads a YAML file into frozen models and tells all that is wrong with it at once: file, line, key
and, for a key that does not exist, the nearest one that does. Nothing is fetched, trained or loaded here.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from raiaudit.audit.check import CheckConfig
from raiaudit.audit.gates import Gate
from raiaudit.audit.model_spec import ModelSpec, as_name
from raiaudit.audit.spec_errors import MOST, Mistake, examined, refusal, together
from raiaudit.audit.spec_names import model_mistakes, title_mistakes, unknown_data
from raiaudit.audit.waivers import Waiver, load_waivers
from raiaudit.audit.yaml_source import YamlSource, read_yaml
from raiaudit.errors import SpecError, UnknownNameError
from raiaudit.models.data.user import UserData

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = [
    "CheckSpec",
    "Context",
    "LoadedSpec",
    "ModelSpec",
    "NamedData",
    "Policy",
    "RunOptions",
    "Spec",
    "load_data",
    "load_spec",
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class NamedData(_Frozen):
    """A data set of the catalogue."""

    name: str = Field(description="digits, mnist, fashion_mnist, cifar10, adult, compas, sst2, …")


def _data_kind(value: Any) -> str:
    if isinstance(value, UserData):
        return "files"
    return "files" if isinstance(value, dict) and not value.keys() <= {"name"} else "named"


_UNIONS: dict[str, dict[str, type[BaseModel]]] = {"data": {"named": NamedData, "files": UserData}}
DataSpec = Annotated[
    Annotated[NamedData, Tag("named")] | Annotated[UserData, Tag("files")], Discriminator(_data_kind)
]


class Context(_Frozen):
    """For the report's first page."""

    purpose: str = Field(default="", description="what the model is for, and who is affected by it")
    owner: str = Field(default="", description="who answers for it")
    risk_class: str = Field(default="", description="in your own words: minimal, annex-iii, …")


class RunOptions(_Frozen):
    """How the audit runs."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="of training and of every random choice")
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto (a GPU where there is one), cpu, cuda or cuda:N",
    )
    executor: Literal["local"] = Field(default="local", description="where tasks run: in this process")
    limit: int | None = Field(default=None, ge=1, description="audit only the first N test examples: PARTIAL")


class CheckSpec(_Frozen):
    """One check with its options and gates."""

    use: str = Field(description="the check: a name of `raiaudit checks list`")
    with_: dict[str, Any] = Field(default_factory=dict, alias="with", description="the check's own options")
    gate: tuple[Gate, ...] = Field(
        default=(), description="what must hold: one gate or a list; none: report only"
    )
    only: tuple[str, ...] = Field(default=(), description="names of the models it is for; default: all")

    @field_validator("gate", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    def applies_to(self, title: str) -> bool:
        """Whether the check is for the model of that title."""
        return not self.only or title in self.only


class Policy(_Frozen):
    """What a gate without an answer counts as, and the file of gates that may fail for a while."""

    not_run: Literal["fail", "inconclusive"] = Field(
        default="inconclusive", description="what a gate counts as whose check cannot run on the model"
    )
    error: Literal["fail", "inconclusive"] = Field(
        default="inconclusive", description="what a gate counts as whose check broke"
    )
    waivers: str | None = Field(default=None, description="YAML file of waivers, relative to the spec")


class Spec(_Frozen):
    """The whole file."""

    apiVersion: Literal["raiaudit/v1"] = Field(default="raiaudit/v1", description="of this form of file")
    kind: Literal["Audit"] = Field(default="Audit", description="what the file describes")
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$",
        description="of the suite of runs, and the start of their ids; default: the file's name",
    )
    model: ModelSpec | None = Field(default=None, description="what is audited")
    models: tuple[ModelSpec, ...] = Field(
        default=(), description="instead of `model`: several, each its own run"
    )
    data: DataSpec = Field(description="a data set of the catalogue, or your own files")
    context: Context = Field(default=Context(), description="for the report's first page")
    run: RunOptions = Field(default=RunOptions(), description="seed, device, and how many examples")
    checks: tuple[CheckSpec, ...] = Field(min_length=1, description="the questions, each with what must hold")
    policy: Policy = Field(
        default=Policy(), description="what gates without an answer count as, and which are waived"
    )

    @model_validator(mode="after")
    def _names_agree(self) -> Spec:
        plain = self.model_dump(include={"model", "models", "checks"}, by_alias=True)
        for mistake in title_mistakes(plain):
            raise ValueError(mistake.problem)
        return self

    @property
    def subjects(self) -> tuple[ModelSpec, ...]:
        """The models, whichever way they were written."""
        return self.models or ((self.model,) if self.model else ())


class LoadedSpec:
    """A valid spec, where it came from, and each check's options as that check understands them."""

    def __init__(
        self,
        spec: Spec,
        source: YamlSource,
        configs: tuple[CheckConfig, ...],
        waivers: tuple[Waiver, ...] = (),
    ) -> None:
        self.spec = spec
        self.source = source
        self.configs = configs
        self.waivers = waivers

    @property
    def name(self) -> str:
        """The spec's name, by default the file's."""
        return self.spec.name or as_name(self.source.path.stem)

    @property
    def folder(self) -> Path:
        """Relative paths in the spec start here."""
        return self.source.path.resolve().parent

    def checks_of(self, model: ModelSpec) -> list[tuple[CheckSpec, CheckConfig]]:
        """The checks that are for this model, with their options."""
        pairs = zip(self.spec.checks, self.configs, strict=True)
        return [(check, config) for check, config in pairs if check.applies_to(model.title)]

    def lock(self, model: ModelSpec) -> dict[str, Any]:
        """The spec for one model with every default written out: what a run id is computed from.

        Waivers are left out: they change what counts, not what is audited.
        """
        apart: dict[str, Any] = {"model": True, "models": True, "checks": True, "policy": {"waivers"}}
        body = self.spec.model_dump(mode="json", by_alias=True, exclude=apart)
        body["name"] = self.name
        body["model"] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
        body["checks"] = [
            {
                "use": check.use,
                "with": config.model_dump(mode="json"),
                "gate": [gate.model_dump(mode="json", exclude_none=True) for gate in check.gate],
            }
            for check, config in self.checks_of(model)
        ]
        return body

    def digest(self) -> str:
        """Sha256 (hex) over the locks of all models: what the runs of one suite share."""
        text = yaml.safe_dump([self.lock(model) for model in self.spec.subjects], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def load_spec(path: Path, *, text: str | None = None) -> LoadedSpec:
    """Read and validate a spec; `text` stands for what the file will hold, if it is not written yet.

    Raises one `SpecError` for all that is wrong, each with file, line, key and remedy. Only a file that is no
    plain YAML is refused at the first thing wrong with it.
    """
    source = read_yaml(path, text=text)
    spec, mistakes = examined(Spec, source.data, unions=_UNIONS)
    mistakes = [mistake for mistake in mistakes if mistake.location]  # the others have their places below
    configs, wrong = _options(source.data, path.parent)
    mistakes += wrong
    mistakes += unknown_data(source.data)
    mistakes += islice(title_mistakes(source.data), MOST)
    mistakes += islice(model_mistakes(source.data, path.resolve().parent), MOST)
    listed = _waivers_file(source)
    if listed is not None and not listed.is_file():
        remedy = "write it, with [] for no waivers, or take the key out"
        mistakes.append(Mistake(("policy", "waivers"), f"there is no file {listed}", remedy))
        listed = None
    problems = refusal(mistakes, source).mistakes if mistakes else ()
    waivers: tuple[Waiver, ...] = ()
    try:
        waivers = load_waivers(listed) if listed is not None else ()
    except SpecError as error:
        problems += error.mistakes
    if problems:
        raise together(problems)
    assert spec is not None
    return LoadedSpec(spec, source, configs, waivers)


def _options(data: dict[str, Any], folder: Path) -> tuple[tuple[CheckConfig, ...], list[Mistake]]:
    """Every check's options as that check understands them, and what it does not understand."""
    from raiaudit.audit.catalogue import find_check

    configs: list[CheckConfig] = []
    mistakes: list[Mistake] = []
    listed = data.get("checks")
    for i, check in enumerate(listed if isinstance(listed, list) else ()):
        use, options = (check.get("use"), check.get("with", {})) if isinstance(check, dict) else (None, None)
        if not isinstance(use, str) or not isinstance(options, dict) or len(mistakes) >= MOST:
            continue
        try:
            kind = find_check(use).Config
        except UnknownNameError as error:
            mistakes.append(Mistake(("checks", i, "use"), error.problem, error.remedy))
            continue
        config, wrong = examined(kind, options, at=("checks", i, "with"), context={"folder": folder})
        mistakes += wrong
        if config is not None:
            configs.append(config)
    return tuple(configs), mistakes


def _waivers_file(source: YamlSource) -> Path | None:
    policy = source.data.get("policy")
    named = policy.get("waivers") if isinstance(policy, dict) else None
    return source.path.parent / named if isinstance(named, str) else None


def load_data(loaded: LoadedSpec) -> Dataset:
    """The data set of a spec. Raises `UsageError` kinds that name file, row or column."""
    from raiaudit.models.data import load_dataset, load_user_dataset

    data = loaded.spec.data
    if isinstance(data, NamedData):
        return load_dataset(data.name)
    return load_user_dataset(data, base=loaded.folder)
