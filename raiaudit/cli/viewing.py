"""`raiaudit view`: the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from raiaudit.cli.options import HomeOption

__all__ = ["view"]


def view(
    home: HomeOption = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: 8501, or the next free one.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
) -> None:
    """Open the dashboard on this machine (127.0.0.1 only): read runs, start audits and follow them.

    Example: `raiaudit view --port 8600`
    """
    from raiaudit.audit.store import Home
    from raiaudit.dashboard.launch import serve

    raise typer.Exit(serve(Home.at(home).root, port=port, open_browser=browser))
