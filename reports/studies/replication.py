"""Seeds, paired comparisons and ablations as tables for a terminal, Markdown, CSV and JSON.

Accuracies are in percent with two decimals: seeds of one recipe differ in the second one. Every interval
is at 95 %, and every table says whether it is one over seeds or one over test examples.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from raiaudit.audit.ablation import Ablation, Variant
    from raiaudit.audit.pairing import PairedComparison
    from raiaudit.audit.replication import Replicate, Replication
    from raiaudit.audit.statistics.replicates import PairedTest, Spread

__all__ = [
    "ablation_csv",
    "ablation_data",
    "ablation_markdown",
    "ablation_notes",
    "ablation_table",
    "comparison_data",
    "comparison_notes",
    "comparison_tables",
    "seeds_data",
    "seeds_notes",
    "seeds_table",
]

_TITLES = {"accuracy": "accuracy", "robust_accuracy": "robust accuracy", "auc": "AUC"}


# Seeds


def seeds_table(replication: Replication) -> Table:
    """One row a seed: its version and what it measured, with the interval over test examples."""
    header = ["seed", "version"]
    for metric in replication.metrics:
        header += [_TITLES[metric], "over test examples"]
    rows = []
    for found in replication.replicates:
        row = [str(found.seed), str(found.version)]
        for metric in replication.metrics:
            row += [_number(metric, found.value(metric)), _range(metric, *found.interval(metric))]
        rows.append(row)
    return _table(header, rows)


def seeds_notes(replication: Replication) -> Iterator[str]:
    """Mean, spread and interval of every metric, then which spread is which."""
    n, examples = len(replication.replicates), replication.examples
    for metric in replication.metrics:
        spread = replication.spread(metric)
        text = f"{_TITLES[metric]}: {_number(metric, spread.mean)}"
        if spread.deviation is None:
            yield f"{text}; one seed: the spread between seeds is unknown"
            continue
        text += f" mean of {n} seeds, standard deviation between seeds {_number(metric, spread.deviation)}"
        if spread.low is None or spread.high is None:
            yield f"{text}: all seeds agree, which leaves no interval of the mean"
        else:
            interval = _range(metric, spread.low, spread.high)
            yield f"{text}, 95 % t interval of the mean {interval} ({_freedom(n)})"
    yield f"beside a seed: that one model on other examples (95 % interval over these {examples:,})."
    if n > 1:
        yield "between seeds: other training runs on these same examples; the mean's interval covers that."


def seeds_data(replication: Replication) -> dict[str, Any]:
    """For `--json`."""
    return {
        "name": replication.name,
        "data_digest": replication.data_digest,
        "examples": replication.examples,
        "confidence": 0.95,
        "seeds": [_replicate_data(found, replication.metrics) for found in replication.replicates],
        "between_seeds": {metric: replication.spread(metric)._asdict() for metric in replication.metrics},
    }


def _replicate_data(found: Replicate, metrics: Sequence[str]) -> dict[str, Any]:
    measured = {
        metric: {"value": found.value(metric), **found.interval(metric)._asdict()} for metric in metrics
    }
    return {"seed": found.seed, "version": found.version, **measured}


# Two recipes


def comparison_tables(a: str, b: str, compared: Sequence[PairedComparison]) -> Iterator[Table]:
    """The means and their difference over seeds and over examples; then each seed's pair of models."""
    header = ["", a, b, "a − b", "over seeds", "p", "over test examples", "p"]
    rows = []
    for found in compared:
        over = found.between_examples
        rows.append(
            [
                _TITLES[found.metric],
                _spread(found.metric, found.a),
                _spread(found.metric, found.b),
                *_test(found.metric, found.between_seeds),
                *(_test(found.metric, over)[1:] if over is not None else ["–", "–"]),
            ]
        )
    yield _table(header, rows)
    for found in compared:
        if found.by_seed:
            header = [f"{_TITLES[found.metric]}: seed", "a − b", "over test examples", "McNemar p"]
            pairs = zip(found.seeds, found.by_seed, strict=True)
            yield _table(header, [[str(seed), *_test(found.metric, test)] for seed, test in pairs])


def comparison_notes(compared: Sequence[PairedComparison]) -> Iterator[str]:
    """Which of the two answers is about what."""
    first = compared[0]
    n = len(first.seeds)
    if n == 1:
        yield "one shared seed: nothing is known of the recipes, only of these two models."
    else:
        yield (
            f"over seeds (paired t, {_freedom(n)}): what holds for the recipes when both are trained again."
        )
        if any(found.between_seeds.p is None for found in compared):
            yield "no interval or p over seeds: the difference is the same for every seed."
    yield (
        f"over test examples (n = {first.examples:,}; exact test that exchanges the two on whole examples): "
        "what holds for these very models on other examples."
    )


def comparison_data(a: str, b: str, compared: Sequence[PairedComparison]) -> dict[str, Any]:
    """For `--json`."""
    return {
        "a": a,
        "b": b,
        "seeds": list(compared[0].seeds),
        "examples": compared[0].examples,
        "confidence": 0.95,
        "metrics": {found.metric: _comparison_data(found) for found in compared},
    }


