"""`raiaudit models train|compare|ablate`: models from recipes, and what their recipes are worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiaudit.cli.options import HomeOption

if TYPE_CHECKING:
    from rich.table import Table

    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.models.recipe import Recipe

__all__ = ["ablate", "compare", "train"]

JsonOption = Annotated[
    bool, typer.Option("--json", help="One line of JSON on standard output; progress goes to standard error.")
]


def train(
    spec: Annotated[Path, typer.Argument(help="A spec whose models have recipes.")],
    only: Annotated[str | None, typer.Option(help="Train this model alone.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train with this many seeds from the spec's own on, and evaluate each on the test split.",
        ),
    ] = None,
    as_json: JsonOption = False,
    as_events: Annotated[
        bool, typer.Option("--events", help="One JSON event a line, as `raiaudit run --json` prints.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Train and register the models of a spec without auditing them; resumes after a crash.

    With `--seeds`: mean, spread and interval of the test accuracy. The first seed stays `candidate`.

    Example: `raiaudit models train examples/digits.yaml --only digits-cnn --seeds 5`
    """
    from raiaudit.errors import RaiauditError, UsageError

    if as_events and (as_json or seeds is not None):
        raise UsageError("--events stands alone", remedy="leave --json and --seeds out")
    if not as_events:
        _train(spec, only, seeds, as_json=as_json, home=home)
        return
    try:
        found = _train(spec, only, None, as_events=True, home=home)
    except KeyboardInterrupt:
        _finished([], 130, verdict="interrupted")
        raise typer.Exit(130) from None
    except Exception as error:
        code = error.exit_code if isinstance(error, RaiauditError) else RaiauditError.exit_code
        _finished([], code, verdict="error", error=str(error))
        raise
    _finished(found, 0)


def _finished(models: list[dict[str, Any]], code: int, **more: Any) -> None:
    typer.echo(json.dumps({"event": "finished", "models": models, "exit_code": code, **more}))


def _train(
    spec: Path,
    only: str | None,
    seeds: int | None,
    *,
    as_json: bool = False,
    as_events: bool = False,
    home: Path | None,
) -> list[dict[str, Any]]:
    from raiaudit.audit.replication import replicate
    from raiaudit.audit.resolution import obtain
    from raiaudit.audit.spec import load_data, load_spec
    from raiaudit.audit.store import Home
    from raiaudit.cli.progress import watch
    from raiaudit.models.registry import Registry
    from raiaudit.reports.studies.replication import seeds_data, seeds_notes, seeds_table

    loaded = load_spec(spec)
    recipes = _recipes(loaded, only, spec)
    root, dataset, options = Home.at(home).root, load_data(loaded), loaded.spec.run
    registry = Registry.open(root)
    found: list[dict[str, Any]] = []
    for name, recipe in recipes.items():
        if seeds is None:
            with watch(as_json=as_events, aside=as_json) as listener:
                version = obtain(
                    registry,
                    name,
                    recipe,
                    dataset,
                    seed=options.seed,
                    device=options.device,
                    home=root,
                    listener=listener,
                )
            if not as_json and not as_events:
                typer.echo(f"{name} version {version.version}: {version.record.metrics}")
            found.append({"name": name, "version": version.version, "metrics": version.record.metrics})
            continue
        with watch(as_json=False, aside=as_json) as listener:
            made = replicate(
                registry,
                name,
                recipe,
                dataset,
                seeds=range(options.seed, options.seed + seeds),
                options=options,
                home=root,
                listener=listener,
            )
        if not as_json:
            _print(seeds_table(made), title=f"{name} on the test split of {dataset.name}")
            for note in seeds_notes(made):
                typer.echo(note)
        found.append(seeds_data(made))
    if as_json:
        typer.echo(json.dumps({"models": found}))
    return found


