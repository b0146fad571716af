"""How `--help` shows arguments and switches: arguments in capitals, switches without a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

if TYPE_CHECKING:
    import typer

__all__ = ["show_plainly"]


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))


class _Group(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))


def show_plainly(*apps: typer.Typer) -> None:
    """Have every command of these apps, and the apps themselves, shown so."""
    for app in apps:
        app.info.cls = _Group
        for command in app.registered_commands:
            command.cls = _Command


def _plain(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if parameter.metavar is not None:
            continue
        if isinstance(parameter, TyperArgument):
            parameter.metavar = (parameter.name or "").upper()
        elif isinstance(parameter, TyperOption) and parameter.is_flag:
            parameter.metavar = ""  # typer writes <bool>, which reads as if a value were to follow
    return parameters