def _comparison_data(found: PairedComparison) -> dict[str, Any]:
    over = found.between_examples
    return {
        "a": found.a._asdict(),
        "b": found.b._asdict(),
        "over_seeds": found.between_seeds._asdict(),
        "over_examples": None if over is None else over._asdict(),
        "by_seed": [test._asdict() for test in found.by_seed],
    }


# Ablations


def ablation_table(ablation: Ablation) -> Table:
    """For a terminal."""
    return _table(*_ablation_cells(ablation))


def ablation_markdown(ablation: Ablation) -> str:
    """The same table in Markdown, with what its columns mean."""
    header, rows = _ablation_cells(ablation)
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, *rows)]
    lines.insert(1, "|---|---|" + "---:|" * (len(header) - 2))
    return "\n".join([*lines, "", " ".join(ablation_notes(ablation)), ""])


def ablation_notes(ablation: Ablation) -> Iterator[str]:
    """What the columns mean."""
    full = ablation.full
    n = len(full.seeds)
    over = f"paired t over {n} seeds" if n > 1 else "over test examples, for there is one seed"
    seeds = ", ".join(map(str, full.seeds))
    spread = f": mean ± standard deviation between the seeds {seeds}" if n > 1 else f", seed {seeds}"
    yield f"{full.name} on {full.examples:,} test examples{spread}."
    yield "Change: without the part minus the full recipe; a part that helps is below 0."
    yield f"95 % interval {over}; p corrected by Holm for the {len(ablation.variants)} parts."


def ablation_csv(ablation: Ablation) -> str:
    """One line a part and metric, in fractions; the full recipe has an empty part."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    tested = ("change", "low", "high", "p", "p_holm")
    writer.writerow(["part", "setting", "metric", "mean", "deviation", *tested, "seeds", "examples"])
    full = ablation.full
    sizes = [len(full.seeds), full.examples]
    for metric in full.metrics:
        spread = full.spread(metric)
        writer.writerow(["", "", metric, spread.mean, spread.deviation, *[None] * len(tested), *sizes])
        for variant in ablation.variants:
            found = variant.changes[metric]
            cells = [variant.part, variant.setting, metric, found.a.mean, found.a.deviation]
            writer.writerow([*cells, *_deciding(found), variant.corrected[metric], *sizes])
    return text.getvalue()


def ablation_data(ablation: Ablation) -> dict[str, Any]:
    """For `--json`."""
    return {
        **seeds_data(ablation.full),
        "parts": [
            {
                "part": variant.part,
                "setting": variant.setting,
                "metrics": {
                    metric: {**_comparison_data(found), "p_holm": variant.corrected[metric]}
                    for metric, found in variant.changes.items()
                },
            }
            for variant in ablation.variants
        ],
    }


def _ablation_cells(ablation: Ablation) -> tuple[list[str], list[list[str]]]:
    metrics = ablation.full.metrics
    header = ["without", "it was"]
    for metric in metrics:
        header += [_TITLES[metric], "change", "95 % interval", "p (Holm)"]
    full = ["(full recipe)", ""]
    for metric in metrics:
        full += [_spread(metric, ablation.full.spread(metric)), "", "", ""]
    return header, [full, *(_variant_cells(variant, metrics) for variant in ablation.variants)]


def _variant_cells(variant: Variant, metrics: Sequence[str]) -> list[str]:
    cells = [variant.part, str(variant.setting)]
    for metric in metrics:
        found = variant.changes[metric]
        change, interval, _ = _test(metric, _deciding(found))
        cells += [_spread(metric, found.a), change, interval, _p(variant.corrected[metric])]
    return cells


def _deciding(found: PairedComparison) -> PairedTest:
    """Over seeds; over examples where there is one seed (an AUC has none then)."""
    if len(found.seeds) == 1 and found.between_examples is not None:
        return found.between_examples
    return found.between_seeds


# Cells


def _freedom(seeds: int) -> str:
    return "1 degree of freedom" if seeds == 2 else f"{seeds - 1} degrees of freedom"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for title in header:
        table.add_column(Text(title))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _number(metric: str, value: float, *, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if metric == "auc" else f"{100 * value:{sign}.2f} %"


def _range(metric: str, low: float, high: float, *, sign: str = "") -> str:
    if metric == "auc":
        return f"[{low:{sign}.4f}, {high:{sign}.4f}]"
    return f"[{100 * low:{sign}.2f}, {100 * high:{sign}.2f}]"


def _spread(metric: str, spread: Spread) -> str:
    text = _number(metric, spread.mean)
    if spread.deviation is None:
        return text
    return f"{text.removesuffix(' %')} ± {_number(metric, spread.deviation)}"


def _test(metric: str, test: PairedTest) -> list[str]:
    """Difference, interval, p; a dash where there is none."""
    interval = "–"
    if test.low is not None and test.high is not None:
        interval = _range(metric, test.low, test.high, sign="+")
    return [_number(metric, test.difference, sign="+"), interval, _p(test.p)]


def _p(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"
