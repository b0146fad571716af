"""Whether two runs measured a quantity in the same way: the same options and the same version of the check.

Options that only say which slices there are (`eps: [0.05, 0.15]`) are in a measurement's `where`; options
that change its interval or its speed, not what is measured, do not count.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results

__all__ = ["why_measured_otherwise"]

_HARMLESS = frozenset(
    {"confidence", "maps", "min_group", "most_groups", "permutations", "resamples", "shard", "tolerance"}
)
# The option that lists the slices of a `where` by another name.
_LISTED = {"corruption": "corruptions", "severity": "severities", "method": "methods", "attribute": "columns"}


def why_measured_otherwise(m: Measurement, ours: Results, reference: Results) -> str | None:
    """The options that differ, in words; None where the quantity was measured alike."""
    mine, theirs = _settings(m, ours), _settings(m, reference)
    if mine == theirs:
        return None
    if len(mine) == len(theirs) == 1:
        a, b = mine[0], theirs[0]
        keys = sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
        told = ", ".join(f"{key} {b.get(key, 'unset')} → {a.get(key, 'unset')}" for key in keys)
        return f"measured with other settings: {told}"
    return "measured with other settings: the check stands in the spec another number of times"


def _settings(m: Measurement, results: Results) -> list[dict[str, str]]:
    """What the outcomes that can have made this measurement were told, but for its slice."""
    configs = [outcome.config for outcome in results.checks if outcome.check == m.check]
    fitting = [config for config in configs if _fits(config, m.where)] or configs
    spoken_for = _HARMLESS | m.where.keys() | {_LISTED[key] for key in m.where if key in _LISTED}
    found = [
        {key: json.dumps(value, sort_keys=True) for key, value in config.items() if key not in spoken_for}
        for config in fitting
    ]
    return sorted(found, key=lambda options: json.dumps(options, sort_keys=True))


def _fits(config: Mapping[str, object], where: Mapping[str, Any]) -> bool:
    """Whether a check with these options measures this slice."""
    return all(_offers(config[key], value) for key, value in where.items() if config.get(key) is not None)


def _offers(option: object, value: object) -> bool:
    choices = option if isinstance(option, list | tuple) else [option]
    if isinstance(value, str):
        # AutoAttack's version is part of the name it measures under.
        return any(str(choice) in ("auto", value) or value.startswith(f"{choice}-") for choice in choices)
    return value in choices
