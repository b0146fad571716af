"""The query curve: a line and a band an attack, over a logarithmic axis."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from raiaudit.audit.robustness.query_curve import query_curve
from raiaudit.reports import charts


def frame(attack: str, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    correct = rng.random(200) < 0.9
    spent = np.exp(rng.uniform(0, np.log(5000), 200)).astype(np.int64) + 1
    broken = ~correct | (rng.random(200) < 0.7)
    curve = query_curve(broken, np.where(correct, spent, 1), correct)
    return curve.with_columns(attack=pl.lit(attack))


def test_a_line_and_a_band_for_each_attack_over_a_log_axis() -> None:
    table = pl.concat([frame("square", 0), frame("hop_skip_jump", 1)])
    chart = charts.accuracy_against_queries(table)
    svg = charts.to_svg(chart)
    for kind in ("line", "area"):
        groups = re.findall(rf'<g class="mark-{kind} role-mark [^>]*>(.*?)</g>', svg, flags=re.DOTALL)
        assert sum(group.count("<path ") for group in groups) == 2
    assert ">Queries per example<" in svg
    # A decade is as long as any other: the ticks 1, 10, 100 and 1k lie evenly.
    ticks = {
        label: float(x)
        for x, label in re.findall(r'transform="translate\(([\d.]+),[^)]*\)[^>]*>([\d.]+k?)<', svg)
    }
    assert {"1", "10", "100"} <= set(ticks)
    assert abs((ticks["100"] - ticks["10"]) - (ticks["10"] - ticks["1"])) < 1
