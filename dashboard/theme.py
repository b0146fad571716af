"""How the dashboard looks: one quiet palette in light and dark, set by Streamlit flags alone.

The browser's preference chooses; the menu at the top right overrules it. Colours never carry meaning alone:
every verdict is a word with a symbol, coloured (see `wording`). In light they are the colours of the PDF.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.reports.theme import INK, SERIES, VERDICTS

if TYPE_CHECKING:
    from PIL.Image import Image

    from raiaudit.audit.gates import Status

__all__ = ["BADGES", "DARK", "LIGHT", "Palette", "Swatch", "icon", "streamlit_flags"]


@dataclass(frozen=True, slots=True)
class Swatch:
    """A verdict's badge: `text` on `tint`, both `#rrggbb`; a contrast of at least 4.5 in either theme."""

    text: str
    tint: str


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a theme: `page` lies under everything, `raised` under the sidebar, fields and code."""

    page: str
    raised: str
    ink: str
    muted: str
    line: str
    link: str
    button: str
    note: Swatch
    verdicts: dict[Status, Swatch]


LIGHT = Palette(
    page="#ffffff",
    raised="#f5f6f8",
    ink=INK,
    muted="#57606a",
    line="#dfe3e8",
    link="#0067a0",
    button=SERIES[0],
    note=Swatch("#0a5587", "#e4f0f8"),
    verdicts={status: Swatch(look.colour, look.tint) for status, look in VERDICTS.items()},
)
DARK = Palette(
    page="#12161c",
    raised="#1b2129",
    ink="#e6e9ee",
    muted="#a6b0bb",
    line="#343c47",
    link="#7cc4f5",
    button="#1b78b0",
    note=Swatch("#9cd2f7", "#173247"),
    verdicts={
        "pass": Swatch("#84e0a9", "#14351f"),
        "fail": Swatch("#ffaaa2", "#481c1c"),
        "inconclusive": Swatch("#f3ca6b", "#3d2e0c"),
        "not_run": Swatch("#bcc5d0", "#2b323c"),
        "error": Swatch("#d7b8fb", "#37234f"),
    },
)

# The colour names of Streamlit's Markdown that stand for verdicts.
BADGES: dict[Status, str] = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "orange",
    "not_run": "gray",
    "error": "violet",
}

_SHAPE = {
    "linkUnderline": "false",
    "baseFontSize": "15",
    "baseRadius": "6px",
    "metricValueFontSize": "1.5rem",
}

_SERVER = {
    "server.address": "127.0.0.1",
    "server.headless": "true",
    # As Streamlit has them by default: what starts an audit must not depend on anybody's config.toml.
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.enableAgentApi": "false",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorLinks": "false",
    "logger.level": "warning",
}


def icon() -> Image:
    """A tick on blue, drawn here: Streamlit would fetch its own icons from the network."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((2, 2, 61, 61), radius=14, fill=SERIES[0])
    pen.line([(17, 34), (28, 45), (48, 20)], fill="white", width=8, joint="curve")
    return image


def _options(palette: Palette) -> dict[str, str]:
    found = {
        "primaryColor": palette.button,
        "backgroundColor": palette.page,
        "secondaryBackgroundColor": palette.raised,
        "textColor": palette.ink,
        "linkColor": palette.link,
        "borderColor": palette.line,
        "dataframeBorderColor": palette.line,
        "codeTextColor": palette.ink,
        "codeBackgroundColor": palette.raised,
        "sidebar.backgroundColor": palette.raised,
        "sidebar.secondaryBackgroundColor": palette.page,
    }
    swatches = {"blue": palette.note} | {name: palette.verdicts[status] for status, name in BADGES.items()}
    for name, swatch in swatches.items():
        found |= {
            f"{name}TextColor": swatch.text,
            f"{name}Color": swatch.text,
            f"{name}BackgroundColor": swatch.tint,
        }
    # Streamlit's grey is also the colour of lesser text.
    return found | {"grayTextColor": palette.muted}


def streamlit_flags(port: int) -> list[str]:
    """Command-line flags of `streamlit run`: loopback only, no telemetry, our colours in light and dark."""
    settings = {**_SERVER, "server.port": str(port)}
    settings |= {f"theme.{key}": value for key, value in _SHAPE.items()}
    for scheme, palette in (("light", LIGHT), ("dark", DARK)):
        settings |= {f"theme.{scheme}.{key}": value for key, value in _options(palette).items()}
    # Names under which a browser may reach the server: stops DNS rebinding from a hostile page.
    hosts = [f"--server.allowedHosts={host}" for host in ("127.0.0.1", "localhost")]
    return [f"--{key}={value}" for key, value in settings.items()] + hosts
