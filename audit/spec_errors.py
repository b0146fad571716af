"""What is wrong with a file that people write, all of it at once: line, key, and the nearest key that exists.

pydantic looks at everything but what holds between the keys of one section, as long as one of them is wrong.
So it is asked again without the wrong keys, and what the missing ones may have caused is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from raiaudit.errors import SpecError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic_core import ErrorDetails

    from raiaudit.audit.yaml_source import Location, YamlSource

    Unions = Mapping[str, Mapping[str, type[BaseModel]]]

__all__ = ["MOST", "Mistake", "examined", "refusal", "together", "unknown"]

_Model = TypeVar("_Model", bound=BaseModel)
_ALIKE = 0.75
MOST = 100
"""Mistakes that are looked for in one section of a file: a file of nothing else costs no minutes."""
_PLAIN_WORDS = {
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """`location` is the key's path in the file; the last key of it may be one that is missing."""

    location: Location
    problem: str
    remedy: str | None = None


def unknown(kind: str, name: str, choices: Iterable[str], at: Location) -> Mistake:
    """A name that no catalogue holds, with the nearest one."""
    error = UnknownNameError(kind, name, choices)
    return Mistake(at, error.problem, error.remedy)


def refusal(mistakes: Sequence[Mistake], source: YamlSource) -> SpecError:
    """One error that tells of every mistake, in the order of the lines."""
    told = {source.place(found.location): found for found in reversed(mistakes)}
    ordered = sorted(told.items(), key=lambda item: source.line(item[1].location))
    return together([SpecError(found.problem, where=at, remedy=found.remedy) for at, found in ordered])


def together(mistakes: Sequence[SpecError]) -> SpecError:
    """The first of them, with the others."""
    first, *others = mistakes
    return SpecError(first.problem, where=first.where, remedy=first.remedy, others=others)


def examined(
    root: type[_Model],
    data: Any,
    *,
    at: Location = (),
    unions: Unions | None = None,
    context: Mapping[str, Any] | None = None,
) -> tuple[_Model | None, list[Mistake]]:
    """The model that `data` is, if nothing is wrong with it, and every mistake in it.

    `at` is where in the file the data stand. `unions` are keys that one of several models may fill, by the
    tag that pydantic puts behind the key.
    """
    mistakes: list[Mistake] = []
    removed: list[Location] = []
    while True:
        try:
            model = root.model_validate(data, context=context)
        except ValidationError as error:
            found = _mistakes(error, root, data, unions or {})
        else:
            return (None if mistakes else model), mistakes
        fresh = [m for m, _ in found if not _is_caused(m, removed)]
        mistakes += [Mistake((*at, *m.location), m.problem, m.remedy) for m in fresh]
        wrong = [place for _, held in found if (place := _removable(held))]
        if not wrong or len(mistakes) >= MOST or (removed and not fresh):
            return None, mistakes
        removed += wrong
        data = _without(data, wrong)


def _mistakes(
    error: ValidationError, root: type[BaseModel], data: Any, unions: Unions
) -> list[tuple[Mistake, Location]]:
    """Each mistake with the place that would have to go for it to go."""
    problems = error.errors()[:MOST]
    # A list also counts as too short when its items are wrong: that is a consequence, not a problem.
    problems = [p for p in problems if not any(_inside(other["loc"], p["loc"]) for other in problems)]
    strange = [p["loc"] for p in problems if p["type"] == "extra_forbidden"]
    found: dict[Location, tuple[Mistake, Location]] = {}
    for problem in problems:
        location = tuple(problem["loc"])
        held = _held(data, _as_written(location, unions))
        if problem["type"] == "missing":
            if _misspelt(location, strange):
                continue  # one mistake: the key is there under another name
            keys = ", ".join(_keys_at(root, location[:-1], unions))
            problem_told = f"the key {location[-1]!r} is missing"
            mistake = Mistake((*held, location[-1]), problem_told, f"the keys here are {keys}")
        elif problem["type"] == "extra_forbidden":
            mistake = unknown("key", str(location[-1]), _keys_at(root, location[:-1], unions), held)
        else:
            mistake = Mistake(held, _words(problem))
        other = found.get(mistake.location)
        if other is not None and other[0].problem != mistake.problem:  # one value, several types it might be
            mistake = Mistake(held, f"{other[0].problem}; or {mistake.problem}", other[0].remedy)
        found[mistake.location] = mistake, held
    return list(found.values())


def _words(problem: ErrorDetails) -> str:
    message = _PLAIN_WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    return message if isinstance(given, dict | list) or given is None else f"{message}, got {_short(given)}"


def _misspelt(location: Location, strange: Sequence[Location]) -> bool:
    beside = [str(other[-1]) for other in strange if other[:-1] == location[:-1]]
    return bool(get_close_matches(str(location[-1]), beside, n=1))


def _is_caused(mistake: Mistake, removed: Sequence[Location]) -> bool:
    """Whether it may come of a key that was taken out: it stands around it and speaks of it."""
    words = re.findall(r"\w+", f"{mistake.problem} {mistake.location[-1] if mistake.location else ''}")
    return any(
        get_close_matches(str(place[-1]), words, n=1, cutoff=_ALIKE)
        for place in removed
        if _inside(place, mistake.location)
        or place == mistake.location
        or place[:-1] == mistake.location[:-1]
    )


def _held(data: Any, location: Location) -> Location:
    """As much of `location` as the data have; the rest are tags of types, or keys that are missing."""
    held: Location = ()
    for part in location:
        parts = data if isinstance(data, dict) else dict(enumerate(data)) if isinstance(data, list) else {}
        if part in parts:
            data, held = parts[part], (*held, part)
        elif part != 0:  # one value where a list may stand is its first item
            break
    return held


def _removable(location: Location) -> Location:
    """The key to take out for a wrong value there: its own, or that of the list of plain values it is in."""
    return location if not location or isinstance(location[-1], str) else _removable(location[:-1])


def _without(data: Any, places: Sequence[Location]) -> Any:
    """A copy of the data without these keys."""
    here = {place[0] for place in places if len(place) == 1}
    if isinstance(data, dict):
        return {
            key: _without(value, [place[1:] for place in places if len(place) > 1 and place[0] == key])
            for key, value in data.items()
            if key not in here
        }
    if isinstance(data, list):
        return [
            _without(value, [place[1:] for place in places if len(place) > 1 and place[0] == i])
            for i, value in enumerate(data)
        ]
    return data


def _inside(location: Location, outer: Location) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def _as_written(location: Location, unions: Unions) -> Location:
    """Without the tag of a union, which the file does not have."""
    return location[:1] + location[2:] if location and location[0] in unions else location


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _keys_at(root: type[BaseModel], location: Location, unions: Unions) -> list[str]:
    """The valid keys of the model that `location` leads to."""
    model = root
    for i, part in enumerate(location):
        if i == 1 and location[0] in unions:
            model = unions[str(location[0])][str(part)]
        elif isinstance(part, str) and (field := _field(model, part)) is not None:
            found = _model_in(field.annotation)
            if found is not None:
                model = found
    return [info.alias or name for name, info in model.model_fields.items()]


def _field(model: type[BaseModel], key: str) -> Any:
    return next((info for name, info in model.model_fields.items() if key in (name, info.alias)), None)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
