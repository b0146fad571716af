"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HomeOption", "RunName", "UnsafeLoad", "exit_code"]

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="State folder. Default: $RAIAUDIT_HOME, else ./.raiaudit", show_default=False
    ),
]
UnsafeLoad = Annotated[
    bool,
    typer.Option(
        "--unsafe-load",
        help="Load models that can run code: a factory, a .pt file. Only if you trust who made them; "
        "the report says so.",
    ),
]
RunName = Annotated[str, typer.Argument(help="A run id, the start of one, or `latest`.", metavar="RUN")]


def exit_code(verdicts: list[str]) -> int:
    """0 if all passed, 1 if any failed, else 3."""
    if "fail" in verdicts:
        return 1
    return 0 if verdicts and all(verdict == "pass" for verdict in verdicts) else 3
