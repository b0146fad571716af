"""Both themes: text that can be read, charts redrawn, no colour fixed where the theme decides."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from raiaudit.audit.gates import Status
from raiaudit.dashboard.night import SERIES_BY_NIGHT, at_night, night_colour
from raiaudit.dashboard.style import STYLE
from raiaudit.dashboard.theme import BADGES, DARK, LIGHT, Palette, streamlit_flags
from raiaudit.reports.charts import accuracy_against_eps
from raiaudit.reports.charts.corruption import _SHADES
from raiaudit.reports.theme import SERIES

THEMES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_of_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@THEMES
@pytest.mark.parametrize("status", get_args(Status))
def test_a_verdict_can_be_read_on_its_badge_and_on_the_page(palette: Palette, status: Status) -> None:
    swatch = palette.verdicts[status]
    assert contrast(swatch.text, swatch.tint) >= 4.5
    assert contrast(swatch.text, palette.page) >= 4.5


@THEMES
def test_text_links_and_buttons_can_be_read(palette: Palette) -> None:
    for text in (palette.ink, palette.muted, palette.link):
        for under in (palette.page, palette.raised):
            assert contrast(text, under) >= 4.5, (text, under)
    assert contrast(palette.note.text, palette.note.tint) >= 4.5
    assert contrast("#ffffff", palette.button) >= 4.5


@pytest.mark.parametrize(("page", "series"), [(LIGHT.page, SERIES), (DARK.page, SERIES_BY_NIGHT)])
def test_lines_stand_out_from_the_page(page: str, series: tuple[str, ...]) -> None:
    """3 for graphics (WCAG 1.4.11). On white two fall short, hence the shapes and dashes beside colour."""
    short = [colour for colour in series if contrast(colour, page) < 3]
    assert short == (["#56b4e9", "#e69f00"] if page == LIGHT.page else [])


def test_every_verdict_has_a_badge_in_both_themes_flags() -> None:
    flags = dict(flag[2:].split("=", 1) for flag in streamlit_flags(8600) if flag.startswith("--theme."))
    for status, name in BADGES.items():
        assert flags[f"theme.light.{name}BackgroundColor"] == LIGHT.verdicts[status].tint
        assert flags[f"theme.dark.{name}BackgroundColor"] == DARK.verdicts[status].tint
    assert "theme.base" not in flags
    assert flags["theme.dark.backgroundColor"] == DARK.page


def test_streamlit_knows_every_option() -> None:
    from streamlit import config

    config.get_config_options()
    known = set(config._config_options_template)
    asked = {flag[2:].split("=")[0] for flag in streamlit_flags(8600)}
    assert asked <= known


def test_the_style_sheet_names_no_colour_for_one_theme_alone() -> None:
    outside = re.sub(r"light-dark\([^)]*\)", "", STYLE)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|\bwhite\b(?!-)|\bblack\b|rgba?\(", outside) == []


def test_a_ramp_turned_about_still_rises_evenly_from_the_page() -> None:
    turned = at_night({"scale": {"range": list(_SHADES)}})["scale"]["range"]
    light = [luminance(colour) for colour in reversed(turned)]  # from "nothing" to "most"
    assert light == sorted(light)
    assert contrast(turned[-1], DARK.page) < 1.1
    # White words lay on the strong end, ink on the weak one; their counterparts can be read there still.
    assert contrast(night_colour("white"), turned[0]) >= 4.5
    assert contrast(night_colour("#1b1f24"), turned[-1]) >= 4.5


def test_data_keep_their_words_and_the_light_chart_its_colours() -> None:
    import polars as pl

    table = pl.DataFrame(
        {
            "eps": [0.0, 0.1],
            "robust_accuracy": [0.9, 0.5],
            "model": ["white", "#0072b2"],
            "norm": ["linf"] * 2,
        }
    )
    spec: dict[str, Any] = accuracy_against_eps(table, norm="linf", by="model").to_dict(validate=False)
    before = repr(spec)
    night = at_night(spec)
    assert repr(spec) == before
    assert {row["model"] for row in _rows(night)} == {"white", "#0072b2"}
    assert set(_domains(night)) >= {"white", "#0072b2"}
    assert night["config"]["background"] == DARK.page
    assert night["config"]["axis"]["labelColor"] == DARK.muted


def _rows(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [row for rows in node.get("datasets", {}).values() for row in rows]
        return [*own, *node.get("values", []), *(row for part in node.values() for row in _rows(part))]
    return [row for part in node for row in _rows(part)] if isinstance(node, list) else []


def _domains(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = node["domain"] if isinstance(node.get("domain"), list) else []
        return [*own, *(name for part in node.values() for name in _domains(part))]
    return [name for part in node for name in _domains(part)] if isinstance(node, list) else []
