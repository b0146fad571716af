"""`raiaudit fairness`: any file of predictions, counted and judged without a model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from raiaudit.cli.options import HomeOption, exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.fairness.predictions.options import PredictionOptions
    from raiaudit.audit.gates import Gate
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run

__all__ = ["fairness"]

_PROFILES = "four_fifths,eu_ai_act_10_2"


def fairness(
    files: Annotated[
        list[str],
        typer.Argument(help="Parquet, CSV, TSV or JSON lines; several, or 'preds/*.parquet', are one table."),
    ],
    groups: Annotated[
        str, typer.Option(help="Columns of sensitive attributes, comma-separated.", metavar="A,B")
    ],
    label: Annotated[str | None, typer.Option(help="Column of true classes; may be left out.")] = None,
    pred: Annotated[str | None, typer.Option(help="Column of predicted classes.")] = None,
    score: Annotated[str | None, typer.Option(help="Column of scores of the positive class.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Without --pred: predicted where score ≥ this. Default: 0.5.")
    ] = None,
    score_range: Annotated[str, typer.Option(help="Least and largest score.", metavar="LOW,HIGH")] = "0,1",
    positive: Annotated[
        list[str] | None,
        typer.Option(help="The class rates count; twice where labels and predictions name it differently."),
    ] = None,
    favourable: Annotated[
        str | None, typer.Option(help="The class that is good for people. Default: the positive one.")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of weights.")] = None,
    person: Annotated[
        str | None, typer.Option(help="Column that says whose a row is, where people have several.")
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of ids, none of which may repeat.")] = None,
    bands: Annotated[
        list[str] | None, typer.Option(help="Groups from numbers: age:18,30,45,65; may be repeated.")
    ] = None,
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Leave out rows without label, prediction or score.")
    ] = False,
    min_group: Annotated[int, typer.Option(min=1, help="Fewest examples for a rate to be compared.")] = 30,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of permutation tests.")] = 0,
    subgroups: Annotated[
        bool, typer.Option("--subgroups/--no-subgroups", help="Look at intersections of the columns too.")
    ] = True,
    profile: Annotated[
        str,
        typer.Option(
            help="Rules and laws: four_fifths, nyc_ll144, eu_ai_act_10_2, a YAML file of your own; or none.",
            metavar="A,B",
        ),
    ] = _PROFILES,
    ll144: Annotated[
        str, typer.Option(help="The columns nyc_ll144 means by sex and race.", metavar="SEX,RACE")
    ] = "sex,race",
    title: Annotated[str | None, typer.Option(help="Name in reports. Default: the file's.")] = None,
    max_: Annotated[
        list[str] | None,
        typer.Option("--max", help="Gate: metric=0.1, metric@race=0.1, metric@race:Black=0.1; repeatable."),
    ] = None,
    min_: Annotated[
        list[str] | None, typer.Option("--min", help="Gate: impact_ratio=0.8, in the same forms.")
    ] = None,
    gates: Annotated[
        Path | None, typer.Option(help="More gates: a YAML list, each gate as in a spec.")
    ] = None,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Print only; leave no run directory and no PDF.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="results.json in one line on standard output.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables here.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every measurement here, a row each.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write the PDF here as well.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Append a Markdown summary here, e.g. $GITHUB_STEP_SUMMARY.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Audit a file of predictions for fairness between groups: no model, no spec.

    Rates by group with intervals, differences with tests, verdicts of gates; a run as any other, with a PDF.

    Example: `raiaudit fairness predictions.parquet --label y --pred yhat --score p --groups sex,race
    --max demographic_parity_difference=0.1`
    """
    from raiaudit.api.auditing import write_reports
    from raiaudit.audit.fairness.predictions.audit import PredictionAudit
    from raiaudit.audit.fairness.predictions.files import find_files
    from raiaudit.audit.fairness.predictions.options import parse_bands, parse_range, read_options
    from raiaudit.audit.store import Home, Run
    from raiaudit.cli.progress import watch
    from raiaudit.errors import UsageError

    if no_run and (pdf or junit or summary):
        raise UsageError("--pdf, --junit and --summary are documents of a run", remedy="leave out --no-run")
    paths = find_files(files)
    attributes = tuple(part for part in groups.split(",") if part)
    options = read_options(
        title=title or paths[0].stem[:100],
        groups=attributes,
        label=label,
        pred=pred,
        score=score,
        threshold=threshold,
        score_range=parse_range(score_range),
        positive=tuple(positive or ()),
        favourable=favourable,
        weight=weight,
        person=person,
        id=id_,
        bands=parse_bands(bands or ()),
        drop_missing=drop_missing,
        min_group=min_group,
        confidence=confidence,
        seed=seed,
        subgroups=subgroups,
        profiles=() if profile == "none" else tuple(profile.split(",")),
        ll144=tuple(ll144.split(",")),
        gates=_gates(min_ or (), max_ or (), gates, attributes, confidence),
    )
    store = Home.at(home)
    try:
        with watch(as_json=False, aside=True) as listener:
            audit = PredictionAudit.of(paths, options, listener)
            if no_run:
                results, _ = audit.results(Run(store.runs_folder / audit.run_id), listener)
            else:
                command = _command(files, options, min_ or (), max_ or (), gates)
                run = audit.run(store, command=command, listener=listener, documents=write_reports)
                results = run.results
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command starts again", err=True)
        raise typer.Exit(130) from None
    _write(results, markdown, csv)
    if not no_run:
        _write_documents(run, pdf, junit, summary)
    if as_json:
        typer.echo(results.model_dump_json())
    else:
        _print(results, None if no_run else run, home)
    raise typer.Exit(exit_code([results.verdict]))


