"""Names in a spec that must fit a catalogue, or each other, told with their place in the file.

The data are looked at as they were written, so that a mistake elsewhere hides none of these. Offline: what a
registry or a data set holds is looked up when they are opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raiaudit.audit.model_spec import ModelSpec
from raiaudit.audit.spec_errors import Mistake, unknown
from raiaudit.errors import UnknownNameError
from raiaudit.models.names import ARCHITECTURE_NAMES
from raiaudit.models.recipe import require_attribute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from raiaudit.audit.yaml_source import Location

__all__ = ["model_mistakes", "title_mistakes", "unknown_data"]

Placed = tuple["Location", dict[str, Any]]


def unknown_data(spec: dict[str, Any]) -> Iterator[Mistake]:
    """A data set that no catalogue holds; own files may be called anything."""
    from raiaudit.models.data import DATASETS

    data = spec.get("data")
    name = data["name"] if isinstance(data, dict) and data.keys() == {"name"} else None
    if isinstance(name, str) and name not in DATASETS:
        yield unknown("data set", name, DATASETS, ("data", "name"))


def title_mistakes(spec: dict[str, Any]) -> Iterator[Mistake]:
    """Neither or both of `model` and `models`, two models of one name, checks for nobody, models without."""
    one, many = spec.get("model"), spec.get("models")
    if (one is None) == (not many):
        at: Location = () if one is None else ("model",)
        yield Mistake(at, "a spec needs `model`, or a list `models` (not both)")
    placed = _models(spec)
    titles = [title for _, model in placed if (title := _title(model)) is not None]
    seen: set[str] = set()
    for where, model in placed:
        if (title := _title(model)) in seen:
            problem = f"two models are called {title!r}: give each its own `name`"
            yield Mistake((*where, "name") if "name" in model else where, problem)
        if title is not None:
            seen.add(title)
    if len(titles) < len(placed) or not titles:
        return  # what is `only` for a model that has no name yet is not known
    checks = [check for _, check in _listed(spec, "checks")]
    there = set(titles)
    whom = [[name for name in _sequence(check.get("only")) if isinstance(name, str)] for check in checks]
    for (place, _), names in zip(_listed(spec, "checks"), whom, strict=True):
        for j, name in enumerate(names):
            if name not in there:
                error = UnknownNameError("model", name, titles)
                problem = f"a check is `only` for {name!r}; the models are {', '.join(titles)}"
                near = (error.remedy or "").partition("choices:")[0].strip()
                yield Mistake((*place, "only", j), problem, near or None)
    known = [names for names in whom if not names or there.intersection(names)]
    for (where, _), title in zip(placed, titles, strict=True):
        if len(known) == len(checks) and checks and not any(not names or title in names for names in known):
            yield Mistake(where, f"no check is left for the model {title!r}")


def model_mistakes(spec: dict[str, Any], folder: Path) -> Iterator[Mistake]:
    """Unknown architectures, an `arch` too many or too few, a group column that own data do not name."""
    for at, model in _models(spec):
        recipe = model.get("recipe")
        recipe = recipe if isinstance(recipe, dict) else {}
        for key, name in (("arch", model.get("arch")), ("recipe.architecture", recipe.get("architecture"))):
            if isinstance(name, str) and name not in ARCHITECTURE_NAMES:
                yield unknown("architecture", name, ARCHITECTURE_NAMES, (*at, *key.split(".")))
        fairness, data = recipe.get("fairness"), spec.get("data")
        if isinstance(fairness, dict) and isinstance(data, dict) and data.keys() - {"name"}:
            attribute, groups = fairness.get("attribute"), data.get("groups", [])
            if isinstance(attribute, str) and isinstance(groups, list):
                try:
                    require_attribute(attribute, [str(group) for group in groups])
                except UnknownNameError as error:
                    yield Mistake((*at, "recipe", "fairness", "attribute"), error.problem, error.remedy)
        yield from _source_mistakes(at, model, folder)


def _source_mistakes(at: Location, model: dict[str, Any], folder: Path) -> Iterator[Mistake]:
    """Weights alone need an `arch`; what is no file of weights brings its own."""
    if not isinstance(model.get("path"), str):
        return
    path = folder / model["path"]
    whole = path.suffix.lower() == ".onnx" or path.is_dir()
    architecture = model.get("arch", model.get("architecture"))
    if whole and (architecture is not None or model.get("layout") is not None):
        yield Mistake(
            at, "an ONNX graph and a folder bring their own architecture", "leave `arch` and `layout` out"
        )
    if not whole and architecture is None:
        yield Mistake(
            at,
            "`path` needs `arch`: weights alone do not say what they belong to",
            "add `arch` if it is one of ours, or name an .onnx file or a Hugging Face folder; a module of "
            'your own, or another library\'s model, comes as factory: "my_model.py:build"',
        )


def _models(spec: dict[str, Any]) -> list[Placed]:
    one: list[Placed] = [(("model",), spec["model"])] if isinstance(spec.get("model"), dict) else []
    return one + _listed(spec, "models")


def _listed(spec: dict[str, Any], key: str) -> list[Placed]:
    return [((key, i), item) for i, item in enumerate(_sequence(spec.get(key))) if isinstance(item, dict)]


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _title(model: dict[str, Any]) -> str | None:
    """None where it takes more than one mended key to know it."""
    keys = ("name", "ref", "path", "factory")
    given = {key: model[key] for key in keys if isinstance(model.get(key), str)}
    return ModelSpec.model_construct(**given).title if given else None
