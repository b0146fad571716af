"""The JSON Schemas we commit: of a spec (with every check's options) and of `results.json`.

Regenerate with `python -m raiaudit.audit.schemas`; a test fails when they drift from the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raiaudit.errors import UnknownNameError

__all__ = ["SCHEMAS", "schema_of"]

FOLDER = Path(__file__).parent / "schema"
SCHEMAS = ("spec", "results")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> dict[str, Any]:
    """The schema as generated from the code. Raises `UnknownNameError`."""
    if name == "results":
        from raiaudit.audit.results import Results

        return {"$schema": _DIALECT, **Results.model_json_schema(mode="serialization")}
    if name == "spec":
        return {"$schema": _DIALECT, **_spec_schema()}
    raise UnknownNameError("schema", name, SCHEMAS)


def _spec_schema() -> dict[str, Any]:
    """The spec's own schema, with `with` typed by the check that `use` names."""
    from raiaudit.audit.catalogue import CHECKS
    from raiaudit.audit.spec import Spec

    schema = Spec.model_json_schema(by_alias=True)
    data = schema["properties"]["data"]
    data["anyOf"] = data.pop("oneOf")  # a name alone fits both kinds
    rules = []
    for name, check in CHECKS.items():
        options = check.Config.model_json_schema()
        schema["$defs"] |= options.pop("$defs", {})
        schema["$defs"][f"with {name}"] = options
        rules.append(
            {
                "if": {"properties": {"use": {"const": name}}, "required": ["use"]},
                "then": {"properties": {"with": {"$ref": f"#/$defs/with {name}".replace(" ", "%20")}}},
            }
        )
    schema["$defs"]["CheckSpec"]["allOf"] = rules
    gate = schema["$defs"]["CheckSpec"]["properties"]["gate"]
    described = {"description": gate.pop("description")}
    schema["$defs"]["CheckSpec"]["properties"]["gate"] = {
        "anyOf": [gate, {"$ref": "#/$defs/Gate"}],
        **described,
    }
    return schema


if __name__ == "__main__":
    for each in SCHEMAS:
        (FOLDER / f"{each}.schema.json").write_text(json.dumps(schema_of(each), indent=2) + "\n")
