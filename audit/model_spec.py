"""The model part of a spec: where a model comes from, and what must be said of it.

Nothing is loaded here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raiaudit.models.endpoint import Endpoint
from raiaudit.models.recipe import Recipe

__all__ = ["ModelSpec", "as_name"]


def as_name(text: str) -> str:
    """A file's or a model's name as part of a run id: one that a folder can bear anywhere."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).lstrip(".-")[:80] or "unnamed"


class ModelSpec(BaseModel):
    """One of: `recipe` (trained when the registry lacks it), `ref` (registry), `path` (a file or folder of
    somebody else's), `factory` (a Python file that builds it), `endpoint` (a black box behind an address).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$",
        description="in reports, run ids and the registry; default: from the file's or reference's name",
    )
    recipe: Recipe | None = Field(
        default=None, description="how it is trained, if the registry has none of this recipe, data and seed"
    )
    ref: str | None = Field(
        default=None, description="registry:NAME, registry:NAME@ALIAS or registry:NAME/VERSION"
    )
    path: str | None = Field(
        default=None,
        description="a .safetensors or .onnx file or a Hugging Face folder, relative to the spec",
    )
    architecture: str | None = Field(default=None, alias="arch", description="with `path` to weights alone")
    options: dict[str, Any] = Field(
        default_factory=dict, description="with `path`: the architecture's arguments, or how a graph is asked"
    )
    layout: Literal["auto", "robustbench"] | None = Field(
        default=None, description="with `path` to weights alone: whose names the tensors have"
    )
    factory: str | None = Field(
        default=None,
        pattern=r"^.+\.py:[A-Za-z_][A-Za-z0-9_]*$",
        description="FILE.py:FUNCTION, relative to the spec; it is run, so it needs --unsafe-load",
    )
    endpoint: Endpoint | None = Field(default=None, description="an HTTP address that answers")

    @model_validator(mode="after")
    def _exactly_one_source(self) -> ModelSpec:
        sources = ("recipe", "ref", "path", "factory", "endpoint")
        given = [key for key in sources if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a model needs exactly one of {', '.join(sources)} (given: {', '.join(given) or 'none'})"
            )
        if self.recipe is not None and self.name is None:
            raise ValueError("a model trained from a recipe needs a `name`")
        if self.endpoint is not None and self.name is None:
            raise ValueError("a model behind an endpoint needs a `name`")
        if self.path is None and (self.architecture is not None or self.options or self.layout):
            raise ValueError("`arch`, `options` and `layout` go with `path`; a recipe has its own")
        return self

    @property
    def title(self) -> str:
        """The name shown to people and used in run ids."""
        if self.name:
            return self.name
        if self.ref:
            return as_name(self.ref.removeprefix("registry:").split("@")[0].split("/")[0])
        return as_name(Path(self.path or (self.factory or "").rpartition(":")[0]).stem)
