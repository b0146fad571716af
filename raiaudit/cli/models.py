"""`raiaudit models list|show|add`: the registry, and the group of all commands on models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli import cards, training
from raiaudit.cli.options import HomeOption, UnsafeLoad

__all__ = ["app"]

app = typer.Typer(help="Trained models: versions, aliases, lineage.", no_args_is_help=True)


@app.command("list")
def list_models(home: HomeOption = None) -> None:
    """Every version of every registered model.

    Example: `raiaudit models list`
    """
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from raiaudit.audit.store import Home
    from raiaudit.models.registry import Registry

    found = Registry.open(Home.at(home).root).models()
    if not found:
        typer.echo("no models yet; train one: raiaudit models train examples/digits.yaml")
        return
    columns = ("version", "aliases", "architecture", "recipe", "seed", "data", "ε", "weights")
    table = Table(Column("name", overflow="fold"), *columns, box=None)
    for model in found:
        tag = {key.removeprefix("raiaudit."): value for key, value in model.tags.items()}
        cells = [
            model.name,
            str(model.version),
            ", ".join(model.aliases),
            tag.get("architecture", ""),
            tag.get("recipe", ""),
            tag.get("seed", ""),
            tag.get("data", ""),
            tag.get("epsilon", "–"),
            tag.get("weights", "")[:12],
        ]
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME/VERSION.")], home: HomeOption = None
) -> None:
    """The lineage of one version: data digest, recipe, seed, code, metrics, ε.

    Example: `raiaudit models show digits-cnn@candidate`
    """
    from raiaudit.audit.store import Home
    from raiaudit.models.registry import Registry

    registry = Registry.open(Home.at(home).root)
    typer.echo(registry.record(registry.find(model)).model_dump_json(indent=2))


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A .safetensors file; with --unsafe-load also .pt, .pth.")],
    name: Annotated[str, typer.Option(help="The name to register it under.")],
    arch: Annotated[str, typer.Option(help="The architecture the weights belong to.")],
    data: Annotated[str, typer.Option(help="The data set it answers for, by name.")],
    option: Annotated[
        list[str] | None, typer.Option(help="Arguments of the architecture, KEY=VALUE; repeatable.")
    ] = None,
    alias: Annotated[list[str] | None, typer.Option(help="Aliases for the new version; repeatable.")] = None,
    unsafe_load: UnsafeLoad = False,
    home: HomeOption = None,
) -> None:
    """Register weights that were trained elsewhere. Pickled files are refused (exit code 4).

    Example: `raiaudit models add net.safetensors --name net --arch resnet18 --data cifar10`
    """
    import yaml

    from raiaudit.audit.store import Home
    from raiaudit.errors import UsageError
    from raiaudit.models.data import load_dataset
    from raiaudit.models.outside import load_outside, refuse_unregistrable
    from raiaudit.models.registry import Registry

    refuse_unregistrable(file, unsafe_load=unsafe_load)
    options = {}
    for pair in option or []:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--option takes KEY=VALUE, got {pair!r}")
        options[key] = yaml.safe_load(value)
    version = load_outside(file, arch, options, load_dataset(data), name=name, unsafe_load=unsafe_load)
    made = Registry.open(Home.at(home).root).add(version, aliases=alias or ())
    typer.echo(f"registered {name} version {made.version} ({version.record.parameters:,} parameters)")


app.command()(training.train)
app.command()(training.compare)
app.command()(training.ablate)
app.command()(cards.card)