def compare(
    a: Annotated[str, typer.Argument(help="A registered model: NAME, NAME@ALIAS or NAME/VERSION.")],
    b: Annotated[str, typer.Argument(help="The model to hold it against.")],
    spec: Annotated[
        Path | None, typer.Option(help="The spec that names their data; needed for data of your own.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Two recipes on the same seeds and the same test examples: paired differences over both.

    Each name stands for all versions that differ from it in the seed alone. Where both were trained
    against the same adversary, robust accuracy under PGD-20 in its ball is compared too.

    Example: `raiaudit models compare digits-cnn digits-vit`
    """
    from raiaudit.audit.pairing import compare as compared
    from raiaudit.audit.pairing import shared_versions
    from raiaudit.audit.replication import reread
    from raiaudit.audit.spec import RunOptions, load_data, load_spec
    from raiaudit.audit.store import Home
    from raiaudit.cli.progress import watch
    from raiaudit.errors import UsageError
    from raiaudit.models.data import DATASETS, load_dataset
    from raiaudit.models.registry import Registry
    from raiaudit.reports.studies.replication import comparison_data, comparison_notes, comparison_tables

    registry = Registry.open(Home.at(home).root)
    pair = shared_versions(registry, a, b)
    loaded = load_spec(spec) if spec is not None else None
    if loaded is None and pair.data_name not in DATASETS:
        raise UsageError(f"{pair.data_name} is data of your own", remedy="name it by its spec: --spec FILE")
    dataset = load_data(loaded) if loaded is not None else load_dataset(pair.data_name)
    options = loaded.spec.run if loaded is not None else RunOptions()
    with watch(as_json=False, aside=as_json) as listener:
        ours, theirs = (
            reread(registry, versions, dataset, options=options, listener=listener, adversary=pair.adversary)
            for versions in (pair.a, pair.b)
        )
    results = compared(ours, theirs)
    if as_json:
        typer.echo(json.dumps(comparison_data(a, b, results)))
        return
    for number, table in enumerate(comparison_tables(a, b, results)):
        _print(table, title="" if number else f"on the test split of {dataset.name}")
    for note in comparison_notes(results):
        typer.echo(note)


def ablate(
    spec: Annotated[Path, typer.Argument(help="A spec whose models have recipes.")],
    only: Annotated[str | None, typer.Option(help="The model whose recipe is meant.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds for each variant, from the spec's own on.")] = 3,
    parts: Annotated[
        str | None,
        typer.Option(help="Parts to do without, one at a time: cutout,adversary.ramp. Default: all."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write the table here: .md or .csv.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Train a recipe without each of its parts in turn, and say what each part is worth.

    A recipe with an adversary is also judged by its robust accuracy under PGD-20 in its ball. Resumes.

    Example: `raiaudit models ablate examples/digits.yaml --only digits-cnn --parts augment,weight_decay`
    """
    from raiaudit.audit.ablation import ablate as ablated
    from raiaudit.audit.files import write_atomically
    from raiaudit.audit.spec import load_data, load_spec
    from raiaudit.audit.store import Home
    from raiaudit.cli.progress import watch
    from raiaudit.errors import UsageError
    from raiaudit.models.registry import Registry
    from raiaudit.reports.studies.replication import (
        ablation_csv,
        ablation_data,
        ablation_markdown,
        ablation_notes,
        ablation_table,
    )

    formats = {".md": ablation_markdown, ".csv": ablation_csv}
    if out is not None and out.suffix not in formats:
        raise UsageError(f"{out.name} is neither .md nor .csv", where="--out")
    loaded = load_spec(spec)
    recipes = _recipes(loaded, only, spec)
    if len(recipes) > 1:
        raise UsageError(
            "the spec has several recipes", where=str(spec), remedy=f"--only one of {', '.join(recipes)}"
        )
    ((name, recipe),) = recipes.items()
    root, dataset, options = Home.at(home).root, load_data(loaded), loaded.spec.run
    with watch(as_json=False, aside=as_json) as listener:
        found = ablated(
            Registry.open(root),
            name,
            recipe,
            dataset,
            parts=[part.strip() for part in parts.split(",")] if parts else (),
            seeds=range(options.seed, options.seed + seeds),
            options=options,
            home=root,
            listener=listener,
        )
    if out is not None:
        write_atomically(out, formats[out.suffix](found))
    if as_json:
        typer.echo(json.dumps(ablation_data(found)))
        return
    _print(ablation_table(found), title=f"{name} on the test split of {dataset.name}")
    for note in ablation_notes(found):
        typer.echo(note)


def _recipes(loaded: LoadedSpec, only: str | None, spec: Path) -> dict[str, Recipe]:
    """The spec's recipes by name. Raises `UsageError` if it has none, or none called `only`."""
    from raiaudit.errors import UnknownNameError, UsageError

    recipes = {model.name: model.recipe for model in loaded.spec.subjects if model.recipe and model.name}
    if only is not None and only not in recipes:
        raise UnknownNameError("model", only, recipes, where=str(spec))
    if not recipes:
        raise UsageError("no model of this spec has a recipe", where=str(spec))
    return recipes if only is None else {only: recipes[only]}


def _print(table: Table, *, title: str) -> None:
    from rich.console import Console

    console = Console()
    console.print()
    if title:
        console.print(title, style="bold", markup=False, highlight=False)
    console.print(table)
    console.print()
