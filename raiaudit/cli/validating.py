"""`raiaudit validate`: whether a spec is right, and what would come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli.options import UnsafeLoad

__all__ = ["validate"]


def validate(
    spec: Annotated[Path, typer.Argument(help="The audit spec, a YAML file.")],
    unsafe_load: UnsafeLoad = False,
) -> None:
    """Check a spec without running anything; offline and instant.

    Example: `raiaudit validate examples/digits.yaml`
    """
    from raiaudit.audit.resolution import refuse_unsafe_models
    from raiaudit.audit.spec import load_spec

    loaded = load_spec(spec)
    refuse_unsafe_models(loaded, unsafe_load=unsafe_load)
    models = ", ".join(model.title for model in loaded.spec.subjects)
    gates = sum(len(check.gate) for check in loaded.spec.checks)
    typer.echo(f"{spec}: valid; {models}; {len(loaded.spec.checks)} checks, {gates} gates")
    if not gates:
        typer.echo("note: without a gate every verdict is inconclusive (exit code 3)")