def _gates(
    lower: Sequence[str],
    upper: Sequence[str],
    file: Path | None,
    attributes: Sequence[str],
    confidence: float,
) -> tuple[Gate, ...]:
    from raiaudit.audit.fairness.predictions.gates import parse_gate, read_gates

    bounds: tuple[tuple[Literal["min", "max"], Sequence[str]], ...] = (("min", lower), ("max", upper))
    flags = [
        parse_gate(text, bound, attributes=attributes, confidence=confidence)
        for bound, texts in bounds
        for text in texts
    ]
    return (*flags, *(read_gates(file) if file else ()))


def _command(
    files: Sequence[str],
    options: PredictionOptions,
    lower: Sequence[str],
    upper: Sequence[str],
    gates: Path | None,
) -> str:
    """What a person types beside the files to have the same run: defaults are left out."""
    low, high = options.score_range
    profile = ",".join(options.profiles) or "none"
    words = [*(Path(name).name for name in files), "--groups", ",".join(options.groups)]
    for option, column in options.columns.items():
        words += [option, column]
    given = {
        "--threshold": None if options.threshold is None else f"{options.threshold:g}",
        "--score-range": None if (low, high) == (0, 1) else f"{low:g},{high:g}",
        "--favourable": options.favourable,
        "--min-group": None if options.min_group == 30 else str(options.min_group),
        "--confidence": None if options.confidence == 0.95 else f"{options.confidence:g}",
        "--seed": str(options.seed) if options.seed else None,
        "--profile": None if profile == _PROFILES else profile,
        "--ll144": None if options.ll144 == ("sex", "race") else ",".join(options.ll144),
        "--title": options.title if options.title != Path(files[0]).stem else None,
        "--gates": gates.name if gates else None,
    }
    words += [word for option, text in given.items() if text is not None for word in (option, text)]
    bands = [f"{column}:{','.join(f'{edge:g}' for edge in edges)}" for column, edges in options.bands.items()]
    for option, texts in (
        ("--bands", bands),
        ("--positive", options.positive),
        ("--min", lower),
        ("--max", upper),
    ):
        words += [word for text in texts for word in (option, text)]
    words += ["--drop-missing"] * options.drop_missing + ["--no-subgroups"] * (not options.subgroups)
    return shlex.join(["raiaudit", "fairness", *words])


def _write(results: Results, markdown: Path | None, csv: Path | None) -> None:
    from raiaudit.audit.files import write_atomically
    from raiaudit.reports.formats.group_tables import measurements_csv, tables_markdown

    if markdown is not None:
        write_atomically(markdown, tables_markdown(results))
    if csv is not None:
        write_atomically(csv, measurements_csv(results))


def _write_documents(run: Run, pdf: Path | None, junit: Path | None, summary: Path | None) -> None:
    from raiaudit.audit.files import write_atomically
    from raiaudit.reports.formats.junit import to_junit
    from raiaudit.reports.formats.markdown import to_markdown

    if pdf is not None:
        write_atomically(pdf, (run.folder / "report.pdf").read_bytes())
    if junit is not None:
        write_atomically(junit, to_junit([run]))
    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write(to_markdown([run]))


def _print(results: Results, run: Run | None, home: Path | None) -> None:
    """Tables, verdicts, where the documents are, and what to do next."""
    from rich.console import Console

    from raiaudit.reports.formats.group_tables import terminal_tables
    from raiaudit.reports.formats.terminal import verdict_lines

    console = Console()
    console.print()
    for shown in terminal_tables(results, console.width):
        console.print(shown)
        console.print()
    for line in verdict_lines(results):
        console.print(line)
    if run is None:
        console.print(
            "\nnext: the same without --no-run keeps a run and a PDF", style="bold", highlight=False
        )
        return
    where = f" --home {shlex.quote(str(home))}" if home else ""
    console.print(f"\n  {run.folder / 'report.pdf'}", style="dim", highlight=False, markup=False)
    console.print(f"\nnext: raiaudit view{where}", style="bold", highlight=False, markup=False)
