"""`raiaudit validate`: whether a spec is right, and what would come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raiaudit.cli.options import UnsafeLoad

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.forecast.forecast import CheckForecast, Forecast, ModelForecast, Seconds
    from raiaudit.audit.spec import LoadedSpec

__all__ = ["notes", "validate"]

_MARKS = {"runs": "✓", "may_run": "?", "cannot": "✗", "stops": "!"}
_COLOURS = {"runs": "green", "may_run": "yellow", "cannot": "yellow", "stops": "red"}


def validate(
    spec: Annotated[Path, typer.Argument(help="The audit spec, a YAML file.")],
    unsafe_load: UnsafeLoad = False,
    as_json: Annotated[bool, typer.Option("--json", help="The forecast as JSON on standard output.")] = False,
) -> None:
    """Check a spec without running anything; say what will run, what cannot and why, and how long it takes.

    Offline. Quick for the data sets of the catalogue; a table of your own is read. Exit codes: 0 it would run
    to its end, though checks may be not_run · 2 the spec is wrong, or a run would stop: no such model file,
    data that cannot be read · 4 a model would be refused.

    Example: `raiaudit validate examples/digits.yaml`
    """
    from raiaudit.audit.forecast.forecast import forecast
    from raiaudit.audit.resolution import refuse_unsafe_models
    from raiaudit.audit.spec import load_spec

    loaded = load_spec(spec)
    refuse_unsafe_models(loaded, unsafe_load=unsafe_load)
    titles = [model.title for model in loaded.spec.subjects]
    gates = sum(len(check.gate) for check in loaded.spec.checks)
    remarks = list(notes(loaded))
    if as_json:
        told = forecast(loaded)
        known = {"spec": str(spec), "valid": True, "gates": gates, "notes": remarks, "stops": told.stops}
        typer.echo(json.dumps({**known, **told.as_data()}))
    else:
        counted = f"{_count(len(loaded.spec.checks), 'check')}, {_count(gates, 'gate')}"
        typer.echo(f"{spec}: valid; {', '.join(titles)}; {counted}")
        for note in remarks:
            typer.secho(f"note: {note}", fg="yellow")
        told = forecast(loaded)
        _show(told)
    if told.stops:
        raise typer.Exit(2)


def notes(loaded: LoadedSpec) -> Iterator[str]:
    """What is allowed and hardly meant: no gate at all, and gates on what no check of ours measures."""
    from difflib import get_close_matches

    from raiaudit.audit.catalogue import CHECKS
    from raiaudit.reports.words.metric_words import explained, metrics

    gates = [(check, gate) for check in loaded.spec.checks for gate in check.gate]
    if not gates:
        yield "without a gate every verdict is inconclusive (exit code 3)"
    for check, gate in gates:
        if check.use in CHECKS and not explained(gate.metric):
            near = get_close_matches(gate.metric, metrics(), n=1)
            yield (
                f"no check measures {gate.metric!r}, so this gate of {check.use} will be inconclusive"
                + (f": did you mean {near[0]!r}?" if near else "; docs/reference/metrics.md lists what is")
            )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _show(told: Forecast) -> None:
    if told.problem:
        typer.secho(
            f"\nthe data cannot be read, so a run stops here (exit code 2):\n{told.problem}", fg="red"
        )
        return
    for model in told.models:
        _show_model(model)
    assert told.seconds is not None
    typer.secho(f"\nin all about {_time(told.seconds)}", bold=True, nl=False)
    typer.echo(f", of which {_time(told.overhead)} to start and to write the documents")
    dear = {
        f"{check.peak}: {_time(check.seconds)} ({model.model})": None
        for model in told.models
        for check in sorted(model.checks, key=lambda check: -(check.seconds or (0, 0))[1])[:1]
        if check.peak and check.seconds
    }
    for line in dear:
        typer.echo(f"  the dearest: {line}")
    typer.secho(f"estimated: {'; '.join(told.basis)}", dim=True)


def _show_model(model: ModelForecast) -> None:
    training = f", training {_time(model.training)}" if model.training else ""
    typer.secho(f"\n{model.model}", bold=True, nl=False)
    typer.echo(f"  {model.source}{training}")
    if model.problem:
        typer.secho(f"  ! {model.problem}: the run stops there", fg="red")
    width = max(len(check.check) for check in model.checks)
    for check in model.checks:
        _show_check(check, width)


def _show_check(check: CheckForecast, width: int) -> None:
    parts = []
    if check.examples is not None:
        parts.append(f"{check.examples:,} examples")
    if check.seconds is not None:
        parts.append(_time(check.seconds))
    if check.status == "cannot":
        parts.append("cannot run" + (": its gate is not_run" if check.gates else ""))
    elif check.status == "stops":
        parts.append("stops the run with exit code 2")
    elif check.status == "may_run":
        parts.append("may run")
    typer.secho(f"  {_MARKS[check.status]} ", fg=_COLOURS[check.status], nl=False)
    typer.echo(f"{check.check:<{width}}  {', '.join(parts)}")
    for line in check.reason.splitlines():
        typer.echo(f"      {line}")


def _time(seconds: Seconds) -> str:
    """A range in the unit that suits its upper end, in two digits."""
    low, high = seconds
    if high < 1:
        return "under a second"
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if high < 100 * size or unit == "h":
            return f"{_digits(low / size)}–{_digits(high / size)} {unit}"
    raise AssertionError("hours are the last unit")


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 9.5 else f"{float(f'{value:.1g}'):g}"
