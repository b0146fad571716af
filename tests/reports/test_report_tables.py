"""All measurements as tables: a row each, the gate each decided, and texts that no spreadsheet runs."""

import json

import polars as pl
import pytest

from raiaudit.audit.store import Run
from raiaudit.reports.formats.tables import for_spreadsheets, measurement_table, write_csv, write_parquet


def test_a_row_a_measurement_in_the_order_of_the_run(finished_run: Run) -> None:
    results = finished_run.results
    table = measurement_table(results)
    assert table.height == len(results.measurements)
    for row, m in zip(table.to_dicts(), results.measurements, strict=True):
        assert (row["check"], row["metric"], row["value"], row["n"]) == (m.check, m.metric, m.value, m.n)
        assert json.loads(row["where"]) == m.where
        assert row["reason"] == m.reason


def test_the_measurement_a_gate_was_decided_on_says_so(finished_run: Run) -> None:
    results = finished_run.results
    decided = measurement_table(results).drop_nulls("verdict")
    told = {(row["check"], row["metric"]): (row["verdict"], row["threshold"]) for row in decided.to_dicts()}
    assert told == {
        ("performance.accuracy", "accuracy"): ("pass", "≥ 0.95"),
        ("robustness.evasion", "robust_accuracy"): ("fail", "≥ 0.9"),
        ("privacy.membership", "tpr_at_fpr"): ("pass", "≤ 0.01"),
        ("fairness.groups", "impact_ratio"): ("inconclusive", "≥ 0.8"),
    }
    assert decided.height == 4  # of several radii the one that decided


def test_a_method_comes_with_its_citation(finished_run: Run) -> None:
    table = measurement_table(finished_run.results).filter(pl.col("method") == "wilson1927")
    assert table["citation"].str.starts_with("E. B. Wilson. Probable inference").all()


def test_both_files_hold_the_same_numbers(finished_run: Run) -> None:
    from_csv = pl.read_csv(write_csv(finished_run), infer_schema_length=None)
    from_parquet = pl.read_parquet(write_parquet(finished_run))
    assert from_csv.columns == from_parquet.columns
    for column in ("value", "low", "high", "confidence", "n"):
        assert from_csv[column].to_list() == from_parquet[column].to_list()
    assert from_csv.schema["value"] == pl.Float64


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'[U+0009]=1"),
        ("\r=1", "'[U+000D]=1"),
        ("\n=1", "'\n=1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),  # a full-width equals sign, which some locales take for one
        ("a=1", "a=1"),
        ("", ""),
        ("nul\x00", "nul[U+0000]"),
        ("a\u202eb", "a[U+202E]b"),
        ("naïve שלום 漢", "naïve שלום 漢"),
    ],
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str, harmless: str) -> None:
    assert for_spreadsheets(pl.DataFrame({"text": [text]}))["text"].to_list() == [harmless]
