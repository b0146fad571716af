"""The dashboard's own style sheet: sizes, focus, and the tables with links that Streamlit has none for.

A constant: nothing read from a run is ever put into it. `light-dark()` follows the colour scheme that
Streamlit sets on the page, so the sheet is right at once when a person changes the theme.
"""

from __future__ import annotations

from raiaudit.dashboard.theme import DARK, LIGHT

__all__ = ["STYLE"]


def _either(light: str, dark: str) -> str:
    return f"light-dark({light}, {dark})"


_VERDICTS = "\n".join(
    f".ra-{status} {{color: {_either(swatch.text, DARK.verdicts[status].text)};"
    f" background: {_either(swatch.tint, DARK.verdicts[status].tint)}}}"
    for status, swatch in LIGHT.verdicts.items()
)

STYLE = f"""<style>
.stMainBlockContainer {{max-width: 78rem; padding: 4rem 2.5rem 5rem;
  --ra-muted: {_either(LIGHT.muted, DARK.muted)}; --ra-line: {_either(LIGHT.line, DARK.line)};
  --ra-link: {_either(LIGHT.link, DARK.link)}; --ra-page: {_either(LIGHT.page, DARK.page)}}}
h1 {{font-size: 1.75rem !important; letter-spacing: -0.01em}}
h2 {{font-size: 1.25rem !important; padding-top: 1.25rem !important}}
h3 {{font-size: 1.05rem !important; padding-top: 0.9rem !important}}
h4 {{font-size: 0.95rem !important; padding: 0.6rem 0 0 !important}}
a:focus-visible, button:focus-visible, summary:focus-visible, [role=tab]:focus-visible,
input:focus-visible, .ra-tall:focus-visible, .stMain:focus-visible
  {{outline: 2px solid {_either(LIGHT.link, DARK.link)} !important; outline-offset: 2px; border-radius: 4px}}
.stTable td, .stTable th {{font-variant-numeric: tabular-nums}}
.stTable th {{color: var(--ra-muted); font-weight: 600}}
.stPageLink a p {{color: var(--ra-link); font-size: 1rem}}
.stPageLink a {{padding-left: 0}}
[role=tab][aria-selected=true] p, [data-testid$="Active"] p, [data-testid=stSliderThumbValue]
  {{color: var(--ra-link)}}
[data-testid=stLayoutWrapper]:has(> .st-key-summary) {{position: sticky; top: 3.5rem; z-index: 90}}
.st-key-summary {{background: var(--ra-page); padding: 0.6rem 0; border-bottom: 1px solid var(--ra-line)}}
.st-key-summary h1 {{padding: 0; overflow-wrap: anywhere}}
[class*="st-key-facts"] td:first-child {{white-space: nowrap; color: var(--ra-muted); width: 8.5rem}}
[class*="st-key-facts"] code {{font-size: 0.7rem; overflow-wrap: anywhere}}
.stElementContainer:has(> .stHtml > script), .st-key-draw-charts {{display: none}}
.ra-scroll {{overflow-x: auto; padding: 2px; position: relative}}
.ra-tall {{max-height: 40rem; overflow-y: auto; border-bottom: 1px solid var(--ra-line, currentColor)}}
.ra-tall thead th {{position: sticky; top: 0; background: var(--ra-page)}}
.ra-table {{border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.93rem}}
.ra-table caption {{text-align: left; color: var(--ra-muted); padding: 0 0 0.5rem; font-size: 0.88rem}}
.ra-table th, .ra-table td {{text-align: left; vertical-align: top; padding: 0.5rem 0.7rem;
  overflow-wrap: break-word}}
.ra-table tbody th, .ra-table a.ra-link {{overflow-wrap: anywhere}}
.ra-table a.ra-link {{min-width: 7rem; max-width: 24rem}}
.ra-table tbody tr:first-child th, .ra-table tbody tr:first-child td {{border-top: 1px solid var(--ra-line)}}
.ra-table tbody tr + tr td {{border-top: 1px dotted var(--ra-line)}}
.ra-table thead th {{color: var(--ra-muted); font-weight: 600; vertical-align: bottom}}
.ra-table tbody th {{font-weight: 600; min-width: 8rem; max-width: 24rem}}
.ra-table a {{color: inherit; text-decoration: none; display: block}}
.ra-table a.ra-link {{color: var(--ra-link)}}
.ra-table a:hover, .ra-table a:focus-visible {{text-decoration: underline}}
.ra-badge {{border-radius: 4px; padding: 0.1rem 0.4rem; font-size: 0.85rem; white-space: nowrap;
  display: inline-block}}
.ra-less {{color: var(--ra-muted); font-size: 0.85rem; font-weight: 400; display: block}}
.ra-unseen {{position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap}}
.ra-note {{color: {_either(LIGHT.note.text, DARK.note.text)};
  background: {_either(LIGHT.note.tint, DARK.note.tint)}}}
{_VERDICTS}
</style>"""
