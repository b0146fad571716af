"""`raiaudit models card`: the model card of a version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli.options import HomeOption

__all__ = ["card"]


def card(
    model: Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME/VERSION.")],
    run: Annotated[
        str | None,
        typer.Option(
            help="Add what this run measured: its id, the start of one, or `latest`.", metavar="RUN"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it here instead of printing it.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """The model card of a version, in Hugging Face's form: what it was trained on and how, and its limits.

    Every version is stored with the card of its record; this renders it anew, with its number.

    Example: `raiaudit models card digits-cnn@candidate --run latest --out README.md`
    """
    from raiaudit.audit.files import write_atomically
    from raiaudit.audit.store import Home
    from raiaudit.models.cards import model_card
    from raiaudit.models.registry import Registry
    from raiaudit.reports.formats.model_card import audit_findings

    store = Home.at(home)
    registry = Registry.open(store.root)
    found = registry.find(model)
    record = registry.record(found)
    audit = audit_findings(store.run(run).results, record) if run is not None else None
    text = model_card(found.name, record, version=found.version, audit=audit)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_atomically(out, text)
    typer.echo(out)
