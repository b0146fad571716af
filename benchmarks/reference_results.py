"""The reference recipes of `examples/reference/`, trained and audited: what came of them, as one table.

    python benchmarks/reference_results.py [--only NAME ...] [--write docs/reference-results.md]

Each spec is run as `raiaudit run` would, first with seed 0; a recipe that trained in under ten minutes also
with seeds 1 and 2. A row is a gate of a spec: what was wanted, the value of every seed, their median, and
the interval of the median seed over its test examples. Nothing is repeated that the home folder already
holds, so a run that was killed goes on where it was, and one recipe can be measured at a time. `--json`
prints a line a row.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from common import machine, versions

from raiaudit.audit.gates import Gate
from raiaudit.audit.runner import run_suite
from raiaudit.audit.spec import LoadedSpec, load_spec
from raiaudit.audit.store import Home, Run
from raiaudit.models.registry import Registry

SPECS = Path(__file__).parent.parent / "examples" / "reference"
SHORT = 600.0  # seconds of training below which three seeds are affordable
BEGIN, END = "<!-- reference_results.py writes from here -->", "<!-- to here -->"
LIBRARIES = ("torch", "numpy", "opacus", "dp-accounting", "raiaudit")


@dataclass(frozen=True, slots=True)
class Row:
    """One gate of one model: `values` by seed, the interval at their median, n examples."""

    recipe: str
    model: str
    metric: str
    wanted: str
    values: tuple[float, ...]
    low: float | None
    high: float | None
    n: int
    minutes: float
    parameters: int

    @property
    def median(self) -> float:
        """Of the seeds; of two, the lower one."""
        return statistics.median_low(self.values)


def seeded(loaded: LoadedSpec, seed: int) -> LoadedSpec:
    """The spec with another seed."""
    options = loaded.spec.run.model_copy(update={"seed": seed})
    return LoadedSpec(loaded.spec.model_copy(update={"run": options}), loaded.source, loaded.configs)


def audited(loaded: LoadedSpec, home: Home) -> list[Run]:
    """The runs of one seed, finished now if they were not."""

    def listener(event: dict[str, object]) -> None:
        print(json.dumps(event, default=str), flush=True)

    return run_suite(loaded, home, listener=listener, documents=lambda run: None)


def rows_of(spec: Path, home: Home) -> list[Row]:
    """Run what is missing of a spec and read its gates."""
    loaded = load_spec(spec)
    by_seed = [audited(seeded(loaded, 0), home)]
    registry = Registry.open(home.root)
    if max(_seconds(run, registry) for run in by_seed[0]) < SHORT:
        by_seed += [audited(seeded(loaded, seed), home) for seed in (1, 2)]
    return [
        _row(spec.stem, runs, place, verdict.gate, registry)
        for runs in zip(*by_seed, strict=True)
        for place, verdict in enumerate(runs[0].results.verdicts)
        if verdict.gate is not None
    ]


def _seconds(run: Run, registry: Registry) -> float:
    """What training took, which results.json leaves out because it differs between two runs of the same."""
    subject = run.results.subject
    return registry.record(registry.find(f"{subject.name}/{subject.version}")).seconds or 0.0


def _row(recipe: str, runs: tuple[Run, ...], place: int, gate: Gate, registry: Registry) -> Row:
    verdicts = [run.results.verdicts[place] for run in runs]
    found = [verdict.measurement for verdict in verdicts]
    if any(m is None or m.value is None for m in found):
        raise SystemExit(f"{recipe}: no value for {gate.metric}: {verdicts[0].explanation}")
    values = tuple(m.value for m in found if m is not None and m.value is not None)
    middle = found[values.index(statistics.median_low(values))]
    assert middle is not None
    record = runs[0].results.subject.record
    return Row(
        recipe=recipe,
        model=f"{runs[0].results.subject.name} ({record.architecture})",
        metric=middle.label(),
        wanted=gate.threshold(),
        values=values,
        low=middle.low,
        high=middle.high,
        n=middle.n,
        minutes=statistics.median(_seconds(run, registry) for run in runs) / 60,
        parameters=record.parameters,
    )


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [
        "| recipe | model | parameters | measured | wanted | by seed | median [95 %] | n | training |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shown = ", ".join(f"{value:.4g}" for value in row.values)
        interval = "" if row.low is None or row.high is None else f" [{row.low:.4g}, {row.high:.4g}]"
        cells = [
            f"[{row.recipe}](../examples/reference/{row.recipe}.yaml)",
            row.model,
            f"{row.parameters:,}",
            row.metric,
            row.wanted,
            shown,
            f"**{row.median:.4g}**{interval}",
            f"{row.n:,}",
            f"{row.minutes:.1f} min",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and print or write the table of all that has been run."""
    names = sorted(path.stem for path in SPECS.glob("*.yaml"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="default: all")
    parser.add_argument("--home", type=Path, help="state folder; default: $RAIAUDIT_HOME, else ./.raiaudit")
    parser.add_argument("--write", type=Path, help="put the table into this file, between its marks")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="one line a row")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    home = Home.at(arguments.home)
    rows = [row for name in arguments.only for row in rows_of(SPECS / f"{name}.yaml", home)]
    if arguments.json:
        for row in rows:
            print(json.dumps(asdict(row)))
    else:
        print(table(rows))
    if arguments.write:
        stated = ", ".join(f"{library} {number}" for library, number in versions(LIBRARIES).items())
        text = arguments.write.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN, 1)
        after = rest.split(END, 1)[1]
        body = f"{BEGIN}\n{machine()}; {stated}.\n\n{table(rows)}\n{END}"
        arguments.write.write_text(before + body + after, encoding="utf-8")


if __name__ == "__main__":
    main()
