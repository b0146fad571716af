"""How the dashboard looks: one quiet palette, set by Streamlit flags so that no config file is needed.

Colours never carry meaning alone: every verdict is a word with a symbol, coloured (see `wording`).
The verdicts' colours are those of the PDF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.theme import INK, SERIES, VERDICTS

if TYPE_CHECKING:
    from PIL.Image import Image

    from raiaudit.audit.gates import Status

__all__ = ["BADGES", "STYLE", "icon", "streamlit_flags"]

_INACTIVE = "#f5f6f8"

_THEME = {
    "base": "light",
    "primaryColor": SERIES[0],
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": _INACTIVE,
    "textColor": INK,
    "linkColor": SERIES[0],
    "linkUnderline": "false",
    "borderColor": "#dfe3e8",
    "codeTextColor": INK,
    "codeBackgroundColor": _INACTIVE,
    "blueTextColor": "#0a5587",
    "blueBackgroundColor": "#e4f0f8",
    "baseFontSize": "15",
    "baseRadius": "6px",
    "metricValueFontSize": "1.5rem",
}

# The colour names of Streamlit's Markdown that stand for verdicts.
BADGES: dict[Status, str] = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "orange",
    "not_run": "gray",
    "error": "violet",
}

_SERVER = {
    "server.address": "127.0.0.1",
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorLinks": "false",
    "logger.level": "warning",
}

# A constant: nothing read from a run is ever put into it.
STYLE = """<style>
.stMainBlockContainer {max-width: 76rem; padding-top: 4.5rem; padding-bottom: 5rem}
h1 {font-size: 1.75rem !important; letter-spacing: -0.01em}
h2 {font-size: 1.25rem !important; padding-top: 1.25rem !important}
h3 {font-size: 1.05rem !important; padding-top: 0.9rem !important}
.stTable td, .stTable th {font-variant-numeric: tabular-nums}
.stPageLink a p {color: #0067a0; font-size: 1rem}
.stPageLink a {padding-left: 0}
.stTable th {color: #57606a; font-weight: 600}
[class*="st-key-facts"] td:first-child {white-space: nowrap; color: #57606a; width: 8.5rem}
[class*="st-key-facts"] code {font-size: 0.7rem; overflow-wrap: anywhere}
</style>"""


def icon() -> Image:
    """A tick on blue, drawn here: Streamlit would fetch its own icons from the network."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((2, 2, 61, 61), radius=14, fill=SERIES[0])
    pen.line([(17, 34), (28, 45), (48, 20)], fill="white", width=8, joint="curve")
    return image


def _colours() -> dict[str, str]:
    found = dict(_THEME)
    for status, name in BADGES.items():
        look = VERDICTS[status]
        found |= {
            f"{name}TextColor": look.colour,
            f"{name}Color": look.colour,
            f"{name}BackgroundColor": look.tint,
        }
    return found


def streamlit_flags(port: int) -> list[str]:
    """Command-line flags of `streamlit run`: loopback only, no telemetry, our colours."""
    settings = {**_SERVER, "server.port": str(port)}
    settings |= {f"theme.{key}": value for key, value in _colours().items()}
    # Names under which a browser may reach the server: stops DNS rebinding from a hostile page.
    hosts = [f"--server.allowedHosts={host}" for host in ("127.0.0.1", "localhost")]
    return [f"--{key}={value}" for key, value in settings.items()] + hosts
