"""`raiaudit init` and `raiaudit validate`: a spec to begin with, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli.options import UnsafeLoad

__all__ = ["init", "validate"]

_STARTER = """\
# An audit spec. `raiaudit validate {file}` checks it, `raiaudit run {file}` carries it out.
# `raiaudit checks list` names every check with its options.
apiVersion: raiaudit/v1
kind: Audit
data: {{name: digits}} # or {{name: mine, path: data.csv, label: y, id: row_id, groups: [sex]}}
models:
  - name: digits-cnn
    recipe: {{architecture: cnn, epochs: 20}}
context:
  purpose: "What the model is for, and who is affected by it"
  owner: "you@example.org"
run: {{seed: 7}}
checks:
  - use: performance.accuracy
    gate: {{metric: accuracy, min: 0.9}}
  - use: robustness.evasion
    with: {{norm: linf, eps: [0.05, 0.1]}}
    gate: {{metric: robust_accuracy, where: {{eps: 0.05}}, min: 0.5}}
  - use: reliability.calibration
"""


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("audit.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a spec to start from.

    Example: `raiaudit init audit.yaml`
    """
    from raiaudit.audit.files import write_atomically
    from raiaudit.errors import UsageError

    if file.exists() and not force:
        raise UsageError("the file exists", where=str(file), remedy="choose another name, or add --force")
    write_atomically(file, _STARTER.format(file=file))
    typer.echo(f"wrote {file}\nnext: raiaudit run {file}")


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
