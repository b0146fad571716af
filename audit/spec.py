"""The spec: what is audited, on which data, by which checks, against which thresholds.

`load_spec` reads a YAML file into frozen models; every error names file, line, key and, for a key
that does not exist, the nearest one that does. Nothing is fetched, trained or loaded here.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from raiaudit.audit.check import CheckConfig
from raiaudit.audit.gates import Gate
from raiaudit.audit.model_spec import ModelSpec, as_name, check_architectures
from raiaudit.audit.spec_errors import explained
from raiaudit.audit.waivers import Waiver, load_waivers
from raiaudit.audit.yaml_source import YamlSource, read_yaml
from raiaudit.errors import SpecError, UnknownNameError
from raiaudit.models.data.user import UserData
from raiaudit.models.recipe import require_attribute

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

    name: str


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

    purpose: str = ""
    owner: str = ""
    risk_class: str = ""


class RunOptions(_Frozen):
    """How the audit runs."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    executor: Literal["local"] = "local"
    limit: int | None = Field(default=None, ge=1, description="audit only the first N test examples: PARTIAL")


class CheckSpec(_Frozen):
    """One check with its options and gates."""

    use: str
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    gate: tuple[Gate, ...] = ()
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

    not_run: Literal["fail", "inconclusive"] = "inconclusive"
    error: Literal["fail", "inconclusive"] = "inconclusive"
    waivers: str | None = Field(default=None, description="YAML file of waivers, relative to the spec")


class Spec(_Frozen):
    """The whole file."""

    apiVersion: Literal["raiaudit/v1"] = "raiaudit/v1"
    kind: Literal["Audit"] = "Audit"
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")
    model: ModelSpec | None = None
    models: tuple[ModelSpec, ...] = ()
    data: DataSpec
    context: Context = Context()
    run: RunOptions = RunOptions()
    checks: tuple[CheckSpec, ...] = Field(min_length=1)
    policy: Policy = Policy()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Spec:
        if (self.model is None) == (not self.models):
            raise ValueError("a spec needs `model`, or a list `models` (not both)")
        titles = [model.title for model in self.subjects]
        if twice := sorted({title for title in titles if titles.count(title) > 1}):
            raise ValueError(f"two models are called {twice[0]!r}: give each its own `name`")
        named = {name for check in self.checks for name in check.only}
        if unknown := sorted(named - set(titles)):
            raise ValueError(f"a check is `only` for {unknown[0]!r}; the models are {', '.join(titles)}")
        for title in titles:
            if not any(check.applies_to(title) for check in self.checks):
                raise ValueError(f"no check is left for the model {title!r}")
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

    Raises `SpecError` with file, line, key and remedy.
    """
    from raiaudit.audit.catalogue import find_check

    source = read_yaml(path, text=text)
    try:
        spec = Spec.model_validate(source.data)
    except ValidationError as error:
        raise explained(error, source, Spec, (), _UNIONS) from None
    _known_names(spec, source)
    _known_attributes(spec, source)
    check_architectures(spec.subjects, source, several=bool(spec.models))
    configs = []
    for i, check in enumerate(spec.checks):
        try:
            kind = find_check(check.use).Config
        except UnknownNameError as error:
            raise SpecError(
                error.problem, where=source.place(("checks", i, "use")), remedy=error.remedy
            ) from None
        try:
            configs.append(kind.model_validate(check.with_, context={"folder": path.parent}))
        except ValidationError as error:
            raise explained(error, source, kind, ("checks", i, "with")) from None
    return LoadedSpec(spec, source, tuple(configs), _waivers(spec, source))


def _waivers(spec: Spec, source: YamlSource) -> tuple[Waiver, ...]:
    if spec.policy.waivers is None:
        return ()
    path = source.path.parent / spec.policy.waivers
    if not path.is_file():
        raise SpecError(
            f"there is no file {path}",
            where=source.place(("policy", "waivers")),
            remedy="write it, with [] for no waivers, or take the key out",
        )
    return load_waivers(path)


def _known_names(spec: Spec, source: YamlSource) -> None:
    """Names of data sets and architectures are checked here, offline, so that they carry a line."""
    from raiaudit.models.data import DATASETS
    from raiaudit.models.names import ARCHITECTURE_NAMES

    if isinstance(spec.data, NamedData) and spec.data.name not in DATASETS:
        error = UnknownNameError("data set", spec.data.name, DATASETS)
        raise SpecError(error.problem, where=source.place(("data", "name")), remedy=error.remedy)
    for i, model in enumerate(spec.subjects):
        at: tuple[str | int, ...] = ("models", i) if spec.models else ("model",)
        name, key = model.architecture, (*at, "arch")
        if model.recipe is not None:
            name, key = model.recipe.architecture, (*at, "recipe", "architecture")
        if name is not None and name not in ARCHITECTURE_NAMES:
            error = UnknownNameError("architecture", name, ARCHITECTURE_NAMES)
            raise SpecError(error.problem, where=source.place(key), remedy=error.remedy)


def _known_attributes(spec: Spec, source: YamlSource) -> None:
    """Fair training needs a group column; own data names them in the spec, others when they are loaded."""
    if not isinstance(spec.data, UserData):
        return
    for i, model in enumerate(spec.subjects):
        if model.recipe is None or model.recipe.fairness is None:
            continue
        try:
            require_attribute(model.recipe.fairness.attribute, spec.data.groups)
        except UnknownNameError as error:
            at: tuple[str | int, ...] = ("models", i) if spec.models else ("model",)
            where = source.place((*at, "recipe", "fairness", "attribute"))
            raise SpecError(error.problem, where=where, remedy=error.remedy) from None


def load_data(loaded: LoadedSpec) -> Dataset:
    """The data set of a spec. Raises `UsageError` kinds that name file, row or column."""
    from raiaudit.models.data import load_dataset, load_user_dataset

    data = loaded.spec.data
    if isinstance(data, NamedData):
        return load_dataset(data.name)
    return load_user_dataset(data, base=loaded.folder)
